"""Swin-v2's attention within windows, as torchvision computes it, by PyTorch's fused attention on a GPU.

torchvision writes the scores out and makes bias and mask anew in every call. In a frozen network both are constants of
a grid. On the CPU its own arithmetic stays, whose bits records hold.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.swin_transformer import ShiftedWindowAttentionV2

LARGEST_SCALE = math.log(100)
"""Of a head's logit scale (Swin-v2, arXiv 2111.09883)."""
OUTSIDE = -100.0
"""Added to scores between cells that only a shift brought together: torchvision's."""


class WindowAttention(ShiftedWindowAttentionV2):
    """torchvision's module, its parameters and names; `fused` says which arithmetic is used, None by the device."""

    fused: bool | None = None

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        fused = x.device.type == "cuda" if self.fused is None else self.fused
        if not fused:
            plain: Tensor = super().forward(x)
            return plain
        height, width = x.shape[1:3]
        (rows, columns), heads = self.window_size, self.num_heads
        x = F.pad(x, (0, 0, 0, -width % columns, 0, -height % rows))
        down, across = x.shape[1:3]
        # Where one window covers a side there is nothing to shift along it.
        each_side = zip((down, across), (rows, columns), self.shift_size, strict=True)
        shift = [0 if size <= window else by for size, window, by in each_side]
        if any(shift):
            x = x.roll((-shift[0], -shift[1]), (1, 2))
        batch, windows, cells = len(x), (down // rows) * (across // columns), rows * columns
        x = x.view(batch, down // rows, rows, across // columns, columns, -1).transpose(2, 3)
        qkv = F.linear(x.reshape(batch, windows, cells, -1), self.qkv.weight, self._bias_of_qkv())
        # Windows stand beside heads, so that one bias serves every image.
        each = qkv.unflatten(3, (3, heads, -1)).permute(3, 0, 1, 4, 2, 5).flatten(2, 3)
        query, key, value = each.unbind(0)
        scale = self.logit_scale.clamp(max=LARGEST_SCALE).exp().repeat(windows, 1, 1)
        query = F.normalize(query, dim=-1) * scale
        bias = self._bias_of_scores(down, across, shift).expand(batch, -1, -1, -1)
        seen = F.scaled_dot_product_attention(query, F.normalize(key, dim=-1), value, attn_mask=bias, scale=1.0)
        joined = seen.unflatten(1, (windows, heads)).transpose(2, 3).flatten(3)
        x = self.proj(joined).view(batch, down // rows, across // columns, rows, columns, -1)
        x = x.transpose(2, 3).reshape(batch, down, across, -1)
        if any(shift):
            x = x.roll((shift[0], shift[1]), (1, 2))
        return x[:, :height, :width].contiguous()

    def _bias_of_qkv(self) -> Tensor | None:
        """Keys have none in Swin-v2."""
        if self.qkv.bias is None:
            return None
        query, key, value = self.qkv.bias.chunk(3)
        return torch.cat([query, torch.zeros_like(key), value])

    def _bias_of_scores(self, down: int, across: int, shift: list[int]) -> Tensor:
        """Position bias and, where windows are shifted, the mask: (1, windows x heads, cells, cells), kept."""
        weight = self.qkv.weight
        key = (down, across, weight.dtype, weight.device)
        known: dict[object, Tensor] = self.__dict__.setdefault("_kept", {})
        if key not in known:
            rows, columns = self.window_size
            position = self.get_relative_position_bias()
            mask = torch.zeros(1, 1, 1, device=weight.device, dtype=position.dtype)
            if any(shift):
                mask = OUTSIDE * self._strangers(down, across, shift).to(position)
            windows = (down // rows) * (across // columns)
            both = position + mask[:, None]
            known[key] = both.expand(windows, -1, -1, -1).flatten(0, 1)[None].to(weight.dtype).contiguous()
        return known[key]

    def _strangers(self, down: int, across: int, shift: list[int]) -> Tensor:
        """For each window, which of its cells a shift brought together: (windows, cells, cells) bool."""
        rows, columns = self.window_size
        device = self.qkv.weight.device

        def regions(size: int, window: int, by: int) -> Tensor:
            """0 before the last window, 1 in it, 2 where the shift wrapped around."""
            at = torch.arange(size, device=device)
            return (at >= size - window).int() + (at >= size - by).int() if by else torch.zeros_like(at)

        region = 3 * regions(down, rows, shift[0])[:, None] + regions(across, columns, shift[1])
        by_window = region.view(down // rows, rows, across // columns, columns).transpose(1, 2).flatten(2).flatten(0, 1)
        return by_window[:, None] != by_window[:, :, None]
