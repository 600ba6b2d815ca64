"""Output layers of generators: tanh, or a tanh with a learnt steepness for each region of the image.

Letters: B batch, C image channels, H x W image.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

Output = Literal["tanh", "param_tanh"]

FRAMES = 16  # of the synthetic video: NUM_FRAMES of the original model
GRID = 16  # rows and columns of the matrix of alphas
STEPS = (-3, -1, 1, 3)  # px by which the video's copies are shifted, in x and in y: 4 x 4 = FRAMES copies
#: Lower bound of alpha. Where alpha is near 0 the image is grey and passes no gradient back.
FLOOR = 0.2


class CnnParamTanh(nn.Module):
    """The original `CNNParamTanh`: tanh(alpha x), where a CNN predicts a matrix of alphas, one a region of the image.

    The CNN's input is a synthetic video: 16 copies of x, shifted by a few pixels and stacked as 16 C channels.
    alpha = softplus(cnn) + FLOOR, so it stays positive. At initialisation it is 1 everywhere, and the layer is a plain
    tanh.
    """

    def __init__(self, colours: int = 3, filters: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(FRAMES * colours, filters, 3, padding=1)
        self.alphas = nn.Linear(filters * GRID * GRID, GRID * GRID)
        nn.init.zeros_(self.alphas.weight)
        nn.init.constant_(self.alphas.bias, math.log(math.expm1(1 - FLOOR)))

    def video(self, x: torch.Tensor) -> torch.Tensor:
        """Return the shifted copies of x (B, C, H, W), stacked as (B, 16 C, H, W); edges are repeated."""
        height, width = x.shape[-2:]
        margin = max(STEPS)
        padded = F.pad(x, (margin, margin, margin, margin), mode="replicate")
        copies = [
            padded[..., margin + dy : margin + dy + height, margin + dx : margin + dx + width]
            for dy in STEPS
            for dx in STEPS
        ]
        return torch.cat(copies, dim=1)

    def alpha(self, x: torch.Tensor) -> torch.Tensor:
        """Return the factors (B, 1, 16, 16) of the regions of x (B, C, H, W)."""
        # At 128 px this equals max pooling by 8.
        pooled = F.adaptive_max_pool2d(F.relu(self.conv(self.video(x))), GRID)
        return F.softplus(self.alphas(pooled.flatten(1))).unflatten(1, (1, GRID, GRID)) + FLOOR

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) of at least 16 x 16 px -> the same shape, in (-1, 1)."""
        return torch.tanh(F.interpolate(self.alpha(x), x.shape[-2:], mode="bilinear", align_corners=False) * x)


def output_layer(kind: Output, colours: int = 3) -> nn.Module:
    """Return the output layer that `gan.output` names, for images of this many channels."""
    return CnnParamTanh(colours) if kind == "param_tanh" else nn.Tanh()
