"""The seed's generator for `CNNParamTanh`: a VAE of convolutions, and the critic that is like its encoder.

Kingma and Welling, 2014; as the generator of a GAN: Larsen et al., Autoencoding beyond pixels, ICML 2016. The seed
gives kinds of layers, 128 x 128 px and a batch of 16; the widths are ours.
Letters: B batch, Z latent_dim, H x W picture.
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from dancing.training.adversarial import Logits
from dancing.training.layers import he_init
from dancing.training.param_tanh import Output, output_layer

CHANNELS = (16, 32, 64, 128)  # after each max pooling
STEP = 2 ** len(CHANNELS)  # what height and width must be multiples of


@dataclass(frozen=True)
class VaeGanConfig:
    height: int
    width: int
    latent_dim: int
    output: Output

    @property
    def noise(self) -> int:
        return self.latent_dim

    @property
    def categories(self) -> int:
        return 0  # its prior is the normal one

    @property
    def grid(self) -> tuple[int, int]:
        """The coarsest map's size, 8 x 8 at 128 px."""
        return self.height // STEP, self.width // STEP

    @property
    def flat(self) -> int:
        return CHANNELS[-1] * self.grid[0] * self.grid[1]


class Downward(nn.Sequential):
    """Convolution, ReLU and max pooling, four times: (B, 3, H, W) -> (B, 128, H / 16, W / 16).

    No batch norm: a critic with a gradient penalty must judge each picture by itself."""

    def __init__(self) -> None:
        super().__init__()
        for inputs, outputs in pairwise((3, *CHANNELS)):
            self.extend([nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)])


class VaeGenerator(nn.Module):
    def __init__(self, config: VaeGanConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Downward()
        # No ReLU on either, which the seed's code has: a mean may be negative, and so may a log-variance.
        self.z_mean, self.z_log_var = (nn.Linear(config.flat, config.latent_dim) for _ in range(2))
        self.spread = nn.Linear(config.latent_dim, config.flat)
        sizes = (*reversed(CHANNELS), 3)
        self.up = nn.ModuleList(nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in pairwise(sizes))
        he_init(self)
        nn.init.zeros_(self.z_log_var.weight)  # at first every deviation is 1, whatever the picture
        self.output = output_layer(config.output)

    def encode(self, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Pictures (B, 3, H, W) in [-1, 1] -> mean and log-variance, (B, Z) each."""
        seen = self.encoder(pictures).flatten(1)
        return self.z_mean(seen), self.z_log_var(seen)

    def before_output(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> what the last layer is given, (B, 3, H, W), unbounded."""
        x = F.relu(self.spread(z)).unflatten(1, (CHANNELS[-1], *self.config.grid))
        *shallow, last = self.up
        for up in shallow:
            x = F.relu(up(x))
        return last(x)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> pictures (B, 3, H, W) in [-1, 1]."""
        return self.output(self.before_output(z))


class VaeCritic(nn.Module):
    def __init__(self, config: VaeGanConfig) -> None:
        super().__init__()
        self.body = Downward()
        self.score = nn.Linear(config.flat, 1)
        he_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, 3, H, W) -> unbounded scores (B, 1)."""
        return [self.score(self.body(images).flatten(1))]
