"""Images and masks of one's own dataset: what would be read as other numbers is refused, and the file is named."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmark.data.own import rasters
from encoders.errors import UserError
from tests.own_data import PLAIN, colours, described, picture, refused, tiff, write

FOLDERS = {"images": "{split}/{label}/{name}.png"}


def png(width: int, height: int, depth: int, colour: int) -> bytes:
    """A PNG whose header says what it likes, and whose pixels are few."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9999))) + chunk(b"IEND", b"")
    )


def test_a_decompression_bomb_is_refused_by_its_header(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(*_: object) -> None:
        raise AssertionError("a pixel was decoded")

    monkeypatch.setattr(Image.Image, "tobytes", decode)
    path = tmp_path / "bomb.png"
    for side in (9, 16_000, 60_000, 2**31 - 1):
        path.write_bytes(png(side, side, 8, 2))
        with pytest.raises(UserError, match=r"bomb.png: (has \d+ x \d+ pixels|damaged \(Image size .* exceeds limit)"):
            rasters.read_image(path, (8, 8), 3, [0], None)


@pytest.mark.parametrize(
    ("depth", "colour", "channels", "message"),
    [(16, 2, 3, "16 bits in several channels would be cut to 8"), (2, 0, 1, "a grey PNG of 2 bits"), (4, 0, 1, "of 4 bits")],
)  # fmt: skip
def test_a_png_that_would_be_read_as_other_numbers_is_refused(
    depth: int, colour: int, channels: int, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(8, 8, depth, colour))
    with pytest.raises(UserError, match=message):
        rasters.read_image(path, (8, 8), channels, [0], None)


def test_grey_sixteen_bits_are_kept_and_palettes_are_for_masks(tmp_path: Path) -> None:
    deep = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    found = rasters.read_image(picture(tmp_path / "deep.png", deep), (8, 8), 1, [0], None)
    np.testing.assert_array_equal(found[0], deep, strict=True)

    coloured = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8) % 3, "P")
    coloured.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    coloured.save(tmp_path / "palette.png")
    assert rasters.read_mask(tmp_path / "palette.png", (8, 8)).max() == 2
    with pytest.raises(UserError, match="its colours are P, which are no channels"):
        rasters.read_image(tmp_path / "palette.png", (8, 8), 1, [0], None)


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("m.jpg", lambda path: picture(path, colours(0)), "JPEG changes class numbers"),
        ("m.png", lambda path: picture(path, colours(0)), "has 3 channels, a mask has one"),
        ("m.tif", lambda path: picture(path, np.ones((8, 8), np.float32)), "holds float32, a mask holds whole numbers"),
        ("m.tif", lambda path: path.write_bytes(b"II*\x00" + bytes(40)), "m.tif: damaged"),
        ("m.tif", lambda path: path.write_text("<VRTDataset rasterXSize='8' rasterYSize='8'/>"), "m.tif: damaged"),
        ("m.png", lambda path: Image.fromarray(colours(0)).save(path, "JPEG"), "m.png: damaged"),
        ("m.bmp", lambda path: picture(path, colours(0)), "m.bmp: is neither .tif"),
        ("m.png", lambda path: None, "m.png: no such file; restore it"),
    ],
)  # fmt: skip
def test_masks_that_are_none_are_refused(name: str, make: Callable[[Path], Any], message: str, tmp_path: Path) -> None:
    make(tmp_path / name)
    with pytest.raises(UserError, match=message):
        rasters.read_mask(tmp_path / name, (8, 8))


def test_a_geotiff_is_read_alone(tmp_path: Path) -> None:
    path = tiff(tmp_path / "x.tif", np.full((8, 8, 1), 7, np.uint8))
    (tmp_path / "x.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    assert rasters.read_image(path, (8, 8), 1, [0], None).max() == 7
    with pytest.raises(UserError, match="holds complex64, not plain numbers"):
        rasters.read_image(tiff(tmp_path / "c.tif", np.ones((8, 8, 1), np.complex64)), (8, 8), 1, [0], None)
    with pytest.raises(UserError, match=r"holds uint8, which 'files.pixels_without_data: -1' doesn't fit"):
        rasters.read_image(tiff(tmp_path / "n.tif", np.ones((8, 8, 1), np.uint8), nodata=1), (8, 8), 1, [0], -1)


def test_without_rasterio_a_geotiff_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "rasterio", None)
    with pytest.raises(UserError, match=r"needs rasterio; install the extra `geotiff`"):
        rasters.read_image(tmp_path / "x.tif", (8, 8), 1, [0], None)


def test_values_in_masks_that_are_no_class_and_masks_that_are_missing_are_named(tmp_path: Path) -> None:
    files = {"images": "{split}/{name}.png", "masks": "masks/{name}.png"}
    for number, split in enumerate(("train", "val", "test")):
        picture(tmp_path / split / f"x{number}.png", colours(number))
        picture(tmp_path / "masks" / f"x{number}.png", np.full((8, 8), number, np.uint8))
    plain = {**PLAIN, "task": "segmentation", "files": files}
    assert "x2.png: label holds 2, outside 0..1 of mine" in refused(described(tmp_path, plain))
    assert "x0.png: holds 0, which is no class; 'files.mask_values' and 'no_data' are 1, 2, 9" in refused(
        described(tmp_path, plain, no_data=9, files={**files, "mask_values": [1, 2]}, name="other")
    )
    (tmp_path / "masks/x1.png").unlink()
    assert "masks/x1.png: the mask is missing" in refused(described(tmp_path, plain))


def test_values_that_are_not_what_the_unit_says_name_the_file_to_correct(tmp_path: Path) -> None:
    write(tmp_path)
    bands = [{"band": band, "unit": "dn"} for band in ("red", "green", "blue")]
    message = refused(described(tmp_path, bands=bands, files=FOLDERS))
    assert "mine.yaml describes; correct that file" in message
