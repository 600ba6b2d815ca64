"""Pose to picture by limb heatmaps: a U-shaped generator over a background plate, and a patch discriminator.

Letters: B batch, L limbs, C channels, H x W picture. The pose enters as a drawing of its limbs, so the network moves
what it sees rather than learning coordinates by heart. The plate (the scene without the dancer) is given; the generator
draws the dancer and a mask. U-shape: Ronneberger et al., 2015; patch discriminator: Isola et al., pix2pix, 2017.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dancing.skeleton import LIMBS, limb_heatmaps


@dataclass(frozen=True)
class SkeletonGanConfig:
    height: int
    width: int
    channels: int

    @property
    def thickness(self) -> float:
        """Standard deviation of a heatmap's stroke, px: about the radius of an arm of someone who fills the picture."""
        return max(min(self.height, self.width) / 48, 1.0)


_GROUPS = 4


def _conv(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    kernel = 4 if stride == 2 else 3
    # Groups, not instances: taking each channel's mean out loses colours, and spikes (seen as blobs) get round it.
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=1), nn.GroupNorm(_GROUPS, outputs), nn.SiLU()
    )


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner = nn.Sequential(_conv(channels, channels), nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.inner(x)


class Up(nn.Module):
    """Twice the size by nearest neighbour, then a convolution: no checkerboard, unlike a transposed convolution."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.conv = _conv(inputs + skip, outputs)

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        return self.conv(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skip], dim=1))


class SkeletonGenerator(nn.Module):
    plate: torch.Tensor  # (1, 3, H, W) in [-1, 1]

    def __init__(self, config: SkeletonGanConfig) -> None:
        super().__init__()
        self.config, c = config, config.channels
        self.down1 = _conv(len(LIMBS), c, stride=2)
        self.down2 = _conv(c, 2 * c, stride=2)
        self.down3 = _conv(2 * c, 4 * c, stride=2)
        self.middle = nn.Sequential(Residual(4 * c), Residual(4 * c))
        self.up2 = Up(4 * c, 2 * c, 2 * c)
        self.up1 = Up(2 * c, c, c)
        self.fine = nn.Conv2d(len(LIMBS), c // 2, 3, padding=1)  # the limbs at full size, for sharp edges
        self.up0 = Up(c, c // 2, c // 2)
        self.paint = nn.Conv2d(c // 2, 4, 3, padding=1)  # RGB and mask
        self.register_buffer("plate", torch.zeros(1, 3, config.height, config.width))

    def forward(self, landmarks: torch.Tensor) -> torch.Tensor:
        """Landmarks (B, 33, 2) in [0, 1] -> pictures (B, 3, H, W) in [-1, 1]."""
        limbs = limb_heatmaps(landmarks, self.config.height, self.config.width, self.config.thickness)  # (B, L, H, W)
        half = self.down1(limbs)  # (B, C, H / 2, W / 2)
        quarter = self.down2(half)  # (B, 2C, H / 4, W / 4)
        x = self.middle(self.down3(quarter))  # (B, 4C, H / 8, W / 8)
        x = self.up1(self.up2(x, quarter), half)  # (B, C, H / 2, W / 2)
        x = self.paint(self.up0(x, F.silu(self.fine(limbs))))  # (B, 4, H, W)
        mask = torch.sigmoid(x[:, 3:])
        return mask * torch.tanh(x[:, :3]) + (1 - mask) * self.plate


class PatchDiscriminator(nn.Module):
    """Judges every patch of a picture, knowing the pose that it should show.

    Beside the picture it is given the picture's fine detail, what a 3 x 3 blur takes away, made stronger: a blurred
    face differs from a sharp one in little else, and without it hundreds of steps go by before that is found.
    """

    DETAIL = 4.0

    def __init__(self, config: SkeletonGanConfig) -> None:
        super().__init__()
        self.config, c = config, config.channels
        self.layers = nn.ModuleList(
            nn.Conv2d(inputs, outputs, 4, stride=2, padding=1)
            for inputs, outputs in ((6 + len(LIMBS), c), (c, 2 * c), (2 * c, 4 * c))
        )
        for layer in self.layers:
            nn.init.kaiming_normal_(layer.weight, a=0.2)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.score = nn.Conv2d(4 * c, 1, 3, padding=1)

    def forward(self, landmarks: torch.Tensor, pictures: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Pictures (B, 3, H, W) of landmarks (B, 33, 2) -> logits (B, 1, H / 8, W / 8) and the layers' outputs."""
        limbs = limb_heatmaps(landmarks, self.config.height, self.config.width, self.config.thickness)
        blurred = F.avg_pool2d(pictures, 3, stride=1, padding=1, count_include_pad=False)
        x, features = torch.cat([pictures, self.DETAIL * (pictures - blurred), limbs], dim=1), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
        return self.score(x), features
