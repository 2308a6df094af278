"""The built site: fetches nothing, hides nothing on a phone, finds what is searched for.

`.ci/run` builds it strictly and says where; without `SATDIFUSER_BENCH_SITE` these tests are skipped.
"""

import functools
import os
import re
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

if "SATDIFUSER_BENCH_SITE" not in os.environ:
    pytest.skip("needs the built site, see .ci/run", allow_module_level=True)

SITE = Path(os.environ["SATDIFUSER_BENCH_SITE"])
PAGES = sorted(str(path.relative_to(SITE)) for path in SITE.rglob("*.html"))
LOADED = re.compile(r"<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=[\"']?((?:https?:)?//[^\"'\s>]+)")
SEEN = ["index.html", "quick-start.html", "protocol.html", "datasets/m-eurosat.html", "encoders/satdifuser.html",
        "api/encoders.html", "architecture.html", "leaderboards.html", "record.html", "matrix.html"]  # fmt: skip


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.mark.parametrize("page", PAGES)
def test_a_page_loads_nothing_from_elsewhere(page: str) -> None:
    assert LOADED.findall((SITE / page).read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", SEEN)
@pytest.mark.parametrize(("width", "colours"), [(390, "light"), (390, "dark"), (1400, "light")])
def test_a_page_fits_its_window_and_asks_nobody(
    page: str, width: int, colours: str, chromium: Any, address: str
) -> None:
    tab = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=colours)
    asked, complaints = list[str](), list[str]()
    tab.on("request", lambda request: asked.append(request.url))
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.goto(address + page, wait_until="networkidle")
    wide, window = tab.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    tab.close()
    assert wide <= window
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
    assert complaints == []


def test_search_finds_a_dataset(chromium: Any, address: str) -> None:
    tab = chromium.new_page(viewport={"width": 1400, "height": 900})
    tab.goto(address + "index.html", wait_until="networkidle")
    tab.keyboard.press("/")
    tab.keyboard.type("brick kilns", delay=20)
    tab.wait_for_selector(".md-search-result__link", state="attached", timeout=20_000)
    found = tab.eval_on_selector_all(".md-search-result__link", "links => links.map(link => link.href)")
    tab.close()
    assert any("datasets/m-brick-kiln" in link for link in found)
