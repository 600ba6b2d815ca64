"""The tasks of the GANs that turn noise into images. Letters: B batch, C channels, H x W image, Z noise."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dancing.features.feature_distance import REFERENCE_IMAGES, FeatureDistance, diversity
from dancing.media.pixels import to_uint8
from dancing.noise_to_image.batches import Images, channels_last
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.models import GANS
from dancing.noise_to_image.noise import draw_noise
from dancing.params import NoiseGan, VaeGan
from dancing.training.device import make_rng
from dancing.training.diffaugment import DiffAugment
from dancing.training.tasks import GanBatch
from dancing.training.variational import kl_to_normal, reparameterize

FEATURE_STEPS = 150  # batches that the network learns from in whose features images are compared
SAMPLES, VALIDATION = 64, 256  # images of fixed noise shown after each epoch, and compared with real ones
RECALIBRATION_BATCHES = 8  # that batch norms' statistics are taken from


class NoiseToImageTask:
    """A generator of noise (B, Z), and a discriminator of images alone. The last epoch is kept."""

    best_by: str | None = None

    def __init__(self, dataset: ImageDataset, gan: NoiseGan | VaeGan, device: torch.device) -> None:
        self.gan, self.device = gan, device
        # The original learning rates are constant; with our discriminator images get clearer as they fall.
        self.cosine_decay = isinstance(gan, NoiseGan) and gan.discriminator == "deep"
        self.train, self.val = (Images(dataset, split, device) for split in ("train", "val"))
        self.config = GANS.config(
            gan.model,
            **gan.model_dump(exclude={"model"}),
            height=dataset.height,
            width=dataset.width,
            batch_norm=gan.loss != "wgan_gp",
        )
        torch.manual_seed(gan.seed)
        self.generator: Any  # any of `GANS`
        self.generator, self.discriminator = (channels_last(model, device) for model in GANS.build(self.config))
        self.content = {"config": GANS.to_dict(self.config)}
        self.fixed = self._noise(VALIDATION, make_rng(gan.seed))
        self.real = self.val.evenly_spaced(VALIDATION)
        self.feature_distance: FeatureDistance | None = None
        if dataset.channels == 3:
            reference = dataset.evenly_spaced("train", REFERENCE_IMAGES)
            self.feature_distance = FeatureDistance.fit(reference, None, None, FEATURE_STEPS, gan.seed, device)

    def _noise(self, count: int, rng: torch.Generator) -> torch.Tensor:
        return draw_noise(count, self.config.noise, self.config.categories, rng).to(self.device)

    def _real(self, rng: torch.Generator) -> torch.Tensor:
        images = self.train.random(self.gan.batch_size, rng)
        if self.gan.flip:
            flipped = torch.rand(len(images), 1, 1, 1, generator=rng) < 0.5
            images = torch.where(flipped.to(self.device), images.flip(-1), images)
        return images

    def batch(self, rng: torch.Generator) -> GanBatch:
        """As `GanTask.batch`."""
        real = self._real(rng)
        return self._augmented(real, self.generator(self._noise(len(real), rng)), {}, rng)

    def _augmented(
        self, real: torch.Tensor, fake: torch.Tensor, aux_losses: dict[str, tuple[float, torch.Tensor]],
        rng: torch.Generator,
    ) -> GanBatch:  # fmt: skip
        if self.gan.augment:
            height, width = real.shape[-2:]
            augmentation = DiffAugment.random(height, width, rng)
            real, fake = augmentation.images(real), augmentation.images(fake)
        return GanBatch((real,), (fake,), aux_losses)

    @torch.no_grad()
    def recalibrate(self, generator: nn.Module) -> None:
        """Take batch norms' statistics anew from a few batches of images that these weights generate.

        The running ones lag by a hundred steps and are of weights that are not averaged: with them a young generator's
        images are grey (standing statistics, Brock et al., BigGAN, ICLR 2019).
        """
        norms = [module for module in generator.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
        generator.train()
        rng = make_rng(self.gan.seed)
        for _ in range(RECALIBRATION_BATCHES):
            generator(self._noise(self.gan.batch_size, rng))
        generator.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    @torch.no_grad()
    def validate(self, generator: Any) -> dict[str, float]:
        """Return figures of the images of fixed noise, each with the prefix "val_".

        diversity: the mean distance of two images over that of real ones: towards 0 in mode collapse.
        critic_gap: the discriminator's mean output for training images less that for held-out ones: it grows as it
        memorises the training images. feature_mmd_ratio and coverage, of colour images: see `FeatureDistance`.
        """
        fake = torch.cat([generator(noise) for noise in self.fixed.split(SAMPLES)])
        self.discriminator.eval()
        train_score, val_score = (
            float(self.discriminator(images)[0].mean()) for images in (self.train.evenly_spaced(VALIDATION), self.real)
        )
        self.discriminator.train()
        figures = {"val_diversity": diversity(fake) / diversity(self.real), "val_critic_gap": train_score - val_score}
        if self.feature_distance is not None:
            row = self.feature_distance.row(to_uint8(fake), None, None)
            cells = {name: row[name]["mean"] for name in ("feature_mmd_ratio", "coverage")}
            figures |= {f"val_{name}": mean for name, mean in cells.items() if mean is not None}  # None: too few
        return figures

    @torch.no_grad()
    def samples(self, generator: Any) -> dict[str, np.ndarray]:
        """Return images of fixed noise, and real ones, (SAMPLES, H, W, C) uint8."""
        return {"generated": to_uint8(generator(self.fixed[:SAMPLES])), "real": to_uint8(self.real[:SAMPLES])}


class VaeGanTask(NoiseToImageTask):
    """The generator is a VAE: half of a batch are reconstructions, half are generated from the prior.

    The discriminator is given both; the encoder's KL term is kept, and an L1 loss compares reconstructions with their
    originals.
    """

    gan: VaeGan

    def batch(self, rng: torch.Generator) -> GanBatch:
        """As `GanTask.batch`."""
        real = self._real(rng)
        reconstructed = (len(real) + 1) // 2
        mean, log_var = self.generator.encode(real[:reconstructed])
        z = torch.cat([reparameterize(mean, log_var, rng), self._noise(len(real) - reconstructed, rng)])
        fake = self.generator(z)
        aux_losses = {
            "kl": (self.gan.kl_weight, kl_to_normal(mean, log_var).sum(dim=1).mean()),
            "l1": (self.gan.l1_weight, F.l1_loss(fake[:reconstructed], real[:reconstructed])),
        }
        return self._augmented(real, fake, aux_losses, rng)

    @torch.no_grad()
    def validate(self, generator: Any) -> dict[str, float]:
        """As `NoiseToImageTask.validate`, and the reconstructions' L1 loss."""
        reconstructed = torch.cat([generator(generator.encode(images)[0]) for images in self.real.split(SAMPLES)])
        return super().validate(generator) | {"val_l1": float(F.l1_loss(reconstructed, self.real))}


def build_task(dataset: ImageDataset, gan: NoiseGan | VaeGan, device: torch.device) -> NoiseToImageTask:
    """Return the task of `gan.model`."""
    return (VaeGanTask if gan.model == "vae" else NoiseToImageTask)(dataset, gan, device)
