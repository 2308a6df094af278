"""What a command imports in the course of a run, imported at once: preloaded by the process that attempts fork from."""

from importlib import import_module
from pathlib import Path

from benchmark.request.commandline import parse
from tests.faults.whole import command

MODULES = (
    "pytest",  # a fork imports the main module of the process that asked for it
    "sklearn.linear_model",
    "torchmetrics.functional.classification",
    "torch._dynamo",  # counting operations and the first optimiser take seconds to import it
    "evaluate",
    *(f"benchmark.{name}" for name in ("data.input_card", "evaluation", "features.store", "provenance")),
    *(f"benchmark.grid.{name}" for name in ("executors.inline", "executors.local", "failures", "sweep")),
    *(f"benchmark.training.{name}" for name in ("decoding", "probing")),
    *(f"decoders.{name}" for name in ("knn", "linear", "probe")),
    "encoders.baselines",
    *(f"reports.{name}" for name in ("console", "rebuild")),
)
for module in MODULES:
    import_module(module)

# Composing a request takes a second, reads configs and writes nothing: forks that ask for the small grid have it.
configuration = import_module("benchmark.request.configuration")
_compose, _composed = configuration.compose, {}


def compose(**asked: object) -> object:
    """`configuration.compose`, remembered."""
    wanted = repr(asked)
    if wanted not in _composed:
        _composed[wanted] = _compose(**asked)
    return _composed[wanted]


configuration.compose = compose
_, options = parse(command(Path("root"), Path("output")))
import_module("benchmark.request.asked").requests(options)
