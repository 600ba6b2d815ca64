"""What the VAE of pictures learns from. Letters: B batch, C channels, H x W picture, Z latent."""

from typing import Any

import numpy as np
import torch

from dancing.noise_to_image.batches import Images, placed
from dancing.noise_to_image.conv_vae import ConvVaeConfig
from dancing.noise_to_image.dataset import ImageDataset
from dancing.params import ImageVae
from dancing.pose_to_image.batches import to_uint8
from dancing.training.common import Means, generator
from dancing.training.losses import ImageVaeLoss, Scalars
from dancing.training.registry import build_vae, config_to_dict

SAMPLES = 64  # pictures drawn after each epoch
TOGETHER = 256  # pictures validated at once


class ImageTask:
    """The seed's VAE of digits, with a loss that is a bound on the likelihood: a sum over pixels."""

    cooled = True

    def __init__(self, dataset: ImageDataset, vae: ImageVae, device: torch.device) -> None:
        self.vae, self.device = vae, device
        self.train, self.val = (Images(dataset, split, device) for split in ("train", "val"))
        config = ConvVaeConfig(vae.latent_dim)
        torch.manual_seed(vae.seed)
        self.model: Any = placed(build_vae(config), device)
        self.loss = ImageVaeLoss(vae.kl_weight)
        self.content = {"config": config_to_dict(config)}

    def losses(self, rng: torch.Generator, warmup: float) -> Scalars:
        pictures = self.train.random(self.vae.batch_size, rng)
        logits, mean, log_var = self.model(pictures, rng)
        return self.loss(logits, mean, log_var, pictures, warmup)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """With latents drawn, always the same ones: "val_total" at a KL weight of 1 is a bound, in nats."""
        rng, means, rows = generator(self.vae.seed), Means(), range(len(self.val))
        for first in rows[::TOGETHER]:
            pictures = self.val.batch(list(rows[first : first + TOGETHER]))
            logits, mean, log_var = self.model(pictures, rng)
            scalars = self.loss(logits, mean, log_var, pictures, 1.0)
            for _ in pictures:  # each picture counts once, also in a smaller last batch
                means.add(scalars)
        return means.result("val_")

    @torch.no_grad()
    def samples(self) -> dict[str, np.ndarray]:
        """Held-out pictures, what they are drawn again as, and pictures of fixed latents, (SAMPLES, H, W, C) uint8."""
        real = self.val.spread(SAMPLES)
        fixed = torch.randn(SAMPLES, self.vae.latent_dim, generator=generator(self.vae.seed)).to(self.device)
        again = self.model.paint_latents(self.model.encode(real)[0])
        shown = {"real": real, "reconstructed": again, "generated": self.model.paint_latents(fixed)}
        return {name: to_uint8(pictures) for name, pictures in shown.items()}
