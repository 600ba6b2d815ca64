"""Downbeat detection: the position of each beat in bars of two, three and four beats.

A beat tracker finds the beats, but not which of them is the first of its bar, and dance steps last a bar. Here the
beats are counted so that accents (bass, and changes of harmony) fall on the downbeats: once in bars of four, whose
halves are the bars of two, and once in bars of three. The metre follows from which count has the stronger downbeats.
Letter: b beats.
"""

from __future__ import annotations

import numpy as np

METRES = (2, 3, 4)  # beats a bar
#: Log-probability of a slip in the count, relative to a regular step. Slips are needed because beat trackers sometimes
#: drop or insert a beat.
_SLIP = -6.0


def count_beats(accents: np.ndarray, metre: int) -> np.ndarray:
    """Return the position of every beat in its bar, such that the downbeats have the strongest accents.

    A hidden Markov model, decoded with the Viterbi algorithm. The state is the position in the bar. It increases by one
    with each beat, except for rare slips. The log-odds of a downbeat are the accent.

    Args:
        accents: (b,) standard scores, large on likely downbeats.
        metre: beats a bar.

    Returns:
        (b,) int in [0, metre); 0 is the downbeat.
    """
    evidence = np.zeros((len(accents), metre))
    evidence[:, 0] = accents
    if not len(accents):
        return np.zeros(0, int)
    transition = np.full((metre, metre), _SLIP)  # (from position, to position)
    transition[np.arange(metre), (np.arange(metre) + 1) % metre] = 0.0
    score, came_from = evidence[0], np.zeros((len(accents), metre), int)
    for k in range(1, len(accents)):
        through = score[:, None] + transition
        came_from[k] = through.argmax(axis=0)
        score = through.max(axis=0) + evidence[k]
    positions = np.empty(len(accents), int)
    positions[-1] = score.argmax()
    for k in range(len(accents) - 1, 0, -1):
        positions[k - 1] = came_from[k, positions[k]]
    return positions


def accents(low: np.ndarray, chroma: np.ndarray) -> np.ndarray:
    """Score how likely each of b beats is a downbeat: strong bass, and a change of harmony at the beat.

    Args:
        low: (b,) onset strength of the bass at the beats.
        chroma: (b + 1, 12) chroma before the first beat, from each beat to the next, and after the last.

    Returns:
        (b,) standard scores.
    """
    norms = np.linalg.norm(chroma, axis=1)
    similarity = (chroma[:-1] * chroma[1:]).sum(axis=1) / np.maximum(norms[:-1] * norms[1:], 1e-9)
    return _standardize(_standardize(low) + _standardize(-similarity))


def triple_metre_score(accents: np.ndarray, threes: np.ndarray, fours: np.ndarray) -> float:
    """Compare bars of three with bars of two and four, by the mean accent of their downbeats.

    Args:
        accents: (b,) standard scores.
        threes: (b,) positions in bars of three, from `count_beats`.
        fours: (b,) positions in bars of four, from `count_beats`.

    Returns:
        A number in [-1, 1], above 0 if bars of three fit better (a waltz); 0 if there are fewer than 8 beats.
    """
    if len(accents) < 8:
        return 0.0
    of_two = fours % 2 == 0  # downbeats of bars of two
    double = max(accents[fours == 0].mean(), accents[of_two].mean()) if (fours == 0).any() else 0.0
    triple = accents[threes == 0].mean() if (threes == 0).any() else 0.0
    return float(np.tanh(triple - double))


def _standardize(values: np.ndarray) -> np.ndarray:
    return (values - values.mean()) / max(values.std(), 1e-9) if len(values) else values
