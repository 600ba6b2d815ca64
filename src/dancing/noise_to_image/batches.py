"""Batches of images for training. Letters: B batch, C channels, H x W image."""

import numpy as np
import torch
from torch import nn

from dancing.h5 import Split
from dancing.media.pixels import from_uint8
from dancing.noise_to_image.dataset import ImageDataset

#: Largest split, in bytes, that is kept in memory; a larger one is read from the file batch by batch.
IN_MEMORY = 2**28


def channels_last(model: nn.Module, device: torch.device) -> nn.Module:
    """Move a model to its device, with its weights in the memory format channels last, like the batches of `Images`.

    On CPUs a step of the digits' VAE takes half the time, and one of a GAN four fifths. The skeleton GAN, which has
    many layers with few channels, is slower in this format.
    """
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


class Images:
    """The images of a split, in batches on the device.

    Args:
        dataset: open.
        split: part of the dataset.
        device: that batches are moved to.
    """

    def __init__(self, dataset: ImageDataset, split: Split, device: torch.device) -> None:
        self.device, stored = device, dataset.stored(split)
        self.stored = stored[:] if stored.size <= IN_MEMORY else stored

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, rows: list[int]) -> torch.Tensor:
        """Return the images of these rows, (B, C, H, W) in [-1, 1]."""
        return from_uint8(np.stack([self.stored[row] for row in rows])).to(self.device)

    def random(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """Return `count` random images with replacement, (B, C, H, W) in [-1, 1]; `rng` is on the CPU."""
        return self.batch(torch.randint(len(self), (count,), generator=rng).tolist())

    def evenly_spaced(self, count: int) -> torch.Tensor:
        """Return at most `count` images, evenly spaced over the split: the same ones in every call."""
        return self.batch(torch.linspace(0, len(self) - 1, min(count, len(self))).long().tolist())
