"""Batches of images. Letters: B batch, C channels, H x W image."""

import numpy as np
import torch
from torch import nn

from dancing.h5 import Split
from dancing.media.pixels import from_uint8
from dancing.noise_to_image.dataset import ImageDataset

#: Bytes of a split that are kept in memory; larger ones are read from the file, batch by batch.
IN_MEMORY = 2**28


def channels_last(model: nn.Module, device: torch.device) -> nn.Module:
    """Return the model on its device, its weights channels last like the batches below.

    On CPUs that halves a step of the digits' VAE and saves a fifth of a GAN's. (The skeleton GAN, with its many narrow
    layers, is slower with it.)
    """
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class Images:
    """The images of a split, and random batches of them."""

    def __init__(self, dataset: ImageDataset, split: Split, device: torch.device) -> None:
        self.device, stored = device, dataset.stored(split)
        self.stored = stored[:] if stored.size <= IN_MEMORY else stored

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, rows: list[int]) -> torch.Tensor:
        """Return these images, (B, C, H, W) in [-1, 1]."""
        return from_uint8(np.stack([self.stored[row] for row in rows])).to(self.device)

    def random(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """Return `count` images, each chosen from all."""
        return self.batch(torch.randint(len(self), (count,), generator=rng).tolist())

    def evenly_spaced(self, count: int) -> torch.Tensor:
        """Return at most `count` images, evenly spaced over the split: always the same ones."""
        return self.batch(torch.linspace(0, len(self) - 1, min(count, len(self))).long().tolist())
