"""Metrics of a set of generated images that are computed from a classifier's output.

The cells' intervals are bootstrap intervals over images. Letters: N images, K classes, D features.
"""

from dataclasses import dataclass

import numpy as np

from dancing.metrics.bootstrap import interval, percentiles, resampled
from dancing.metrics.bootstrap_cells import Cell, Row
from dancing.metrics.kinetic import frechet

FRECHET_RESAMPLES = 50


def classifier_score(probabilities: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Inception score with a classifier of our own: 1 (worst) to K (best).

    The exponential of the mean KL divergence of each image's class probabilities from their mean over all images
    (Salimans et al., Improved Techniques for Training GANs, NIPS 2016). It is high where each image clearly belongs to
    one class and all classes are equally frequent.

    Args:
        probabilities: (N, K).
        weights: (..., N) how often each image counts.

    Returns:
        (...).
    """
    weights = weights / weights.sum(axis=-1, keepdims=True)
    entropy = weights @ _entropies(probabilities)
    return np.exp(_entropies(weights @ probabilities) - entropy)


def _entropies(probabilities: np.ndarray) -> np.ndarray:
    """Entropy in nats: (..., K) -> (...)."""
    return -(probabilities * np.log(np.maximum(probabilities, 1e-30))).sum(axis=-1)


def class_row(probabilities: np.ndarray, seed: int) -> Row:
    """Cells of classifier_score, rarest_class and commonest_class.

    The latter two are the smallest and the largest share of images that a class has.

    Args:
        probabilities: (N, K).
        seed: of the bootstrap.
    """
    count, classes = probabilities.shape
    predicted = np.eye(classes)[probabilities.argmax(axis=1)]
    every, draws = np.ones(count), resampled(count, seed)
    shares, drawn_shares = predicted.mean(axis=0), draws @ predicted / count
    values = {
        "classifier_score": (classifier_score(probabilities, every), classifier_score(probabilities, draws)),
        "rarest_class": (shares.min(), drawn_shares.min(axis=1)),
        "commonest_class": (shares.max(), drawn_shares.max(axis=1)),
    }
    return {name: {"mean": float(v), "n": count, "ci95": percentiles(d)} for name, (v, d) in values.items()}


def accuracy_row(probabilities: np.ndarray, labels: np.ndarray, seed: int) -> Row:
    """Cell of accuracy: the share of images whose predicted class is their label.

    Args:
        probabilities: (N, K).
        labels: (N,) int, the classes that the images should show.
        seed: of the bootstrap.
    """
    right = (probabilities.argmax(axis=1) == labels).astype(float)
    cell: Cell = {"mean": float(right.mean()), "n": len(right), "ci95": interval(right, np.ones(len(right)), seed)}
    return {"accuracy": cell}


@dataclass(frozen=True)
class FrechetReference:
    """Real training images that Frechet distances are measured from."""

    features: np.ndarray  # (n, D)
    floor: float  # the distance of other real training images

    @classmethod
    def of(cls, features: np.ndarray, count: int, seed: int) -> "FrechetReference":
        """Split real training images at random: some for the floor, the others as reference.

        Args:
            features: (n, D) of training images.
            count: images that the floor is measured with, as many as will be evaluated; at most half of all.
            seed: of the split.
        """
        order = np.random.default_rng(seed).permutation(len(features))
        count = min(count, len(features) // 2)
        return cls(features[order[count:]], frechet(features[order[:count]], features[order[count:]]))

    def row(self, features: np.ndarray, seed: int) -> Row:
        """Cells of frechet and frechet_ratio (the distance over the floor).

        Args:
            features: (N, D) of the images to measure. For fewer than ten images a dimension the means are None.
            seed: of the bootstrap.
        """
        distance = frechet(features, self.features)
        rng, draws = np.random.default_rng(seed), []
        if np.isfinite(distance):
            picks = (rng.integers(0, len(features), len(features)) for _ in range(FRECHET_RESAMPLES))
            draws = [frechet(features[pick], self.features) for pick in picks]
        row: Row = {}
        for name, unit in (("frechet", 1.0), ("frechet_ratio", self.floor)):
            known = bool(np.isfinite(distance / unit))
            ends = percentiles(np.array(draws) / unit) if known else None
            row[name] = {"mean": float(distance / unit) if known else None, "n": len(features), "ci95": ends}
        return row
