"""What PANGAEA's base class of encoders does, as far as others rely on it."""

from pathlib import Path

from torch import nn


class Encoder(nn.Module):
    def __init__(
        self,
        model_name,
        input_bands,
        input_size,
        embed_dim,
        output_layers,
        output_dim,
        multi_temporal,
        multi_temporal_output,
        pyramid_output,
        encoder_weights,
        download_url,
    ):
        super().__init__()
        self.model_name, self.input_bands, self.input_size = model_name, input_bands, input_size
        self.embed_dim, self.output_layers = embed_dim, output_layers
        self.output_dim = [output_dim] * len(output_layers) if isinstance(output_dim, int) else list(output_dim)
        self.multi_temporal, self.multi_temporal_output = multi_temporal, multi_temporal_output
        self.pyramid_output, self.encoder_weights, self.download_url = pyramid_output, encoder_weights, download_url
        if download_url and not Path(encoder_weights).is_file():
            raise AssertionError(f"PANGAEA would download {download_url} now")

    def load_encoder_weights(self, logger):
        raise NotImplementedError

    def parameters_warning(self, missing, incompatible_shape, logger):
        if missing:
            logger.warning(f"Missing parameters: {sorted(missing)}")
        if incompatible_shape:
            logger.warning(f"Incompatible parameters: {sorted(incompatible_shape)}")

    def forward(self, x):
        raise NotImplementedError
