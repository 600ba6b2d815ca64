"""How like real ones generated pictures are, as a set: no picture belongs to another.

Letters: N pictures, H x W, D features.
"""

from dataclasses import dataclass

import numpy as np
import torch

from dancing.features.feature_net import FeatureNet
from dancing.features.train_features import person, scaled, train_features
from dancing.metrics.bootstrap_cells import Clips, Row
from dancing.metrics.feature_reference import FeatureReference

#: Real training pictures that features are learnt from, evenly spread; every other of them is the reference.
REFERENCE_IMAGES = 600
FEATURE_SEED = 1000  # added to the seed: whatever drew the pictures was trained with, this is another network


def diversity(pictures: torch.Tensor) -> float:
    """Root mean squared distance of two different pictures of (N, C, H, W), a pixel."""
    flat = pictures.flatten(1)
    # The mean squared distance of pairs is twice the variance about the mean picture.
    return float((2 * flat.var(dim=0, unbiased=True)).mean().sqrt())


@dataclass(frozen=True)
class FeatureDistance:
    """An own feature network and how it sees real training pictures."""

    net: FeatureNet
    reference: FeatureReference
    seed: int

    @classmethod
    def fit(
        cls, pictures: np.ndarray, landmarks: np.ndarray | None, clips: Clips | None, steps: int, seed: int,
        device: torch.device,
    ) -> "FeatureDistance":  # fmt: skip
        """The network learns how real pictures are spoilt, in `steps` batches.

        pictures: (N, H, W, 3) uint8, at most `REFERENCE_IMAGES` of the training part. landmarks: (N, 33, 2), of the person
        who alone is looked at; None: the whole picture is. clips: which run of neighbours each picture of the sets to come
        is of; None: each is one by itself, and the sets are as large as the reference.
        """
        net, _ = train_features(pictures, landmarks, steps, seed + FEATURE_SEED, device)
        features = _pooled(net, pictures[::2], None if landmarks is None else landmarks[::2])
        clips = range(len(features)) if clips is None else clips
        return cls(net, FeatureReference.of(features, clips, seed), seed)

    def row(self, pictures: np.ndarray, landmarks: np.ndarray | None, clips: Clips | None) -> Row:
        """`FEATURES` of pictures (N, H, W, 3) uint8: MMD, its ratio to the floor, density, coverage; the rest as of
        `fit`."""
        clips = range(len(pictures)) if clips is None else clips
        return self.reference.row(_pooled(self.net, pictures, landmarks), clips, self.seed)


@torch.no_grad()
def _pooled(net: FeatureNet, pictures: np.ndarray, landmarks: np.ndarray | None, batch: int = 32) -> np.ndarray:
    """Pictures (N, H, W, 3) uint8 in the network's eyes, (N, D): the person of `landmarks`, or all of the picture."""
    device = next(net.parameters()).device
    features = []
    for first in range(0, len(pictures), batch):
        shown = scaled(pictures[first : first + batch]).to(device)
        where = torch.ones_like(shown[:, :1])
        if landmarks is not None:
            where = person(torch.from_numpy(landmarks[first : first + batch]).to(device), *shown.shape[2:])
        features.append(net.pooled(shown, where).cpu())
    return torch.cat(features).numpy()
