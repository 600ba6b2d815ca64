"""The original GAN, layer by layer: dense layers and transposed convolutions turn 66 numbers into an image.

The original is for 128 x 128 px. Here height and width may be any multiples of 8; at 128 px the layers are the same.
Letters: B batch, H x W image.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dancing.training.adversarial import Logits
from dancing.training.layers import Conv2dSame, ConvTranspose2dSame, keras_init
from dancing.training.param_tanh import Output, output_layer

SLOPE = 0.3  # of Keras' LeakyReLU


@dataclass(frozen=True)
class DenseGanConfig:
    """Sizes of the original GAN.

    Attributes:
        height: of the image, px, a multiple of 8.
        width: of the image, px, a multiple of 8.
        output: the generator's output layer.
    """

    height: int
    width: int
    output: Output


class DenseGenerator(nn.Module):
    """The original generator, `gan.model: dense`."""

    def __init__(self, config: DenseGanConfig) -> None:
        super().__init__()
        self.grid = (config.height // 8, config.width // 8)  # (16, 16) at 128 x 128
        self.hidden = nn.Linear(66, 256)
        self.expand = nn.Linear(256, self.grid[0] * self.grid[1] * 256)
        self.up1 = ConvTranspose2dSame(256, 128, 3, stride=2)
        self.up2 = ConvTranspose2dSame(128, 64, 3, stride=2)
        self.up3 = ConvTranspose2dSame(64, 3, 3, stride=2)
        self.output = output_layer(config.output)
        keras_init(self)

    def render(self, landmarks: torch.Tensor, *_: torch.Tensor) -> torch.Tensor:
        """Landmarks (B, 33, 2) in [0, 1] -> images (B, 3, H, W) in [-1, 1]; a background is ignored."""
        return self(landmarks.flatten(1))

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Landmarks in [0, 1] (B, 66) -> images (B, 3, H, W) in [-1, 1]."""
        x = F.relu(self.hidden(numbers))  # (B, 256)
        x = self.expand(x).unflatten(1, (256, *self.grid))  # (B, 256, H / 8, W / 8)
        x = F.relu(self.up1(x))  # (B, 128, H / 4, W / 4)
        x = F.relu(self.up2(x))  # (B, 64, H / 2, W / 2)
        return self.output(self.up3(x))  # (B, 3, H, W)


class DenseDiscriminator(nn.Module):
    """The original discriminator; its input is the image without the pose."""

    def __init__(self, config: DenseGanConfig) -> None:
        super().__init__()
        self.down1 = Conv2dSame(3, 64, 3, stride=2)
        self.down2 = Conv2dSame(64, 128, 3, stride=2)
        self.logit = nn.Linear(128 * (config.height // 4) * (config.width // 4), 1)
        keras_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, 3, H, W) in [-1, 1] -> logits (B, 1); the original's sigmoid is part of the loss."""
        x = F.leaky_relu(self.down1(images), SLOPE)  # (B, 64, H / 2, W / 2)
        x = F.leaky_relu(self.down2(x), SLOPE)  # (B, 128, H / 4, W / 4)
        return [self.logit(x.flatten(1))]
