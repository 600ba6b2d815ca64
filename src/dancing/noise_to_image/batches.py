"""Batches of pictures for the loops that learn to draw from numbers alone. Letters: B batch, C channels, H x W."""

import torch
from torch import nn

from dancing.clips.dataset import Split
from dancing.noise_to_image.dataset import ImageDataset

#: Bytes of a split that are kept in memory; larger ones are read from the file, batch by batch.
IN_MEMORY = 2**28


def placed(model: nn.Module, device: torch.device) -> nn.Module:
    """The model on its device, channels last in its weights as in the batches below: on CPUs that halves a step of the
    digits' VAE and saves a fifth of a GAN's. (The skeleton GAN, with its many narrow layers, loses by it.)"""
    return model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


class Images:
    """The pictures of a split, and random batches of them."""

    def __init__(self, dataset: ImageDataset, split: Split, device: torch.device) -> None:
        self.device, stored = device, dataset.stored(split)
        self.stored = stored[:] if stored.size <= IN_MEMORY else stored

    def __len__(self) -> int:
        return len(self.stored)

    def batch(self, rows: list[int]) -> torch.Tensor:
        """(B, C, H, W) in [-1, 1]."""
        pixels = torch.stack([torch.from_numpy(self.stored[row]) for row in rows])
        return pixels.to(self.device).permute(0, 3, 1, 2).float() / 127.5 - 1

    def random(self, count: int, rng: torch.Generator) -> torch.Tensor:
        """So many, each drawn from all."""
        return self.batch(torch.randint(len(self), (count,), generator=rng).tolist())

    def spread(self, count: int) -> torch.Tensor:
        """At most so many, evenly spaced over the split: always the same ones."""
        return self.batch(torch.linspace(0, len(self) - 1, min(count, len(self))).long().tolist())
