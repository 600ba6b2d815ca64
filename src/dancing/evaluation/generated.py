"""Pictures made from numbers alone, as a set, beside real ones and beside what asks for no model.

Letters: N pictures, H x W, C channels.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dancing.features.feature_distance import REFERENCE_IMAGES, FeatureDistance, diversity
from dancing.media.pixels import from_uint8
from dancing.metrics.bootstrap import percentiles, resampled
from dancing.metrics.bootstrap_cells import Row
from dancing.metrics.classes import FrechetReference, accuracy_row, class_row
from dancing.noise_to_image.batches import Images
from dancing.noise_to_image.classifier import Classifier
from dancing.noise_to_image.conv_vae import ConvVae
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.inference import NoiseToImage
from dancing.noise_to_image.losses import ImageVaeLoss
from dancing.noise_to_image.models import GANS
from dancing.noise_to_image.train_classifier import train_classifier
from dancing.training.checkpoints import open_checkpoint
from dancing.training.device import make_rng, pick_device

TOGETHER = 250  # pictures looked at at once
CLASSIFIED = 5000  # training pictures, at most, that Frechet distances are taken from


#: What looks at a set of pictures (N, H, W, C) uint8, of known classes (N,) or not.
Judge = Callable[[np.ndarray, np.ndarray | None], Row]


@dataclass(frozen=True)
class GeneratedResult:
    """Rows of the table, and the pictures behind them."""

    rows: dict[str, Row]
    pictures: dict[str, np.ndarray] = field(repr=False)  # row -> (N, H, W, C) uint8


def evaluate_generated(
    dataset: ImageDataset, samplers: Mapping[str, NoiseToImage], samples: int, feature_steps: int, seed: int
) -> GeneratedResult:
    """Draw `samples` pictures with each model, at most as many as are held out, and measure.

    Returns:
        Rows: each sampler's name; NAME_again, held-out pictures drawn again by one that encodes; and

        - real: the held-out pictures, the ceiling;
        - train: training pictures, what it looks like to play what was learnt;
        - mean_picture: the mean training picture, over and over: what a score is worth that it does well on.

        Columns, of grey pictures with labels: classifier_score, rarest_class, commonest_class, frechet,
        frechet_ratio, and accuracy where it is known what they should show; of colours feature_mmd,
        feature_mmd_ratio, density, coverage.
        Of all: diversity, the mean distance of two over that of real ones. Of a VAE with a likelihood: nats, its bound
        on held-out pictures.
    """
    device, count = pick_device(), min(samples, dataset.count("test"))
    real, learnt = dataset.evenly_spaced("test", count), dataset.evenly_spaced("train", count)
    labels = {split: _spread(values, count) for split, values in dataset.labels.items()}
    pictures = {name: sampler.generate(sampler.noise(count, seed)) for name, sampler in samplers.items()}
    known = {"real": labels.get("test"), "train": labels.get("train")}
    for name, sampler in samplers.items():
        if sampler.encodes:
            pictures[f"{name}_again"] = sampler.generate(sampler.encode(real))
            known[f"{name}_again"] = labels.get("test")
    mean = learnt.mean(axis=0, keepdims=True).round().astype(np.uint8)
    pictures |= {"real": real, "train": learnt, "mean_picture": np.repeat(mean, count, axis=0)}

    judge = _judge(dataset, count, feature_steps, seed, device)
    spread = _diversity(real)
    rows = {}
    for name, shown in pictures.items():
        apart = {"diversity": {"mean": _diversity(shown) / spread, "n": count, "ci95": None}}
        rows[name] = judge(shown, known.get(name)) | apart
    for name, sampler in samplers.items():
        if isinstance(sampler.model, ConvVae):
            rows[name]["nats"] = _nats(dataset, sampler, seed)
    return GeneratedResult(rows, pictures)


def _spread(values: np.ndarray, count: int) -> np.ndarray:
    """The same rows as `ImageDataset.evenly_spaced` takes."""
    return values[np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)]


def _diversity(pictures: np.ndarray) -> float:
    return diversity(torch.from_numpy(pictures).float())


def _judge(dataset: ImageDataset, count: int, steps: int, seed: int, device: torch.device) -> Judge:
    """A classifier for grey pictures with labels, an own feature network for colours; grey ones without labels have
    neither, and so no column but diversity."""
    if dataset.channels == 3:
        feature_distance = FeatureDistance.fit(
            dataset.evenly_spaced("train", REFERENCE_IMAGES), None, None, steps, seed, device
        )
        return lambda pictures, _: feature_distance.row(pictures, None, None)
    if "train" in dataset.labels:
        return _Classes.of(dataset, count, steps, seed, device).row
    return lambda *_: {}


@dataclass(frozen=True)
class _Classes:
    net: Classifier
    reference: FrechetReference
    device: torch.device
    seed: int

    @classmethod
    def of(cls, dataset: ImageDataset, count: int, steps: int, seed: int, device: torch.device) -> "_Classes":
        net = train_classifier(dataset, steps, seed, device)
        features, _ = _seen(net, dataset.evenly_spaced("train", CLASSIFIED), device)
        return cls(net, FrechetReference.of(features, count, seed), device, seed)

    def row(self, pictures: np.ndarray, labels: np.ndarray | None) -> Row:
        features, probabilities = _seen(self.net, pictures, self.device)
        row = class_row(probabilities, self.seed) | self.reference.row(features, self.seed)
        return row if labels is None else row | accuracy_row(probabilities, labels, self.seed)


@torch.inference_mode()
def _seen(net: Classifier, pictures: np.ndarray, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and probabilities (N, K)."""
    features, probabilities = [], []
    for first in range(0, len(pictures), TOGETHER):
        shown = from_uint8(pictures[first : first + TOGETHER]).to(device)
        features.append(net.features(shown))
        probabilities.append(net.classes(features[-1]).softmax(dim=1))
    return torch.cat(features).cpu().double().numpy(), torch.cat(probabilities).cpu().double().numpy()


@torch.inference_mode()
def _nats(dataset: ImageDataset, sampler: NoiseToImage, seed: int) -> dict[str, Any]:
    """The bound on the likelihood of each held-out picture, latents drawn once: sum of cross-entropy and KL."""
    test, rng, loss = Images(dataset, "test", sampler.device), make_rng(seed), ImageVaeLoss(1.0)
    bounds: list[torch.Tensor] = []
    for first in range(0, len(test), TOGETHER):
        pictures = test.batch(list(range(first, min(first + TOGETHER, len(test)))))
        logits, mean, log_var = sampler.model(pictures, rng)
        entropy, kl = loss.parts(logits, mean, log_var, pictures)
        bounds.append(entropy + kl)
    values = torch.cat(bounds).cpu().double().numpy()
    draws = resampled(len(values), seed, 200) @ values / len(values)
    return {"mean": float(values.mean()), "n": len(values), "ci95": percentiles(draws)}


@torch.inference_mode()
def critic_gap(dataset: ImageDataset, checkpoint: Path, samples: int, seed: int) -> dict[str, Any]:
    """A cell: what a GAN's discriminator says of training pictures less what it says of held-out ones, in its units.

    0 where it judges pictures, and more the better it knows the training ones by heart. Raises UserError where the
    checkpoint can't be read."""
    device = pick_device()
    with open_checkpoint(checkpoint, "train_gan") as content:
        _, discriminator = GANS.build(GANS.from_dict(content["config"]))
        discriminator.load_state_dict(content["discriminator"])
    discriminator.to(device).eval()

    def scores(split: Any) -> np.ndarray:
        images = Images(dataset, split, device)
        rows = np.linspace(0, len(images) - 1, min(samples, len(images))).astype(int).tolist()
        batches = (images.batch(rows[first : first + TOGETHER]) for first in range(0, len(rows), TOGETHER))
        return torch.cat([discriminator(batch)[0].flatten() for batch in batches]).cpu().double().numpy()

    seen, unseen = scores("train"), scores("test")
    draws = resampled(len(seen), seed) @ seen / len(seen) - resampled(len(unseen), seed + 1) @ unseen / len(unseen)
    return {"mean": float(seen.mean() - unseen.mean()), "n": len(unseen), "ci95": percentiles(draws)}
