"""Our discriminator for the original generators of small images. Letters: B batch, C channels, H x W image.

The original discriminator for digits sums over patches of 7 x 7 px, so it is blind to global structure. This one halves
the image until its shorter side is 4 px, and a dense layer combines all positions. It has neither batch norm nor
dropout; `gan.r1_weight` regularises it (Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML
2018).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from dancing.training.adversarial import Logits
from dancing.training.layers import he_init

CHANNELS, MAX_CHANNELS = 32, 256  # of the first maps, doubled with each halving up to the maximum
GRID = 4  # px, largest shorter side of the last maps
SLOPE = 0.2  # of LeakyReLU

DiscriminatorKind = Literal["deep", "original"]  # ours, or the original of the generator


class DeepDiscriminator(nn.Module):
    """A discriminator of images of any size, `gan.discriminator: deep`."""

    def __init__(self, colours: int, height: int, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        inputs, outputs = colours, CHANNELS
        while min(height, width) > GRID:
            self.down.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
            height, width = (height + 1) // 2, (width + 1) // 2
            inputs, outputs = outputs, min(2 * outputs, MAX_CHANNELS)
        self.hidden = nn.Linear(inputs * height * width, MAX_CHANNELS)
        self.logit = nn.Linear(MAX_CHANNELS, 1)
        he_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, C, H, W) in [-1, 1] -> logits (B, 1)."""
        x = images
        for down in self.down:
            x = F.leaky_relu(down(x), SLOPE)
        return [self.logit(F.leaky_relu(self.hidden(x.flatten(1)), SLOPE))]
