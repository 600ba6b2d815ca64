"""A trained generator or VAE of images at work. Letters: N images, H x W, C channels, Z noise."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from dancing.errors import UserError
from dancing.media.pixels import from_uint8, to_uint8
from dancing.noise_to_image.models import GANS, VAES
from dancing.noise_to_image.noise import draw_noise
from dancing.training.checkpoints import open_checkpoint
from dancing.training.device import make_rng, pick_device


@dataclass(frozen=True)
class NoiseToImage:
    """A generator of images from noise, or a VAE's decoder."""

    model: Any  # any of `GANS` or `VAES`
    size: int  # Z
    categories: int  # of its noise, see `noise.draw_noise`; 0: standard normal
    device: torch.device

    @classmethod
    def load(cls, path: Path, stage: Literal["train_vae", "train_gan"]) -> "NoiseToImage":
        """Read a checkpoint of an image system. Raises UserError where it can't be read."""
        device = pick_device()
        with open_checkpoint(path, stage) as checkpoint:
            if stage == "train_vae":
                config = VAES.from_dict(checkpoint["config"])
                model, *_ = VAES.build(config)
                model.load_state_dict(checkpoint["state"])
                return cls(model.to(device).eval(), config.latent_dim, 0, device)
            config = GANS.from_dict(checkpoint["config"])
            model, *_ = GANS.build(config)
            model.load_state_dict(checkpoint["generator"])
            return cls(model.to(device).eval(), config.noise, config.categories, device)

    @property
    def encodes(self) -> bool:
        """Whether it is a VAE, which can reconstruct a given image."""
        return hasattr(self.model, "encode")

    def noise(self, count: int, seed: int) -> np.ndarray:
        """Return noise (N, Z) as in training; the seed chooses the images."""
        return draw_noise(count, self.size, self.categories, make_rng(seed)).numpy()

    def generate(self, noise: np.ndarray) -> np.ndarray:
        """Noise (N, Z) -> images (N, H, W, C) uint8."""
        return np.concatenate(list(self._batches(noise)))

    @torch.inference_mode()
    def _batches(self, noise: np.ndarray, batch: int = 64) -> Iterator[np.ndarray]:
        for first in range(0, len(noise), batch):
            yield to_uint8(_generate(self.model, torch.from_numpy(noise[first : first + batch]).to(self.device)))

    @torch.inference_mode()
    def encode(self, images: np.ndarray, batch: int = 64) -> np.ndarray:
        """Return the posterior means (N, Z) of images (N, H, W, C) uint8; for one that `encodes`."""
        batches = (images[first : first + batch] for first in range(0, len(images), batch))
        means = [self.model.encode(from_uint8(some).to(self.device))[0].cpu() for some in batches]
        return torch.cat(means).numpy()


def _generate(model: Any, noise: torch.Tensor) -> torch.Tensor:
    """Return the images of a GAN's generator, or of a VAE, whose `forward` is for training."""
    images: torch.Tensor = model.generate(noise) if hasattr(model, "generate") else model(noise)
    return images


def load_models(vae: Path, gan: Path) -> dict[str, NoiseToImage]:
    """Return what was trained, from the folders of train_vae and train_gan: "gan", "vae", and the baseline "tanh".

    Raises UserError as `NoiseToImage.load` does, and where there is nothing.
    """
    places: dict[str, tuple[Path, Literal["train_vae", "train_gan"]]] = {
        "gan": (gan / "best.pt", "train_gan"),
        "tanh": (gan / "tanh/best.pt", "train_gan"),
        "vae": (vae / "best.pt", "train_vae"),
    }
    there = {name: NoiseToImage.load(path, stage) for name, (path, stage) in places.items() if path.exists()}
    if not there:
        raise UserError(f"{vae} and {gan}: no checkpoint; the stages train_vae and train_gan make them")
    return there


class NoiseToImageModule(nn.Module):
    """A `NoiseToImage` as one module, for a model registry: noise (B, Z) -> images (B, C, H, W) in [-1, 1]."""

    def __init__(self, noise_to_image: NoiseToImage) -> None:
        super().__init__()
        self.model = noise_to_image.model.cpu()

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        """(B, Z) -> (B, C, H, W) in [-1, 1]."""
        return _generate(self.model, noise)
