"""The tasks of the GANs from noise to images: their data, models and losses.

Letters: B batch, C channels, H x W image, Z noise.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dancing.features.feature_distance import REFERENCE_IMAGES, FeatureDistance, diversity
from dancing.media.pixels import to_uint8
from dancing.noise_to_image.batches import Images
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.models import GANS
from dancing.noise_to_image.noise import draw_noise
from dancing.params import NoiseGan, VaeGan
from dancing.training.compute import Compute
from dancing.training.device import make_rng
from dancing.training.diffaugment import DiffAugment
from dancing.training.processes import own_count, rand
from dancing.training.tasks import GanBatch
from dancing.training.transfer import send
from dancing.training.variational import kl_to_normal, reparameterize

FEATURE_STEPS = 150  # batches that the network of `FeatureDistance` is trained on
SAMPLES, VALIDATION = 64, 256  # images of fixed noise that are shown after each epoch, and that the scores are of
RECALIBRATION_BATCHES = 8  # that batch norm statistics are computed from


class NoiseToImageTask:
    """The task of a generator with input (B, Z) and a discriminator of images; a `training.tasks.GanTask`.

    Args:
        dataset: open during the training, as a large one is read batch by batch.
        gan: the section `gan` of the params.
        compute: what the networks are trained with.

    Attributes:
        best_by: None: best.pt is the last epoch.
    """

    best_by: str | None = None

    def __init__(self, dataset: ImageDataset, gan: NoiseGan | VaeGan, compute: Compute) -> None:
        self.gan, self.compute, device = gan, compute, compute.device
        # The original's learning rates are constant. With our discriminator, falling ones give sharper images.
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
        self.generator: Any  # a generator of `GANS`; they share no base class
        self.generator, self.discriminator = (compute.place(model) for model in GANS.build(self.config))
        self.content = {"config": GANS.to_dict(self.config)}
        self.fixed = self._noise(VALIDATION, make_rng(gan.seed))
        self.real = self.val.evenly_spaced(VALIDATION)
        self.feature_distance: FeatureDistance | None = None
        if dataset.channels == 3:
            reference = dataset.evenly_spaced("train", REFERENCE_IMAGES)
            self.feature_distance = FeatureDistance.fit(reference, None, None, FEATURE_STEPS, gan.seed, device)

    def _noise(self, count: int, rng: torch.Generator) -> torch.Tensor:
        return send(draw_noise(count, self.config.noise, self.config.categories, rng), self.compute.device)

    def _real(self, rng: torch.Generator) -> torch.Tensor:
        images = self.train.random(own_count(self.gan.batch_size, rng), rng)
        if self.gan.flip:
            flipped = rand((len(images), 1, 1, 1), rng) < 0.5
            images = torch.where(send(flipped, self.compute.device), images.flip(-1), images)
        return images

    def batch(self, rng: torch.Generator) -> GanBatch:
        """Return a random batch, or this process's share of it, as `GanTask.batch`."""
        real = self._real(rng)
        return self._augmented(real, self.compute.run(self.generator, self._noise(len(real), rng)), {}, rng)

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
        """Recompute batch norm statistics over a few generated batches, in place.

        These are the "standing statistics" of Brock et al., Large Scale GAN Training for High Fidelity Natural Image
        Synthesis (BigGAN), ICLR 2019. The running statistics are those of weights that were not averaged, and lag by
        about a hundred steps: with them, images are grey early in the training.
        """
        norms = [module for module in generator.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
        if not norms:
            return
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # torch then averages over all batches
        generator.train()
        rng = make_rng(self.gan.seed)
        for _ in range(RECALIBRATION_BATCHES):
            generator(self._noise(self.gan.batch_size, rng))
        generator.eval()
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum

    @torch.no_grad()
    def validate(self, generator: Any) -> dict[str, float]:
        """Return scores of the images of fixed noise.

        Returns:
            "val_diversity": mean distance between two generated images, divided by that between real images; it tends
            to 0 in mode collapse. "val_critic_gap": the discriminator's mean output for training images minus that for
            validation images; it grows as training images are memorised. For colour images also
            "val_feature_mmd_ratio" and "val_coverage", see `FeatureDistance`.
        """
        fake = torch.cat([generator(noise) for noise in self.fixed.split(SAMPLES)])
        self.discriminator.eval()
        train_score, val_score = (
            float(self.discriminator(images)[0].mean()) for images in (self.train.evenly_spaced(VALIDATION), self.real)
        )
        self.discriminator.train()
        scores = {"val_diversity": diversity(fake) / diversity(self.real), "val_critic_gap": train_score - val_score}
        if self.feature_distance is not None:
            row = self.feature_distance.row(to_uint8(fake), None, None)
            cells = {name: row[name]["mean"] for name in ("feature_mmd_ratio", "coverage")}
            # None: there are too few images.
            scores |= {f"val_{name}": mean for name, mean in cells.items() if mean is not None}
        return scores

    @torch.no_grad()
    def samples(self, generator: Any) -> dict[str, np.ndarray]:
        """Return images of fixed noise, "generated", and "real" ones, each (SAMPLES, H, W, C) uint8."""
        return {"generated": to_uint8(generator(self.fixed[:SAMPLES])), "real": to_uint8(self.real[:SAMPLES])}


class VaeGanTask(NoiseToImageTask):
    """The task of a VAE as the generator.

    Half of the fake images are reconstructions, half are decoded from the prior; the discriminator gets both. The
    generator also minimises the KL divergence from the prior and the L1 error of the reconstructions.
    """

    gan: VaeGan

    def batch(self, rng: torch.Generator) -> GanBatch:
        """Return a random batch, or this process's share of it, with the KL and L1 losses, as `GanTask.batch`."""
        real = self._real(rng)
        reconstructed = (len(real) + 1) // 2
        mean, log_var = self.compute.run(self.generator.encode, real[:reconstructed])
        z = torch.cat([reparameterize(mean, log_var, rng), self._noise(len(real) - reconstructed, rng)])
        fake = self.compute.run(self.generator, z)
        aux_losses = {
            "kl": (self.gan.kl_weight, kl_to_normal(mean, log_var).sum(dim=1).mean()),
            "l1": (self.gan.l1_weight, F.l1_loss(fake[:reconstructed], real[:reconstructed])),
        }
        return self._augmented(real, fake, aux_losses, rng)

    @torch.no_grad()
    def validate(self, generator: Any) -> dict[str, float]:
        """Return the scores of `NoiseToImageTask.validate`, and "val_l1", the reconstructions' L1 error."""
        reconstructed = torch.cat([generator(generator.encode(images)[0]) for images in self.real.split(SAMPLES)])
        return super().validate(generator) | {"val_l1": float(F.l1_loss(reconstructed, self.real))}


def build_task(dataset: ImageDataset, gan: NoiseGan | VaeGan, compute: Compute) -> NoiseToImageTask:
    """Return the task of `gan.model`."""
    return (VaeGanTask if gan.model == "vae" else NoiseToImageTask)(dataset, gan, compute)
