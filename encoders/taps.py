"""Reads what chosen modules of a network put out while it runs, without touching the network's code.

    with Taps(unet, names, stop=True) as seen:
        unet(latents, t, prompt)
    seen["up_blocks.1.resnets.0.conv2"]        # (B, C, h, w)

Works on any torch module: a tap is a module's name as `named_modules()` spells it.
"""

from collections.abc import Sequence
from types import TracebackType
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from encoders.errors import UserError, nearest


class _Stop(Exception):
    """Ends a run whose remaining modules nobody reads; never leaves `Taps`."""


class Taps:
    """Context manager: the outputs of named modules of `model`, read during whatever runs inside.

    Entering gives a dict, filled as modules run: name -> the module's latest output (of a tuple, the first
    element), not a copy. Hooks are removed on leaving, whatever happened inside.

    Args:
        model: the network.
        names: names of its modules; the dict keeps this order.
        stop: end the run once every tapped module has run, so what lies behind the last one in execution
            order costs nothing; the statement that called the network is then left without a result.

    Raises:
        UserError: the network has no module of that name (names the nearest), or a tapped module never ran.
    """

    def __init__(self, model: nn.Module, names: Sequence[str], stop: bool = False) -> None:
        modules = dict(model.named_modules())
        for name in names:
            if name not in modules:
                raise UserError(
                    f"{type(model).__name__} has no module '{name}'; {nearest(name, filter(None, modules))}"
                )
        self._modules = {name: modules[name] for name in names}
        self._stop = stop
        self._handles: list[RemovableHandle] = []
        self._unseen: set[str] = set()
        self._signal: _Stop | None = None
        self._seen: dict[str, Tensor] = {}

    def __enter__(self) -> dict[str, Tensor]:
        self._unseen, self._signal = set(self._modules), None
        self._seen = {}
        self._handles = [module.register_forward_hook(self._hook(name)) for name, module in self._modules.items()]
        return self._seen

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        for handle in self._handles:
            handle.remove()
        if error is not None:
            # Taps may be nested: only the one who raised the signal takes it.
            swallowed = error is self._signal
            if not swallowed:
                return False
        if self._unseen:
            raise UserError(f"tapped modules never ran: {', '.join(sorted(self._unseen))}; tap others")
        ordered = {name: self._seen[name] for name in self._modules}
        self._seen.clear()
        self._seen.update(ordered)
        return True

    def _hook(self, name: str) -> Any:
        def read(module: nn.Module, inputs: Any, output: Any) -> None:
            self._seen[name] = output[0] if isinstance(output, tuple) else output
            self._unseen.discard(name)
            if self._stop and not self._unseen:
                self._signal = _Stop()
                raise self._signal

        return read
