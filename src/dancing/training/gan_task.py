"""What a GAN's loop asks of what it trains: `Game`, a turn of which is a `Turn`."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch


@dataclass(frozen=True)
class Turn:
    """What a step is about. Letters: B batch, H x W picture."""

    real: tuple[torch.Tensor, ...]  # what the discriminator sees: pictures (B, C, H, W), and what it judges them by
    fake: tuple[torch.Tensor, ...]  # the same of the generator's pictures
    likeness: dict[str, tuple[float, torch.Tensor]]  # what else the generator minimises: name -> weight and loss


class Game(Protocol):
    """Generator and discriminator, what they play with, and how it is seen how well it goes."""

    player: Any  # the generator, on its device
    critic: Any  # the discriminator: pictures and what they are judged by -> losses.Judged
    content: dict[str, Any]  # of a checkpoint, beside the weights: plain values and tensors
    cooled: bool  # learning rates fall to 0 over the training
    feature_weight: float  # of feature matching, where real and fake pictures belong together; else 0
    best_by: str | None  # the validation loss whose least value makes best.pt; None: it is the last

    def turn(self, rng: torch.Generator) -> Turn:
        """A batch, the generator's pictures with their graph, and what they should be like."""
        ...

    def settle(self, player: Any) -> None:
        """Before the averaged weights are used: mend what averaging weights leaves wrong."""
        ...

    def validate(self, player: Any) -> dict[str, float]:
        """Named figures of the generator, averaged weights, on the validation part."""
        ...

    def samples(self, player: Any) -> dict[str, np.ndarray]:
        """What is drawn of the same inputs after each epoch."""
        ...
