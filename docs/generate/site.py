"""What MkDocs calls: adds the generated pages, fills the marked places of written ones, brings in the root's files.

A written page holds `<!-- generated: NAME -->` where a table of `PLACES` goes. Nothing generated is kept in a folder.
"""

import functools
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
# MkDocs runs this file by its path, whatever folder it was started in.
sys.path.insert(0, str(ROOT))

from docs.generate import api, datasets, encoders, fusers, protocol  # noqa: E402

PLACES: dict[str, Callable[[], str]] = {
    "protocol": protocol.main_table,
    "other protocols": protocol.others,
    "published protocols": protocol.published,
    "fusers": fusers.main_table,
    "trained parameters": fusers.trained,
    "fuser parity": lambda: encoders.parity(fusers.names()),
    "local": functools.partial(protocol.executor, "local"),
    "slurm": functools.partial(protocol.executor, "slurm"),
    "ray": functools.partial(protocol.executor, "ray"),
}
MARK = re.compile(r"<!-- generated: ([\w ]+) -->")
FROM_THE_ROOT = {
    "index.md": "README.md",
    "changelog.md": "CHANGELOG.md",
    "contributing.md": "CONTRIBUTING.md",
    "security.md": "SECURITY.md",
}
"""Pages that are files of the repository's root, as far as it has them."""
INTERNAL = re.compile(r"(?<!!)\[([^\]]*)\]\((?!https?:|#|mailto:)([^)\s]+)\)")


def filled(text: str) -> str:
    """A written page with its marked places filled.

    Raises:
        KeyError: a mark that names nothing.
    """
    return MARK.sub(lambda mark: PLACES[mark[1]](), text)


def from_the_root(text: str) -> str:
    """A file of the root as a page: links into docs/ lead to pages, links elsewhere become names of files."""

    def moved(link: re.Match[str]) -> str:
        words, target = link.groups()
        if target.startswith("docs/"):
            return f"[{words}]({target.removeprefix('docs/')})"
        page = next((page for page, name in FROM_THE_ROOT.items() if name == target), None)
        return f"[{words}]({page})" if page else f"`{target}`" if words == target else f"{words} (`{target}`)"

    return INTERNAL.sub(moved, text.replace("](docs/assets/", "](assets/"))


def made() -> dict[str, str]:
    """Every page that has no file in the docs folder: path below it -> Markdown."""
    found = datasets.pages() | encoders.pages() | api.pages()
    for page, name in FROM_THE_ROOT.items():
        if (ROOT / name).is_file():
            found[page] = from_the_root((ROOT / name).read_text(encoding="utf-8"))
    return found


def on_config(config: Any) -> Any:
    """Complete the navigation, see `navigation`."""
    written = {str(path.relative_to(config.docs_dir)) for path in Path(config.docs_dir).rglob("*.md")}
    config.nav = navigation(config.nav, [*sorted(written), *made()])
    return config


def on_files(files: Any, *, config: Any) -> Any:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for path, text in made().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Fill the marked places."""
    return filled(markdown)


def navigation(given: list[Any], pages: Sequence[str]) -> list[Any]:
    """What `mkdocs.yml` says, completed.

    `folder/` stands for all generated pages in it; a page that is named nowhere stands under `More`, so that none is
    lost.
    """
    complete: list[Any] = _complete(given, pages)
    named = set(_named(complete))
    lost = [page for page in pages if page not in named]
    return [*complete, {"More": lost}] if lost else complete


def _complete(nav: Any, pages: Sequence[str]) -> Any:
    if isinstance(nav, str):
        if nav.endswith("/"):
            return [page for page in pages if page.startswith(nav)]
        return [nav]
    if isinstance(nav, dict):
        ((title, inner),) = nav.items()
        kept = _complete(inner, pages)
        return [{title: kept[0] if isinstance(inner, str) and not inner.endswith("/") else kept}] if kept else []
    return [one for inner in nav for one in _complete(inner, pages)]


def _named(nav: Any) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    return [page for inner in (nav.values() if isinstance(nav, dict) else nav) for page in _named(inner)]
