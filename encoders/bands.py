"""Spectral bands: names, wavelengths and which band of a dataset answers to which band of an encoder.

Names are the sensors' own (Sentinel-2 `B02`, `B8A`; Landsat-8 `L8_B4`; Sentinel-1 `VV`). What two sensors
have in common is a STAC common name (stac-extensions/eo v1.1): `red` is B04 on Sentinel-2, L8_B4 on
Landsat-8 and the first channel of an aerial photograph; `nir` (0.842 um) and `nir08` (0.865 um) are two bands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

POWER_FLOOR = 1e-5
"""-50 dB: radar intensities at or below it (m-so2sat stores exact zeros) are raised to it before the logarithm."""
NEAREST_WITHIN_UM = 0.040
"""How far a stand-in's centre wavelength may lie (spec of the missing-band rule `nearest`)."""


@dataclass(frozen=True)
class Band:
    """One spectral band.

    Attributes:
        name: the sensor's own name, unique within a dataset.
        common: the STAC common name, or None where there is none (cirrus stands alone, TCI is a product).
        wavelength_um: centre wavelength in micrometres; None for radar, height and 8-bit products.
    """

    name: str
    common: str | None = None
    wavelength_um: float | None = None


KNOWN = {
    band.name: band
    for band in (
        # Sentinel-2 centre wavelengths as GEO-Bench stores them (geobench/dataset.py).
        Band("B01", "coastal", 0.443),
        Band("B02", "blue", 0.49),
        Band("B03", "green", 0.56),
        Band("B04", "red", 0.665),
        Band("B05", "rededge071", 0.705),
        Band("B06", "rededge075", 0.74),
        Band("B07", "rededge078", 0.783),
        Band("B08", "nir", 0.842),
        Band("B8A", "nir08", 0.865),
        Band("B09", "nir09", 0.945),
        Band("B10", "cirrus", 1.375),
        Band("B11", "swir16", 1.61),
        Band("B12", "swir22", 2.19),
        # The 8-bit true-colour product of Sentinel-2: a picture, not a measurement.
        Band("TCI_R"),
        Band("TCI_G"),
        Band("TCI_B"),
        Band("VV"),
        Band("VH"),
        # Landsat-8 (geobench/dataset.py).
        Band("L8_B2", "blue", 0.482),
        Band("L8_B3", "green", 0.5614),
        Band("L8_B4", "red", 0.6546),
        Band("L8_B5", "nir08", 0.8647),
        Band("L8_B6", "swir16", 1.6089),
        Band("L8_B7", "swir22", 2.2007),
        # Aerial cameras, and encoders that ask for no more than a colour.
        Band("red", "red", 0.665),
        Band("green", "green", 0.56),
        Band("blue", "blue", 0.49),
        Band("nir", "nir", 0.842),
    )
}

TRUE_COLOUR_OF = {"TCI_R": "red", "TCI_G": "green", "TCI_B": "blue"}
"""What a true-colour channel is made from where a dataset doesn't store it."""


def find(wanted: Band, stored: Sequence[Band]) -> Band | None:
    """The stored band that *is* the wanted one: by name, else by STAC common name, else none.

    A true-colour channel (`TCI_R`) is answered by itself or, failing that, by the band it is made from.
    """
    common = TRUE_COLOUR_OF.get(wanted.name, wanted.common)
    by_name = [band for band in stored if band.name == wanted.name]
    by_common = [band for band in stored if common is not None and band.common == common]
    return next(iter(by_name + by_common), None)


def nearest_stand_in(wanted: Band, stored: Sequence[Band]) -> Band | None:
    """The stored band nearest in wavelength, if it lies within `NEAREST_WITHIN_UM`; the lower one on a tie."""
    near = [
        (round(abs(band.wavelength_um - wanted.wavelength_um), 6), band.wavelength_um, band)
        for band in stored
        if band.wavelength_um is not None and wanted.wavelength_um is not None
    ]
    if not near:
        return None
    distance, _, band = min(near, key=lambda item: item[:2])
    return band if distance <= NEAREST_WITHIN_UM else None
