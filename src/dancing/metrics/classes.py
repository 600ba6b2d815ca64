"""What a classifier says of a set of generated pictures.

A cell is {"mean", "n": pictures, "ci95": bootstrap 95 % interval over pictures, [low, high]}, as in the other tables.
Letters: N pictures, K classes, D features.
"""

from dataclasses import dataclass

import numpy as np

from dancing.metrics.bootstrap import interval, percentiles, resampled
from dancing.metrics.bootstrap_cells import Row
from dancing.metrics.kinetic import frechet

FRECHET_RESAMPLES = 50


def classifier_score(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """exp of the mean divergence of each picture's classes from the classes of all: 1 to K.

    Salimans et al., Improved Techniques for Training GANs, NIPS 2016, with a classifier of our own. High where each
    picture is clearly of one class and the classes are equally many.

    Args:
        probabilities: (N, K).
        weights: (..., N) how often each picture counts.

    Returns:
        (...).
    """
    weights = weights / weights.sum(axis=-1, keepdims=True)
    certainty = weights @ _entropies(probabilities)
    return np.exp(_entropies(weights @ probabilities) - certainty)


def _entropies(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1)


def class_row(probabilities: np.ndarray, seed: int) -> Row:
    """classifier_score, rarest_class and commonest_class (shares of all pictures) of probabilities (N, K)."""
    count, classes = probabilities.shape
    chosen = np.eye(classes)[probabilities.argmax(axis=1)]
    every, draws = np.ones(count), resampled(count, seed)
    shares, drawn = chosen.mean(axis=0), draws @ chosen / count
    values = {
        "classifier_score": (classifier_score(probabilities, every), classifier_score(probabilities, draws)),
        "rarest_class": (shares.min(), drawn.min(axis=1)),
        "commonest_class": (shares.max(), drawn.max(axis=1)),
    }
    return {name: {"mean": float(v), "n": count, "ci95": percentiles(d)} for name, (v, d) in values.items()}


def accuracy_row(probabilities: np.ndarray, labels: np.ndarray, seed: int) -> Row:
    """accuracy: share of pictures (N, K) that are taken for what they are, (N,)."""
    right = (probabilities.argmax(axis=1) == labels).astype(float)
    cell = {"mean": float(right.mean()), "n": len(right), "ci95": interval(right, np.ones(len(right)), seed)}
    return {"accuracy": cell}


@dataclass(frozen=True)
class FrechetReference:
    """Features of real training pictures, and how far others of them are away: the floor."""

    features: np.ndarray  # (n, D)
    floor: float

    @classmethod
    def of(cls, features: np.ndarray, count: int, seed: int) -> "FrechetReference":
        """Of training pictures' features (N, D). The floor is that of `count` of them, at random, to the others."""
        order = np.random.default_rng(seed).permutation(len(features))
        count = min(count, len(features) // 2)
        return cls(features[order[count:]], frechet(features[order[:count]], features[order[count:]]))

    def row(self, features: np.ndarray, seed: int) -> Row:
        """frechet, frechet_ratio (over the floor) of features (N, D); None for fewer than ten pictures a dimension."""
        distance = frechet(features, self.features)
        rng, draws = np.random.default_rng(seed), []
        if np.isfinite(distance):
            picks = (rng.integers(0, len(features), len(features)) for _ in range(FRECHET_RESAMPLES))
            draws = [frechet(features[pick], self.features) for pick in picks]
        row = {}
        for name, unit in (("frechet", 1.0), ("frechet_ratio", self.floor)):
            known = bool(np.isfinite(distance / unit))
            ends = percentiles(np.array(draws) / unit) if known else None
            row[name] = {"mean": float(distance / unit) if known else None, "n": len(features), "ci95": ends}
        return row
