"""How far apart two sets of features are, and whether one covers the other.

What is measured comes in units of things that resemble one another: the windows of a dance, the frames of a run. Every
mean over pairs below is over pairs from different units, so the estimate of MMD^2 is unbiased, 0 on average where
nothing differs, however much a unit holds.

Letters: U units, n and m features of d dimensions.
"""

from collections.abc import Sequence

import numpy as np

SPLITS = 200  # of the real units, for the floor


def over_pairs(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Mean of values (U, U) over pairs of different units, weighted by a and b, (..., U) each; NaN without a pair."""
    apart = 1 - np.eye(len(values))
    weights = ((a @ apart) * b).sum(axis=-1)
    return ((a @ (values * apart)) * b).sum(axis=-1) / np.where(weights > 0, weights, np.nan)


def kernel_means(units: Sequence[np.ndarray]) -> np.ndarray:
    """(U, U): mean of (x.y / d + 1)^3 between the features of each two units, (n_u, d) each and none of them empty.

    The kernel is that of the Kernel Inception Distance (Binkowski et al., Demystifying MMD GANs, ICLR 2018).
    """
    features = np.concatenate(units)
    kernel = (features @ features.T / features.shape[1] + 1) ** 3
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
    """How large an estimate between real units alone is: what an MMD^2 is divided by.

    An unbiased estimate is about 0 between alike groups, of either sign, and so no number to divide by. What can be
    divided by is its usual size: real units are split 200 times at random into a group of `size` and the rest, and the
    floor is the mean of |MMD^2|. The mean, since with few units a high quantile would be a guess. It holds what few
    units leave to chance, and how much one real unit differs from another.

    Args:
        means: (U, U), `kernel_means` of the real training units.
        size: as many as the test part has; no more than half of the real units are taken.
    """
    units = len(means)
    size = min(size, units // 2)
    if size < 2:
        return np.nan
    order = np.random.default_rng(seed).random((SPLITS, units)).argsort(axis=1)
    group = (order < size).astype(float)
    return float(np.abs(mmd2(means, group, 1 - group)).mean())


def within_reach(real: np.ndarray, made: np.ndarray, k: int = 5) -> np.ndarray:
    """Which made features lie no farther from which real ones than these have their own k-th neighbour: (n, m) bool.

    What density and coverage are counted from (Naeem et al., Reliable Fidelity and Diversity Metrics, ICML 2020, with
    k = 5): density is the sum over (k m), which is 1 on average where nothing differs, and more where made ones crowd
    where real ones are dense; coverage is the share of rows with anything in them, at most 1 and less for small m.

    Args:
        real, made: (n, d) and (m, d).

    Raises:
        ValueError: for k real features or fewer.
    """
    if len(real) <= k:
        raise ValueError(f"expected more than {k} real features, got {len(real)}")
    apart = _distances(real, real)
    np.fill_diagonal(apart, np.inf)  # nobody is his own neighbour
    reach = np.partition(apart, k - 1, axis=1)[:, k - 1 : k]
    return _distances(real, made) <= reach


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean, (n, d) and (m, d) -> (n, m)."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))
