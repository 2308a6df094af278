"""The measurement: from GEO-Bench files, or one's own, to records.

    from benchmark import evaluate
    records = evaluate("croma_base", "m-eurosat", data_root="~/geobench")

Importing this package loads no deep-learning framework; docs/library.md shows more.
"""

from benchmark.library import Unfinished, evaluate

__all__ = ["Unfinished", "evaluate"]
