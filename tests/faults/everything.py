"""What a command imports in the course of a run, imported at once: preloaded by the process that attempts fork from."""

from importlib import import_module

for module in (
    "pytest",  # a fork imports the main module of the process that asked for it
    "sklearn.linear_model",
    "torchmetrics.functional.classification",
    "evaluate",
    *(f"benchmark.{name}" for name in ("decoding", "evaluation", "failures", "input_card", "probing", "provenance")),
    *(f"benchmark.{name}" for name in ("sweep", "executors.inline", "executors.local")),
    *(f"decoders.{name}" for name in ("knn", "linear", "probe")),
    "encoders.baselines",
    *(f"reports.{name}" for name in ("console", "leaderboard")),
):
    import_module(module)
