"""The fusers in one table, from `configs/fusion/*.yaml`, and what each trains, counted on networks without weights."""

import configs
from benchmark.features.shapes import declared
from docs.generate.markdown import code, head_comment, link_arxiv, sentence, table

CLASSES = 10
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

    from decoders.decoder import pooled_decoder, upernet_decoder
    from decoders.fusion import build_fuser
    from encoders.errors import UserError
    from encoders.spec import Level

    shape = declared()[encoder]
    levels = [
        Level(stride, tuple((f"module{number}", width) for number, width in enumerate(modules)))
        for stride, *modules in shape.levels
    ]
    frozen = configs.load(configs.ROOT / "protocol" / "frozen.yaml")
    if kind not in ("none", "mean", "concat"):
        options = options | {"projection_dim": frozen["fuser_width"], "num_norm_groups": frozen["fuser_norm_groups"]}
    if isinstance(steps := options.get("warmup_steps"), dict):
        options = options | {"warmup_steps": steps["classification"]}
    counts = []
    with torch.device("meta"):
        try:
            for segmentation in (False, True):
                fuser = build_fuser(kind, levels, [str(view) for view in range(shape.views)], options)
                decoder = (
                    upernet_decoder(
                        fuser,
                        CLASSES,
                        channels=frozen["upernet_channels"],
                        dropout=frozen["upernet_dropout"],
                        generator=torch.Generator("cpu"),
                    )
                    if segmentation
                    else pooled_decoder(fuser, CLASSES)
                )
                counts.append(sum(parameter.numel() for parameter in decoder.parameters()))
        except UserError:
            return "-"
    return " / ".join(f"{count / 1e6:.3g}" for count in counts)
