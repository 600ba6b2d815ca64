"""Augmentation of what a discriminator is given. Letters: B batch, C channels, H x W image."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

HOLE_THRESHOLD = 0.4  # of a number in [-1, 1]: three batches in ten have a hole


@dataclass(frozen=True)
class DiffAugment:
    """One differentiable change of colours and place for everything that a discriminator is given in a step.

    Real and fake images, and the pose maps beside them, are changed alike, so that it can't memorise the few real ones
    (Zhao et al., Differentiable Augmentation for Data-Efficient GAN Training, NeurIPS 2020).
    """

    brightness: float  # added
    saturation: float  # factor of the distance from grey
    contrast: float  # factor of the distance from the image's mean
    shift: tuple[int, int]  # px, to the right and down
    hole: tuple[int, int, int, int] | None  # left, top, right, bottom, px: hidden

    @classmethod
    def random(cls, height: int, width: int, rng: torch.Generator) -> "DiffAugment":
        """Choose a change for images of this size."""
        colours, hides, *amounts = (2 * torch.rand(9, generator=rng) - 1).tolist()
        if colours < 0:
            amounts[:3] = 0, 0, 0
        brightness, saturation, contrast, x, y, left, top = amounts
        left, top = round((left + 1) / 3 * width), round((top + 1) / 3 * height)
        hole = (left, top, left + width // 3, top + height // 3) if hides > HOLE_THRESHOLD else None
        shift = round(x * width / 8), round(y * height / 8)
        return cls(0.3 * brightness, 1 + 0.5 * saturation, 1 + 0.3 * contrast, shift, hole)

    def images(self, images: torch.Tensor) -> torch.Tensor:
        """Change images (B, C, H, W) -> the same shape."""
        grey = images.mean(dim=1, keepdim=True)
        images = torch.lerp(grey, images, self.saturation)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return self.maps(torch.lerp(mean, images, self.contrast) + self.brightness)

    def maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Move and hide parts of anything (B, C, H, W) that lies over the images."""
        (x, y), (height, width) = self.shift, maps.shape[-2:]
        maps = F.pad(maps, (x, -x, y, -y))  # where it is negative, cut off
        if self.hole:
            left, top, right, bottom = self.hole
            mask = maps.new_ones(height, width)
            mask[top:bottom, left:right] = 0
            maps = maps * mask
        return maps
