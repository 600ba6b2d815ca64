"""The original GAN for digits, layer by layer, for grey images of 28 x 28 px.

The original's images are in [0, 1]; here they are in [-1, 1], as everywhere. Letters: B batch, Z noise.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dancing.noise_to_image.deep_discriminator import DeepDiscriminator, DiscriminatorKind
from dancing.training.adversarial import Logits
from dancing.training.layers import Conv2dSame, ConvTranspose2dSame, keras_init
from dancing.training.param_tanh import Output, output_layer

SIDE = 28  # px
GRID = SIDE // 4  # px, side of the smallest feature map
SLOPE = 0.2  # of LeakyReLU
DROPOUT = 0.4


@dataclass(frozen=True)
class DigitsGanConfig:
    """Sizes of the digits' GAN.

    Attributes:
        output: the generator's output layer.
        discriminator: ours or the original.
        categories: of the noise, see `noise.draw_noise`; the original has none.
        noise: Z; fixed by the original model.
    """

    output: Output
    discriminator: DiscriminatorKind
    categories: int = 0
    noise: int = 100


class DigitsGenerator(nn.Module):
    """The original generator of digits, `gan.model: digits`."""

    def __init__(self, config: DigitsGanConfig) -> None:
        super().__init__()
        self.config = config
        self.expand = nn.Linear(config.noise, GRID * GRID * 128)
        self.up1 = ConvTranspose2dSame(128, 128, 4, stride=2)
        self.up2 = ConvTranspose2dSame(128, 128, 4, stride=2)
        self.to_image = Conv2dSame(128, 1, 7)
        self.output = output_layer(config.output, colours=1)
        keras_init(self)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Noise (B, Z) -> images (B, 1, 28, 28) in [-1, 1]."""
        x = F.leaky_relu(self.expand(noise), SLOPE).unflatten(1, (128, GRID, GRID))
        x = F.leaky_relu(self.up1(x), SLOPE)  # (B, 128, 14, 14)
        x = F.leaky_relu(self.up2(x), SLOPE)  # (B, 128, 28, 28)
        return self.output(self.to_image(x) / 2)  # the original ends in a sigmoid: 2 sigmoid(x) - 1 = tanh(x / 2)


class DigitsDiscriminator(nn.Module):
    """The original discriminator of digits."""

    def __init__(self, config: DigitsGanConfig) -> None:
        super().__init__()
        self.down1 = Conv2dSame(1, 64, 3, stride=2)
        self.down2 = Conv2dSame(64, 64, 3, stride=2)
        self.dropout = nn.Dropout(DROPOUT)
        self.logit = nn.Linear(GRID * GRID * 64, 1)
        keras_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, 1, 28, 28) in [-1, 1] -> logits (B, 1); the original's sigmoid is part of the loss."""
        x = F.leaky_relu(self.down1((images + 1) / 2), SLOPE)  # (B, 64, 14, 14)
        x = F.leaky_relu(self.down2(self.dropout(x)), SLOPE)  # (B, 64, 7, 7)
        return [self.logit(self.dropout(x).flatten(1))]


def digits_discriminator(config: DigitsGanConfig) -> nn.Module:
    """Return the discriminator that the config names."""
    if config.discriminator == "deep":
        return DeepDiscriminator(1, SIDE, SIDE)
    return DigitsDiscriminator(config)
