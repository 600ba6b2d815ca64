"""Interfaces between training loops and tasks. A task holds one system's data, models and losses."""

from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import nn

from dancing.training.compute import Compute
from dancing.training.epochs import Samples
from dancing.training.processes import Scalars


class VaeTask(Protocol):
    """Interface between the VAE loop and its task.

    Attributes:
        compute: what the model is trained with.
        model: the VAE.
        content: plain values that a checkpoint holds beside the weights.
        cosine_decay: whether the learning rate falls to 0 over the training.
    """

    compute: Compute
    model: nn.Module
    content: dict[str, Any]
    cosine_decay: bool

    def losses(self, rng: torch.Generator, kl_warmup: float) -> Scalars:
        """Return the losses of a random training batch, or of this process's share of it; "total" is minimised.

        Args:
            rng: on the CPU; the only source of randomness. A `processes.SharedRng` in training.
            kl_warmup: factor of the KL term, in [0, 1].
        """
        ...

    def validate(self) -> dict[str, float]:
        """Return losses on the validation part, among them "val_total", with the KL term at its full weight."""
        ...

    def samples(self) -> Samples:
        """Return outputs for fixed held-out inputs, so that epochs compare."""
        ...


@dataclass(frozen=True)
class GanBatch:
    """One batch for discriminator and generator. Letters: B batch, C channels, H x W image.

    Attributes:
        real: the discriminator's inputs for real images: the images (B, C, H, W), then any conditioning.
        fake: the same for generated images, through which gradients flow to the generator.
        aux_losses: losses that the generator minimises beside the adversarial one: name -> weight, scalar loss.
    """

    real: tuple[torch.Tensor, ...]
    fake: tuple[torch.Tensor, ...]
    aux_losses: dict[str, tuple[float, torch.Tensor]] = field(default_factory=dict)


class GanTask(Protocol):
    """Interface between the GAN loop and its task.

    Attributes:
        compute: what the networks are trained with.
        generator: the network that is averaged and kept.
        discriminator: takes the tensors of `GanBatch.real` or `GanBatch.fake` and returns `adversarial.Logits`.
        content: plain values that a checkpoint holds beside the weights.
        cosine_decay: whether the learning rates fall to 0 over the training.
        best_by: name of the validation loss whose lowest value makes best.pt; None: best.pt is the last epoch.
    """

    compute: Compute
    generator: nn.Module
    discriminator: nn.Module
    content: dict[str, Any]
    cosine_decay: bool
    best_by: str | None

    def batch(self, rng: torch.Generator) -> GanBatch:
        """Return a random training batch, or this process's share of it.

        Args:
            rng: on the CPU; the only source of randomness beside dropout. A `processes.SharedRng` in training.
        """
        ...

    def recalibrate(self, generator: nn.Module) -> None:
        """Recompute batch norm statistics in place, for a generator whose weights were averaged."""
        ...

    def validate(self, generator: nn.Module) -> dict[str, float]:
        """Return named scores, each with the prefix "val_", of a generator with averaged weights."""
        ...

    def samples(self, generator: nn.Module) -> Samples:
        """Return images for fixed inputs, so that epochs compare."""
        ...
