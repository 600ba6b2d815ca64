"""A dance put on the beat: small changes of its pace, so that it comes to rest when the music beats.

Letters: T frames, b beats, P shifts that are tried.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline, PchipInterpolator

from dancing.metrics.motion import prepare
from dancing.metrics.rhythm import beats_within, motion_beats

STEP = 1 / 240  # s, of the shifts that are tried
REACH = 0.25  # s, the largest: half a beat at 120 BPM; further off is another beat's
NEAR = 0.05  # s, how near to a beat a rest must be to count much: that of the beat alignment score
EFFORT = 0.1  # what the largest shift costs, as a share of what a rest on the beat earns
STEEPEST = 1.5  # largest slope of a monotone cubic between two knots, over the straight line's


def warp_to_beats(landmarks: np.ndarray, beats: ArrayLike, fps: float, limit: float = 0.15) -> np.ndarray:
    """Play a dance a little faster here and slower there, so that its minima of speed fall on the music's beats.

    Args:
        landmarks: (T, 33, 2), best in pixels: in fractions of the picture the longer side's motion counts less when
            the minima of speed are found. The result is in the same unit.
        beats: (b,) s from the first frame.
        fps: frames/s.
        limit: by what share the pace may change, from 0 to under 1.

    Returns:
        (T, 33, 2): the same dance, as long, with the same first and last pose. Unchanged where it never rests, there
        are no beats, or nothing is gained.

    Raises:
        ValueError: for a limit outside [0, 1).
    """
    if not 0 <= limit < 1:
        raise ValueError(f"limit: expected a share from 0 to under 1, got {limit}")
    if len(landmarks) < 2:
        return landmarks
    times = np.arange(len(landmarks)) / fps
    rests = motion_beats(prepare(landmarks, np.ones(landmarks.shape[:2]), fps, 1, 1))
    at = pace(rests, beats_within(beats, times[-1]), times, limit)
    return landmarks if (at == times).all() else CubicSpline(times, landmarks)(at).astype(landmarks.dtype)


def pace(rests: np.ndarray, beats: np.ndarray, times: np.ndarray, limit: float) -> np.ndarray:
    """Which moment of the dance to show at `times`, (T,) s -> (T,) s.

    Each beat b shows the moment b + x. Of all sequences of shifts x whose slope stays within the limit, from none at
    the first moment to none at the last, the one is taken whose moments lie nearest to rests, by the beat alignment
    score, less a small cost of shifting: the best path through a table of beats and shifts (Bellman). Between the beats
    the shift is a monotone cubic (Fritsch & Carlson, SIAM J. Numer. Anal. 1980), so the pace never jumps.

    Args:
        rests: (m,) s, when the dance rests, sorted. beats: (b,) s within `times`, sorted.
        times: (T,) s, rising.
    """
    beats = beats[(beats > times[0]) & (beats < times[-1])]
    if not len(rests) or not len(beats):
        return times
    knots = np.concatenate([times[:1], beats, times[-1:]])
    # Rounded down, so that the limit holds; how many steps the shift may change by from one knot to the next.
    changes = np.floor(limit / STEEPEST * np.diff(knots) / STEP + 1e-9).astype(int)
    reach = round(REACH / STEP)
    shifts = np.arange(-reach, reach + 1) * STEP  # (P,)
    moments, fence = beats[:, None] + shifts, np.concatenate([[-np.inf], rests, [np.inf]])
    after = np.searchsorted(fence, moments)
    away = np.minimum(moments - fence[after - 1], fence[after] - moments)  # (b, P) s from the nearest rest
    earned = np.exp(-(away**2) / (2 * NEAR**2)) - EFFORT * np.abs(shifts) / REACH

    best = np.where(shifts == 0, 0.0, -np.inf)  # (P,) of all paths that end here
    came = np.zeros((len(changes), len(shifts)), dtype=int)  # from which shift
    for knot, change in enumerate(changes):
        change = min(change, 2 * reach)
        around = np.lib.stride_tricks.sliding_window_view(
            np.pad(best, change, constant_values=-np.inf), 2 * change + 1
        )  # (P, 2 * change + 1)
        came[knot] = np.arange(len(shifts)) - change + around.argmax(axis=1)
        best = around.max(axis=1) + (earned[knot] if knot < len(beats) else 0.0)

    path = [reach]  # back from the last moment, where there is no shift
    for origin in came[::-1]:
        path.append(origin[path[-1]])
    path_shifts = shifts[path[::-1]]
    # A knot without a shift before and after keeps the cubic's slope at both ends 0.
    knots = np.concatenate([[knots[0] - 1], knots, [knots[-1] + 1]])
    return times + PchipInterpolator(knots, np.pad(path_shifts, 1))(times)
