"""What kind of motion it is, as a distribution: kinetic features, their distance from real dance, their variety.

A distribution is compared in windows of some seconds. The windows of a dance resemble one another, half of each even is
its neighbour's, so the independent units are whole dances: every mean over pairs below is over pairs of windows from
different units. So the estimate of MMD^2 is unbiased, 0 on average where nothing differs, however many windows a unit
holds.

Letters: N frames at 60 Hz, n windows, K = 39 features, d of them known, U units. A value that can't be told is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dancing.metrics.motion import JOINTS, Motion, mean, smooth, velocity

WINDOW = 4.0  # s, two bars at 120 BPM; half overlapping
SIGMA = 3.0  # frames
SPLITS = 200  # of the real dances, for the floor
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


def over_pairs(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean of values (U, U) over pairs of different units, weighted by a and b, (..., U) each; NaN without a pair."""
    apart = 1 - np.eye(len(values))
    weights = ((a @ apart) * b).sum(axis=-1)
    return ((a @ (values * apart)) * b).sum(axis=-1) / np.where(weights > 0, weights, np.nan)


def kernel_means(units: Sequence[np.ndarray]) -> np.ndarray:
    """(U, U): mean of (x.y / d + 1)^3 between the windows of each two units, (n_u, d) each and none of them empty.

    The kernel is that of the Kernel Inception Distance (Binkowski et al., Demystifying MMD GANs, ICLR 2018).
    """
    windows = np.concatenate(units)
    kernel = (windows @ windows.T / windows.shape[1] + 1) ** 3
    counts = np.array([len(unit) for unit in units])
    starts = np.cumsum(counts) - counts
    return np.add.reduceat(np.add.reduceat(kernel, starts, axis=0), starts, axis=1) / np.outer(counts, counts)


def mmd2(means: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Unbiased squared maximum mean discrepancy of two groups of units (Gretton et al., JMLR 2012, eq. 3).

    Args:
        means: (U, U), `kernel_means` of all units of both.
        a, b: (..., U) how often each unit counts in either group; no unit in both.

    Returns:
        (...). On average 0 where the groups are alike, so it may well be negative. NaN for a group of fewer than two.
    """
    return over_pairs(means, a, a) + over_pairs(means, b, b) - 2 * over_pairs(means, a, b)


def mmd2_floor(means: np.ndarray, size: int, seed: int) -> float:
    """How large an estimate between real dances alone is: the unit of `mmd_ratio`.

    An unbiased estimate is about 0 between alike groups, of either sign, and so no number to divide by. What can be
    divided by is its usual size: real dances are split 200 times at random into a group of `size` and the rest, and the
    floor is the mean of |MMD^2|. The mean, since with few dances a high quantile would be a guess. It holds what few
    dances leave to chance, and how much one real dance differs from another.

    Args:
        means: (U, U), `kernel_means` of the real training dances.
        size: as many as the test part has songs; no more than half of the real dances are taken.
    """
    units = len(means)
    size = min(size, units // 2)
    if size < 2:
        return np.nan
    order = np.random.default_rng(seed).random((SPLITS, units)).argsort(axis=1)
    group = (order < size).astype(float)
    return float(np.abs(mmd2(means, group, 1 - group)).mean())


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
