"""The task of the VAE of images: its data, model and loss. Letters: B batch, C channels, H x W image."""

from typing import Any

import numpy as np
import torch

from dancing.media.pixels import to_uint8
from dancing.noise_to_image.batches import Images
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.losses import ImageVaeLoss
from dancing.noise_to_image.models import VAES
from dancing.params import ImageVae
from dancing.training.compute import Compute
from dancing.training.device import make_rng
from dancing.training.epochs import Means
from dancing.training.processes import Scalars, own_count

SAMPLES = 64  # images that are shown after each epoch
VALIDATION_BATCH = 256


class ImageVaeTask:
    """The task of a VAE of images; a `training.tasks.VaeTask`. Its loss is the negative ELBO.

    Args:
        dataset: open during the training, as a large one is read batch by batch.
        vae: the section `vae` of the params.
        compute: what the model is trained with.

    Attributes:
        cosine_decay: True: the learning rate falls to 0 over the training.
    """

    cosine_decay = True

    def __init__(self, dataset: ImageDataset, vae: ImageVae, compute: Compute) -> None:
        self.vae, self.compute = vae, compute
        self.train, self.val = (Images(dataset, split, compute.device) for split in ("train", "val"))
        config = VAES.config(vae.model, **vae.model_dump(exclude={"model"}))
        torch.manual_seed(vae.seed)
        (model,) = VAES.build(config)
        self.model: Any = compute.place(model)  # a VAE of `VAES`; they share no base class
        self.loss = ImageVaeLoss(vae.kl_weight)
        self.content = {"config": VAES.to_dict(config)}

    def losses(self, rng: torch.Generator, kl_warmup: float) -> Scalars:
        """Return the losses of a random batch, or of this process's share of it, as `VaeTask.losses`."""
        images = self.train.random(own_count(self.vae.batch_size, rng), rng)
        logits, mean, log_var = self.compute.run(self.model, images, rng)
        return self.loss(logits, mean, log_var, images, kl_warmup)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the losses with latents sampled with a fixed seed.

        At a KL weight of 1, "val_total" is the negative ELBO in nats.
        """
        rng, means, rows = make_rng(self.vae.seed), Means(), range(len(self.val))
        for first in rows[::VALIDATION_BATCH]:
            images = self.val.batch(list(rows[first : first + VALIDATION_BATCH]))
            logits, mean, log_var = self.model(images, rng)
            scalars = self.loss(logits, mean, log_var, images, 1.0)
            for _ in images:  # one row an image, so that a smaller last batch counts less
                means.add(scalars)
        return means.result("val_")

    @torch.no_grad()
    def samples(self) -> dict[str, np.ndarray]:
        """Return "real" validation images, "reconstructed" ones, and "generated" ones from fixed latents.

        Each is (SAMPLES, H, W, C) uint8.
        """
        real = self.val.evenly_spaced(SAMPLES)
        fixed = torch.randn(SAMPLES, self.vae.latent_dim, generator=make_rng(self.vae.seed)).to(self.compute.device)
        reconstructed = self.model.generate(self.model.encode(real)[0])
        shown = {"real": real, "reconstructed": reconstructed, "generated": self.model.generate(fixed)}
        return {name: to_uint8(images) for name, images in shown.items()}
