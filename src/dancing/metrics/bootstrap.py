"""Bootstrap intervals. The units that are resampled are whole songs, clips or images, never single frames."""

import numpy as np

RESAMPLES = 1000


def resampled(units: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """Draw as many units as there are, with replacement, many times.

    Args:
        units: number of units.
        seed: of the draws.
        resamples: number of bootstrap samples.

    Returns:
        (resamples, units) how often each unit occurs in each bootstrap sample.
    """
    picks = np.random.default_rng(seed).integers(0, units, (resamples, units))
    weights = np.zeros((resamples, units))
    np.add.at(weights, (np.arange(resamples)[:, None], picks), 1)
    return weights


def percentiles(draws: np.ndarray) -> list[float] | None:
    """95 % interval of a statistic.

    Args:
        draws: (resamples,) the statistic of each bootstrap sample; NaN is left out.

    Returns:
        The 2.5th and the 97.5th percentile; None where all draws are NaN.
    """
    draws = draws[np.isfinite(draws)]
    return [float(edge) for edge in np.percentile(draws, [2.5, 97.5])] if len(draws) else None


def interval(totals: np.ndarray, counts: np.ndarray, seed: int) -> list[float] | None:
    """Bootstrap 95 % interval of sum(totals) / sum(counts) over independent units.

    Args:
        totals: (units,) sum of the values of each unit.
        counts: (units,) number of values of each unit; 1 for a plain mean over units. Units with a count of 0 are left
            out.
        seed: of the bootstrap.

    Returns:
        Lower and upper end; None for fewer than two units.
    """
    totals, counts = totals[counts > 0], counts[counts > 0]
    if len(totals) < 2:
        return None
    weights = resampled(len(totals), seed)
    return percentiles((weights @ totals) / (weights @ counts))
