"""The original generator for `CNNParamTanh`: a convolutional VAE, and a critic with the layers of its encoder.

Kingma and Welling, Auto-Encoding Variational Bayes, ICLR 2014. A VAE as the generator of a GAN: Larsen et al.,
Autoencoding beyond Pixels Using a Learned Similarity Metric, ICML 2016. The original specifies the kinds of layers,
128 x 128 px and a batch size of 16; the numbers of channels are ours. Letters: B batch, Z latent_dim, H x W image.
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
STEP = 2 ** len(CHANNELS)  # px; height and width are multiples of it


@dataclass(frozen=True)
class VaeGanConfig:
    """Sizes of the VAE-GAN.

    Attributes:
        height: of the image, px, a multiple of 16.
        width: of the image, px, a multiple of 16.
        latent_dim: Z.
        output: the generator's output layer.
    """

    height: int
    width: int
    latent_dim: int
    output: Output

    @property
    def noise(self) -> int:
        """Size of the generator's input: Z."""
        return self.latent_dim

    @property
    def categories(self) -> int:
        """Of the noise: none, as a VAE's prior is standard normal."""
        return 0

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of the smallest feature map, 8 x 8 at 128 px."""
        return self.height // STEP, self.width // STEP

    @property
    def flat(self) -> int:
        """How many numbers the smallest feature map has in all its channels."""
        return CHANNELS[-1] * self.grid[0] * self.grid[1]


class ConvEncoder(nn.Sequential):
    """Convolution, ReLU and max pooling, four times: (B, 3, H, W) -> (B, 128, H / 16, W / 16).

    It has no batch norm: with a gradient penalty, the critic's gradient of an image may not depend on the batch.
    """

    def __init__(self) -> None:
        super().__init__()
        for inputs, outputs in pairwise((3, *CHANNELS)):
            self.extend([nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)])


class VaeGenerator(nn.Module):
    """The VAE, `gan.model: vae`; as a generator it is its decoder."""

    def __init__(self, config: VaeGanConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = ConvEncoder()
        # The original has a ReLU after both layers. It is left out: means and log-variances may be negative.
        self.z_mean, self.z_log_var = (nn.Linear(config.flat, config.latent_dim) for _ in range(2))
        self.expand = nn.Linear(config.latent_dim, config.flat)
        sizes = (*reversed(CHANNELS), 3)
        self.up = nn.ModuleList(nn.ConvTranspose2d(before, after, 4, 2, 1) for before, after in pairwise(sizes))
        he_init(self)
        nn.init.zeros_(self.z_log_var.weight)  # at first the posterior's variance is 1 for all images
        self.output = output_layer(config.output)

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the posterior's mean and log-variance, (B, Z) each, of images (B, 3, H, W) in [-1, 1]."""
        x = self.encoder(images).flatten(1)
        return self.z_mean(x), self.z_log_var(x)

    def before_output(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> the unbounded input of the output layer, (B, 3, H, W)."""
        x = F.relu(self.expand(z)).unflatten(1, (CHANNELS[-1], *self.config.grid))
        *inner, last = self.up
        for up in inner:
            x = F.relu(up(x))
        return last(x)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Latents (B, Z) -> images (B, 3, H, W) in [-1, 1]."""
        return self.output(self.before_output(z))


class VaeCritic(nn.Module):
    """The critic: the layers of the encoder, and a score."""

    def __init__(self, config: VaeGanConfig) -> None:
        super().__init__()
        self.body = ConvEncoder()
        self.score = nn.Linear(config.flat, 1)
        he_init(self)

    def forward(self, images: torch.Tensor, *_: torch.Tensor) -> Logits:
        """Images (B, 3, H, W) in [-1, 1] -> unbounded scores (B, 1)."""
        return [self.score(self.body(images).flatten(1))]
