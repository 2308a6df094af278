"""Encoders as PANGAEA's are: a plain one, one of several grids, one over time, one of radar and colours together."""

import itertools

import torch
from torch import nn

from pangaea.encoders.base import Encoder

from .embedding import patches


class Plain(Encoder):
    """Blocks on one grid; fills from its file what it finds there, as PANGAEA's do, and says what it didn't."""

    def __init__(
        self,
        encoder_weights,
        input_bands,
        input_size,
        embed_dim,
        output_layers,
        output_dim,
        download_url,
        patch_size=8,
        depth=4,
        wavelengths=None,
        multi_temporal=False,
    ):
        super().__init__(
            model_name="plain",
            input_bands=input_bands,
            input_size=input_size,
            embed_dim=embed_dim,
            output_layers=output_layers,
            output_dim=output_dim,
            multi_temporal=multi_temporal,
            multi_temporal_output=multi_temporal,
            pyramid_output=False,
            encoder_weights=encoder_weights,
            download_url=download_url,
        )
        channels = sum(len(names) for names in input_bands.values())
        if wavelengths:
            self.wavelengths = [wavelengths[name] for names in input_bands.values() for name in names]
        self.patch_embed = patches(channels, embed_dim, patch_size)
        self.position = nn.Parameter(torch.zeros(1, embed_dim, input_size // patch_size, input_size // patch_size))
        self.blocks = nn.ModuleList(nn.Conv2d(embed_dim, embed_dim, 1) for _ in range(depth))

    def forward(self, image):
        expected = 5 if self.multi_temporal else 4
        assert all(one.ndim == expected for one in image.values())
        found = torch.cat([image[modality] for modality in self.input_bands], dim=1)
        x = self.patch_embed(found.squeeze(2) if self.multi_temporal else found) + self.position
        output = []
        for number, block in enumerate(self.blocks):
            x = torch.tanh(block(x))
            if number in self.output_layers:
                output.append(x.unsqueeze(2) if self.multi_temporal else x)
        return output

    def load_encoder_weights(self, logger):
        if self.encoder_weights is None:
            return
        print("loading")
        held = torch.load(self.encoder_weights, map_location="cpu", weights_only=False)
        own = dict(self.named_parameters())
        wrong = {name: one.shape for name, one in own.items() if name in held and held[name].shape != one.shape}
        fitting = {name: held[name] for name in own if name in held and name not in wrong}
        self.load_state_dict(fitting, strict=False)
        self.parameters_warning({name: own[name].shape for name in own if name not in held}, wrong, logger)


class Pyramid(Encoder):
    """Stages on several grids, handed on coarsest first; takes neither address nor weights' names it doesn't know."""

    def __init__(self, input_bands, input_size, topology, encoder_weights=None):
        super().__init__(
            model_name="pyramid",
            input_bands=input_bands,
            input_size=input_size,
            embed_dim=0,
            output_layers=range(len(topology)),
            output_dim=topology,
            multi_temporal=False,
            multi_temporal_output=False,
            pyramid_output=True,
            encoder_weights=encoder_weights,
            download_url="",
        )
        widths = [sum(len(names) for names in input_bands.values()), *topology]
        self.stages = nn.ModuleList(patches(before, after, 2) for before, after in itertools.pairwise(widths))

    def forward(self, image):
        x, output = torch.cat([image[modality] for modality in self.input_bands], dim=1), []
        for stage in self.stages:
            x = stage(x)
            output.insert(0, x)
        return output

    def load_encoder_weights(self, logger):
        pass


class Downloading(Pyramid):
    """Fetches its weights by itself, as PANGAEA's Satlas does."""

    def load_encoder_weights(self, logger):
        import urllib.request

        urllib.request.urlopen("https://weights.example/satlas.pth")


class NoList(Pyramid):
    """Gives something else than maps."""

    def forward(self, image):
        return [one.mean((2, 3)) for one in super().forward(image)]


def build(**arguments):
    """No class."""
