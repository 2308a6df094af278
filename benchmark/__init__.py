"""The measurement: from GEO-Bench files, or one's own, to records.

    from benchmark import evaluate
    records = evaluate("croma_base", "m-eurosat", data_root="~/geobench")

Importing this package loads no deep-learning framework; docs/library.md shows more.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmark.library import Unfinished, evaluate

__all__ = ["Unfinished", "evaluate"]


def __getattr__(name: str) -> Any:
    # Late: beside PANGAEA's scripts `benchmark.interop` must be first to import what other folders are called too.
    if name in __all__:
        from benchmark import library

        return getattr(library, name)
    raise AttributeError(f"module 'benchmark' has no attribute '{name}'")
