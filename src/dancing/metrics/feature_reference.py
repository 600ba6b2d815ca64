"""Whether pictures are like real ones as a set, in a network's features. NumPy alone.

Letters: N pictures, R real training pictures, D features.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dancing.metrics.bootstrap import interval, percentiles, resampled
from dancing.metrics.bootstrap_cells import Clips, Row, cells, clip_numbers
from dancing.metrics.distribution import kernel_means, mmd2, mmd2_floor, within_reach

K = 5  # neighbours, of density and coverage

FEATURES = ("feature_mmd", "feature_mmd_ratio", "density", "coverage")


@dataclass(frozen=True)
class FeatureReference:
    """Real training pictures in the own feature network's eyes: what every system's are compared with."""

    mean: np.ndarray  # (D,)
    std: np.ndarray  # (D,)
    features: np.ndarray  # (R, D) standardised
    floor: float  # of MMD^2

    @classmethod
    def of(cls, features: np.ndarray, clips: Clips, seed: int) -> "FeatureReference":
        """Features (R, D) of training pictures too far apart in time to be alike; `clips` as of `row`."""
        features = features.astype(np.float64)
        mean, std = features.mean(axis=0), features.std(axis=0)
        std = np.maximum(std, 1e-3 * std.max() + 1e-9)  # a dead channel says nothing
        features = (features - mean) / std
        means = kernel_means(list(_directions(features)[:, None]))
        return cls(mean, std, features, mmd2_floor(means, len(set(clips)), seed))

    def row(self, features: np.ndarray, clips: Clips, seed: int) -> Row:
        """Cells of `FEATURES`: how like real pictures as a set, whichever pose each shows.

        feature_mmd: unbiased MMD^2 from the training pictures. In the directions in which features leave their mean,
            not in how far: cubed by the kernel, the far ones would drown the others. Between 0 and 16, 0 on average
            where nothing differs.
        feature_mmd_ratio: over its usual size between as many real pictures, as `mmd2_floor` has it. Between 0 and
            what real test pictures have, themselves of other clips, is no difference.
        density, coverage: see `within_reach`. Frames are fewer and more alike than real pictures: the ceiling of
            coverage is that of real test pictures, not 1.

        Args:
            features: (N, D) of a system's pictures.
            clips: (N,) which run of neighbours each is of: the units of MMD.
            seed: of the bootstrap.
        """
        features = (features - self.mean) / self.std
        runs = clip_numbers(clips, len(features))
        enough = len(self.features) > K
        near = within_reach(self.features, features, K) if enough else np.zeros((0, len(features)))  # (R, N)
        crowd = {"density": (near.sum(axis=0) / K, np.full(len(features), float(enough)))}
        covered = near.any(axis=1).astype(float)
        return {
            **self._mmd_cells([_directions(features[runs == run]) for run in np.unique(runs)], seed),
            **cells(crowd, ("density",), clips, seed),
            # Which frames were drawn can't be resampled, since a frame drawn twice covers nothing more.
            "coverage": {
                "mean": float(covered.mean()) if enough else None,
                "n": len(covered),
                "ci95": interval(covered, np.ones(len(covered)), seed),
            },
        }  # fmt: skip

    def _mmd_cells(self, runs: Sequence[np.ndarray], seed: int) -> Row:
        real, made = len(self.features), len(runs)
        means = kernel_means([*_directions(self.features)[:, None], *runs])
        a, b = np.repeat([1.0, 0.0], [real, made]), np.repeat([0.0, 1.0], [real, made])
        weights = resampled(made, seed)
        draws = mmd2(means, a, np.concatenate([np.zeros((len(weights), real)), weights], axis=1))
        mmd = float(mmd2(means, a, b))
        row = {}
        for name, unit in (("feature_mmd", 1.0), ("feature_mmd_ratio", self.floor if self.floor > 0 else np.nan)):
            mean = mmd / unit if np.isfinite(mmd / unit) else None
            row[name] = {"mean": mean, "n": made, "ci95": percentiles(draws / unit) if made > 2 else None}
        return row


def _directions(features: np.ndarray) -> np.ndarray:
    """(n, D) -> the same, all as long as standardised features are on average."""
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(lengths, 1e-9) * np.sqrt(features.shape[1])
