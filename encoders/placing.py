"""An encoder on the device it runs on: laid out as is fast there, and compiled where that was asked for.

What is compiled are the parts of a network that hold no tapped module inside, each by itself: what `Taps` reads and
where it stops stay outside, as a compiled part doesn't see hooks that come and go.
"""

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch import nn

from encoders.base import Encoder
from encoders.errors import UserError

PARTS_ALIKE = 64
"""Variants of one module's code that are kept compiled, by shapes and options; by default PyTorch keeps 8."""

E = TypeVar("E", bound=Encoder)


def placed(encoder: E, device: str, compiled: bool = False) -> E:
    """The encoder on the device.

    Args:
        compiled: by `torch.compile`; changes last bits, so it is part of a run's key.

    Raises:
        UserError: nothing here can compile.
    """
    encoder = encoder.to(device)
    # On the CPU a layout would change last bits, and gains nothing: oneDNN lays out weights as it likes them.
    if device == "cuda" and encoder.convolutional:
        channels_last(encoder)
    if compiled:
        compile_parts(encoder)
    return encoder


def exact_float32() -> None:
    """From here on products and convolutions of float32 are that on a GPU too.

    PyTorch's convolutions take TF32 there by default, whose mantissa has 10 bits.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False


def channels_last(encoder: Encoder) -> None:
    """Lay out weights of convolutions so that channels lie together, which outputs then follow."""
    nn.Module.to(encoder, memory_format=torch.channels_last)


def compile_parts(encoder: Encoder) -> int:
    """Let every part that is compilable compile itself when it is first called; how many there are.

    Raises:
        UserError: nothing here can compile.
    """
    try:
        torch.compile(lambda x: x + 1)(torch.ones(2, device=encoder.device))
    except Exception as error:  # whatever a backend raises
        said = " ".join(str(error).split())[:200]
        raise UserError(f"compile=true: torch.compile does not work here ({said}); use compile=false") from None
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, PARTS_ALIKE)
    found = list(parts(encoder))
    for part in found:
        part.forward = torch.compile(part.forward)
    return len(found)


def parts(encoder: Encoder) -> Iterator[nn.Module]:
    """The largest modules that hold no tapped one inside and are called as modules, below the networks themselves.

    A network as a whole is left out: an adapter may call another method than its `forward`.
    """
    tapped = {name for level in encoder.levels for name, _ in level.modules}

    def inside(path: str, module: nn.Module) -> bool:
        return any(_named(f"{path}.{name}", tapped) for name, _ in module.named_modules() if name)

    def below(path: str, module: nn.Module) -> Iterator[nn.Module]:
        for name, child in module.named_children():
            own = f"{path}.{name}" if path else name
            called = not isinstance(child, (nn.ModuleList, nn.ModuleDict)) and any(True for _ in child.parameters())
            if path and called and not inside(own, child):
                yield child
            else:
                yield from below(own, child)

    yield from below("", encoder)


def _named(path: str, names: set[str]) -> bool:
    """Whether a module's path within an encoder ends in one of the names that are tapped."""
    return any(path == name or path.endswith("." + name) for name in names)
