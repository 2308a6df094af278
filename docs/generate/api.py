"""The API reference: a page a package, its modules in order, each left to mkdocstrings, which reads the docstrings."""

import ast
from functools import cache
from pathlib import Path

from docs.generate.markdown import code, page, table

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("encoders", "decoders", "benchmark", "reports")


def pages() -> dict[str, str]:
    """Path below the docs folder -> Markdown."""
    return {"api/index.md": index()} | {path_of(folder): package(folder) for folder in folders()}


def folders() -> list[str]:
    """Packages with anything public, each before those in it, as paths."""
    found = []
    for name in PACKAGES:
        inits = sorted((ROOT / name).rglob("__init__.py"), key=lambda path: path.parent)
        found += [str(path.parent.relative_to(ROOT)) for path in inits if _modules(path.parent)]
    return found


def path_of(folder: str) -> str:
    """Where a package's page lies."""
    return f"api/{folder.replace('/', '-')}.md"


def index() -> str:
    """The packages, and where to begin."""
    rows = [
        [f"[{code(one.replace('/', '.'))}]({path_of(one)[4:]})", _said(ROOT / one / "__init__.py")] for one in folders()
    ]
    return page(
        "# API reference",
        "From the docstrings. What the project promises to keep is the command line, the config files, the records, "
        "and for encoders of your own `encoders.base` and `encoders.spec`; the rest may move with any version.",
        table(["package", "what"], rows),
    )


def package(folder: str) -> str:
    """One package: what it says of itself, then its modules."""
    own = folder.replace("/", ".")
    members = _public(ROOT / folder / "__init__.py")
    named = [f"{own}.{path.stem}" for path in _modules(ROOT / folder) if path.name != "__init__.py"]
    return page(
        f"# {own}",
        _handed(own, members) if members else _said(ROOT / folder / "__init__.py"),
        *(_handed(name) for name in named),
    )


def _modules(folder: Path) -> list[Path]:
    """A package's modules with a docstring and anything public."""
    return [path for path in sorted(folder.glob("*.py")) if _public(path) and _docstring(path)]


@cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _public(path: Path) -> list[str]:
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    return [node.name for node in _parsed(path).body if isinstance(node, kinds) and not node.name.startswith("_")]


def _docstring(path: Path) -> str:
    return ast.get_docstring(_parsed(path)) or ""


def _said(path: Path) -> str:
    """A module's first paragraph."""
    return " ".join(_docstring(path).partition("\n\n")[0].split())


def _handed(name: str, members: list[str] | None = None) -> str:
    chosen = f"\n      members: [{', '.join(members)}]" if members else ""
    return f"::: {name}\n    options:\n      heading_level: 2{chosen}"
