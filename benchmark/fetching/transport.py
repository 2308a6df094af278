"""One question to a web server: redirects followed by hand, and every answer that brings no file ends in a sentence.

Only https is spoken (and plain http to 127.0.0.1, for tests), and no credentials of this machine are sent. What may
pass by itself, such as a broken connection, is a `Broken`; what won't is a `UserError`.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from encoders.errors import UserError

if TYPE_CHECKING:
    from requests import Response, Session

MOST_REDIRECTS = 8
CHUNK = 1 << 16
"""Bytes read at once; as many may be lost where a connection breaks."""
_SHA256 = re.compile(r'^"?([0-9a-f]{64})"?$')
_COMMIT = re.compile("[0-9a-f]{40}")
_RANGE = re.compile(r"^bytes (\d+)-\d+/(\d+)$")
_REDIRECTS = {301, 302, 303, 307, 308}
_PASSING = {408, 425, 429, 500, 502, 503, 504}
_REMEDIES = {
    401: "it asks for a login, so fetch it by hand",
    403: "it may not be fetched from here, so fetch it by hand",
    404: "it is gone, so look for a newer version of this program",
    410: "it is gone, so look for a newer version of this program",
}


class Broken(Exception):
    """Something that may pass by itself; the message says what."""


class Answer:
    """A server's answer that brings a file, or the rest of one.

    Attributes:
        start: where in the file its bytes begin; None if the part asked for is longer than the file.
        total: size of the whole file; None if the server didn't say.
        validator: strong ETag, else Last-Modified, to be sent as If-Range; empty if the server gives none.
        announced: sha256 the server gave for the whole (Hugging Face's X-Linked-ETag); empty if none.
        revision: commit the file is of (Hugging Face's X-Repo-Commit); empty if not told.
    """

    def __init__(self, response: "Response", announced: str, revision: str) -> None:
        self._response = response
        headers, piece = response.headers, _RANGE.match(response.headers.get("Content-Range", ""))
        etag, length = headers.get("ETag", ""), headers.get("Content-Length", "")
        self.announced, self.revision = announced, revision
        self.validator = etag if etag.startswith('"') else headers.get("Last-Modified", "")
        self.start: int | None = 0
        self.total = int(length) if length.isdigit() else None
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            # Without a readable range, -1 fits nowhere.
            self.start, self.total = (int(piece[1]), int(piece[2])) if piece else (-1, None)
        elif response.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            self.start = None

    def chunks(self) -> Iterator[bytes]:
        """The bytes.

        Raises:
            Broken: the connection ended or stood still.
        """
        import requests

        try:
            yield from self._response.iter_content(CHUNK)
        except requests.RequestException as error:
            raise Broken(f"the connection broke ({_reason(error)})") from None


@contextmanager
def session() -> "Iterator[Session]":
    """Connections that are kept open between questions."""
    import requests

    with requests.Session() as opened:
        # Without this, requests sends what .netrc holds for the host.
        opened.auth = lambda request: request
        yield opened


@contextmanager
def ask(session: "Session", url: str, timeout: float, start: int = 0, validator: str = "") -> Iterator[Answer]:
    """Ask for a file, or from byte `start` on if it is still the one `validator` stands for.

    Args:
        timeout: seconds without a byte that count as broken.

    Raises:
        Broken: no connection, or a server that is overloaded.
        UserError: no such file, no permission, or redirects to where nothing is fetched from.
    """
    headers = {"Accept-Encoding": "identity", "User-Agent": "satdifuser-bench"}
    if start:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    response, announced, revision = _follow(session, url, headers, timeout)
    with response:
        _refuse(response, url)
        yield Answer(response, announced, revision)


def _follow(session: "Session", url: str, headers: dict[str, str], timeout: float) -> "tuple[Response, str, str]":
    """The answer behind all redirects, and the sha256 and the commit that any of the servers told."""
    import requests

    announced, revision, here = "", "", url
    for _ in range(MOST_REDIRECTS):
        _refuse_insecure(here, url)
        try:
            response = session.get(here, headers=headers, stream=True, timeout=timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise Broken(f"{urlsplit(here).hostname} cannot be reached ({_reason(error)})") from None
        said = _SHA256.match(response.headers.get("X-Linked-ETag", ""))
        announced = said[1] if said else announced
        commit = _COMMIT.fullmatch(response.headers.get("X-Repo-Commit", ""))
        revision = commit[0] if commit else revision
        if response.status_code not in _REDIRECTS:
            return response, announced, revision
        response.close()
        here = urljoin(here, response.headers.get("Location", ""))
    raise UserError(f"{url}: redirected more than {MOST_REDIRECTS} times; look at its page in a browser")


def _refuse_insecure(here: str, origin: str) -> None:
    at, first = urlsplit(here), urlsplit(origin)
    local = at.hostname == "127.0.0.1" and (at.scheme, at.netloc) == (first.scheme, first.netloc)
    if at.scheme != "https" and not local:
        raise UserError(f"{origin}: leads to {here}, and only https is fetched from; look at its page in a browser")


def _refuse(response: "Response", url: str) -> None:
    """Raise for an answer that brings no file."""
    status = response.status_code
    if status in _PASSING:
        raise Broken(f"the server answers {status} {response.reason}")
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE):
        remedy = _REMEDIES.get(status, "look at its page in a browser")
        raise UserError(f"{url}: the server answers {status} {response.reason}; {remedy}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise UserError(f"{url}: comes compressed although it was asked for as it is; fetch it by hand")


def _reason(error: Exception) -> str:
    """The end of a chain of wrapped exceptions, which is what went wrong."""
    text = str(error).rsplit(": ", 1)[-1].strip("()'\" ")
    return text or type(error).__name__
