"""The loss of the VAE of images. Letters: B batch, C channels, H x W image, Z latent_dim."""

import torch
import torch.nn.functional as F

from dancing.training.epochs import Scalars
from dancing.training.variational import kl_to_normal


class ImageVaeLoss:
    """The negative bound on the likelihood of images, in nats: cross-entropy summed over pixels, and the KL term.

    Kingma and Welling, 2014. The original code takes means over pixels and over latents, which changes their balance by
    784 : 16.
    """

    def __init__(self, kl_weight: float) -> None:
        self.kl_weight = kl_weight

    def parts(
        self, logits: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, pictures: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each picture, (B,) each: cross-entropy and KL."""
        entropy = F.binary_cross_entropy_with_logits(logits, (pictures + 1) / 2, reduction="none")
        return entropy.flatten(1).sum(dim=1), kl_to_normal(mean, log_var).sum(dim=1)

    def __call__(
        self, logits: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, pictures: torch.Tensor, warmup: float
    ) -> Scalars:
        """logits and pictures in [-1, 1] (B, C, H, W), mean and log_var (B, Z); warmup in [0, 1] scales the KL weight.
        Averaged over the batch."""
        reconstruction, kl = (part.mean() for part in self.parts(logits, mean, log_var, pictures))
        return {"total": reconstruction + warmup * self.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}
