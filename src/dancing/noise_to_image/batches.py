"""Batches of images for training. Letters: B batch, C channels, H x W image."""

import numpy as np
import torch

from dancing.h5 import Split
from dancing.media.pixels import from_uint8
from dancing.noise_to_image.dataset import ImageDataset
from dancing.training.processes import randint
from dancing.training.transfer import resident, send

#: Largest split, in bytes, that is kept in memory; a larger one is read from the file batch by batch.
IN_MEMORY = 2**28
AT_ONCE = 1024  # images read on their way to a GPU


class Images:
    """The images of a split, in batches on the device.

    Args:
        dataset: open.
        split: part of the dataset.
        device: that batches are moved to.
    """

    def __init__(self, dataset: ImageDataset, split: Split, device: torch.device) -> None:
        self.device, stored = device, dataset.stored(split)
        parts = (stored[first : first + AT_ONCE] for first in range(0, len(stored), AT_ONCE))
        self.resident = resident(parts, stored.size, device)
        self.stored = stored[:] if self.resident is None and stored.size <= IN_MEMORY else stored

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, rows: list[int]) -> torch.Tensor:
        """Return the images of these rows, (B, C, H, W) in [-1, 1]."""
        if self.resident is not None:
            return from_uint8(self.resident[send(torch.tensor(rows), self.device)])
        return from_uint8(send(np.stack([self.stored[row] for row in rows]), self.device))

    def random(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """Return `count` random images with replacement, (B, C, H, W) in [-1, 1]; `rng` is on the CPU."""
        return self.batch(randint(len(self), count, rng).tolist())

    def evenly_spaced(self, count: int) -> torch.Tensor:
        """Return at most `count` images, evenly spaced over the split: the same ones in every call."""
        return self.batch(torch.linspace(0, len(self) - 1, min(count, len(self))).long().tolist())
