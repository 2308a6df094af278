"""Downloads: whole and checked or not there at all, whatever the server, the network or the disk does."""

import errno
import io
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from benchmark.fetching import first_seen
from benchmark.fetching.download import SPARE, Fetched, Patience, Remote, download, part_of, show_bytes
from encoders.errors import UserError, explain
from tests.web import Page, Web, serving

CONTENT = bytes(range(256)) * 64
DIGEST = sha256(CONTENT).hexdigest()
ROOT = Path(__file__).parent.parent


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr("benchmark.fetching.transport.CHUNK", 1000)
    with serving() as server:
        server.pages["/file"] = Page(CONTENT)
        yield server


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "weights" / "file.pt"


class Waits(list[float]):
    """The waits between tries, which nobody waits for."""


def get(web: Web, target: Path, sha256: str = "", size: int | None = None, **options: Any) -> Fetched:
    options.setdefault("patience", Patience(attempts=3, first_wait=1.0, timeout=5, sleep=Waits().append))
    return download(Remote(f"{web.url}/file", sha256, size), target, **options)


def left(target: Path) -> set[str]:
    """Names in the folder, lock files aside."""
    return {path.name for path in target.parent.iterdir() if not path.name.endswith(".lock")}


def test_a_file_arrives_whole_under_its_name_with_nothing_beside_it(web: Web, target: Path) -> None:
    fetched = get(web, target, DIGEST, len(CONTENT))
    assert fetched == Fetched(target, DIGEST, len(CONTENT), new=True)
    assert target.read_bytes() == CONTENT
    assert left(target) == {"file.pt"}


def test_what_is_there_already_is_checked_without_a_question_to_the_server(web: Web, target: Path) -> None:
    get(web, target)
    assert not get(web, target, DIGEST[:8]).new
    assert len(web.asked) == 1


@pytest.mark.parametrize(("digest", "size"), [("0" * 64, None), ("", 5), (DIGEST[:8], 5)])
def test_a_file_in_place_that_is_not_the_published_one_is_left_alone_and_named(
    web: Web, target: Path, digest: str, size: int | None
) -> None:
    get(web, target)
    with pytest.raises(UserError, match=r"file\.pt is 16384 bytes .* is published; move or delete it"):
        get(web, target, digest, size)
    assert target.read_bytes() == CONTENT


def test_a_broken_connection_is_continued_where_it_broke(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [5000, 3000]
    get(web, target, DIGEST)
    assert web.ranges() == [None, "bytes=5000-", "bytes=8000-"]
    assert [headers.get("If-Range") for _, headers in web.asked] == [None, '"one"', '"one"']
    assert target.read_bytes() == CONTENT


def test_the_next_command_goes_on_where_the_last_one_gave_up(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [5000, 0, 0]
    with pytest.raises(UserError, match=r"5 kB are kept in .*file\.pt\.part, so run the same command") as error:
        get(web, target, DIGEST)
    assert str(web.url) in str(error.value)
    assert left(target) == {"file.pt.part", "file.pt.part.json"}
    assert get(web, target, DIGEST).new
    assert web.ranges()[-1] == "bytes=5000-"


def test_waits_double_and_begin_anew_when_something_came(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [0, 0, 1000, 0, 1000]
    waits = Waits()
    get(web, target, patience=Patience(attempts=3, first_wait=1.0, timeout=5, sleep=waits.append))
    assert waits == [1, 2, 1, 2, 1]


def test_without_etag_the_date_of_change_stands_for_the_content(web: Web, target: Path) -> None:
    date = "Mon, 02 Jan 2023 00:00:00 GMT"
    web.pages["/file"] = Page(CONTENT, break_after=[5000], etag=None, modified=date)
    get(web, target, DIGEST)
    assert web.asked[1][1]["If-Range"] == date


@pytest.mark.parametrize("etag", [None, 'W/"weak"'])
def test_without_proof_of_the_same_content_a_file_starts_anew(web: Web, target: Path, etag: str | None) -> None:
    web.pages["/file"] = Page(CONTENT, break_after=[5000], etag=etag)
    get(web, target, DIGEST)
    assert web.ranges() == [None, None]


def test_a_server_without_ranges_is_asked_for_all_of_it(web: Web, target: Path) -> None:
    web.pages["/file"] = Page(CONTENT, break_after=[5000], ranges=False)
    get(web, target, DIGEST)
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("if_range", [True, False])
@pytest.mark.parametrize("length", [len(CONTENT), 4000, 20000])
def test_a_file_that_changed_meanwhile_starts_anew(web: Web, target: Path, if_range: bool, length: int) -> None:
    web.pages["/file"].break_after = [5000, 0, 0]
    with pytest.raises(UserError):
        get(web, target)
    other = b"x" * length
    web.pages["/file"] = Page(other, etag='"two"', if_range=if_range)
    get(web, target)
    assert target.read_bytes() == other


def test_a_part_of_another_address_is_not_gone_on_with(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [5000, 0, 0]
    with pytest.raises(UserError):
        get(web, target)
    web.pages["/other"] = Page(b"y" * len(CONTENT))
    download(Remote(f"{web.url}/other"), target)
    assert target.read_bytes() == b"y" * len(CONTENT)


def test_a_rest_of_another_whole_is_not_joined(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [5000, 0, 0]
    with pytest.raises(UserError):
        get(web, target)
    longer = b"x" * 20000
    web.pages["/file"] = Page(longer)
    get(web, target)
    assert target.read_bytes() == longer


def test_an_end_that_comes_too_early_without_an_error_is_noticed(
    web: Web, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("benchmark.fetching.transport.Answer.chunks", lambda _: iter([CONTENT[:10]]))
    with pytest.raises(UserError, match="ended after 10 of 16384 bytes"):
        get(web, target, patience=Patience(attempts=1))


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]"])
def test_a_part_whose_note_is_damaged_starts_anew(web: Web, target: Path, note: bytes) -> None:
    target.parent.mkdir()
    part_of(target).write_bytes(b"no such beginning")
    target.with_name("file.pt.part.json").write_bytes(note)
    get(web, target, DIGEST)
    assert web.ranges() == [None]


def test_a_whole_part_only_has_to_be_checked(web: Web, target: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        get(web, target, approve=_interrupt)
    assert left(target) == {"file.pt.part", "file.pt.part.json"}
    get(web, target, DIGEST)
    assert len(web.asked) == 1


def _interrupt(_: Fetched) -> None:
    raise KeyboardInterrupt


def test_a_joined_file_that_is_wrong_is_fetched_once_more_from_the_start(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [5000, 0, 0]
    with pytest.raises(UserError):
        get(web, target)
    part_of(target).write_bytes(b"z" * 5000)
    get(web, target, DIGEST)
    assert web.ranges()[-2:] == ["bytes=5000-", None]
    assert target.read_bytes() == CONTENT


def test_a_server_that_keeps_joining_wrongly_is_given_up(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [5000] * 9
    with pytest.raises(UserError, match="nothing was kept"):
        get(web, target, "0" * 64)
    assert left(target) == set()
    assert len([asked for asked in web.ranges() if asked is None]) == 2


def test_wrong_bytes_are_thrown_away_and_said(web: Web, target: Path) -> None:
    with pytest.raises(UserError, match=rf"sha256 {DIGEST[:12]}\.\.\., where sha256 0000.* nothing was kept"):
        get(web, target, "0" * 64)
    assert left(target) == set()
    assert len(web.asked) == 1


def test_another_size_than_published_is_refused_before_it_comes(web: Web, target: Path) -> None:
    with pytest.raises(UserError, match="has 16384 bytes, where 99 are published"):
        get(web, target, size=99)
    assert left(target) == set()


@pytest.mark.parametrize("declared", [len(CONTENT) + 100, len(CONTENT) - 100])
def test_a_lying_content_length_never_becomes_a_file(web: Web, target: Path, declared: int) -> None:
    web.pages["/file"] = Page(CONTENT, declared=declared, ranges=False)
    with pytest.raises(UserError):
        get(web, target, DIGEST)
    assert not target.exists()


def test_a_file_of_unsaid_length_is_taken_until_it_ends(web: Web, target: Path) -> None:
    web.pages["/file"] = Page(CONTENT, chunked=True)
    assert get(web, target, DIGEST).bytes == len(CONTENT)


def test_a_digest_the_server_announces_on_the_way_is_held_against_the_content(web: Web, target: Path) -> None:
    page = Page(status=[302], location="/file", headers={"X-Linked-ETag": f'"{"1" * 64}"'})
    web.pages["/start"] = page
    with pytest.raises(UserError, match=r"where sha256 1{12}\.\.\. is published"):
        download(Remote(f"{web.url}/start"), target)
    with pytest.raises(UserError, match=r"where sha256 1{12}\.\.\. is published"):
        download(Remote(f"{web.url}/start", "1111"), target)
    page.headers["X-Linked-ETag"] = f'"{DIGEST}"'
    assert download(Remote(f"{web.url}/start"), target).sha256 == DIGEST


@pytest.mark.parametrize(
    ("status", "words"), [(404, "404 .* it is gone"), (403, "403 .* by hand"), (401, "login"), (418, "in a browser")]
)
def test_a_refusal_is_said_at_once(web: Web, target: Path, status: int, words: str) -> None:
    web.pages["/file"].status = [status]
    with pytest.raises(UserError, match=words):
        get(web, target)
    assert len(web.asked) == 1
    assert left(target) == set()


def test_an_overloaded_server_is_asked_again(web: Web, target: Path) -> None:
    web.pages["/file"].status = [503, 500, 200]
    assert get(web, target, DIGEST).new
    web.pages["/file"].status = [500]
    with pytest.raises(UserError, match=r"answers 500 .*; run the same command to go on"):
        get(web, target.with_name("second"), DIGEST)


def test_redirects_in_a_circle_end(web: Web, target: Path) -> None:
    web.pages["/file"] = Page(status=[302], location="/file")
    with pytest.raises(UserError, match="redirected more than 8 times"):
        get(web, target)


@pytest.mark.parametrize(
    "location", ["http://example.invalid/x", "http://127.0.0.1:1/x", "ftp://127.0.0.1/x", "file:///etc/passwd"]
)
def test_a_redirect_leads_to_https_or_nowhere(web: Web, target: Path, location: str) -> None:
    web.pages["/file"] = Page(status=[302], location=location)
    with pytest.raises(UserError, match="only https is fetched from"):
        get(web, target)


def test_plain_http_is_not_spoken(target: Path) -> None:
    with pytest.raises(UserError, match="only https"):
        download(Remote("http://example.invalid/file"), target)


def test_what_comes_compressed_unasked_is_refused(web: Web, target: Path) -> None:
    web.pages["/file"].headers["Content-Encoding"] = "gzip"
    with pytest.raises(UserError, match="comes compressed"):
        get(web, target)
    assert web.asked[0][1]["Accept-Encoding"] == "identity"


def test_a_server_that_stands_still_counts_as_broken(web: Web, target: Path) -> None:
    web.pages["/file"].stall = True
    with pytest.raises(UserError, match=r"kept in .*timed out|timed out.*kept in"):
        get(web, target, patience=Patience(attempts=1, timeout=0.1))


def test_no_server_at_all_is_said_with_its_name(target: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        remote = Remote(f"http://127.0.0.1:{unused.getsockname()[1]}/file")
        with pytest.raises(UserError, match=r"127\.0\.0\.1 cannot be reached .*refused.*; run the same command"):
            download(remote, target, patience=Patience(attempts=2, sleep=Waits().append))


def test_a_small_disk_is_noticed_before_a_byte_is_written(web: Web, target: Path) -> None:
    with pytest.raises(UserError, match=r"weights: 16\.4 kB are needed and 1 kB are free"):
        get(web, target, free=lambda _: 1000)
    assert left(target) == set()
    assert get(web, target, free=lambda _: len(CONTENT) + SPARE).new


def test_room_is_only_needed_for_what_is_missing(web: Web, target: Path) -> None:
    web.pages["/file"].break_after = [10000]
    assert get(web, target, free=_shrinking(len(CONTENT) + SPARE, 10000)).new


def _shrinking(first: int, by: int) -> Any:
    sizes = iter((first, first - by))
    return lambda _: next(sizes)


def test_a_disk_that_fills_up_names_the_file(web: Web, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> Iterator[bytes]:
        raise OSError(errno.ENOSPC, "No space left on device")
        yield b""

    monkeypatch.setattr("benchmark.fetching.download.track_bytes", full)
    with pytest.raises(OSError, match="No space") as error:
        get(web, target)
    assert "disk is full while writing" in str(explain(error.value))
    assert "file.pt.part" in str(explain(error.value))


def test_credentials_of_this_machine_stay_here(web: Web, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = target.parent / "netrc"
    netrc.parent.mkdir()
    netrc.write_text("machine 127.0.0.1 login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    get(web, target)
    assert "Authorization" not in web.asked[0][1]


def test_two_at_once_fetch_a_file_once(web: Web, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said, results = io.StringIO(), list[Fetched]()
    monkeypatch.setattr(sys, "stderr", said)
    second = threading.Thread(target=lambda: results.append(get(web, target)))

    def meanwhile(fetched: Fetched) -> None:
        second.start()
        while "waiting for another process" not in said.getvalue():
            assert second.is_alive(), said.getvalue()
            time.sleep(0.01)

    results.append(get(web, target, approve=meanwhile))
    second.join()
    assert [one.new for one in results] == [True, False]
    assert len(web.asked) == 1


def test_first_content_of_an_address_is_the_measure_of_later_ones(web: Web, target: Path) -> None:
    root, url = target.parent, f"{web.url}/file"

    def compare(fetched: Fetched) -> None:
        first_seen.compare(root, url, fetched)

    first = get(web, target, approve=compare)
    first_seen.record(root, url, first)
    first_seen.record(root, url, Fetched(target, "later", 1, new=True))
    assert json.loads((root / first_seen.NAME).read_bytes())["sha256"] == {url: DIGEST}
    target.unlink()
    get(web, target, approve=compare)
    target.unlink()
    web.pages["/file"].content = b"another release"
    with pytest.raises(UserError, match=rf"was {DIGEST[:12]}\.\.\. when it was first fetched.*\.fetched\.json"):
        get(web, target, approve=compare)
    assert not target.exists()
    assert not part_of(target).exists()


def test_a_damaged_record_of_first_contents_is_named(target: Path) -> None:
    target.parent.mkdir()
    (target.parent / first_seen.NAME).write_text("{half")
    with pytest.raises(UserError, match=r"\.fetched\.json \(delete it\)"):
        first_seen.compare(target.parent, "u", Fetched(target, DIGEST, 1, new=True))


KILLED = """
import sys
from pathlib import Path
from benchmark.fetching import transport
from benchmark.fetching.download import Remote, download
transport.CHUNK = 1000
download(Remote(sys.argv[1]), Path(sys.argv[2]))
"""


def test_a_killed_process_leaves_a_part_to_go_on_with(web: Web, target: Path) -> None:
    big = CONTENT * 20
    web.pages["/file"] = Page(big, stall=True)
    with subprocess.Popen([sys.executable, "-c", KILLED, f"{web.url}/file", str(target)], cwd=ROOT) as process:
        while not part_of(target).exists() or not part_of(target).stat().st_size:
            assert process.poll() is None
        process.kill()
    assert not target.exists()
    web.pages["/file"].stall = False
    assert get(web, target, sha256(big).hexdigest()).new
    assert str(web.ranges()[-1]).startswith("bytes=")


def test_sizes_are_shown_as_publishers_give_them() -> None:
    assert [show_bytes(n) for n in (12, 16384, 1.43e9, 778e6)] == ["12 bytes", "16.4 kB", "1.43 GB", "778 MB"]
