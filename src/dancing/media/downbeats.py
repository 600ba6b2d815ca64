"""Where in the bar each beat lies: downbeats by accents, for bars of two, three and four beats.

A beat tracker says when the beats are, not which of them is the first of a bar, and a dance's steps last a bar. Here
beats are counted, once for bars of four (whose halves are bars of two) and once for bars of three, such that the
accents (bass, and changes of harmony) fall on the ones. Which metre the music has is told by how much stronger the ones
are.
"""

from __future__ import annotations

import numpy as np

METRES = (2, 3, 4)  # beats a bar
#: Log-probability of counting on without a slip, against one of the others: songs seldom drop a beat, trackers do.
_SLIP = -6.0


def count_beats(accents: np.ndarray, metre: int) -> np.ndarray:
    """Place in the bar of every beat, (b,) int in [0, metre): the path on which the ones are most accented.

    A hidden Markov model decoded by Viterbi: the state is the place in the bar, it goes up by one a beat but for rare
    slips, and log-odds of a one are the accent itself.

    Args:
        accents: (b,) standard scores, large on likely downbeats.
    """
    evidence = np.zeros((len(accents), metre))
    evidence[:, 0] = accents
    if not len(accents):
        return np.zeros(0, int)
    stay = np.full((metre, metre), _SLIP)  # from place, to place
    stay[np.arange(metre), (np.arange(metre) + 1) % metre] = 0.0
    score, came_from = evidence[0], np.zeros((len(accents), metre), int)
    for k in range(1, len(accents)):
        through = score[:, None] + stay
        came_from[k] = through.argmax(axis=0)
        score = through.max(axis=0) + evidence[k]
    place = np.empty(len(accents), int)
    place[-1] = score.argmax()
    for k in range(len(accents) - 1, 0, -1):
        place[k - 1] = came_from[k, place[k]]
    return place


def accents(low: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """How much each of b beats sounds like the first of a bar, (b,) standard scores.

    Args:
        low: (b,) onset strength of the bass at the beats.
        chroma: (b + 1, 12) chroma before the first beat, from each beat to the next, and after the last.
    """
    size = np.linalg.norm(chroma, axis=1)
    likeness = (chroma[:-1] * chroma[1:]).sum(axis=1) / np.maximum(size[:-1] * size[1:], 1e-9)
    return _standard(_standard(low) + _standard(-likeness))


def triple_against_double(accents: np.ndarray, threes: np.ndarray, fours: np.ndarray) -> float:
    """How much better bars of three fit than bars of four or two, in [-1, 1]: a waltz is above 0.

    Args:
        accents: (b,) standard scores.
        threes, fours: (b,) places in the bar by `count_beats`.
    """
    if len(accents) < 8:
        return 0.0
    one_of_two = fours % 2 == 0
    double = max(accents[fours == 0].mean(), accents[one_of_two].mean()) if (fours == 0).any() else 0.0
    triple = accents[threes == 0].mean() if (threes == 0).any() else 0.0
    return float(np.tanh(triple - double))


def _standard(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(values.std(), 1e-9) if len(values) else values
