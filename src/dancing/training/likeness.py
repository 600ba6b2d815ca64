"""How like real ones generated pictures are, as a set: no picture belongs to another.

Letters: N pictures, H x W, D features.
"""

from dataclasses import dataclass

import numpy as np
import torch

from dancing.image_dataset import ImageDataset
from dancing.metrics.cells import Row
from dancing.metrics.likeness import FeatureReference
from dancing.models.feature_net import FeatureNet
from dancing.training.features import scaled, train_features

#: Real training pictures that features are learnt from; half of them are the reference.
LEARNT = 600
FEATURE_SEED = 1000  # added to the seed: whatever a GAN was trained with, this is another network


def diversity(pictures: torch.Tensor) -> float:
    """Root mean squared distance of two different pictures of (N, C, H, W), a pixel."""
    flat = pictures.flatten(1)
    # The mean squared distance of pairs is twice the variance about the mean picture.
    return float((2 * flat.var(dim=0, unbiased=True)).mean().sqrt())


@dataclass(frozen=True)
class Likeness:
    """An own feature network and how it sees real training pictures."""

    net: FeatureNet
    reference: FeatureReference
    seed: int

    @classmethod
    def learnt(cls, dataset: ImageDataset, device: torch.device, seed: int, steps: int) -> "Likeness":
        """From the training part, pictures in three colours: the network learns how real pictures are spoilt."""
        pictures = dataset.spread("train", LEARNT)
        net, _ = train_features(pictures, None, "degradation", steps, seed + FEATURE_SEED, device)
        features = pooled(net, pictures[::2])
        return cls(net, FeatureReference.of(features, range(len(features)), seed), seed)

    def row(self, pictures: np.ndarray) -> Row:
        """`FEATURES` of pictures (N, H, W, 3) uint8, each by itself: MMD, its ratio to the floor, density, coverage."""
        features = pooled(self.net, pictures)
        return self.reference.row(features, range(len(features)), self.seed)

    def mmd_ratio(self, pictures: np.ndarray) -> float:
        """The row's alone."""
        return self.row(pictures)["feature_mmd_ratio"]["mean"]


@torch.no_grad()
def pooled(net: FeatureNet, pictures: np.ndarray, batch: int = 32) -> np.ndarray:
    """Pictures (N, H, W, 3) uint8 in the network's eyes, the whole picture, (N, D)."""
    device = next(net.parameters()).device
    features = []
    for first in range(0, len(pictures), batch):
        shown = scaled(pictures[first : first + batch]).to(device)
        features.append(net.pooled(shown, torch.ones_like(shown[:, :1])).cpu())
    return torch.cat(features).numpy()
