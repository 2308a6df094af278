"""Threads of the framework, set before it is imported: sums in another order are other bits."""

import os
import sys

VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def use_threads(threads: int | None) -> None:
    """Use so many threads from now on in this process; None changes nothing."""
    if threads is None:
        return
    for variable in VARIABLES:
        os.environ[variable] = str(threads)
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)
