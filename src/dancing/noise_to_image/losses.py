"""The loss of the VAE of images. Letters: B batch, C channels, H x W image, Z latent_dim."""

import torch
import torch.nn.functional as F

from dancing.training.processes import Scalars
from dancing.training.variational import kl_to_normal


class ImageVaeLoss:
    """The negative evidence lower bound (ELBO) in nats: cross-entropy summed over pixels, and the KL term.

    Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014. The original code averages over pixels and over
    latent dimensions instead, which changes their balance by 784 : 16.
    """

    def __init__(self, kl_weight: float) -> None:
        self.kl_weight = kl_weight

    def parts(
        self, logits: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, images: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the cross-entropy and the KL divergence of each image, (B,) nats each.

        Args:
            logits: (B, C, H, W), decoded.
            mean: (B, Z), of the posterior.
            log_var: (B, Z), of the posterior.
            images: (B, C, H, W) in [-1, 1].
        """
        entropy = F.binary_cross_entropy_with_logits(logits, (images + 1) / 2, reduction="none")
        return entropy.flatten(1).sum(dim=1), kl_to_normal(mean, log_var).sum(dim=1)

    def __call__(
        self, logits: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, images: torch.Tensor, warmup: float
    ) -> Scalars:
        """Return "total", "reconstruction" and "kl", in nats an image, averaged over the batch.

        Args:
            logits: (B, C, H, W), decoded.
            mean: (B, Z), of the posterior.
            log_var: (B, Z), of the posterior.
            images: (B, C, H, W) in [-1, 1].
            warmup: factor of the KL weight, in [0, 1].
        """
        reconstruction, kl = (part.mean() for part in self.parts(logits, mean, log_var, images))
        return {"total": reconstruction + warmup * self.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}
