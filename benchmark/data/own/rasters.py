"""One image file -> an array: GeoTIFF through rasterio, PNG and JPEG through Pillow.

Files are strangers'. The header is read first, and what is larger than asked for, of another format than its name
says, or not plain numbers is refused before a pixel is decoded; files beside it are never looked at.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from encoders.errors import UserError

TIFF, PNG, JPEG = (".tif", ".tiff"), (".png",), (".jpg", ".jpeg")
SUFFIXES = (*TIFF, *PNG, *JPEG)
REMEDY = "correct the file, or take it out"
MAX_BLOCK_BYTES = 1 << 28
"""A GeoTIFF's own unit of decompression."""
GREY, COLOUR, GREY_ALPHA, COLOUR_ALPHA = 0, 2, 4, 6
"""Colour types in a PNG's header (PNG specification, 11.2.1)."""

Size = tuple[int, int]


def read_image(path: Path, size: Size, channels: int, keep: Sequence[int], fill: float | None) -> np.ndarray:
    """An image's channels, (C, H, W), dtype as stored.

    Args:
        size: height and width it must have.
        channels: how many it must have.
        keep: the ones given, from 0.
        fill: what pixels without data are read as; None refuses them.

    Raises:
        UserError: the file is missing, damaged, of another kind, size or number of channels, or lacks data somewhere.
    """
    pixels, empty = _decode(path, size, channels, is_mask=False)
    pixels = pixels[list(keep)]
    without = ~np.isfinite(pixels) if pixels.dtype.kind == "f" else np.zeros(pixels.shape, bool)
    # What a file declares as empty and stores as 0 would be read as 0 by anyone.
    if empty is not None and empty != 0 and not np.isnan(empty):
        without |= pixels == empty
    if not without.any():
        return pixels
    if fill is None:
        what = f"NaN, infinite or the file's no-data value {empty}"
        raise UserError(
            f"{path}: {int(without.sum())} pixels are without data ({what}); "
            "say what they are to be read as with `pixels_without_data: 0` under 'files', or take the file out"
        )
    if not _fits(fill, pixels.dtype):
        raise UserError(f"{path}: holds {pixels.dtype}, which 'files.pixels_without_data: {fill:g}' doesn't fit")
    pixels[without] = fill
    return pixels


def read_mask(path: Path, size: Size) -> np.ndarray:
    """A mask, (H, W) integers as stored.

    Raises:
        UserError: as `read_image`; or it holds other numbers than whole ones.
    """
    if path.suffix.lower() in JPEG:
        raise UserError(f"{path}: JPEG changes class numbers; save masks as PNG or GeoTIFF")
    ((mask,), _) = _decode(path, size, 1, is_mask=True)
    if mask.dtype.kind not in "iu":
        raise UserError(f"{path}: holds {mask.dtype}, a mask holds whole numbers; save it as 8 or 16 bit")
    return mask


def _fits(number: float, dtype: np.dtype) -> bool:
    if dtype.kind == "f":
        return True
    kind = np.iinfo(dtype)
    return number == round(number) and kind.min <= number <= kind.max


def _decode(path: Path, size: Size, channels: int, is_mask: bool) -> tuple[np.ndarray, float | None]:
    """Pixels (C, H, W) and the declared no-data value."""
    readers: dict[str, Callable[..., tuple[np.ndarray, float | None]]] = {
        **dict.fromkeys(TIFF, _tiff),
        **dict.fromkeys((*PNG, *JPEG), _picture),
    }
    suffix = path.suffix.lower()
    if suffix not in readers:
        raise UserError(f"{path}: is neither {', '.join(SUFFIXES)}; convert it, or correct 'files.images'")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of images that lie nowhere on Earth, or that are large
            return readers[suffix](path, size, channels, is_mask)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; restore it") from None
    except UserError:
        raise
    except PermissionError:
        raise UserError(f"{path}: may not be read; change its permissions") from None
    except Exception as error:  # decoders raise whatever they meet; the cause is the file each time
        raise UserError(f"{path}: damaged ({' '.join(str(error).split())[:120]}); {REMEDY}") from None


def _check(path: Path, found: Size, channels: int, size: Size, wanted: int, is_mask: bool) -> None:
    if found != size:
        raise UserError(
            f"{path}: has {found[0]} x {found[1]} pixels, 'image_size' is {size[0]} x {size[1]}; crop or resize it, "
            "or correct that key"
        )
    if channels != wanted:
        remedy = (
            "a mask has one, of class numbers"
            if is_mask
            else f"'bands' have {wanted}; list every channel in the file's order (`ingest: false` leaves one out)"
        )
        raise UserError(f"{path}: has {channels} channels, {remedy}")


def _tiff(path: Path, size: Size, channels: int, is_mask: bool) -> tuple[np.ndarray, float | None]:
    try:
        import rasterio
    except ImportError:
        raise UserError(
            f"{path}: reading GeoTIFF needs rasterio; install the extra `geotiff` (`uv run --extra geotiff ...`)"
        ) from None
    # No other driver (some read what a file names), no files beside it.
    alone: dict[str, Any] = {"GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR", "GDAL_PAM_ENABLED": "NO"}
    with path.open("rb"), rasterio.Env(**alone), rasterio.open(path, driver="GTiff") as file:
        _check(path, (file.height, file.width), file.count, size, channels, is_mask)
        kinds = {np.dtype(name) for name in file.dtypes}
        if any(kind.kind not in "iuf" for kind in kinds):
            raise UserError(f"{path}: holds {', '.join(file.dtypes)}, not plain numbers; {REMEDY}")
        block = max(height * width for height, width in file.block_shapes) * max(kind.itemsize for kind in kinds)
        if block * file.count > MAX_BLOCK_BYTES:
            raise UserError(f"{path}: is stored in blocks of {block} bytes; rewrite it with smaller ones")
        return file.read(), file.nodata


def _picture(path: Path, size: Size, channels: int, is_mask: bool) -> tuple[np.ndarray, float | None]:
    from PIL import Image

    is_png = path.suffix.lower() in PNG
    with Image.open(path, formats=["PNG"] if is_png else ["JPEG"]) as image:
        wanted = channels if image.mode not in ("P", "1") or is_mask else -1
        _check(path, (image.height, image.width), len(image.getbands()), size, abs(wanted), is_mask)
        if (pictures := getattr(image, "n_frames", 1)) > 1:
            raise UserError(f"{path}: holds {pictures} pictures, one is expected; {REMEDY}")
        if wanted < 0 or image.mode in ("CMYK", "YCCK", "LAB", "HSV", "YCbCr"):
            raise UserError(f"{path}: its colours are {image.mode}, which are no channels; save it as grey or RGB")
        if is_png:
            _check_depth(path)
        pixels = np.asarray(image)
    if pixels.dtype == bool:
        pixels = pixels.astype(np.uint8)
    return (pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0)).copy(), None


def _check_depth(path: Path) -> None:
    """Refuse the PNGs that Pillow reads as other numbers than they hold."""
    with path.open("rb") as file:
        header = file.read(26)
    depth, colour = header[24], header[25]
    if depth == 16 and colour in (COLOUR, GREY_ALPHA, COLOUR_ALPHA):
        raise UserError(f"{path}: a PNG of 16 bits in several channels would be cut to 8; save it as GeoTIFF")
    if depth in (2, 4) and colour == GREY:
        raise UserError(f"{path}: a grey PNG of {depth} bits would be stretched to 8; save it with 8 bits")
