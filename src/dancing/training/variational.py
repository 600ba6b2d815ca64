"""What all VAEs share: sampling from a posterior, and its divergence from the prior."""

import torch


def reparameterize(
    mean: torch.Tensor, log_var: torch.Tensor, rng: torch.Generator, temperature: float = 1.0
) -> torch.Tensor:
    """A sample of N(mean, exp(log_var)), both of any shape; `rng` is on the CPU, temperature scales the spread."""
    return mean + temperature * torch.randn(mean.shape, generator=rng).to(mean.device) * torch.exp(0.5 * log_var)


def kl_to_normal(mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) in nats, per element (Kingma and Welling, 2014, appendix B)."""
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)
