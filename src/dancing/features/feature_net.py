"""A small network that sees pictures as features: what a perceptual loss, or a distance between sets, is measured in.

`training/features.py` trains it on the project's own pictures. Nobody's weights are bundled, so what is measured in it
is called own-feature, never FID or KID. Letters: B batch, C channels, H x W picture, D = 30 C pooled features.
"""

import torch
import torch.nn.functional as F
from torch import nn


class FeatureNet(nn.Module):
    """Four levels of convolutions, each half as large as the one before and twice as wide.

    No normalisation anywhere: it would take out the contrast by which a blurred picture differs from a sharp one.
    """

    def __init__(self, channels: int = 12) -> None:
        super().__init__()
        self.widths = [channels * 2**level for level in range(4)]
        self.levels = nn.ModuleList([nn.Sequential(*_conv(3, channels))])
        for inputs, outputs in zip(self.widths, self.widths[1:], strict=False):
            self.levels.append(nn.Sequential(*_conv(inputs, outputs, stride=2), *_conv(outputs, outputs)))
        self.pooled_size = 2 * sum(self.widths)

    def forward(self, pictures: torch.Tensor) -> list[torch.Tensor]:
        """Pictures (B, 3, H, W) in [-1, 1], H and W multiples of 8 -> every level's output, fine to coarse.

        (B, C, H, W), (B, 2C, H / 2, W / 2), (B, 4C, H / 4, W / 4), (B, 8C, H / 8, W / 8).
        """
        layers = [pictures]
        for level in self.levels:
            layers.append(level(layers[-1]))
        return layers[1:]

    def pooled(self, pictures: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """One vector a picture, (B, D): every channel's mean and standard deviation, of all levels.

        where: (B, 1, H, W) how much a pixel counts, somewhere above 0.
        """
        means, spreads = [], []
        for layer in self(pictures):
            share = F.adaptive_avg_pool2d(where, layer.shape[-2:])
            share = share / share.sum(dim=(2, 3), keepdim=True)
            mean = (layer * share).sum(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
            variance = ((layer - mean) ** 2 * share).sum(dim=(2, 3))
            means.append(mean.flatten(1))
            spreads.append((variance + 1e-6).sqrt())
        return torch.cat([*means, *spreads], dim=1)


def _conv(inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation)
    nn.init.kaiming_normal_(conv.weight, a=0.2)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv, nn.LeakyReLU(0.2)
