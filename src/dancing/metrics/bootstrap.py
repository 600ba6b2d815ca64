"""How sure a mean over a few songs is: bootstrap with whole units (songs, runs of pictures), never frames."""

import numpy as np

RESAMPLES = 1000


def resampled(units: int, seed: int, resamples: int = RESAMPLES) -> np.ndarray:
    """How often each unit is drawn when as many as there are are drawn with replacement: (resamples, units)."""
    drawn = np.random.default_rng(seed).integers(0, units, (resamples, units))
    weights = np.zeros((resamples, units))
    np.add.at(weights, (np.arange(resamples)[:, None], drawn), 1)
    return weights


def percentiles(draws: np.ndarray) -> list[float] | None:
    """95 % interval of a resampled figure, (resamples,); draws in which it can't be told (NaN) are left out."""
    draws = draws[np.isfinite(draws)]
    return [float(edge) for edge in np.percentile(draws, [2.5, 97.5])] if len(draws) else None


def interval(totals: np.ndarray, counts: np.ndarray, seed: int) -> list[float] | None:
    """Bootstrap 95 % interval (percentiles) of sum(totals) / sum(counts) over independent units.

    totals, counts: (units,). For a plain mean over units, counts are 1. Units whose count is 0 say nothing and are
    left out. None for fewer than two units.
    """
    totals, counts = totals[counts > 0], counts[counts > 0]
    if len(totals) < 2:
        return None
    weights = resampled(len(totals), seed)
    return percentiles((weights @ totals) / (weights @ counts))
