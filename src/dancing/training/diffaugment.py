"""Differentiable augmentation of a discriminator's inputs. Letters: B batch, C channels, H x W image."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

HOLE_THRESHOLD = 0.4  # of a uniform number in [-1, 1]: 3 batches in 10 have a hole
MAX_BRIGHTNESS, MAX_SATURATION, MAX_CONTRAST = 0.3, 0.5, 0.3  # largest changes
HOLE_DIVISOR, SHIFT_DIVISOR = 3, 8  # holes are a third of the image in size; shifts are at most an eighth


@dataclass(frozen=True)
class DiffAugment:
    """One random change of colour and position, for all of a discriminator's inputs in one step.

    Real images, fake images and the maps that belong to them are changed alike, and gradients flow through, so that the
    discriminator cannot memorise a small training set (Zhao et al., Differentiable Augmentation for Data-Efficient GAN
    Training, NeurIPS 2020).

    Attributes:
        brightness: added to images in [-1, 1].
        saturation: factor of the difference from grey.
        contrast: factor of the difference from the image's mean.
        shift: px to the right and down; zeros come in from outside.
        hole: left, top, right and bottom, px, of a box that is set to 0; None: no box.
    """

    brightness: float
    saturation: float
    contrast: float
    shift: tuple[int, int]
    hole: tuple[int, int, int, int] | None

    @classmethod
    def random(cls, height: int, width: int, rng: torch.Generator) -> "DiffAugment":
        """Return a random change for images of this size, px; `rng` is on the CPU."""
        colours, hides, *amounts = (2 * torch.rand(9, generator=rng) - 1).tolist()
        if colours < 0:
            amounts[:3] = 0, 0, 0
        brightness, saturation, contrast, x, y, left, top = amounts
        left, top = round((left + 1) / 3 * width), round((top + 1) / 3 * height)  # up to two thirds of each side
        hole_width, hole_height = width // HOLE_DIVISOR, height // HOLE_DIVISOR
        hole = (left, top, left + hole_width, top + hole_height) if hides > HOLE_THRESHOLD else None
        shift = round(x * width / SHIFT_DIVISOR), round(y * height / SHIFT_DIVISOR)
        return cls(
            MAX_BRIGHTNESS * brightness, 1 + MAX_SATURATION * saturation, 1 + MAX_CONTRAST * contrast, shift, hole
        )  # fmt: skip

    def images(self, images: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, H, W) with their colours changed, then as `maps`: the same shape."""
        grey = images.mean(dim=1, keepdim=True)
        images = torch.lerp(grey, images, self.saturation)
        mean = images.mean(dim=(1, 2, 3), keepdim=True)
        return self.maps(torch.lerp(mean, images, self.contrast) + self.brightness)

    def maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps (B, C, H, W) that belong to the images, shifted and with the hole: the same shape."""
        (x, y), (height, width) = self.shift, maps.shape[-2:]
        maps = F.pad(maps, (x, -x, y, -y))  # negative padding crops
        if self.hole:
            left, top, right, bottom = self.hole
            mask = maps.new_ones(height, width)
            mask[top:bottom, left:right] = 0
            maps = maps * mask
        return maps
