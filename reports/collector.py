"""Python's collector of cycles, kept away from thousands of records, which stay and hold none."""

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def without_collector() -> Iterator[None]:
    """Spare Python's collector from walking through thousands of records again and again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextlib.contextmanager
def collector_of_new() -> Iterator[None]:
    """Let the collector look at what is made inside alone: figures are full of cycles."""
    before = gc.isenabled()
    gc.freeze()
    gc.enable()
    try:
        yield
    finally:
        gc.unfreeze()
        if not before:
            gc.disable()
