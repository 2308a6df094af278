"""A picture of a page of results: `python -m docs.generate.screenshot results/index.html docs/assets/leaderboard.png`.

Needs playwright and a Chromium. `leaderboard.png` is the demo's page; `leaderboard-made-up.png`, of 1500 x 1000
pixels, shows records that `python -m tests.made_up` drew.
"""

import shutil
import sys
from pathlib import Path

WIDTH, HEIGHT = 1100, 880
COLOURS = 64
"""Of the PNG, which keeps it small."""


def take(page: Path, picture: Path, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Open a page of results and save what a reader sees first.

    Args:
        width, height: of the window, in pixels.
    """
    from PIL import Image
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        tab.screenshot(path=picture)
        browser.close()
    Image.open(picture).convert("RGB").quantize(COLOURS).save(picture, optimize=True)


if __name__ == "__main__":
    take(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:]))
