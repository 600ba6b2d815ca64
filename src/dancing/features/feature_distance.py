"""Distance of a set of generated images from real ones: the sets are compared, not pairs of images.

Letters: N images, H x W pixels, C channels, D features.
"""

from dataclasses import dataclass

import numpy as np
import torch

from dancing.features.feature_net import FeatureNet
from dancing.features.train_features import person, scaled, train_features
from dancing.metrics.bootstrap_cells import Clips, Row
from dancing.metrics.feature_reference import FeatureReference

#: Real training images, evenly spaced, that the network is trained on. Every second one is in the reference.
REFERENCE_IMAGES = 600
FEATURE_SEED = 1000  # added to the seed, so that this network is independent of those that made the images


def diversity(images: torch.Tensor) -> float:
    """Root mean squared difference of two different images of (N, C, H, W), per value, in the unit of the images."""
    flat = images.flatten(1)
    # The mean squared difference of pairs is twice the variance.
    return float((2 * flat.var(dim=0, unbiased=True)).mean().sqrt())


@dataclass(frozen=True)
class FeatureDistance:
    """A trained feature network and the features of real training images."""

    net: FeatureNet
    reference: FeatureReference
    seed: int

    @classmethod
    def fit(
        cls, images: np.ndarray, landmarks: np.ndarray | None, clips: Clips | None, steps: int, seed: int,
        device: torch.device,
    ) -> "FeatureDistance":  # fmt: skip
        """Train the network on real images and compute the reference.

        Args:
            images: (N, H, W, 3) uint8, at most `REFERENCE_IMAGES` of the training part; H and W multiples of 8.
            landmarks: (N, 33, 2) in [0, 1]: features are of the person only; None: of the whole image.
            clips: identifiers of the runs of neighbouring frames, as for `row`, of the sets that will be measured, for
                the floor of MMD; None: every image is a run, and the sets are as large as the reference.
            steps: batches of the training.
            seed: of the network and the bootstrap.
            device: to train on.
        """
        net, _ = train_features(images, landmarks, steps, seed + FEATURE_SEED, device)
        features = _pooled(net, images[::2], None if landmarks is None else landmarks[::2])
        clips = range(len(features)) if clips is None else clips
        return cls(net, FeatureReference.of(features, clips, seed), seed)

    def row(self, images: np.ndarray, landmarks: np.ndarray | None, clips: Clips | None) -> Row:
        """Cells of `feature_reference.FEATURES`: MMD, its ratio to the floor, density, coverage.

        Args:
            images: (N, H, W, 3) uint8, the set to measure.
            landmarks: (N, 33, 2) in [0, 1], the poses in them; None where `fit` had none.
            clips: (N,) identifier of the run of neighbouring frames that each image is from; None: every image is a
                run.
        """
        clips = range(len(images)) if clips is None else clips
        return self.reference.row(_pooled(self.net, images, landmarks), clips, self.seed)


@torch.no_grad()
def _pooled(net: FeatureNet, images: np.ndarray, landmarks: np.ndarray | None, batch: int = 32) -> np.ndarray:
    """Features (N, D) of images (N, H, W, 3) uint8: of the person of `landmarks`, or of the whole image."""
    device = next(net.parameters()).device
    features = []
    for first in range(0, len(images), batch):
        x = scaled(images[first : first + batch]).to(device)
        where = torch.ones_like(x[:, :1])
        if landmarks is not None:
            where = person(torch.from_numpy(landmarks[first : first + batch]).to(device), *x.shape[2:])
        features.append(net.pooled(x, where).cpu())
    return torch.cat(features).numpy()
