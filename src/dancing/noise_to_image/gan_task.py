"""Pictures from numbers alone as a game: the seed's DCGAN and digits' GAN, and the VAE that plays against a critic.

Letters: B batch, C channels, H x W picture, Z noise.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dancing.features.feature_distance import LEARNT, Likeness, diversity
from dancing.noise_to_image.batches import Images, placed
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.dcgan import DcganConfig
from dancing.noise_to_image.digits_gan import DigitsGanConfig
from dancing.noise_to_image.noise import draw_noise
from dancing.noise_to_image.vae_gan import VaeGanConfig
from dancing.params import NoiseGan, VaeGan
from dancing.pose_to_image.augmentation import Disguise
from dancing.pose_to_image.batches import to_uint8
from dancing.training.common import generator
from dancing.training.gan_task import Turn
from dancing.training.layers import drawn
from dancing.training.losses import kl_to_normal
from dancing.training.registry import build_gan, config_to_dict

FEATURE_STEPS = 150  # batches that the network learns from in whose eyes they are compared
SAMPLES, VALIDATION = 64, 256  # pictures of fixed noise drawn after each epoch, and compared with real ones
SETTLING = 8  # batches that batch norms' statistics are taken from


class NoiseGame:
    """Generator of noise (B, Z), and a discriminator of pictures alone. What is kept is the last epoch's."""

    feature_weight = 0.0  # no picture belongs to another
    best_by: str | None = None

    def __init__(self, dataset: ImageDataset, gan: NoiseGan | VaeGan, device: torch.device) -> None:
        self.gan, self.device = gan, device
        # The seed's learning rates are constant; with our discriminator pictures grow clearer as they fall.
        self.cooled = isinstance(gan, NoiseGan) and gan.discriminator == "deep"
        self.train, self.val = (Images(dataset, split, device) for split in ("train", "val"))
        self.config = self._config(dataset)
        torch.manual_seed(gan.seed)
        self.player: Any
        self.critic: Any
        self.player, self.critic = (placed(player, device) for player in build_gan(self.config))
        self.content = {"config": config_to_dict(self.config)}
        self.fixed = self._noise(VALIDATION, generator(gan.seed))
        self.real = self.val.spread(VALIDATION)
        self.likeness: Likeness | None = None
        if dataset.channels == 3:
            learnt = dataset.spread("train", LEARNT)
            self.likeness = Likeness.learnt(learnt, None, None, FEATURE_STEPS, gan.seed, device)

    def _config(self, dataset: ImageDataset) -> Any:
        assert isinstance(self.gan, NoiseGan)
        if self.gan.model == "digits":
            return DigitsGanConfig(self.gan.output, self.gan.discriminator, self.gan.categories)
        normalised = self.gan.loss != "wgan_gp"
        return DcganConfig(dataset.height, self.gan.output, self.gan.discriminator, normalised, self.gan.categories)

    def _noise(self, count: int, rng: torch.Generator) -> torch.Tensor:
        return draw_noise(count, self.config.noise, self.config.categories, rng).to(self.device)

    def _batch(self, rng: torch.Generator) -> torch.Tensor:
        pictures = self.train.random(self.gan.batch_size, rng)
        if self.gan.flip:
            turned = torch.rand(len(pictures), 1, 1, 1, generator=rng) < 0.5
            pictures = torch.where(turned.to(self.device), pictures.flip(-1), pictures)
        return pictures

    def turn(self, rng: torch.Generator) -> Turn:
        pictures = self._batch(rng)
        return self._shown(pictures, self.player(self._noise(len(pictures), rng)), {}, rng)

    def _shown(
        self, pictures: torch.Tensor, made: torch.Tensor, likeness: dict[str, tuple[float, torch.Tensor]],
        rng: torch.Generator,
    ) -> Turn:  # fmt: skip
        if self.gan.augment:
            height, width = pictures.shape[-2:]
            disguise = Disguise.random(height, width, rng)
            pictures, made = disguise.pictures(pictures), disguise.pictures(made)
        return Turn((pictures,), (made,), likeness)

    @torch.no_grad()
    def settle(self, player: Any) -> None:
        """Batch norms learn their statistics anew from the pictures that these weights make, a few batches of them.

        The running ones are of weights of a hundred steps ago, not averaged: with them a young generator paints grey
        (standing statistics, Brock et al., BigGAN, ICLR 2019)."""
        norms = [module for module in player.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
        player.train()
        rng = generator(self.gan.seed)
        for _ in range(SETTLING):
            player(self._noise(self.gan.batch_size, rng))
        player.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    @torch.no_grad()
    def validate(self, player: Any) -> dict[str, float]:
        """diversity: how far pictures of fixed noise lie apart, over real ones: towards 0 where it collapses.
        critic_gap: what the discriminator says of training pictures less what it says of held-out ones: it grows as it
        learns them by heart. feature_mmd_ratio and coverage, of colour pictures: see `Likeness`."""
        made = torch.cat([player(noise) for noise in self.fixed.split(SAMPLES)])
        self.critic.eval()
        seen, unseen = (float(self.critic(some)[0][0].mean()) for some in (self.train.spread(VALIDATION), self.real))
        self.critic.train()
        figures = {"val_diversity": diversity(made) / diversity(self.real), "val_critic_gap": seen - unseen}
        if self.likeness is not None:
            row = self.likeness.row(to_uint8(made), None, None)
            cells = {name: row[name]["mean"] for name in ("feature_mmd_ratio", "coverage")}
            figures |= {f"val_{name}": mean for name, mean in cells.items() if mean is not None}  # None: too few
        return figures

    @torch.no_grad()
    def samples(self, player: Any) -> dict[str, np.ndarray]:
        """Pictures of fixed noise, and real ones, (SAMPLES, H, W, C) uint8."""
        return {"generated": to_uint8(player(self.fixed[:SAMPLES])), "real": to_uint8(self.real[:SAMPLES])}


class VaeGame(NoiseGame):
    """The generator is a VAE: half of a batch are real pictures drawn again, half are drawn from the prior.

    All are judged; the KL term of the encoder is kept, and the pictures drawn again should be like their originals."""

    gan: VaeGan

    def _config(self, dataset: ImageDataset) -> VaeGanConfig:
        return VaeGanConfig(dataset.height, dataset.width, self.gan.latent_dim, self.gan.output)

    def turn(self, rng: torch.Generator) -> Turn:
        pictures = self._batch(rng)
        again = (len(pictures) + 1) // 2
        mean, log_var = self.player.encode(pictures[:again])
        z = torch.cat([drawn(mean, log_var, rng), self._noise(len(pictures) - again, rng)])
        made = self.player(z)
        likeness = {
            "kl": (self.gan.kl_weight, kl_to_normal(mean, log_var).sum(dim=1).mean()),
            "l1": (self.gan.l1_weight, F.l1_loss(made[:again], pictures[:again])),
        }
        return self._shown(pictures, made, likeness, rng)

    @torch.no_grad()
    def validate(self, player: Any) -> dict[str, float]:
        again = torch.cat([player(player.encode(some)[0]) for some in self.real.split(SAMPLES)])
        return super().validate(player) | {"val_l1": float(F.l1_loss(again, self.real))}
