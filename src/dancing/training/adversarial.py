"""Losses and regularisers of generator and discriminator. Letters: B batch, C channels, H x W image."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

#: A discriminator's output: logits of each of its scales, (B, 1) for images or (B, 1, h, w) for patches.
Logits = list[torch.Tensor]
#: A discriminator whose inputs beside the images are given.
Critic = Callable[[torch.Tensor], Logits]


class GanLoss:
    """What discriminator and generator minimise, from the discriminator's logits; the mean over its scales.

    "bce": Goodfellow et al., 2014, the generator's part non-saturating. "hinge": Lim and Ye, 2017. "wgan_gp": Gulrajani
    et al., 2017; its `gradient_penalty` is apart.
    """

    def __init__(self, kind: Literal["bce", "hinge", "wgan_gp"]) -> None:
        self.kind = kind

    def discriminator(self, real: Logits, fake: Logits) -> torch.Tensor:
        """Return the discriminator's loss, a scalar."""
        return torch.stack([self._separation(r, f) for r, f in zip(real, fake, strict=True)]).mean()

    def _separation(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        if self.kind == "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        if self.kind == "wgan_gp":
            return fake.mean() - real.mean()
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def score(self, outputs: Logits) -> torch.Tensor:
        """Return how real images look, the mean over all logits: a probability for "bce", else as they are."""
        scores = [logits.sigmoid().mean() if self.kind == "bce" else logits.mean() for logits in outputs]
        return torch.stack(scores).mean()

    def generator(self, fake: Logits) -> torch.Tensor:
        """Return the generator's loss, a scalar."""
        losses = [F.softplus(-logits).mean() if self.kind == "bce" else -logits.mean() for logits in fake]
        return torch.stack(losses).mean()


def gradient_penalty(critic: Critic, images: torch.Tensor) -> torch.Tensor:
    """Return the squared distance from 1 of the gradient's norm at images (B, C, H, W) between real and fake.

    Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017.
    """
    images = images.detach().requires_grad_()
    scores = torch.stack([logits.flatten(1).mean(dim=1) for logits in critic(images)]).sum()
    (gradient,) = torch.autograd.grad(scores, images, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def r1_penalty(critic: Critic, images: torch.Tensor) -> torch.Tensor:
    """Return the squared gradient at real images (B, C, H, W), the mean over images and over a scale's patches.

    Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML 2018. Without it a discriminator that
    has memorised few real images grows ever steeper, until its gradient is noise to the generator.
    """
    images = images.detach().requires_grad_()
    scores = [logits.sum() / logits[0].numel() ** 0.5 for logits in critic(images)]
    (gradient,) = torch.autograd.grad(torch.stack(scores).sum(), images, create_graph=True)
    return gradient.square().sum() / len(images)
