"""Adversarial losses, and gradient penalties for discriminators. Letters: B batch, C channels, H x W image."""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

#: A discriminator's output: logits of each of its scales, (B, 1) for images or (B, 1, h, w) for patches.
Logits = list[torch.Tensor]
#: A discriminator as a function of the images alone: its other inputs are bound.
Critic = Callable[[torch.Tensor], Logits]


class GanLoss:
    """Losses of discriminator and generator as functions of the discriminator's logits, averaged over its scales.

    Attributes:
        kind: "bce", the non-saturating loss of Goodfellow et al., Generative Adversarial Nets, NeurIPS 2014; "hinge",
            Lim and Ye, Geometric GAN, 2017; "wgan_gp", Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS
            2017, without its penalty, which is `gradient_penalty`.
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
        """Return the mean output, a scalar that is larger for more realistic images.

        For "bce" it is a probability, else a logit.
        """
        scores = [logits.sigmoid().mean() if self.kind == "bce" else logits.mean() for logits in outputs]
        return torch.stack(scores).mean()

    def generator(self, fake: Logits) -> torch.Tensor:
        """Return the generator's loss, a scalar."""
        losses = [F.softplus(-logits).mean() if self.kind == "bce" else -logits.mean() for logits in fake]
        return torch.stack(losses).mean()


def gradient_penalty(critic: Critic, images: torch.Tensor) -> torch.Tensor:
    """Return the mean squared deviation of the critic's gradient norm from 1, a scalar.

    Gulrajani et al., Improved Training of Wasserstein GANs, NeurIPS 2017.

    Args:
        critic: the discriminator.
        images: (B, C, H, W), random interpolations between real and fake images.
    """
    images = images.detach().requires_grad_()
    scores = torch.stack([logits.flatten(1).mean(dim=1) for logits in critic(images)]).sum()
    (gradient,) = torch.autograd.grad(scores, images, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def r1_penalty(critic: Critic, images: torch.Tensor) -> torch.Tensor:
    """Return the mean squared norm of the critic's gradient at real images, a scalar.

    Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML 2018. Without it a discriminator that
    has memorised a small training set becomes ever steeper, and its gradient tells the generator nothing.

    Args:
        critic: the discriminator. The logits of a scale are divided by the square root of their number, so that the
            penalty does not grow with the number of patches.
        images: (B, C, H, W), real.
    """
    images = images.detach().requires_grad_()
    scores = [logits.sum() / logits[0].numel() ** 0.5 for logits in critic(images)]
    (gradient,) = torch.autograd.grad(torch.stack(scores).sum(), images, create_graph=True)
    return gradient.square().sum() / len(images)
