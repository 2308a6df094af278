"""A web server on 127.0.0.1 that misbehaves as told: what downloads are tested against."""

import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Page:
    """One address.

    Attributes:
        break_after: body bytes sent before the connection is cut, one entry an answer; None cuts nothing.
        ranges: whether Range is heeded.
        if_range: whether If-Range is heeded.
        status: answered instead, one entry an answer; the last one stays. 200 means the file.
        declared: Content-Length that is told, where it isn't the true one.
        stall: stand still after half of the body until the server ends.
    """

    content: bytes = b""
    break_after: list[int | None] = field(default_factory=list)
    ranges: bool = True
    if_range: bool = True
    etag: str | None = '"one"'
    modified: str | None = None
    status: list[int] = field(default_factory=lambda: [200])
    location: str = ""
    declared: int | None = None
    chunked: bool = False
    stall: bool = False
    headers: dict[str, str] = field(default_factory=dict)


class Web:
    """The server: its pages by path, and the questions it was asked."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.ending = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                web.asked.append((self.path, dict(self.headers)))
                # A client that hangs up is part of the tests.
                with contextlib.suppress(ConnectionError):
                    web.answer(self, web.pages.get(self.path) or Page(status=[404]))
                self.close_connection = True

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def ranges(self) -> list[str | None]:
        """The Range of each question."""
        return [headers.get("Range") for _, headers in self.asked]

    def answer(self, handler: BaseHTTPRequestHandler, page: Page) -> None:
        """One answer, as the page says."""
        status = page.status.pop(0) if len(page.status) > 1 else page.status[0]
        if status != 200:
            handler.send_response(status)
            if page.location:
                handler.send_header("Location", page.location)
            for name, value in page.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        asked, condition = handler.headers.get("Range"), handler.headers.get("If-Range")
        validator = page.etag or page.modified
        start = 0
        if asked and page.ranges and (not page.if_range or condition == validator):
            start = int(asked.removeprefix("bytes=").removesuffix("-"))
        body = page.content[start:]
        if start >= len(page.content) > 0:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{len(page.content)}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        handler.send_response(206 if start else 200)
        if start:
            handler.send_header("Content-Range", f"bytes {start}-{len(page.content) - 1}/{len(page.content)}")
        if page.etag:
            handler.send_header("ETag", page.etag)
        if page.modified:
            handler.send_header("Last-Modified", page.modified)
        if not page.chunked:
            handler.send_header("Content-Length", str(page.declared or len(body)))
        for name, value in page.headers.items():
            handler.send_header(name, value)
        handler.end_headers()
        if page.stall:
            handler.wfile.write(body[: len(body) // 2])
            handler.wfile.flush()
            self.ending.wait()
            return
        cut = page.break_after.pop(0) if page.break_after else None
        handler.wfile.write(body[:cut])


@contextlib.contextmanager
def serving() -> Iterator[Web]:
    """A running server."""
    web = Web()
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        web.ending.set()
        web.server.shutdown()
        web.server.server_close()
        thread.join()
