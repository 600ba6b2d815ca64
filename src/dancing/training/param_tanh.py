"""How a generator ends: tanh, or a tanh whose steepness a small CNN chooses for each part of the picture.

Letters: B batch, C colours, H x W picture.
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import nn

Output = Literal["tanh", "param_tanh"]

FRAMES = 16  # of the synthetic video, the seed's NUM_FRAMES
GRID = 16  # alphas across and down
STEPS = (-3, -1, 1, 3)  # px by which the video's copies are moved, across and down
FLOOR = 0.2  # of alpha: near 0 a part of the picture is grey, and nothing that it could learn from gets through


class CnnParamTanh(nn.Module):
    """The seed's `CNNParamTanh`: tanh(alpha x), a CNN giving a matrix of alphas, one a part of the picture.

    The CNN sees a synthetic video of x, 16 copies that differ by small steps to the sides, stacked as 48 channels.
    alpha = softplus(cnn) + floor, so it is never negative; at first it is 1 everywhere, and this is a plain tanh.
    """

    def __init__(self, colours: int = 3, filters: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(FRAMES * colours, filters, 3, padding=1)
        self.alphas = nn.Linear(filters * GRID * GRID, GRID * GRID)
        nn.init.zeros_(self.alphas.weight)
        nn.init.constant_(self.alphas.bias, math.log(math.expm1(1 - FLOOR)))

    def video(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W) -> (B, 16 C, H, W), the copies one after another; what moves in from outside is the edge."""
        height, width = x.shape[-2:]
        reach = max(STEPS)
        wide = F.pad(x, (reach, reach, reach, reach), mode="replicate")
        copies = [
            wide[..., reach + down : reach + down + height, reach + across : reach + across + width]
            for down in STEPS
            for across in STEPS
        ]
        return torch.cat(copies, dim=1)

    def alpha(self, x: torch.Tensor) -> torch.Tensor:
        """What each part of the picture (B, C, H, W) is multiplied by, (B, 1, 16, 16)."""
        seen = F.adaptive_max_pool2d(F.relu(self.conv(self.video(x))), GRID)  # at 128 px max pooling by 8
        return F.softplus(self.alphas(seen.flatten(1))).unflatten(1, (1, GRID, GRID)) + FLOOR

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, C, H, W), any size from 16 px up -> the same shape, in (-1, 1)."""
        return torch.tanh(F.interpolate(self.alpha(x), x.shape[-2:], mode="bilinear", align_corners=False) * x)


def output_layer(kind: Output, colours: int = 3) -> nn.Module:
    """The layer by its name in `gan.output`."""
    return CnnParamTanh(colours) if kind == "param_tanh" else nn.Tanh()
