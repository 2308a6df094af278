"""The font of every figure: matplotlib's own DejaVu Sans, cut to Latin once, so that embedding it in each PDF costs a
twentieth of the time. What it lacks is taken from the whole font.
"""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

FAMILY = ["Figure Sans", "DejaVu Sans"]
CHARACTERS = [*range(0x20, 0x250), *map(ord, "–—‘’“”†…→↑≈−✓×⁰¹²³⁴⁵⁶⁷⁸⁹⁻")]


@contextlib.contextmanager
def figure_font() -> Iterator[list[str]]:
    """Families for `font.family`; the first one is known to matplotlib inside the block."""
    import matplotlib as mpl
    from fontTools import subset
    from fontTools.ttLib import TTFont
    from matplotlib.font_manager import fontManager

    options = subset.Options(glyph_names=True, recommended_glyphs=True, layout_features=[], hinting=True)
    options.drop_tables += ["GSUB", "GPOS", "GDEF", "FFTM"]
    font = TTFont(Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", recalcTimestamp=False)
    cut = subset.Subsetter(options)
    cut.populate(unicodes=CHARACTERS)
    cut.subset(font)
    for name in font["name"].names:
        if name.nameID in (1, 16):
            name.string = FAMILY[0]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "figure-sans.ttf"
        font.save(path)
        before = list(fontManager.ttflist)
        fontManager.addfont(path)
        try:
            yield FAMILY
        finally:
            fontManager.ttflist = before
