"""Controls: trivial baselines that a model must beat.

For dances: the beats of another song, a frozen pose, white noise. For images: the real image with the nearest pose. The
strongest control for dances is `dancing.music_to_pose.retrieval`, which joins pieces of real dance.
"""

from collections.abc import Sequence

import numpy as np

from dancing.metrics.motion import JOINTS, magnitude, prepare
from dancing.metrics.rhythm import beats_within

#: Torso lengths. Noise this small leaves the torso length, by which it is measured, almost unchanged.
SMALL = 0.01


def frozen(landmarks: np.ndarray) -> np.ndarray:
    """The median pose, repeated for the length of the dance: (T, 33, 2) -> (T, 33, 2)."""
    return np.repeat(np.median(landmarks, axis=0, keepdims=True), len(landmarks), axis=0)


def jitter(
    landmarks: np.ndarray, visibility: np.ndarray, fps: float, width: int, height: int, seed: int
) -> np.ndarray:  # fmt: skip
    """White noise around the median pose, scaled to the mean speed of the dance.

    Args:
        landmarks: (T, 33, 2) in [0, 1].
        visibility: (T, 33); invisible landmarks do not count for the speed.
        fps: of the landmarks.
        width: px, of the image.
        height: px, of the image.
        seed: of the noise.

    Returns:
        (T, 33, 2) in [0, 1].
    """
    real = prepare(landmarks, visibility, fps, width, height)
    noise = np.random.default_rng(seed).normal(size=landmarks.shape) * real.torso / [width, height]
    still = frozen(landmarks)
    noise_speed = magnitude(prepare(still + SMALL * noise, visibility, fps, width, height))
    return still + SMALL * magnitude(real) / noise_speed * noise


def wrong_beats(beats: Sequence[np.ndarray], durations: Sequence[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Give every dance the beats of a wrong song: the gain in beat alignment and tempo locking must fall to chance.

    The songs are rotated by a random number of places. Tempo locking ignores a delay, so a wrong song of the right
    tempo would be no control (all Viennese waltzes have the same tempo). Where the period of the other song is within
    6 % of 1/2, 2/3, 3/4, 1, 4/3, 3/2 or 2 of the dance's own, its beats are therefore stretched to 0.82-0.92 of the own
    period, or to the inverse. A single song is paired with itself, and so always stretched.

    Args:
        beats: each song's, (b,) s.
        durations: s, of each dance. Beats continue at their median period up to its end and stop there.
        rng: of the rotation and the stretching.

    Returns:
        Beat times (s) for each dance; empty where the other song has fewer than two beats.

    Raises:
        ValueError: where beats and durations differ in number.
    """
    roll = int(rng.integers(1, len(beats))) if len(beats) > 1 else 0
    harmonics = np.array([1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2])
    pairs = []
    for place, (song, duration) in enumerate(zip(beats, durations, strict=True)):
        own, other = np.unique(song), np.unique(beats[(place + roll) % len(beats)])
        if len(other) < 2:
            pairs.append(np.zeros(0))
            continue
        period = np.median(np.diff(other))
        ratio = period / np.median(np.diff(own)) if len(own) > 1 else np.nan
        if (abs(ratio / harmonics - 1) < 0.06).any():
            wrong = rng.uniform(0.82, 0.92) ** rng.choice([-1, 1])
            other, period = other * wrong / ratio, period * wrong / ratio
        further = other[-1] + period * np.arange(1, max(0.0, duration - other[-1]) / period + 1)
        pairs.append(beats_within(np.concatenate([other, further]), duration))
    return pairs


def nearest_poses(landmarks: np.ndarray, library: np.ndarray, width: int, height: int) -> np.ndarray:
    """Find the library pose nearest to each pose, by the mean squared distance of the 13 joints in pixels.

    Args:
        landmarks: (N, 33, 2) in [0, 1].
        library: (M, 33, 2) in [0, 1].
        width: px, of the images that both are in.
        height: px, likewise.

    Returns:
        (N,) rows of the library.
    """
    ours, others = ((poses[:, JOINTS] * [width, height]).reshape(len(poses), -1) for poses in (landmarks, library))
    # |ours|^2 is left out: it is the same for all rows of the library.
    return ((others**2).sum(axis=1) - 2 * ours @ others.T).argmin(axis=1)
