"""Kinetic features of motion, and distances between their distributions.

Distributions are compared in windows of a few seconds. Windows of the same dance are similar and overlap by half, so
the independent units of `distribution` are whole dances.

Letters: N frames at 60 Hz, n windows, K = 39 features, d of them known, U dances. Undefined values are NaN.
"""

from dataclasses import dataclass

import numpy as np

from dancing.metrics.motion import JOINTS, Motion, mean, smooth, velocity

WINDOW = 4.0  # s, two bars at 120 BPM; windows overlap by half
SIGMA = 3.0  # frames, of the smoothing
PER_DIMENSION = 10  # windows needed for every dimension of a covariance
#: Of a log1p feature, about 5 %. Otherwise rounding errors of a joint that never moves would get unit variance.
MIN_STD = 0.05


def _series(motion: Motion) -> np.ndarray:
    """What is averaged over time: squared velocities along x and y, length of the acceleration; (N, 13, 3)."""
    velocities = smooth(velocity(motion.q, motion.fps), SIGMA)
    accelerations = np.full_like(velocities, np.nan)
    accelerations[1:-1] = smooth(np.diff(motion.q, n=2, axis=0), SIGMA) * motion.fps**2
    return np.concatenate([velocities**2, np.linalg.norm(accelerations, axis=-1, keepdims=True)], axis=-1)


def kinetic_features(motion: Motion) -> np.ndarray:
    """Kinetic features of a whole dance: horizontal energy, vertical energy and acceleration of 13 joints.

    Energies are mean squared velocities (L^2/s^2), the acceleration is the mean length of its vector (L/s^2), after
    Onuma et al., FMDistance (Eurographics 2008), in two dimensions; then log1p. Velocities and accelerations are
    smoothed by a Gaussian of 3 frames. Without it, the acceleration of resting joints at 60 Hz would be the pose
    detector's noise, and distances would compare detectors. High-frequency noise is measured by `motion.jerk`.

    Returns:
        (39,) joint by joint: 0 for a frozen pose, NaN for a joint that is never visible.
    """
    if len(motion.q) < 3:
        return np.full(3 * len(JOINTS), np.nan)
    return np.log1p(mean(_series(motion), axis=0)).reshape(-1)


def window_features(motion: Motion) -> np.ndarray:
    """`kinetic_features` of windows of 4 s that overlap by half.

    Returns:
        (n, 39); a single window for a shorter dance, none for fewer than three frames.
    """
    if len(motion.q) < 3:
        return np.zeros((0, 3 * len(JOINTS)))
    width = min(round(WINDOW * motion.fps), len(motion.q))
    windows = np.lib.stride_tricks.sliding_window_view(_series(motion), width, axis=0)[:: max(width // 2, 1)]
    return np.log1p(mean(windows, axis=-1)).reshape(len(windows), -1)


@dataclass(frozen=True)
class KineticSpace:
    """Mean and standard deviation of the features of real dances, to standardise all features by."""

    mean: np.ndarray  # (K,), NaN for a joint that is never visible
    std: np.ndarray  # (K,)

    @classmethod
    def fit(cls, features: np.ndarray) -> "KineticSpace":
        """Measure the training part's features, (n, K)."""
        centre = mean(features, axis=0)
        return cls(centre, np.maximum(np.sqrt(mean((features - centre) ** 2, axis=0)), MIN_STD))

    def standardise(self, features: np.ndarray) -> np.ndarray:
        """Standardise features: (..., K) -> (..., d).

        Joints that are never visible in real dances are dropped. NaN, of a joint that is not visible for a while,
        becomes 0, the mean.
        """
        known = np.isfinite(self.mean)
        return np.nan_to_num(((features - self.mean) / self.std)[..., known])


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    """Frechet distance between Gaussians fitted to two sets of features (Heusel et al., NIPS 2017).

    Args:
        a: (n, d).
        b: (m, d).

    Returns:
        At least 0 but for rounding. NaN where either set has fewer than 10 d features: the estimate is biased, and with
        so few the bias dominates.
    """
    if min(len(a), len(b)) < PER_DIMENSION * a.shape[1]:
        return np.nan
    first, second = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # Trace of the square root of the product. Its eigenvalues are real and at least 0 but for rounding.
    root = np.sqrt(np.maximum(np.linalg.eigvals(first @ second).real, 0)).sum()
    return float(((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum() + np.trace(first) + np.trace(second) - 2 * root)


def distances(features: np.ndarray) -> np.ndarray:
    """Pairwise Euclidean distances: (..., U, d) -> (..., U, U)."""
    return np.linalg.norm(features[..., :, None, :] - features[..., None, :, :], axis=-1)
