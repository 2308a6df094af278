"""The API reference: a page a package, its modules in order, each left to mkdocstrings, which reads the docstrings."""

import ast
from pathlib import Path

from docs.generate.markdown import code, page, table

ROOT = Path(__file__).parent.parent.parent
PACKAGES = {
    "encoders": "Frozen models: image -> feature maps and embedding",
    "decoders": "What is fitted on features",
    "benchmark": "The measurement",
    "benchmark/data": "Files -> arrays -> what an encoder is fed",
    "benchmark/features": "The frozen part, once an image",
    "benchmark/training": "What is fitted on features",
    "benchmark/scoring": "Predictions -> numbers",
    "benchmark/grid": "Cells, and where they run",
    "benchmark/request": "What was asked",
    "benchmark/commands": "What the commands do",
    "benchmark/fetching": "Weights and datasets from where they are published",
    "benchmark/pictures": "What needs a model or images to be drawn",
    "reports": "What people read",
    "reports/figures": "Records and pictures -> figures",
    "reports/page": "The page of results",
}
"""Folder -> what its page says first. A folder that is not here is no part of the reference."""


def pages() -> dict[str, str]:
    """Path below the docs folder -> Markdown."""
    return {"api/index.md": index()} | {path_of(folder): package(folder) for folder in PACKAGES}


def path_of(folder: str) -> str:
    """Where a package's page lies."""
    return f"api/{folder.replace('/', '-')}.md"


def index() -> str:
    """The packages, and where to begin."""
    rows = [[f"[{code(name.replace('/', '.'))}]({path_of(name)[4:]})", said] for name, said in PACKAGES.items()]
    return page(
        "# API reference",
        "From the docstrings. What the project promises to keep is the command line, the config files, the records, "
        "and for encoders of your own `encoders.base` and `encoders.spec`; the rest may move with any version.",
        table(["package", "what"], rows),
    )


def package(folder: str) -> str:
    """One package: what it says of itself, then its modules."""
    here = ROOT / folder
    modules = sorted(path for path in here.glob("*.py") if path.name != "__init__.py" and documented(path))
    named = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in modules]
    own = folder.replace("/", ".")
    members = public(here / "__init__.py")
    return page(
        f"# {own}",
        f"{PACKAGES[folder]}.",
        _handed(own, 2, members) if members else "",
        *(_handed(name, 2) for name in named),
    )


def documented(path: Path) -> bool:
    """Whether a module has a docstring and anything public."""
    return bool(public(path)) and ast.get_docstring(ast.parse(path.read_text())) is not None


def public(path: Path) -> list[str]:
    """Names of a module's public functions and classes."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return [node.name for node in body if isinstance(node, kinds) and not node.name.startswith("_")]


def _handed(name: str, level: int, members: list[str] | None = None) -> str:
    chosen = f"\n      members: [{', '.join(members)}]" if members else ""
    return f"::: {name}\n    options:\n      heading_level: {level}{chosen}"
