"""A dance as the metrics see it, and how much it moves.

Letters: T frames of a clip, N frames at 60 Hz, J = 13 joints.
Units: torso lengths (L) and seconds. A value that can't be told (too short, nothing seen) is NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import dct, idct
from scipy.interpolate import CubicSpline, PchipInterpolator

#: MediaPipe's landmarks that count: nose, shoulders to wrists, hips to ankles. All 33 would weigh the head by a third.
JOINTS = (0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
SHOULDERS = [JOINTS.index(11), JOINTS.index(12)]
HIPS = [JOINTS.index(23), JOINTS.index(24)]

FPS = 60.0  # of every motion that is measured: smoothing in frames means nothing across frame rates
MIN_VISIBILITY = 0.5  # a landmark below it is a guess
MIN_SEEN = 0.1  # share of the frames in which a landmark must be seen to be counted at all
STILL = 1e-6  # L/s, rounding error rather than motion


@dataclass(frozen=True)
class Motion:
    """A dance free of distance, aspect ratio and frame rate, as `prepare` makes it.

    landmarks: (N, 33, 2) in torso lengths from the picture's upper left corner, x right and y down; NaN where not seen.
    torso: px, the median length from mid-hip to mid-shoulder.
    """

    landmarks: np.ndarray
    torso: float
    fps: float = FPS

    @cached_property
    def root(self) -> np.ndarray:
        """(N, 2) mid-hip's path; NaN where either hip is not seen."""
        return self.landmarks[:, [JOINTS[hip] for hip in HIPS]].mean(axis=1)

    @cached_property
    def q(self) -> np.ndarray:
        """(N, 13, 2) the `JOINTS` seen from mid-hip: free of where the dancer stands."""
        return self.landmarks[:, JOINTS] - self.root[:, None]

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.landmarks) / self.fps

    def only(self, landmarks: np.ndarray) -> "Motion":
        """The same dance with nothing but these landmarks, (33,) bool, so that two dances compare like with like."""
        return replace(self, landmarks=np.where(landmarks[:, None], self.landmarks, np.nan))

    def cut(self, start: int, stop: int | None = None) -> "Motion":
        """Frames start..stop alone."""
        return replace(self, landmarks=self.landmarks[start:stop])


# ---------------------------------------------------------------------------------------------------- preparation


def prepare(landmarks: ArrayLike, visibility: ArrayLike, fps: float, width: int, height: int) -> Motion:
    """Bring landmarks of any frame rate and picture size to one `Motion` at 60 Hz.

    Args:
        landmarks: (T, 33, 2), x and y as fractions of the picture. NaN counts as not seen.
        visibility: (T, 33) in [0, 1]. Landmarks under 0.5 are not seen: the spline goes on without them, and what it
            says there is masked. One seen in less than a tenth of the frames is left out altogether. Where a hip
            is not seen, no joint has a place relative to it, and all are masked.
        fps: frames per second of the landmarks.
        width, height: px, of the picture: normalised x and y have different scales and must not be mixed.

    Raises:
        ValueError: for arrays of other shapes, or an fps or size that is not above 0.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    visible = np.asarray(visibility, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (33, 2):
        raise ValueError(f"landmarks: expected shape (T, 33, 2), got {points.shape}")
    if visible.shape != points.shape[:2]:
        raise ValueError(f"visibility: expected shape {points.shape[:2]} as the landmarks', got {visible.shape}")
    if not (fps > 0 and width > 0 and height > 0):
        raise ValueError(f"fps, width and height must be above 0, got {fps}, {width} and {height}")

    pixels = points * [width, height]  # (T, 33, 2)
    seen = (visible >= MIN_VISIBILITY) & np.isfinite(pixels).all(axis=-1)  # (T, 33)
    if len(seen):
        seen &= seen.mean(axis=0) >= MIN_SEEN
    pixels, seen = _resample(_bridge(pixels, seen), seen, fps)  # (N, 33, 2), (N, 33)
    shown = Motion(np.where(seen[..., None], pixels, np.nan), 1.0)  # as yet in pixels

    torsos = np.linalg.norm(shown.q[:, SHOULDERS].mean(axis=1), axis=-1)
    torsos = torsos[np.isfinite(torsos)]
    torso = float(np.median(torsos)) if len(torsos) else np.nan
    if not torso > 0:
        torso = np.nan  # nothing to measure by: everything is NaN
    return Motion(shown.landmarks / torso, torso)


def _bridge(pixels: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Replace unseen samples of (T, 33, 2) by a monotone curve through the seen ones; the ends are held.

    Monotone, since a plain cubic would swing out over a long gap and pull its neighbours along.
    """
    bridged = np.where(seen.all(axis=0)[:, None], pixels, 0.0)
    for joint in np.flatnonzero(seen.any(axis=0) & ~seen.all(axis=0)):  # gaps differ from landmark to landmark
        at = np.flatnonzero(seen[:, joint])
        samples = pixels[at, joint]
        if len(at) == 1:
            bridged[:, joint] = samples
        else:
            every = np.clip(np.arange(len(pixels)), at[0], at[-1])
            bridged[:, joint] = PchipInterpolator(at, samples)(every)
            bridged[at, joint] = samples
    return bridged


def _resample(pixels: np.ndarray, seen: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, 33, 2) and (T, 33) at `fps` -> the same at 60 Hz; seen means that the samples on both sides were."""
    frames = len(pixels)
    if frames < 2:
        return pixels, seen
    end = int((frames - 1) * FPS / fps + 1e-6)  # whole 60ths of a second within the clip
    at = np.minimum(np.arange(end + 1) * fps / FPS, frames - 1)  # in frames of the clip
    before, after = np.floor(at + 1e-6).astype(int), np.ceil(at - 1e-6).astype(int)
    return CubicSpline(np.arange(frames), pixels)(at), seen[before] & seen[after]


# --------------------------------------------------------------------------------- smoothing and means over gaps


def mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Mean over what is not NaN; NaN (and no warning) where there is nothing."""
    seen = np.isfinite(values)
    count = seen.sum(axis=axis)
    return np.where(count > 0, np.where(seen, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian over time (axis 0, sigma in frames) of what is not NaN: short gaps are bridged, long ones stay NaN."""
    seen = np.isfinite(values)
    total = _gaussian(np.where(seen, values, 0.0), sigma)
    if seen.all():
        return total
    weight = _gaussian(seen.astype(float), sigma)
    return np.where(weight > 0.1, total / np.maximum(weight, 0.1), np.nan)


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian over time, reflected at the ends, (N, ...) -> (N, ...).

    By the cosine transform, whose waves reflect at the ends by themselves: as fast for a sigma of seconds as of frames.
    """
    frames = len(values)
    if not frames:
        return values
    response = np.exp(-0.5 * (sigma * np.pi * np.arange(frames) / frames) ** 2)
    waves = dct(values, axis=0) * response.reshape(-1, *[1] * (values.ndim - 1))
    return idct(waves, axis=0)


def velocity(path: np.ndarray, fps: float) -> np.ndarray:
    """Central differences over time, (N, ...) in L -> (N, ...) in L/s; NaN beside a gap and where N is 1."""
    return np.gradient(path, axis=0) * fps if len(path) > 1 else np.full_like(path, np.nan)


def joint_speeds(motion: Motion) -> np.ndarray:
    """Speed of every joint relative to mid-hip, (N, 13) in L/s; NaN where not seen."""
    return np.linalg.norm(velocity(motion.q, motion.fps), axis=-1)


# ------------------------------------------------------------------------------------------------- amount of motion


def magnitude(motion: Motion) -> float:
    """Mean joint speed relative to mid-hip, L/s: each joint's over time, then over the joints."""
    return float(mean(mean(joint_speeds(motion), axis=0)))


def median_speed(motions: Sequence[Motion]) -> float:
    """Median over all frames of all motions of the mean joint speed, L/s: the measure of `freeze_ratio`."""
    speeds = np.concatenate([mean(joint_speeds(motion), axis=1) for motion in motions] or [np.zeros(0)])
    speeds = speeds[np.isfinite(speeds)]
    return float(np.median(speeds)) if len(speeds) else np.nan


def freeze_ratio(motion: Motion, real_median: float) -> float:
    """Share of 0.5 s windows whose mean speed is under a tenth of `real_median` (L/s, see `median_speed`).

    Windows in which nothing is seen are left out; NaN where there is no window or no `real_median`.
    """
    width = round(motion.fps / 2)
    speed = mean(joint_speeds(motion), axis=1)
    windows = mean(speed[: len(speed) // width * width].reshape(-1, width), axis=1)
    windows = windows[np.isfinite(windows)]
    return float(np.mean(windows < 0.1 * real_median)) if len(windows) and np.isfinite(real_median) else np.nan


def jerk(motion: Motion) -> float:
    """Mean length of the third difference of the joints at 60 Hz, L/s^3: how much the body trembles.

    It depends on the noise of the landmarks, so compare only motions that were tracked at one frame rate.
    """
    third = np.diff(motion.q, n=3, axis=0) * motion.fps**3
    return float(mean(mean(np.linalg.norm(third, axis=-1), axis=0)))


def drift(motion: Motion, seconds: float = 10.0) -> float:
    """Magnitude of the last 10 s over that of the first: 1 is steady, 0 is a dance that dies down.

    NaN where the motion is shorter than both together, or begins frozen.
    """
    span = round(seconds * motion.fps)
    if len(motion.q) < 2 * span:
        return np.nan
    first, last = magnitude(motion.cut(0, span)), magnitude(motion.cut(-span))
    return last / first if first > STILL else np.nan
