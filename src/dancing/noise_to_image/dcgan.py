"""The original DCGAN for faces, layer by layer, for square images of 64, 128 or 256 px.

Radford et al., Unsupervised Representation Learning with Deep Convolutional GANs, ICLR 2016, with the original's
numbers of channels. Letters: B batch, Z noise, S side of the image.
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

GRID = 8  # px, side of the smallest feature map
CHANNELS = 256  # after the first doubling, halved with each further one
SLOPE = 0.3  # of Keras' LeakyReLU
DROPOUT = 0.3


@dataclass(frozen=True)
class DcganConfig:
    """Sizes of the DCGAN.

    Attributes:
        height: S, px: 64, 128 or 256.
        output: the generator's output layer.
        discriminator: ours or the original.
        batch_norm: whether the original discriminator has batch norm. With WGAN's gradient penalty it must not: the
            gradient of an image may not depend on the batch.
        categories: of the noise, see `noise.draw_noise`; the original has none.
        noise: Z; fixed by the original model.
    """

    height: int
    output: Output
    discriminator: DiscriminatorKind
    batch_norm: bool
    categories: int = 0
    noise: int = 100

    @property
    def channels(self) -> list[int]:
        """Of the generator's maps after each doubling: 256, 128, 64, and for larger images 32, 16."""
        return [CHANNELS // 2**level for level in range(int(math.log2(self.height // GRID)))]


class DcganGenerator(nn.Module):
    """The original generator of faces, `gan.model: dcgan`."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.config = config
        sizes = [2 * CHANNELS, *config.channels]
        self.expand = nn.Linear(config.noise, GRID * GRID * sizes[0])
        self.expand_norm = batch_norm(GRID * GRID * sizes[0], 1)
        self.up = nn.ModuleList(ConvTranspose2dSame(before, after, 4, stride=2) for before, after in pairwise(sizes))
        self.norms = nn.ModuleList(batch_norm(channels, 2) for channels in config.channels)
        self.to_image = Conv2dSame(sizes[-1], 3, 4)
        self.output = output_layer(config.output)
        keras_init(self)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Noise (B, Z) -> images (B, 3, S, S) in [-1, 1]."""
        x = self.expand_norm(F.relu(self.expand(noise))).unflatten(1, (2 * CHANNELS, GRID, GRID))
        for up, norm in zip(self.up, self.norms, strict=True):
            x = norm(F.relu(up(x)))  # (B, 256, 16, 16), (B, 128, 32, 32), ...
        return self.output(self.to_image(x))


class DcganDiscriminator(nn.Module):
    """The original discriminator of faces: the generator's layers in reverse."""

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        sizes = [3, *reversed(config.channels)]
        self.down = nn.ModuleList(Conv2dSame(before, after, 4, stride=2) for before, after in pairwise(sizes))
        self.norms = nn.ModuleList(
            batch_norm(channels, 2) if config.batch_norm else nn.Identity() for channels in sizes[1:]
        )
        self.dropout = nn.Dropout(DROPOUT)
        self.logit = nn.Linear(GRID * GRID * CHANNELS, 1)
        keras_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, 3, S, S) in [-1, 1] -> logits (B, 1); the original's sigmoid is part of the loss."""
        x = images
        for down, norm in zip(self.down, self.norms, strict=True):
            x = F.leaky_relu(norm(down(x)), SLOPE)
        return [self.logit(self.dropout(x.flatten(1)))]


def dcgan_discriminator(config: DcganConfig) -> nn.Module:
    """Return the discriminator that the config names."""
    if config.discriminator == "deep":
        return DeepDiscriminator(3, config.height, config.height)
    return DcganDiscriminator(config)
