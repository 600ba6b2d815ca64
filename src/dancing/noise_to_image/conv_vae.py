"""The original VAE for digits, layer by layer, for grey images of 28 x 28 px.

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014. Letters: B batch, Z latent_dim.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dancing.training.layers import Conv2dSame, ConvTranspose2dSame, keras_init
from dancing.training.variational import reparameterize

SIDE = 28  # px
GRID = SIDE // 4  # px, side of the smallest feature map


@dataclass(frozen=True)
class ConvVaeConfig:
    """Sizes of the digits' VAE.

    Attributes:
        latent_dim: Z.
    """

    latent_dim: int


class ConvVae(nn.Module):
    """The VAE for digits, `vae.model: conv`."""

    def __init__(self, config: ConvVaeConfig) -> None:
        super().__init__()
        self.config = config
        self.down1 = Conv2dSame(1, 32, 3, stride=2)
        self.down2 = Conv2dSame(32, 64, 3, stride=2)
        self.hidden = nn.Linear(GRID * GRID * 64, 128)
        self.z_mean = nn.Linear(128, config.latent_dim)
        self.z_log_var = nn.Linear(128, config.latent_dim)
        self.expand = nn.Linear(config.latent_dim, GRID * GRID * 64)
        self.up1 = ConvTranspose2dSame(64, 64, 3, stride=2)
        self.up2 = ConvTranspose2dSame(64, 32, 3, stride=2)
        self.to_image = ConvTranspose2dSame(32, 1, 3)
        keras_init(self)

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the posterior's mean and log-variance, (B, Z) each, of images (B, 1, 28, 28) in [-1, 1]."""
        x = F.relu(self.down1((images + 1) / 2))  # (B, 32, 14, 14); the original's images are in [0, 1]
        x = F.relu(self.down2(x))  # (B, 64, 7, 7)
        x = F.relu(self.hidden(x.flatten(1)))  # (B, 128)
        return self.z_mean(x), self.z_log_var(x)

    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> logits of pixels (B, 1, 28, 28); the original's sigmoid is part of the loss."""
        x = self.expand(z).unflatten(1, (64, GRID, GRID))
        x = F.relu(self.up1(x))  # (B, 64, 14, 14)
        x = F.relu(self.up2(x))  # (B, 32, 28, 28)
        return self.to_image(x)

    def generate(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> mean images (B, 1, 28, 28) in [-1, 1]."""
        return 2 * torch.sigmoid(self.decode(z)) - 1

    def forward(
        self, images: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return logits of pixels (B, 1, 28, 28), and the posterior's mean and log-variance, (B, Z) each.

        Args:
            images: (B, 1, 28, 28) in [-1, 1].
            rng: on the CPU, to sample the posterior; None: its mean is decoded.
        """
        mean, log_var = self.encode(images)
        return self.decode(mean if rng is None else reparameterize(mean, log_var, rng)), mean, log_var
