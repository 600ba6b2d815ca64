"""Interfaces between training loops and tasks. A task is one system's data, models and losses."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from dancing.training.epochs import Samples, Scalars


class VaeTask(Protocol):
    """Interface between the VAE loop and its task."""

    device: torch.device
    model: nn.Module  # on the device
    content: dict[str, Any]  # of a checkpoint, beside the weights: plain values
    cosine_decay: bool  # whether the learning rate falls to 0 over the training

    def losses(self, rng: torch.Generator, kl_warmup: float) -> Scalars:
        """Return the losses of a random training batch; "total" is minimised. `kl_warmup` in [0, 1] scales the KL."""
        ...

    def validate(self) -> dict[str, float]:
        """Return losses on the validation part, "val_total" among them, with the KL term at full weight."""
        ...

    def samples(self) -> Samples:
        """Return outputs for the same held-out inputs after each epoch."""
        ...


@dataclass(frozen=True)
class GanBatch:
    """A batch for both players. Letters: B batch, C channels, H x W image."""

    real: tuple[torch.Tensor, ...]  # what the discriminator is given: images (B, C, H, W), and what they belong to
    fake: tuple[torch.Tensor, ...]  # the same with the generator's images, which carry their graph
    #: What the generator minimises beside the adversarial loss: name -> weight and loss.
    aux_losses: dict[str, tuple[float, torch.Tensor]] = field(default_factory=dict)


class GanTask(Protocol):
    """Interface between the GAN loop and its task."""

    device: torch.device
    generator: nn.Module  # on the device
    discriminator: nn.Module  # images and what they belong to -> adversarial.Logits
    content: dict[str, Any]  # of a checkpoint, beside the weights: plain values
    cosine_decay: bool  # whether the learning rates fall to 0 over the training
    best_by: str | None  # the validation loss whose least value makes best.pt; None: the last epoch does

    def batch(self, rng: torch.Generator) -> GanBatch:
        """Return a random training batch."""
        ...

    def recalibrate(self, generator: nn.Module) -> None:
        """Prepare averaged weights for use, before each validation: batch norms need statistics of their own."""
        ...

    def validate(self, generator: nn.Module) -> dict[str, float]:
        """Return named figures of the generator with averaged weights on the validation part."""
        ...

    def samples(self, generator: nn.Module) -> Samples:
        """Return images for the same inputs after each epoch."""
        ...
