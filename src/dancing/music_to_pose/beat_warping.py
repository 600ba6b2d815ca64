"""Beat warping: small changes of a dance's pace that move its minima of speed onto the music's beats.

A "rest" is such a minimum. Letters: T frames, b beats, m rests, K knots, P candidate shifts.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline, PchipInterpolator

from dancing.metrics.motion import prepare
from dancing.metrics.rhythm import beats_within, motion_beats

STEP = 1 / 240  # s, between candidate shifts
MAX_SHIFT = 0.25  # s: half a beat at 120 BPM, as a rest further away belongs to another beat
TOLERANCE = 0.05  # s, the standard deviation of the beat alignment score
SHIFT_COST = 0.1  # of the largest shift; a rest exactly on a beat scores 1
#: Largest ratio of a monotone cubic's slope between two knots to that of the straight line.
MAX_SLOPE_RATIO = 1.5


def warp_to_beats(landmarks: np.ndarray, beats: ArrayLike, fps: float, limit: float = 0.15) -> np.ndarray:
    """Return a dance whose pace is changed locally, so that its minima of speed fall on the beats.

    Args:
        landmarks: (T, 33, 2), preferably in px. In fractions of the image, motion along the longer side would count
            less when the rests are detected.
        beats: (b,) s from the first frame.
        fps: frames a second.
        limit: largest relative change of the pace, from 0 to under 1.

    Returns:
        (T, 33, 2), in the unit of `landmarks`. The first and the last pose stay as they are. The dance is returned
        unchanged if it has no rests, there are no beats, or no warping scores higher.

    Raises:
        ValueError: `limit` is outside [0, 1).
    """
    if not 0 <= limit < 1:
        raise ValueError(f"limit: expected a share from 0 to under 1, got {limit}")
    if len(landmarks) < 2:
        return landmarks
    times = np.arange(len(landmarks)) / fps
    rests = motion_beats(prepare(landmarks, np.ones(landmarks.shape[:2]), fps, 1, 1))
    warped = pace(rests, beats_within(beats, times[-1]), times, limit)
    return landmarks if (warped == times).all() else CubicSpline(times, landmarks)(warped).astype(landmarks.dtype)


def pace(rests: np.ndarray, beats: np.ndarray, times: np.ndarray, limit: float) -> np.ndarray:
    """Return which time of the original dance to show at each of `times`, (T,) s.

    At beat b, time b + x is shown. The shifts x are chosen to maximise the beat alignment score of all beats, less a
    small cost of shifting. They are 0 at both ends, and their slope stays within the limit. Dynamic programming over a
    table of knots and candidate shifts finds the optimum. Between beats the shift is a monotone cubic (Fritsch and
    Carlson, Monotone Piecewise Cubic Interpolation, SIAM J. Numer. Anal. 1980), so the pace is continuous.

    Args:
        rests: (m,) s, sorted.
        beats: (b,) s, sorted; those outside `times` are ignored.
        times: (T,) s, increasing.
        limit: largest relative change of the pace, from 0 to under 1.
    """
    beats = beats[(beats > times[0]) & (beats < times[-1])]
    if not len(rests) or not len(beats):
        return times
    knots = np.concatenate([times[:1], beats, times[-1:]])
    # By how many steps the shift may change from one knot to the next; rounded down, so that the limit holds.
    max_changes = np.floor(limit / MAX_SLOPE_RATIO * np.diff(knots) / STEP + 1e-9).astype(int)
    max_steps = round(MAX_SHIFT / STEP)
    shifts = np.arange(-max_steps, max_steps + 1) * STEP  # (P,)
    best_shifts = shifts[_best_path(_scores(rests, beats, shifts), max_changes)]
    # A knot without a shift before the first and after the last makes the cubic's slope 0 at both ends.
    knots = np.concatenate([[knots[0] - 1], knots, [knots[-1] + 1]])
    return times + PchipInterpolator(knots, np.pad(best_shifts, 1))(times)


def _scores(rests: np.ndarray, beats: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """Return what each shift (P,) scores at each beat (b,): alignment less cost, (b, P)."""
    moments, bounds = beats[:, None] + shifts, np.concatenate([[-np.inf], rests, [np.inf]])
    after = np.searchsorted(bounds, moments)
    distance = np.minimum(moments - bounds[after - 1], bounds[after] - moments)  # (b, P) s to the nearest rest
    return np.exp(-(distance**2) / (2 * TOLERANCE**2)) - SHIFT_COST * np.abs(shifts) / MAX_SHIFT


def _best_path(scores: np.ndarray, max_changes: np.ndarray) -> np.ndarray:
    """Return the index of each knot's shift on the best path through the table, (K,).

    The path starts and ends without a shift.

    Args:
        scores: (K - 2, P), of all knots but the two ends; P is odd, and the middle column is no shift.
        max_changes: (K - 1,), by how many columns the path may move from one knot to the next.
    """
    count = scores.shape[1]
    middle = count // 2
    best = np.full(count, -np.inf)  # (P,) score of the best path that ends at each shift
    best[middle] = 0.0
    previous = np.zeros((len(max_changes), count), dtype=int)  # the shift before, on that path
    for knot, change in enumerate(max_changes):
        change = min(change, count - 1)
        reachable = np.lib.stride_tricks.sliding_window_view(
            np.pad(best, change, constant_values=-np.inf), 2 * change + 1
        )  # (P, 2 * change + 1)
        previous[knot] = np.arange(count) - change + reachable.argmax(axis=1)
        best = reachable.max(axis=1) + (scores[knot] if knot < len(scores) else 0.0)
    path = [middle]
    for step in previous[::-1]:
        path.append(step[path[-1]])
    return np.array(path[::-1])
