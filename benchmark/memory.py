"""Running out of memory: recognised whoever reports it, answered by doing half as much at once."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from benchmark import progress
from encoders.errors import UserError

Items = TypeVar("Items", bound=Any)  # what has a length and can be sliced
Done = TypeVar("Done")

SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "ALLOC_FAILED",
    "could not create a primitive",
)
"""In messages of PyTorch's allocators (CUDA, CPU), C++'s, cuBLAS and cuDNN, oneDNN: all come as RuntimeError."""

BYTES_A_PARAMETER = 20
"""Of a decoder in training: float32 weights, gradient, AdamW's two moments and the best epoch's weights."""
REMEDY = "free some memory, run fewer workers, or choose another --device"


def ran_out(error: BaseException) -> bool:
    """Whether an error says that memory, of the device or of the machine, is used up."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)
    )


def sentence(error: BaseException) -> str:
    """What an error of memory says, in one sentence."""
    said = " ".join(str(error).split()).split(". ")
    return next((one for one in said if any(sign in one for sign in SIGNS)), said[0]).rstrip(".") or "MemoryError"


def packed(needed: Sequence[int], budget: int) -> Iterator[range]:
    """Positions of things, in their order, as many at a time as a budget of bytes holds, at least one."""
    first = taken = 0
    for position, one in enumerate(needed):
        if position > first and taken + one > budget:
            yield range(first, position)
            first, taken = position, 0
        taken += one
    if needed:
        yield range(first, len(needed))


class Portions:
    """How many things are done at once: all that are asked for, half as many each time memory runs out, from then on.

    Attributes:
        most: done at once; None until memory ran out.
    """

    def __init__(self) -> None:
        self.most: int | None = None

    def of(self, items: Items, do: Callable[[Items], Done], what: str) -> Iterator[tuple[Items, Done]]:
        """Do the items, in their order, in as few portions as memory allows; says once on stderr if that is fewer.

        Args:
            do: may be called again with half of the items it was called with.
            what: the items are, for messages.

        Yields:
            Each portion, with what `do` made of it.

        Raises:
            UserError: memory does not hold a single item.
        """
        halved_from = None
        while len(items):
            portion = items[: self.most]
            done, problem = _attempt(do, portion)
            if problem:
                if len(portion) == 1:
                    raise UserError(f"{what}: memory does not hold a single one ({problem}); {REMEDY}")
                halved_from = halved_from or len(portion)
                self.most = (len(portion) + 1) // 2
                continue
            if halved_from:
                progress.say(f"{what}: memory does not hold {halved_from} at once; going on with {self.most}")
                halved_from = None
            yield portion, done  # type: ignore[misc]
            items = items[len(portion) :]


def _attempt(do: Callable[[Items], Done], portion: Items) -> tuple[Done | None, str]:
    """What was done, or what memory said. The error ends here: its traceback would keep all that was computed."""
    try:
        return do(portion), ""
    except Exception as error:
        if not ran_out(error):
            raise
        problem = sentence(error)
    import torch

    torch.cuda.empty_cache()
    return None, problem
