"""What all VAEs share: sampling the posterior, and its KL divergence from the prior.

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014.
"""

import torch

from dancing.training.processes import randn
from dancing.training.transfer import send


def reparameterize(
    mean: torch.Tensor, log_var: torch.Tensor, rng: torch.Generator, temperature: float = 1.0
) -> torch.Tensor:
    """Return a sample of N(mean, exp(log_var)) that gradients flow through.

    Args:
        mean: any shape.
        log_var: of the same shape.
        rng: on the CPU.
        temperature: factor of the standard deviation.
    """
    return mean + temperature * send(randn(mean.shape, rng), mean.device) * torch.exp(0.5 * log_var)


def kl_to_normal(mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    """Return KL(N(mean, exp(log_var)) || N(0, 1)) of each element, in nats (appendix B of the paper)."""
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)
