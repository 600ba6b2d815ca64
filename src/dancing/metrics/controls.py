"""What a dance must be better than: the wrong music, a pose that stands, white noise; a picture: the nearest real one.

The strongest control of dances, real dance chosen by ear, is `dancing.music_to_pose.retrieval`.
"""

from collections.abc import Sequence

import numpy as np

from dancing.metrics.motion import JOINTS, magnitude, prepare
from dancing.metrics.rhythm import beats_within

SMALL = 0.01  # torso lengths: noise that moves a joint without moving what it is measured by


def frozen(landmarks: np.ndarray) -> np.ndarray:
    """A dance's median pose for as long as the dance: (T, 33, 2) -> the same."""
    return np.repeat(np.median(landmarks, axis=0, keepdims=True), len(landmarks), axis=0)


def jitter(
    landmarks: np.ndarray, visibility: np.ndarray, fps: float, width: int, height: int, seed: int
) -> np.ndarray:  # fmt: skip
    """White noise about a dance's median pose, as fast as the dance: (T, 33, 2) in [0, 1] -> the same.

    visibility: (T, 33), which joints the dance's speed is of.
    """
    real = prepare(landmarks, visibility, fps, width, height)
    noise = np.random.default_rng(seed).normal(size=landmarks.shape) * real.torso / [width, height]
    still = frozen(landmarks)
    trembling = magnitude(prepare(still + SMALL * noise, visibility, fps, width, height))
    return still + SMALL * magnitude(real) / trembling * noise


def shuffled(beats: Sequence[np.ndarray], durations: Sequence[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Beats of a wrong song for every dance: the control in which gain and locking must fall to chance.

    The songs are rolled by a random number of places. Locking doesn't feel a delay, so a wrong song at the right tempo
    would be no control (all Viennese waltzes have one tempo): where the partner's period is within 6 % of 1/2, 2/3,
    3/4, 1, 4/3, 3/2 or 2 of the dance's own, its beats are stretched to 0.82-0.92 of it, or to the inverse. A single
    song is its own partner, and so always stretched.

    Args:
        beats: each song's, (b,) s.
        durations: s, each dance's; beats go on at their median period to its end and stop there.

    Returns:
        n arrays of beat times. Empty for a partner with under two beats.

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
    """Which pose of a library is nearest to each of some poses where it stands: (N,) rows.

    By the mean squared distance of the 13 joints in px. Over the torso it would choose the same: a pose is compared
    with all others by its own.

    Args:
        landmarks, library: (N, 33, 2) and (M, 33, 2) in [0, 1].
        width, height: px of the pictures that both are in.
    """
    ours, others = ((poses[:, JOINTS] * [width, height]).reshape(len(poses), -1) for poses in (landmarks, library))
    return ((others**2).sum(axis=1) - 2 * ours @ others.T).argmin(axis=1)  # but for what is the same for all others
