"""The fusers in one table, from `configs/fusion/*.yaml`, and what each trains, counted on networks without weights."""

from typing import TYPE_CHECKING

import configs
from benchmark.features.shapes import declared
from docs.generate.markdown import code, head_comment, link_arxiv, sentence, table
from encoders.spec import Level

if TYPE_CHECKING:
    from decoders.decoder import Decoder

CLASSES = 10
FROZEN = configs.load(configs.ROOT / "protocol" / "frozen.yaml")
COUNTED = {
    "SatDiFuser": "satdifuser",
    "ViT-L (CROMA, DOFA, SatMAE)": "croma_large_optical",
    "Swin-B (Satlas)": "satlas_s2_swinb_si_ms",
}
"""Column -> the encoder whose maps a fuser is counted on."""


def names() -> list[str]:
    """The fusers, and as recordings of the official code call them: `lw (fixed slicing)`."""
    return [*(path.stem for path in (configs.ROOT / "fusion").glob("*.yaml")), "lw (fixed slicing)"]


def main_table() -> str:
    """Every fuser: what it is, what its file says of it, where it is from."""
    rows = []
    for path in sorted((configs.ROOT / "fusion").glob("*.yaml")):
        plain, (_, said) = configs.load(path), head_comment(path)
        source = "ours" if plain["source"] == "ours" else link_arxiv(plain["source"])
        rows.append([code(plain["name"]), sentence(plain["title"]) + (f" {sentence(said)}" if said else ""), source])
    return table(["fuser", "what it is", "from"], rows)


def trained() -> str:
    """Millions of trained parameters, before a linear classifier and before UPerNet, as `frozen` builds them."""
    rows = []
    for path in sorted((configs.ROOT / "fusion").glob("*.yaml")):
        plain = configs.load(path)
        if plain["kind"] != "pca":
            counted = [_millions(plain["kind"], plain["options"], encoder) for encoder in COUNTED.values()]
            rows.append([code(plain["name"]), *counted])
    return table(["fuser", *COUNTED], rows)


def _millions(kind: str, options: dict[str, object], encoder: str) -> str:
    """Before a classifier / before UPerNet; `-` where the fuser has nothing to fuse."""
    import torch

    from encoders.errors import UserError

    try:
        # No memory is taken for weights on this device, and none is drawn.
        with torch.device("meta"):
            decoders = [_decoder(kind, _widened(kind, options), encoder, on_masks) for on_masks in (False, True)]
    except UserError:
        return "-"
    counts = (sum(parameter.numel() for parameter in decoder.parameters()) for decoder in decoders)
    return " / ".join(f"{count / 1e6:.3g}" for count in counts)


def _widened(kind: str, options: dict[str, object]) -> dict[str, object]:
    """A fuser's options at the widths of `frozen`; the warm-up, which trains nothing, is one for both tasks."""
    if kind in ("none", "mean", "concat"):
        return options
    widths = {"projection_dim": FROZEN["fuser_width"], "num_norm_groups": FROZEN["fuser_norm_groups"]}
    return options | widths | ({"warmup_steps": 1} if "warmup_steps" in options else {})


def _decoder(kind: str, options: dict[str, object], encoder: str, on_masks: bool) -> "Decoder":
    import torch

    from decoders.decoder import pooled_decoder, upernet_decoder
    from decoders.fusion import build_fuser

    shape = declared()[encoder]
    levels = [
        Level(stride, tuple((f"module{number}", width) for number, width in enumerate(modules)))
        for stride, *modules in shape.levels
    ]
    fuser = build_fuser(kind, levels, [str(view) for view in range(shape.views)], options)
    if not on_masks:
        return pooled_decoder(fuser, CLASSES)
    channels, dropout = FROZEN["upernet_channels"], FROZEN["upernet_dropout"]
    return upernet_decoder(fuser, CLASSES, channels=channels, dropout=dropout, generator=torch.Generator("cpu"))
