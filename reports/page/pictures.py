"""Pictures on the page: figures that it can't draw itself, smaller and inside the file, as many as it has room for."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field

from reports.figures.catalogue import PREVIEWS
from reports.figures.painters import FOLDER, Drawn

MOST_BYTES = 6 << 20
"""Of all pictures together, before they become text, which makes them a third larger."""


@dataclass(frozen=True)
class Picture:
    """A picture as the template prints it: `source` is a data URI."""

    name: str
    caption: str
    source: str


@dataclass
class Gallery:
    """The pictures beside a table, and the files of those that were left out because the page is full."""

    shown: list[Picture] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def galleries(drawn: Sequence[Drawn]) -> dict[int, Gallery]:
    """Galleries by number of the table, and `PREVIEWS`; the first pictures of each table before any's further ones."""
    by_table: dict[int, list[Drawn]] = {}
    for one in drawn:
        if one.page is not None and one.picture is not None:
            by_table.setdefault(one.page, []).append(one)
    found = {number: Gallery() for number in sorted(by_table, key=lambda number: (number == PREVIEWS, number))}
    room = MOST_BYTES
    for place in range(max(map(len, by_table.values()), default=0)):
        for number, gallery in found.items():
            if place < len(by_table[number]):
                one = by_table[number][place]
                size = len(one.picture or b"")
                if size <= room:
                    room -= size
                    gallery.shown.append(_picture(one))
                else:
                    gallery.left_out.append(f"{FOLDER}/{one.name}.png")
    return found


def _picture(one: Drawn) -> Picture:
    text = base64.b64encode(one.picture or b"").decode()
    return Picture(one.name, one.caption, f"data:image/webp;base64,{text}")
