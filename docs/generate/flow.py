"""The picture of how data flows, as SVG: `python -m docs.generate.flow > docs/assets/flow.svg` draws it.

Boxes have colours of their own, so that they are seen on light and dark pages alike.
"""

from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT, GAP = 182, 98, 34
LEFT, TOP, BETWEEN = 8, 40, 84
FILL = {"data": "#00695c", "frozen": "#303f9f", "trained": "#bf360c", "said": "#455a64"}
LEGEND = {
    "data": "what lies in files",
    "frozen": "frozen: each image once",
    "trained": "fitted on stored features",
    "said": "what is kept and read",
}


@dataclass(frozen=True)
class Box:
    """A step: its name, what it does in up to three lines, and its kind."""

    name: str
    lines: tuple[str, ...]
    kind: str


ROWS = (
    (
        Box("GEO-Bench files", ("HDF5, JSON, one pickle:", "read, never executed"), "data"),
        Box("ingest", ("one array a split;", "statistics, proofs of bands,", "fingerprint of content"), "data"),
        Box("inputs", ("bands matched by meaning,", "the encoder's value rule,", "resized; input card"), "data"),
        Box("Encoder.stem", ("small enough to keep", "(of SatDiFuser: inversion)"), "frozen"),
        Box("Encoder.body", ("maps of every level,", "module and view;", "embedding"), "frozen"),
    ),
    (
        Box("features", ("rounded once, stored by", "shards, shared by workers"), "frozen"),
        Box(
            "probe or decoders", ("linear, kNN; or a bank of", "fuser + neck + head;", "validation chooses"), "trained"
        ),
        Box("predictions", ("test split, scored once,", "by named metrics"), "trained"),
        Box("Record", ("one JSON a run: scores,", "interval, cost, provenance"), "said"),
        Box("reports", ("tables, page, figures,", "paired tests, ranks"), "said"),
    ),
)


def picture() -> str:
    """The whole picture."""
    across = LEFT * 2 + len(ROWS[0]) * WIDTH + (len(ROWS[0]) - 1) * GAP
    down = TOP + len(ROWS) * HEIGHT + BETWEEN + 12
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {across} {down}" role="img"'
        ' font-family="system-ui, sans-serif" font-size="12">',
        "<title>From files to a leaderboard: files are ingested once, an image meets the frozen encoder once, and "
        "what is fitted lives on stored features</title>",
        '<defs><marker id="end" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 0 8 4 0 8z" fill="#78909c"/></marker></defs>',
        *_legend(),
    ]
    for number, row in enumerate(ROWS):
        top = TOP + number * (HEIGHT + BETWEEN)
        for place, box in enumerate(row):
            left = LEFT + place * (WIDTH + GAP)
            drawn.append(_box(box, left, top))
            if place:
                drawn.append(_arrow(f"M{left - GAP + 3} {top + HEIGHT / 2:g}H{left - 3}"))
    last, first, middle = across - LEFT - WIDTH / 2, LEFT + WIDTH / 2, TOP + HEIGHT + BETWEEN / 2
    drawn.append(_arrow(f"M{last:g} {TOP + HEIGHT + 3}V{middle:g}H{first:g}V{TOP + HEIGHT + BETWEEN - 3}"))
    return "\n".join([*drawn, "</svg>"]) + "\n"


def _legend() -> list[str]:
    drawn = []
    for place, (kind, words) in enumerate(LEGEND.items()):
        left = LEFT + place * 230
        drawn.append(f'<rect x="{left}" y="8" width="14" height="14" rx="3" fill="{FILL[kind]}"/>')
        drawn.append(f'<text x="{left + 21}" y="19.5" fill="#78909c">{escape(words)}</text>')
    return drawn


def _box(box: Box, left: int, top: int) -> str:
    middle = left + WIDTH / 2
    told = "".join(
        f'<text x="{middle:g}" y="{top + 48 + 17 * number}" text-anchor="middle" fill="#eceff1">{escape(line)}</text>'
        for number, line in enumerate(box.lines)
    )
    return (
        f'<rect x="{left}" y="{top}" width="{WIDTH}" height="{HEIGHT}" rx="8" fill="{FILL[box.kind]}"/>'
        f'<text x="{middle:g}" y="{top + 25}" text-anchor="middle" font-weight="600" font-size="15" fill="#fff">'
        f"{escape(box.name)}</text>{told}"
    )


def _arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="#78909c" stroke-width="2" marker-end="url(#end)"/>'


if __name__ == "__main__":
    print(picture(), end="")
