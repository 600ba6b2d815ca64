"""What kind of motion it is, as a distribution: kinetic features, their distance from real dance, their variety.

A distribution is compared in windows of some seconds. The windows of a dance resemble one another, half of each even is
its neighbour's, so the independent units of `distribution` are whole dances.

Letters: N frames at 60 Hz, n windows, K = 39 features, d of them known, U dances. A value that can't be told is NaN.
"""

from dataclasses import dataclass

import numpy as np

from dancing.metrics.motion import JOINTS, Motion, mean, smooth, velocity

WINDOW = 4.0  # s, two bars at 120 BPM; half overlapping
SIGMA = 3.0  # frames
PER_DIMENSION = 10  # windows needed for every dimension of a covariance
MIN_STD = 0.05  # of a log1p feature, about 5 %: a joint that never moves would blow rounding up to unit variance


def _series(motion: Motion) -> np.ndarray:
    """What the features are means of: (N, 13, 3) squared velocities along x and y, length of the acceleration."""
    moving = smooth(velocity(motion.q, motion.fps), SIGMA)
    turning = np.full_like(moving, np.nan)
    turning[1:-1] = smooth(np.diff(motion.q, n=2, axis=0), SIGMA) * motion.fps**2
    return np.concatenate([moving**2, np.linalg.norm(turning, axis=-1, keepdims=True)], axis=-1)


def kinetic_features(motion: Motion) -> np.ndarray:
    """What kind of motion a dance is: (39,) log1p of 13 joints x (horizontal energy, vertical energy, acceleration).

    Energies are mean squared velocities (L^2/s^2), the third the mean length of the acceleration (L/s^2), after Onuma
    et al., FMDistance (Eurographics 2008), in two dimensions. A frozen pose has all 0; a joint not seen has NaN.
    Velocities and accelerations are smoothed over 3 frames: at 60 Hz the acceleration of joints that stand is otherwise
    the noise of whatever found them, and the distance that between two detectors. `jerk` is there for trembling.
    """
    if len(motion.q) < 3:
        return np.full(3 * len(JOINTS), np.nan)
    return np.log1p(mean(_series(motion), axis=0)).reshape(-1)


def window_features(motion: Motion) -> np.ndarray:
    """The same in half overlapping windows of 4 s: (n, 39); one shorter window for a shorter dance, none for under 3
    frames."""
    if len(motion.q) < 3:
        return np.zeros((0, 3 * len(JOINTS)))
    width = min(round(WINDOW * motion.fps), len(motion.q))
    windows = np.lib.stride_tricks.sliding_window_view(_series(motion), width, axis=0)[:: max(width // 2, 1)]
    return np.log1p(mean(windows, axis=-1)).reshape(len(windows), -1)


@dataclass(frozen=True)
class KineticSpace:
    """Features standardised by real dances, without those that these don't show."""

    mean: np.ndarray  # (K,), NaN for a joint that is never seen
    std: np.ndarray  # (K,)

    @classmethod
    def fit(cls, features: np.ndarray) -> "KineticSpace":
        """Of the training part's features, (n, K)."""
        centre = mean(features, axis=0)
        return cls(centre, np.maximum(np.sqrt(mean((features - centre) ** 2, axis=0)), MIN_STD))

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """(..., K) -> (..., d). A joint that is not seen for a while is taken as average, which says nothing."""
        known = np.isfinite(self.mean)
        return np.nan_to_num(((features - self.mean) / self.std)[..., known])


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance between Gaussians fitted to two sets of windows, (n, d) and (m, d) (Heusel et al., NIPS 2017).

    NaN where either has fewer than 10 windows a dimension: the estimate falls with n, and below that tells n.
    """
    if min(len(a), len(b)) < PER_DIMENSION * a.shape[1]:
        return np.nan
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The trace of the root of a product of covariances, whose eigenvalues are real and at least 0 but for rounding.
    root = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0)).sum()
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * root)


def distances(features: np.ndarray) -> np.ndarray:
    """Euclidean distances between each two of (..., U, d): (..., U, U)."""
    return np.linalg.norm(features[..., :, None, :] - features[..., None, :, :], axis=-1)
