"""A small convolutional network whose features sets of images are compared in.

`train_features` trains it on the project's own images. Letters: B batch, C channels, H x W image, D = 30 C pooled
features.
"""

import torch
import torch.nn.functional as F
from torch import nn


class FeatureNet(nn.Module):
    """Four levels of convolutions, each with half the resolution and twice the channels of the one before.

    Without normalisation, which would remove differences in contrast, for example between sharp and blurred images.

    Args:
        channels: C, of the first level.

    Attributes:
        widths: channels of each level.
        pooled_size: D.
    """

    def __init__(self, channels: int = 12) -> None:
        super().__init__()
        self.widths = [channels * 2**level for level in range(4)]
        self.levels = nn.ModuleList([nn.Sequential(*_conv(3, channels))])
        for inputs, outputs in zip(self.widths, self.widths[1:], strict=False):
            self.levels.append(nn.Sequential(*_conv(inputs, outputs, stride=2), *_conv(outputs, outputs)))
        self.pooled_size = 2 * sum(self.widths)

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """Return the output of every level, fine to coarse.

        Args:
            images: (B, 3, H, W) in [-1, 1]; H and W multiples of 8.

        Returns:
            (B, C, H, W), (B, 2C, H / 2, W / 2), (B, 4C, H / 4, W / 4), (B, 8C, H / 8, W / 8).
        """
        layers = [images]
        for level in self.levels:
            layers.append(level(layers[-1]))
        return layers[1:]

    def pooled(self, images: torch.Tensor, where: torch.Tensor) -> torch.Tensor:
        """Return the weighted mean and standard deviation of every channel of every level.

        Args:
            images: (B, 3, H, W) in [-1, 1]; H and W multiples of 8.
            where: (B, 1, H, W) weight of each pixel, at least 0 and not 0 everywhere.

        Returns:
            (B, D) all means, then all standard deviations.
        """
        means, deviations = [], []
        for layer in self(images):
            share = F.adaptive_avg_pool2d(where, layer.shape[-2:])
            share = share / share.sum(dim=(2, 3), keepdim=True)
            mean = (layer * share).sum(dim=(2, 3), keepdim=True)  # (B, C, 1, 1)
            variance = ((layer - mean) ** 2 * share).sum(dim=(2, 3))
            means.append(mean.flatten(1))
            deviations.append((variance + 1e-6).sqrt())
        return torch.cat([*means, *deviations], dim=1)


def _conv(inputs: int, outputs: int, stride: int = 1) -> tuple[nn.Module, nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
    nn.init.kaiming_normal_(conv.weight, a=0.2)
    nn.init.zeros_(conv.bias)  # type: ignore[arg-type]
    return conv, nn.LeakyReLU(0.2)
