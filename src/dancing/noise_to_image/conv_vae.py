"""The seed's VAE for digits, layer by layer: a grey picture of 28 x 28 px, a few numbers, the picture again.

Letters: B batch, Z latent_dim.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dancing.training.layers import Conv2dSame, ConvTranspose2dSame, keras_init
from dancing.training.variational import reparameterize

SIDE = 28  # px


@dataclass(frozen=True)
class ConvVaeConfig:
    latent_dim: int


class ConvVae(nn.Module):
    def __init__(self, config: ConvVaeConfig) -> None:
        super().__init__()
        self.config = config
        self.down1 = Conv2dSame(1, 32, 3, stride=2)
        self.down2 = Conv2dSame(32, 64, 3, stride=2)
        self.hidden = nn.Linear(7 * 7 * 64, 128)
        self.z_mean = nn.Linear(128, config.latent_dim)
        self.z_log_var = nn.Linear(128, config.latent_dim)
        self.spread = nn.Linear(config.latent_dim, 7 * 7 * 64)
        self.up1 = ConvTranspose2dSame(64, 64, 3, stride=2)
        self.up2 = ConvTranspose2dSame(64, 32, 3, stride=2)
        self.paint = ConvTranspose2dSame(32, 1, 3)
        keras_init(self)

    def encode(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (B, 1, 28, 28) in [-1, 1] -> mean and log-variance, (B, Z) each. The table's lie in [0, 1]."""
        x = F.relu(self.down1((pictures + 1) / 2))  # (B, 32, 14, 14)
        x = F.relu(self.down2(x))  # (B, 64, 7, 7)
        x = F.relu(self.hidden(x.flatten(1)))  # (B, 128)
        return self.z_mean(x), self.z_log_var(x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> logits of the pixels (B, 1, 28, 28); the table's sigmoid is part of the loss."""
        x = self.spread(z).unflatten(1, (64, 7, 7))
        x = F.relu(self.up1(x))  # (B, 64, 14, 14)
        x = F.relu(self.up2(x))  # (B, 32, 28, 28)
        return self.paint(x)

    def generate(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> the mean pictures (B, 1, 28, 28) in [-1, 1]."""
        return 2 * torch.sigmoid(self.decode(z)) - 1

    def forward(
        self, pictures: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Logits (B, 1, 28, 28), mean and log-variance (B, Z). `rng`, on the CPU, draws from the posterior; without it
        the mean is decoded."""
        mean, log_var = self.encode(pictures)
        return self.decode(mean if rng is None else reparameterize(mean, log_var, rng)), mean, log_var
