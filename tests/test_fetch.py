"""`fetch`: what the catalogue says is brought, checked, unpacked, and said in one sentence where it can't be."""

import io
import re
import shutil
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

import encoders
import evaluate
from benchmark.data import datasets, ingest
from benchmark.data.dataset import Archive, Dataset
from benchmark.fetching import bring, fetch, first_seen
from benchmark.fetching.download import Fetched, Patience, Remote, alone, part_of
from benchmark.places import Places
from encoders import checkpoints
from encoders.errors import UserError
from encoders.spec import EncoderCard, Weights
from tests.web import Page, Web, serving

NO_PATIENCE = Patience(attempts=1, first_wait=0, timeout=5)
MODEL = b"weights of a model" * 1000
SHA256 = sha256(MODEL).hexdigest()


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as server:
        server.pages["/model"] = Page(MODEL)
        yield server


@pytest.fixture
def places(tmp_path: Path) -> Places:
    folders = (tmp_path / name for name in ("root", "ingested", "features", "weights", "results"))
    return Places(*folders)


@pytest.fixture
def cards(monkeypatch: pytest.MonkeyPatch) -> Callable[..., EncoderCard]:
    """Puts a card into the catalogue, whose other encoders are gone."""
    known: dict[str, EncoderCard] = {}

    def add(name: str = "m", **weights: object) -> EncoderCard:
        source = Weights(source="Zenodo 1", **weights)  # type: ignore[arg-type]
        known[name] = EncoderCard(name, name, "a", "i", 1, "MIT", weights=source, options={"part": "unet"})
        return known[name]

    monkeypatch.setattr(encoders, "names", lambda: sorted(known))
    monkeypatch.setattr(encoders, "card", lambda name: known[name])
    return add


@pytest.fixture
def eurosat(web: Web, geobench_written: Path, monkeypatch: pytest.MonkeyPatch) -> Page:
    """m-eurosat, small, behind the test server's address in the catalogue."""
    folder = geobench_written / "classification_v1.0" / "m-eurosat"
    web.pages["/m-eurosat.zip"] = Page(zipped({path.name: path.read_bytes() for path in folder.iterdir()}))
    original = datasets.dataset

    def described(name: str) -> Dataset:
        return replace(original(name), archive=Archive(f"{web.url}/m-eurosat.zip"), size_gb=0.01)

    monkeypatch.setattr(datasets, "dataset", described)
    return web.pages["/m-eurosat.zip"]


def zipped(files: dict[str, bytes], top: str = "m-eurosat/") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(top + name, content)
    return buffer.getvalue()


def fetched(what: str, names: str | None, places: Places, **options: object) -> list[str]:
    plan = fetch.plan(what, names, places)
    lines = bring.carry_out(plan, places, patience=NO_PATIENCE, **options)  # type: ignore[arg-type]
    return [*lines, *plan.left_out]


def test_weights_arrive_where_the_encoder_looks_for_them(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    files = {"m/{part}/w.pt": "m/unet/w.pt"}
    card = cards(files=tuple(files), urls={"m/unet/w.pt": f"{web.url}/model"}, sha256={"m/unet/w.pt": SHA256[:8]})
    (line,) = fetched("encoder", "m", places)
    assert "fetched" in line
    assert checkpoints.find(card, places.weights_dir, 256) == {"m/unet/w.pt": places.weights_dir / "m/unet/w.pt"}
    (line,) = fetched("encoder", "m", places)
    assert "was there, whole" in line


def test_the_first_alternative_with_an_address_is_taken_unless_one_is_there(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    urls = dict.fromkeys(("b.bin", "c.pt"), f"{web.url}/model")
    cards(files=("a.safetensors | b.bin | c.pt",), urls=urls, gigabytes=0.02)
    assert fetch.plan("encoder", "m", places).items[0].row()[2] == "about 20 MB"
    fetched("encoder", "m", places)
    assert [path.name for path in places.weights_dir.iterdir() if not path.name.startswith(".")] == ["b.bin"]
    (places.weights_dir / "b.bin").rename(places.weights_dir / "a.safetensors")
    assert fetched("encoder", "m", places) == ["m: its weights are there, and have no address here"]


def test_each_image_size_has_its_files(web: Web, places: Places, cards: Callable[..., EncoderCard]) -> None:
    cards(files=("r{size}.pt", "x.json ?"), urls={f"r{side}.pt": f"{web.url}/model" for side in (256, 512)})
    assert [item.target.name for item in fetch.plan("encoder", "m", places).items] == ["r256.pt", "r512.pt"]
    assert [item.target.name for item in fetch.plan("encoder", "m", places, (512,)).items] == ["r512.pt"]


def test_an_encoder_without_addresses_says_where_to_get_it_by_hand(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    cards("hand", files=("w.pt",))
    cards("floor")
    cards("known", files=("k.pt",), urls={"k.pt": f"{web.url}/model"})
    with pytest.raises(UserError, match=rf"hand: .* from Zenodo 1 and put them under .*{places.weights_dir}"):
        fetch.plan("encoder", "hand", places)
    lines = fetched("encoder", "all", places)
    assert len(lines) == 2
    assert lines[0].startswith("known: ")
    assert lines[1].startswith("hand: not all of its weights have an address")
    assert fetched("encoder", "floor", places) == ["floor needs no weights"]


def test_weights_without_a_published_checksum_must_stay_what_they_were(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    cards(files=("w.pt",), urls={"w.pt": f"{web.url}/model"})
    fetched("encoder", "m", places)
    (places.weights_dir / "w.pt").unlink()
    web.pages["/model"].content = b"something else"
    with pytest.raises(UserError, match="when it was first fetched"):
        fetched("encoder", "m", places)


def test_an_address_that_moves_on_stays_at_the_commit_it_brought_first(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    first, second = "a" * 40, "b" * 40
    web.pages["/hub/resolve/main/m"] = Page(status=[302], location="/model", headers={"X-Repo-Commit": first})
    cards(files=("w.pt",), urls={"w.pt": f"{web.url}/hub/resolve/main/m"})
    (line,) = fetched("encoder", "m", places)
    assert "revision aaaaaaaaaaaa..." in line

    # The publisher goes on; the commit stays.
    web.pages["/hub/resolve/main/m"].headers["X-Repo-Commit"] = second
    web.pages[f"/hub/resolve/{first}/m"] = Page(MODEL)
    web.pages["/model"].content = b"the next release"
    (places.weights_dir / "w.pt").unlink()
    assert fetch.plan("encoder", "m", places).items[0].row()[4] == f"{web.url}/hub/resolve/{first}/m"
    fetched("encoder", "m", places)
    assert (places.weights_dir / "w.pt").read_bytes() == MODEL
    web.pages[f"/hub/resolve/{first}/m"].content = b"something else"
    (places.weights_dir / "w.pt").unlink()
    with pytest.raises(UserError, match="when it was first fetched"):
        fetched("encoder", "m", places)


def test_only_the_cards_files_are_taken_from_an_archive_wherever_they_lie_in_it(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    card = cards(
        files=("m/res{size}/{part}/w.safetensors | m/res{size}/{part}/w.bin", "m/res{size}/a.json", "m/res{size}/b ?"),
        archives={f"m/res{side}": f"{web.url}/run" for side in (256, 512)},
    )
    run = {"unet/w.bin": b"w", "a.json": b"{}", "optimizer.bin": b"o" * 1000, "old/a.json": b"old"}
    web.pages["/run"] = Page(zipped(run, "home/me/run/"))
    assert len(fetched("encoder", "m", places)) == 2
    assert list(checkpoints.find(card, places.weights_dir, 512)) == ["m/res512/unet/w.bin", "m/res512/a.json"]
    unpacked = [path.name for path in (places.weights_dir / "m/res256").rglob("*") if path.is_file()]
    assert sorted(unpacked) == ["a.json", "w.bin"]
    assert all("was there" in line for line in fetched("encoder", "m", places))
    (places.weights_dir / "m/res256/a.json").unlink()
    with pytest.raises(UserError, match=r"res256 is there but lacks a\.json; move or delete the folder"):
        fetched("encoder", "m", places)


def test_room_for_an_archive_of_unknown_size_is_what_the_server_says(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    cards(files=("m/r/a.json",), archives={"m/r": f"{web.url}/run"})
    web.pages["/run"] = Page(zipped({"a.json": b"{}"}))
    web.pages["/run"].declared = 30 * 10**9
    assert fetch.plan("encoder", "m", places).items[0].row()[2] == "?"
    with pytest.raises(UserError, match=r"30 GB are needed and 5 GB are free"):
        fetched("encoder", "m", places, free=lambda _: 5 * 10**9)
    assert not part_of(places.weights_dir / "m/r.zip").exists()


@pytest.mark.parametrize(("names", "count"), [(("b.json",), 0), (("a.json", "copy/a.json"), 2)])
def test_an_archive_without_one_folder_of_the_cards_files_says_so(
    web: Web, places: Places, cards: Callable[..., EncoderCard], names: tuple[str, ...], count: int
) -> None:
    cards(files=("m/r/a.json",), archives={"m/r": f"{web.url}/run"})
    web.pages["/run"] = Page(zipped(dict.fromkeys(names, b"{}")))
    with pytest.raises(UserError, match=rf"r\.zip: holds {count} folders with a\.json .* unpack it by hand as .*m/r"):
        fetched("encoder", "m", places)
    assert not (places.weights_dir / "m/r").exists()


@pytest.mark.parametrize("top", ["m-eurosat/", "", "classification_v1.0/m-eurosat/"])
def test_a_dataset_is_unpacked_into_geobenchs_layout_and_its_zip_removed(
    web: Web, places: Places, eurosat: Page, geobench_written: Path, top: str
) -> None:
    source = geobench_written / "classification_v1.0" / "m-eurosat"
    eurosat.content = zipped({path.name: path.read_bytes() for path in source.iterdir()}, top)
    (line,) = fetched("dataset", "m-eurosat", places)
    assert places.data_root is not None
    folder = places.data_root / "classification_v1.0" / "m-eurosat"
    assert line == f"m-eurosat: fetched and unpacked as {folder}"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {
        path.name: path.read_bytes() for path in source.iterdir()
    }
    assert [path.name for path in folder.parent.iterdir() if not path.name.startswith(".")] == ["m-eurosat"]
    assert fetched("dataset", "m-eurosat", places) == [f"m-eurosat: {folder} was there"]
    assert len(web.asked) == 1


def test_a_dataset_can_be_ingested_at_once_and_its_zip_kept(places: Places, eurosat: Page) -> None:
    lines = fetched("dataset", "m-eurosat", places, ingest=True, keep_archive=True)
    assert "12 train, 4 valid, 5 test" in lines[1]
    assert places.data_root is not None
    assert (places.data_root / "classification_v1.0/m-eurosat.zip").is_file()
    dataset = datasets.dataset("m-eurosat")
    assert ingest.fingerprints_if_ingested(dataset, places.data_root, places.ingest_dir)


def test_two_at_once_fetch_a_dataset_once(
    web: Web, places: Places, eurosat: Page, geobench_written: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert places.data_root is not None
    folder = places.data_root / "classification_v1.0" / "m-eurosat"
    folder.parent.mkdir(parents=True)
    said, lines = io.StringIO(), list[str]()
    monkeypatch.setattr(sys, "stderr", said)
    second = threading.Thread(target=lambda: lines.extend(fetched("dataset", "m-eurosat", places)))
    with alone(folder):
        second.start()
        while "m-eurosat: waiting for another process" not in said.getvalue():
            assert second.is_alive()
            time.sleep(0.01)
        shutil.copytree(geobench_written / "classification_v1.0" / "m-eurosat", folder)
    second.join()
    assert lines == [f"m-eurosat: {folder} was there"]
    assert web.asked == []


def test_a_zip_that_was_fetched_by_hand_is_used(web: Web, places: Places, eurosat: Page) -> None:
    assert places.data_root is not None
    by_hand = places.data_root / "classification_v1.0" / "m-eurosat.zip"
    by_hand.parent.mkdir(parents=True)
    by_hand.write_bytes(eurosat.content)
    assert "unpacked" in fetched("dataset", "m-eurosat", places)[0]
    assert web.asked == []


def test_a_damaged_zip_leaves_no_folder_names_itself_and_is_no_measure(places: Places, eurosat: Page) -> None:
    whole, eurosat.content = eurosat.content, eurosat.content[:-100]
    with pytest.raises(UserError, match=r"m-eurosat\.zip: is damaged or no zip file .*delete it and fetch it again"):
        fetched("dataset", "m-eurosat", places)
    assert places.data_root is not None
    folder = places.data_root / "classification_v1.0" / "m-eurosat"
    assert not folder.exists()
    folder.with_name("m-eurosat.zip").unlink()
    eurosat.content = whole
    assert "unpacked" in fetched("dataset", "m-eurosat", places)[0]


@pytest.mark.parametrize("files", [{"a.json": b""}, {"x/default_partition.json": b"", "y/default_partition.json": b""}])
def test_a_zip_that_is_no_dataset_says_so(places: Places, eurosat: Page, files: dict[str, bytes]) -> None:
    eurosat.content = zipped(files)
    with pytest.raises(UserError, match=r"folders with a default_partition\.json where one dataset is expected"):
        fetched("dataset", "m-eurosat", places)


def test_a_folder_that_is_no_dataset_is_not_taken_for_one(places: Places, eurosat: Page) -> None:
    assert places.data_root is not None
    (places.data_root / "classification_v1.0" / "m-eurosat").mkdir(parents=True)
    with pytest.raises(UserError, match="is there but lacks default_partition"):
        fetched("dataset", "m-eurosat", places)


def test_a_disk_too_small_for_all_is_noticed_before_anything_comes(web: Web, places: Places, eurosat: Page) -> None:
    with pytest.raises(UserError, match=r"root: 10 MB are needed and 1 MB are free"):
        fetched("dataset", "m-eurosat", places, free=lambda _: 10**6)
    assert web.asked == []


def test_room_is_reckoned_with_one_zip_at_a_time_and_what_is_there(tmp_path: Path) -> None:
    def item(name: str, size: int, unpacked: int) -> fetch.Item:
        zipped, folder = tmp_path / f"{name}.zip", tmp_path / name
        return fetch.Item(name, Remote("u", "", size), tmp_path, zipped, "MIT", folder=folder, unpacked=unpacked)

    plan = fetch.Plan((item("a", 3000, 10_000), item("b", 2000, 20_000)), ())
    part_of(tmp_path / "a.zip").write_bytes(b"0" * 2500)
    for keep, needed in ((False, "32 kB"), (True, "32.5 kB")):
        with pytest.raises(UserError, match=f"{needed} are needed"):
            bring.need_room_for(plan, keep, lambda _: 0)


def test_encoders_that_share_a_file_share_its_download(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    for name in ("optical", "joint"):
        cards(name, files=("w.pt",), urls={"w.pt": f"{web.url}/model"})
    assert [item.name for item in fetch.plan("encoder", "all", places).items] == ["joint, optical"]


def test_first_digits_of_a_checksum_do_not_replace_the_first_download(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    cards(files=("w.pt",), urls={"w.pt": f"{web.url}/model"}, sha256={"w.pt": SHA256[:8]})
    places.weights_dir.mkdir()
    other = Fetched(places.weights_dir / "w.pt", SHA256[:8] + "0" * 56, 1, new=True)
    first_seen.record(places.weights_dir, f"{web.url}/model", other)
    with pytest.raises(UserError, match="when it was first fetched"):
        fetched("encoder", "m", places)


def test_a_dry_run_says_what_from_where_how_big_and_what_is_there(
    web: Web, places: Places, cards: Callable[..., EncoderCard]
) -> None:
    paths = ("a", "b", "c")
    cards(
        files=paths,
        urls={path: f"{web.url}/{path}" for path in paths},
        bytes={"b": 778 * 10**6},
    )
    places.weights_dir.mkdir()
    (places.weights_dir / "a").touch()
    part_of(places.weights_dir / "b").write_bytes(b"0" * 5000)
    header, rows = fetch.plan("encoder", "m", places).table()
    assert header == ["what", "goes to", "size", "licence", "from", "state"]
    assert [row[2:] for row in rows] == [
        ["?", "MIT", f"{web.url}/a", "there"],
        ["778 MB", "MIT", f"{web.url}/b", "5 kB there"],
        ["?", "MIT", f"{web.url}/c", "missing"],
    ]
    assert web.asked == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fetch",), "what"),
        (("fetch", "planets"), "invalid choice"),
        (("fetch", "encoder"), "say which encoder"),
        (("fetch", "encoder", "croma9"), "no encoder 'croma9'"),
        (("fetch", "encoder", ","), "no encoder ''"),
        (("fetch", "dataset", "m-eurosat"), "--data-root DIR"),
        (("fetch", "dataset", "m-eurosot", "--data-root", "x"), "did you mean m-eurosat"),
        (("fetch", "all", "m-eurosat"), "fetch dataset m-eurosat"),
        (("fetch", "encoder", "all", "--synthetic", "x"), "only datasets can be made up"),
    ],
)
def test_mistakes_are_one_sentence(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEO_BENCH_DIR", raising=False)
    assert evaluate.main(list(arguments)) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert words in line


def test_the_command_line_fetches_and_stops_as_it_says(
    web: Web, eurosat: Page, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["fetch", "dataset", "m-eurosat", "--data-root", str(tmp_path / "root")]
    assert evaluate.main([*command, "--dry-run"]) == 0
    assert f"{web.url}/m-eurosat.zip" in re.sub(r"\s", "", capsys.readouterr().out)
    eurosat.status = [404]
    assert evaluate.main(command) == 2
    assert "answers 404" in capsys.readouterr().err
    with monkeypatch.context() as patch:
        patch.setattr("benchmark.fetching.transport._follow", _interrupt)
        assert evaluate.main(command) == 130
    assert "run the same command to go on" in capsys.readouterr().err
    eurosat.status = [200]
    assert evaluate.main(command) == 0
    assert "fetched and unpacked" in capsys.readouterr().out


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_every_address_of_the_catalogue_is_https_of_a_fixed_revision_and_belongs_to_a_file() -> None:
    for name in datasets.names():
        dataset = datasets.dataset(name)
        assert dataset.bundled == (dataset.archive is None)
        if dataset.archive:
            pattern = rf"https://huggingface\.co/datasets/recursix/geo-bench-1\.0/resolve/[0-9a-f]{{40}}/{dataset.folder}\.zip"
            assert re.fullmatch(pattern, dataset.archive.url)
            assert re.fullmatch("([0-9a-f]{64})?", dataset.archive.sha256)
    for name in encoders.names():
        card = encoders.card(name)
        files = {path for size in fetch.SIZES for paths, _ in checkpoints.wanted(card, size) for path in paths}
        assert {*card.weights.urls, *card.weights.sha256, *card.weights.bytes} <= files
        assert all(any(path.startswith(f"{folder}/") for path in files) for folder in card.weights.archives)
        hub = [url for url in card.weights.urls.values() if re.match(r"https://(huggingface\.co|hf\.co)/", url)]
        assert all(re.search(r"/resolve/[0-9a-f]{40}/", url) for url in hub), hub
        addresses = [*card.weights.urls.values(), *card.weights.archives.values()]
        assert all(url.startswith("https://") for url in addresses)
