"""Distance of a set of images from real ones, in the features of a network. NumPy alone.

Letters: N images, R real training images, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dancing.metrics.bootstrap import interval, percentiles, resampled
from dancing.metrics.bootstrap_cells import Clips, Row, cells, clip_numbers
from dancing.metrics.distribution import kernel_means, knn_coverage, mmd2, mmd2_floor

K = 5  # neighbours, of density and coverage

FEATURES = ("feature_mmd", "feature_mmd_ratio", "density", "coverage")


@dataclass(frozen=True)
class FeatureReference:
    """Features of real training images, which every system is compared with."""

    mean: np.ndarray  # (D,)
    std: np.ndarray  # (D,)
    features: np.ndarray  # (R, D) standardised
    floor: float  # of MMD^2

    @classmethod
    def of(cls, features: np.ndarray, clips: Clips, seed: int) -> "FeatureReference":
        """Standardise the features of real images and measure the floor of MMD^2.

        Args:
            features: (R, D) of training images that are far enough apart in time to be independent.
            clips: identifiers as for `row`, of the images that will be evaluated; the floor is for as many runs.
            seed: of the splits for the floor.
        """
        features = features.astype(np.float64)
        mean, std = features.mean(axis=0), features.std(axis=0)
        std = np.maximum(std, 1e-3 * std.max() + 1e-9)  # an (almost) constant channel would be all noise
        features = (features - mean) / std
        means = kernel_means(list(_directions(features)[:, None]))
        return cls(mean, std, features, mmd2_floor(means, len(set(clips)), seed))

    def row(self, features: np.ndarray, clips: Clips, seed: int) -> Row:
        """Cells of `FEATURES`: how similar a set of images is to real ones, whatever pose each of them shows.

        feature_mmd: unbiased MMD^2 from the training images, between 0 and 16, with expectation 0 for equal
            distributions. It compares the directions of the standardised features, not their lengths: the kernel is
            cubic, so the longest ones would dominate.
        feature_mmd_ratio: the same over its typical size between as many real images, see `mmd2_floor`. A value up to
            that of the real test images, which are from other clips than the training images, is no difference.
        density, coverage: see `knn_coverage`. The evaluated frames are fewer and more alike than the training images,
            so the ceiling of coverage is the value of the real test images, not 1.

        Args:
            features: (N, D) of a system's images.
            clips: (N,) identifier of the run of neighbouring frames that each image is from: the units of MMD.
            seed: of the bootstrap.
        """
        features = (features - self.mean) / self.std
        runs = clip_numbers(clips, len(features))
        enough = len(self.features) > K
        near = knn_coverage(self.features, features, K) if enough else np.zeros((0, len(features)))  # (R, N)
        density = {"density": (near.sum(axis=0) / K, np.full(len(features), float(enough)))}
        covered = near.any(axis=1).astype(float)
        return {
            **self._mmd_cells([_directions(features[runs == run]) for run in np.unique(runs)], seed),
            **cells(density, ("density",), clips, seed),
            # The bootstrap is over real images: a resampled frame that occurs twice would cover nothing more.
            "coverage": {
                "mean": float(covered.mean()) if enough else None,
                "n": len(covered),
                "ci95": interval(covered, np.ones(len(covered)), seed),
            },
        }  # fmt: skip

    def _mmd_cells(self, runs: Sequence[np.ndarray], seed: int) -> Row:
        """Cells of feature_mmd and feature_mmd_ratio; runs: `_directions` (n, D) of each run."""
        real, made = len(self.features), len(runs)
        means = kernel_means([*_directions(self.features)[:, None], *runs])
        a, b = np.repeat([1.0, 0.0], [real, made]), np.repeat([0.0, 1.0], [real, made])
        weights = resampled(made, seed)
        draws = mmd2(means, a, np.concatenate([np.zeros((len(weights), real)), weights], axis=1))
        mmd = float(mmd2(means, a, b))
        row: Row = {}
        for name, unit in (("feature_mmd", 1.0), ("feature_mmd_ratio", self.floor if self.floor > 0 else np.nan)):
            mean = mmd / unit if np.isfinite(mmd / unit) else None
            row[name] = {"mean": mean, "n": made, "ci95": percentiles(draws / unit) if made > 2 else None}
        return row


def _directions(features: np.ndarray) -> np.ndarray:
    """Features (n, D), scaled to the same length: that of standardised features on average."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-9) * np.sqrt(features.shape[1])
