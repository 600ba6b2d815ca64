"""The seed's DCGAN for faces, layer by layer: noise becomes a square picture of 64, 128 or 256 px.

Radford et al., Unsupervised Representation Learning with Deep Convolutional GANs, ICLR 2016, in the widths of the
seed's table. Letters: B batch, Z noise, S side of the picture.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dancing.noise_to_image.deep_discriminator import DeepDiscriminator, DiscriminatorKind
from dancing.training.adversarial import Logits
from dancing.training.layers import Conv2dSame, ConvTranspose2dSame, batch_norm, keras_init
from dancing.training.param_tanh import Output, output_layer

GRID = 8  # px, the side of the first and the last map
SLOPE = 0.3  # of Keras' LeakyReLU


@dataclass(frozen=True)
class DcganConfig:
    height: int  # px, of a square: 64, 128 or 256
    output: Output
    discriminator: DiscriminatorKind
    batch_norm: bool  # in the original discriminator; with a gradient penalty images must not depend on each other
    categories: int = 0  # of the noise; the seed's has none
    noise: int = 100  # the seed's, not a knob

    @property
    def channels(self) -> list[int]:
        """Of the generator's maps after each doubling: 256, 128, 64 and for larger pictures 32, 16."""
        return [256 // 2**level for level in range(int(math.log2(self.height // GRID)))]


class DcganGenerator(nn.Module):
    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.config = config
        self.spread = nn.Linear(config.noise, GRID * GRID * 512)
        self.spread_norm = batch_norm(GRID * GRID * 512, 1)
        sizes = [512, *config.channels]
        self.up = nn.ModuleList(ConvTranspose2dSame(before, after, 4, stride=2) for before, after in pairwise(sizes))
        self.norms = nn.ModuleList(batch_norm(channels, 2) for channels in config.channels)
        self.paint = Conv2dSame(sizes[-1], 3, 4)
        self.output = output_layer(config.output)
        keras_init(self)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Noise (B, Z) -> pictures (B, 3, S, S) in [-1, 1]."""
        x = self.spread_norm(F.relu(self.spread(noise))).unflatten(1, (512, GRID, GRID))
        for up, norm in zip(self.up, self.norms, strict=True):
            x = norm(F.relu(up(x)))  # (B, 256, 16, 16), (B, 128, 32, 32), ...
        return self.output(self.paint(x))


class DcganDiscriminator(nn.Module):
    """The generator's way back."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        sizes = [3, *reversed(config.channels)]
        self.down = nn.ModuleList(Conv2dSame(before, after, 4, stride=2) for before, after in pairwise(sizes))
        self.norms = nn.ModuleList(
            batch_norm(channels, 2) if config.batch_norm else nn.Identity() for channels in sizes[1:]
        )
        self.dropout = nn.Dropout(0.3)
        self.logit = nn.Linear(GRID * GRID * 256, 1)
        keras_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, 3, S, S) -> logits (B, 1); the table's sigmoid is part of the loss."""
        x = images
        for down, norm in zip(self.down, self.norms, strict=True):
            x = F.leaky_relu(norm(down(x)), SLOPE)
        return [self.logit(self.dropout(x.flatten(1)))]


def dcgan_discriminator(config: DcganConfig) -> nn.Module:
    if config.discriminator == "deep":
        return DeepDiscriminator(3, config.height, config.height)
    return DcganDiscriminator(config)
