"""The table of an image system: sets of generated images, next to real ones and to trivial baselines.

Letters: N images, H x W pixels, C channels, D features, K classes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from dancing.features.feature_distance import REFERENCE_IMAGES, FeatureDistance, diversity
from dancing.h5 import Split
from dancing.media.pixels import from_uint8
from dancing.metrics.bootstrap import percentiles, resampled
from dancing.metrics.bootstrap_cells import Cell, Row
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

BATCH = 250
FRECHET_IMAGES = 5000  # training images, at most, that Frechet distances are measured from

#: Metrics of a set of images (N, H, W, C) uint8 with known classes (N,), or None.
Measure = Callable[[np.ndarray, np.ndarray | None], Row]


@dataclass(frozen=True)
class GeneratedResult:
    """Rows of the table, and the images that they were measured on."""

    rows: dict[str, Row]
    pictures: dict[str, np.ndarray] = field(repr=False)  # row -> (N, H, W, C) uint8


def evaluate_generated(
    dataset: ImageDataset, samplers: Mapping[str, NoiseToImage], samples: int, feature_steps: int, seed: int
) -> GeneratedResult:
    """Generate images with each model and measure them.

    Args:
        dataset: of real images.
        samplers: row name -> trained model.
        samples: images of each row; at most as many as are held out.
        feature_steps: batches that the classifier or the feature network is trained on.
        seed: of the noise, the networks and the bootstrap.

    Returns:
        Rows: each sampler's name; NAME_again, reconstructions of held-out images by a sampler that encodes; and

        - real: the held-out images, the ceiling;
        - train: training images, what a model that memorises them would score;
        - mean_picture: copies of the mean training image. Trivial baseline: a score that it wins says nothing.

        Columns of grey images with labels: classifier_score, rarest_class, commonest_class, frechet, frechet_ratio, and
        accuracy where the classes are known. Of colour images: feature_mmd, feature_mmd_ratio, density, coverage. Of
        all: diversity, the root mean squared distance between two images over that between real ones. Of a VAE with a
        likelihood: nats, the bound on the negative log-likelihood of held-out images.
    """
    device, count = pick_device(), min(samples, dataset.count("test"))
    real, train = dataset.evenly_spaced("test", count), dataset.evenly_spaced("train", count)
    labels = {split: _evenly_spaced(values, count) for split, values in dataset.labels.items()}
    pictures = {name: sampler.generate(sampler.noise(count, seed)) for name, sampler in samplers.items()}
    classes = {"real": labels.get("test"), "train": labels.get("train")}
    for name, sampler in samplers.items():
        if sampler.encodes:
            pictures[f"{name}_again"] = sampler.generate(sampler.encode(real))
            classes[f"{name}_again"] = labels.get("test")
    mean = train.mean(axis=0, keepdims=True).round().astype(np.uint8)
    pictures |= {"real": real, "train": train, "mean_picture": np.repeat(mean, count, axis=0)}

    measure = _make_measure(dataset, count, feature_steps, seed, device)
    real_diversity = _diversity(real)
    rows: dict[str, Row] = {}
    for name, images in pictures.items():
        cell: Cell = {"mean": _diversity(images) / real_diversity, "n": count, "ci95": None}
        rows[name] = measure(images, classes.get(name)) | {"diversity": cell}
    for name, sampler in samplers.items():
        if isinstance(sampler.model, ConvVae):
            rows[name]["nats"] = _nats(dataset, sampler, seed)
    return GeneratedResult(rows, pictures)


def _evenly_spaced(values: np.ndarray, count: int) -> np.ndarray:
    """Take the same rows as `ImageDataset.evenly_spaced`."""
    return values[np.linspace(0, len(values) - 1, min(count, len(values))).astype(int)]


def _diversity(images: np.ndarray) -> float:
    return diversity(torch.from_numpy(images).float())


def _make_measure(dataset: ImageDataset, count: int, steps: int, seed: int, device: torch.device) -> Measure:
    """Train the network that images are measured with.

    A feature network for colour images, a classifier for grey images with labels. Grey images without labels have
    neither, so diversity is their only column.
    """
    if dataset.channels == 3:
        feature_distance = FeatureDistance.fit(
            dataset.evenly_spaced("train", REFERENCE_IMAGES), None, None, steps, seed, device
        )
        return lambda images, _: feature_distance.row(images, None, None)
    if "train" in dataset.labels:
        return _ClassMeasure.of(dataset, count, steps, seed, device).row
    return lambda *_: {}


@dataclass(frozen=True)
class _ClassMeasure:
    """A classifier, and the features that it computes of real training images."""

    net: Classifier
    reference: FrechetReference
    device: torch.device
    seed: int

    @classmethod
    def of(cls, dataset: ImageDataset, count: int, steps: int, seed: int, device: torch.device) -> "_ClassMeasure":
        net = train_classifier(dataset, steps, seed, device)
        features, _ = _classify(net, dataset.evenly_spaced("train", FRECHET_IMAGES), device)
        return cls(net, FrechetReference.of(features, count, seed), device, seed)

    def row(self, images: np.ndarray, labels: np.ndarray | None) -> Row:
        features, probabilities = _classify(self.net, images, self.device)
        row = class_row(probabilities, self.seed) | self.reference.row(features, self.seed)
        return row if labels is None else row | accuracy_row(probabilities, labels, self.seed)


@torch.inference_mode()
def _classify(net: Classifier, images: np.ndarray, device: torch.device) -> tuple[np.ndarray, np.ndarray]:
    """Features (N, D) and class probabilities (N, K) of images (N, H, W, C) uint8."""
    features, probabilities = [], []
    for first in range(0, len(images), BATCH):
        batch = from_uint8(images[first : first + BATCH]).to(device)
        features.append(net.features(batch))
        probabilities.append(net.classes(features[-1]).softmax(dim=1))
    return torch.cat(features).cpu().double().numpy(), torch.cat(probabilities).cpu().double().numpy()


@torch.inference_mode()
def _nats(dataset: ImageDataset, sampler: NoiseToImage, seed: int) -> Cell:
    """Bound on the negative log-likelihood of held-out images: cross-entropy plus KL, with one latent sample each."""
    test, rng, loss = Images(dataset, "test", sampler.device), make_rng(seed), ImageVaeLoss(1.0)
    bounds: list[torch.Tensor] = []
    for first in range(0, len(test), BATCH):
        images = test.batch(list(range(first, min(first + BATCH, len(test)))))
        logits, mean, log_var = sampler.model(images, rng)
        entropy, kl = loss.parts(logits, mean, log_var, images)
        bounds.append(entropy + kl)
    values = torch.cat(bounds).cpu().double().numpy()
    draws = resampled(len(values), seed, 200) @ values / len(values)
    return {"mean": float(values.mean()), "n": len(values), "ci95": percentiles(draws)}


@torch.inference_mode()
def critic_gap(dataset: ImageDataset, checkpoint: Path, samples: int, seed: int) -> Cell:
    """Mean discriminator logit of training images minus that of held-out images: how far it memorises.

    It is 0 where the discriminator generalises, and larger the more it has memorised the training images.

    Args:
        dataset: of real images.
        checkpoint: of the GAN.
        samples: images of each part, at most.
        seed: of the bootstrap.

    Raises:
        UserError: where the checkpoint can't be read.
    """
    device = pick_device()
    with open_checkpoint(checkpoint, "train_gan") as content:
        discriminator = GANS.restore(content["config"], content["discriminator"], part=1)
    discriminator.to(device).eval()

    def scores(split: Split) -> np.ndarray:
        images = Images(dataset, split, device)
        rows = np.linspace(0, len(images) - 1, min(samples, len(images))).astype(int).tolist()
        batches = (images.batch(rows[first : first + BATCH]) for first in range(0, len(rows), BATCH))
        return torch.cat([discriminator(batch)[0].flatten() for batch in batches]).cpu().double().numpy()

    train, test = scores("train"), scores("test")
    draws = resampled(len(train), seed) @ train / len(train) - resampled(len(test), seed + 1) @ test / len(test)
    return {"mean": float(train.mean() - test.mean()), "n": len(test), "ci95": percentiles(draws)}
