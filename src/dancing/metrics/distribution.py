"""Distances between two sets of features, and whether one set covers the other.

Samples come in units whose members resemble each other: the windows of a dance, the frames of a run. Every mean over
pairs below is over pairs from different units. The estimate of MMD^2 is therefore unbiased, with expectation 0 for
equal distributions, however many samples a unit has.

Letters: U units, n and m features of d dimensions.
"""

from collections.abc import Sequence

import numpy as np

SPLITS = 200  # of the real units, for the floor


def over_pairs(values: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Weighted mean over pairs of different units.

    Args:
        values: (U, U), of each pair.
        a: (..., U) weights of the first unit of a pair.
        b: (..., U) weights of the second.

    Returns:
        (...); NaN where no pair has a weight.
    """
    apart = 1 - np.eye(len(values))
    weights = ((a @ apart) * b).sum(axis=-1)
    return ((a @ (values * apart)) * b).sum(axis=-1) / np.where(weights > 0, weights, np.nan)


def kernel_means(units: Sequence[np.ndarray]) -> np.ndarray:
    """Mean of the kernel (x.y / d + 1)^3 between the features of each two units.

    The kernel is that of the Kernel Inception Distance (Binkowski et al., Demystifying MMD GANs, ICLR 2018).

    Args:
        units: features (n_u, d) of each unit, none of them empty.

    Returns:
        (U, U).
    """
    features = np.concatenate(units)
    kernel = (features @ features.T / features.shape[1] + 1) ** 3
    counts = np.array([len(unit) for unit in units])
    starts = np.cumsum(counts) - counts
    return np.add.reduceat(np.add.reduceat(kernel, starts, axis=0), starts, axis=1) / np.outer(counts, counts)


def mmd2(means: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Unbiased squared maximum mean discrepancy of two groups of units (Gretton et al., JMLR 2012, eq. 3).

    Args:
        means: (U, U), `kernel_means` of all units of both groups.
        a: (..., U) how often each unit counts in the first group.
        b: (..., U) how often in the second; no unit counts in both.

    Returns:
        (...). The expectation is 0 for equal distributions, so values may be negative. NaN for a group of fewer than
        two units.
    """
    return over_pairs(means, a, a) + over_pairs(means, b, b) - 2 * over_pairs(means, a, b)


def mmd2_floor(means: np.ndarray, size: int, seed: int) -> float:
    """Typical size of the estimate of MMD^2 between real units: what an MMD^2 is divided by.

    The real units are split 200 times at random into a group of `size` and the rest. The floor is the mean of |MMD^2|
    over the splits: the signed mean is about 0 and can't be a divisor, and a high quantile would be a guess with few
    units. The floor contains the sampling noise of few units and the differences between real units.

    Args:
        means: (U, U), `kernel_means` of the real training units.
        size: number of units in the test part; at most half of the real units are taken.
        seed: of the splits.

    Returns:
        At least 0; NaN for groups of fewer than two units.
    """
    units = len(means)
    size = min(size, units // 2)
    if size < 2:
        return np.nan
    order = np.random.default_rng(seed).random((SPLITS, units)).argsort(axis=1)
    group = (order < size).astype(float)
    return float(np.abs(mmd2(means, group, 1 - group)).mean())


def knn_coverage(real: np.ndarray, made: np.ndarray, k: int = 5) -> np.ndarray:
    """Find which generated features lie in the k-nearest-neighbour balls of which real ones.

    Density and coverage are computed from this (Naeem et al., Reliable Fidelity and Diversity Metrics, ICML 2020, with
    k = 5). Density is the sum over k m: its expectation is 1 for equal distributions, and it is larger where generated
    features concentrate in dense regions of the real ones. Coverage is the share of rows with any True: at most 1, and
    smaller for small m.

    Args:
        real: (n, d).
        made: (m, d), generated.
        k: the radius of a real feature's ball is the distance to its k-th neighbour.

    Returns:
        (n, m) bool.

    Raises:
        ValueError: for k real features or fewer.
    """
    if len(real) <= k:
        raise ValueError(f"expected more than {k} real features, got {len(real)}")
    apart = _distances(real, real)
    np.fill_diagonal(apart, np.inf)  # a feature is not its own neighbour
    reach = np.partition(apart, k - 1, axis=1)[:, k - 1 : k]
    return _distances(real, made) <= reach


def _distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distances, (n, d) and (m, d) -> (n, m)."""
    squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0))
