"""What PANGAEA's base class of decoders holds."""

from torch import nn


class Decoder(nn.Module):
    def __init__(self, encoder, num_classes, finetune):
        super().__init__()
        self.encoder, self.num_classes, self.finetune = encoder, num_classes, finetune
        if not finetune:
            encoder.requires_grad_(False)

    def maps(self, img):
        """The encoder's maps of images (B, C, T=1, H, W) by modality; with gradients only where it is fine-tuned."""
        import torch

        with torch.set_grad_enabled(self.finetune and torch.is_grad_enabled()):
            return self.encoder({modality: image[:, :, 0] for modality, image in img.items()})
