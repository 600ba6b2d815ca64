"""The seed's GAN for digits, layer by layer: noise becomes a grey picture of 28 x 28 px.

Letters: B batch, Z noise. The table's pictures lie in [0, 1]; here, as everywhere, in [-1, 1].
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
SLOPE = 0.2


@dataclass(frozen=True)
class DigitsGanConfig:
    output: Output
    discriminator: DiscriminatorKind
    categories: int = 0  # of the noise; the seed's has none
    noise: int = 100  # the seed's, not a knob


class DigitsGenerator(nn.Module):
    def __init__(self, config: DigitsGanConfig) -> None:
        super().__init__()
        self.config = config
        self.spread = nn.Linear(config.noise, 7 * 7 * 128)
        self.up1 = ConvTranspose2dSame(128, 128, 4, stride=2)
        self.up2 = ConvTranspose2dSame(128, 128, 4, stride=2)
        self.paint = Conv2dSame(128, 1, 7)
        self.output = output_layer(config.output, colours=1)
        keras_init(self)

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """Noise (B, Z) -> pictures (B, 1, 28, 28) in [-1, 1]."""
        x = F.leaky_relu(self.spread(noise), SLOPE).unflatten(1, (128, 7, 7))
        x = F.leaky_relu(self.up1(x), SLOPE)  # (B, 128, 14, 14)
        x = F.leaky_relu(self.up2(x), SLOPE)  # (B, 128, 28, 28)
        return self.output(self.paint(x) / 2)  # 2 sigmoid(x) - 1 = tanh(x / 2)


class DigitsDiscriminator(nn.Module):
    def __init__(self, config: DigitsGanConfig) -> None:
        super().__init__()
        self.down1 = Conv2dSame(1, 64, 3, stride=2)
        self.down2 = Conv2dSame(64, 64, 3, stride=2)
        self.dropout = nn.Dropout(0.4)
        self.logit = nn.Linear(7 * 7 * 64, 1)
        keras_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, 1, 28, 28) -> logits (B, 1); the table's sigmoid is part of the loss."""
        x = F.leaky_relu(self.down1((images + 1) / 2), SLOPE)  # (B, 64, 14, 14)
        x = F.leaky_relu(self.down2(self.dropout(x)), SLOPE)  # (B, 64, 7, 7)
        return [self.logit(self.dropout(x).flatten(1))]


def digits_discriminator(config: DigitsGanConfig) -> nn.Module:
    if config.discriminator == "deep":
        return DeepDiscriminator(1, SIDE, SIDE)
    return DigitsDiscriminator(config)
