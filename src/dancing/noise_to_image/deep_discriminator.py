"""A discriminator of our own for the seed's generators of small pictures. Letters: B batch, C channels, H x W picture.

The seed's for digits adds up what it thinks of patches of 7 x 7 px, so strokes need not go together to please it. This
one halves the picture until its shorter side is 4, and looks at all of that together. No batch norm and no
dropout: `gan.r1_weight` is what holds it back (Mescheder et al., Which Training Methods for GANs do actually Converge?,
ICML 2018).
"""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

from dancing.training.adversarial import Logits
from dancing.training.layers import he_init

CHANNELS, WIDEST = 32, 256  # of the first maps, doubled with each halving up to
GRID = 4  # px, at most, the shorter side of the last maps
SLOPE = 0.2

DiscriminatorKind = Literal["deep", "original"]  # ours, or the one that came with the generator


class DeepDiscriminator(nn.Module):
    def __init__(self, colours: int, height: int, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList()
        inputs, outputs = colours, CHANNELS
        while min(height, width) > GRID:
            self.down.append(nn.Conv2d(inputs, outputs, 3, stride=2, padding=1))
            height, width = (height + 1) // 2, (width + 1) // 2
            inputs, outputs = outputs, min(2 * outputs, WIDEST)
        self.hidden = nn.Linear(inputs * height * width, WIDEST)
        self.logit = nn.Linear(WIDEST, 1)
        he_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, C, H, W) in [-1, 1] -> logits (B, 1)."""
        x = images
        for down in self.down:
            x = F.leaky_relu(down(x), SLOPE)
        return [self.logit(F.leaky_relu(self.hidden(x.flatten(1)), SLOPE))]
