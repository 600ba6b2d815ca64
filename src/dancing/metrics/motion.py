"""Motion normalised for measuring, and metrics of the amount of motion.

Letters: T frames of a clip, N frames at 60 Hz, J = 13 joints.
Units: torso lengths (L) and seconds. Undefined values (motion too short, nothing visible) are NaN.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike
from scipy.fft import dct, idct
from scipy.interpolate import CubicSpline, PchipInterpolator

#: The MediaPipe landmarks that count: nose, shoulders to wrists, hips to ankles. A third of all 33 are on the head.
JOINTS = (0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
SHOULDERS = [JOINTS.index(11), JOINTS.index(12)]
HIPS = [JOINTS.index(23), JOINTS.index(24)]

FPS = 60.0  # of every measured motion, so that smoothing by a number of frames is comparable
MIN_VISIBILITY = 0.5  # a landmark below it is a guess of the pose detector
MIN_VISIBLE_SHARE = 0.1  # of the frames: a landmark that is visible in fewer is not used
STILL = 1e-6  # L/s; anything below it is rounding error


@dataclass(frozen=True)
class Motion:
    """A dance that is independent of camera distance, aspect ratio and frame rate, as `prepare` makes it.

    Attributes:
        landmarks: (N, 33, 2) L from the image's upper left corner, x right and y down; NaN where not visible.
        torso: px, the median length from mid-hip to mid-shoulder.
        fps: frames/s.
    """

    landmarks: np.ndarray
    torso: float
    fps: float = FPS

    @cached_property
    def root(self) -> np.ndarray:
        """Path of mid-hip, (N, 2) L; NaN where a hip is not visible."""
        return self.landmarks[:, [JOINTS[hip] for hip in HIPS]].mean(axis=1)

    @cached_property
    def q(self) -> np.ndarray:
        """Positions of `JOINTS` relative to mid-hip, (N, 13, 2) L."""
        return self.landmarks[:, JOINTS] - self.root[:, None]

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return len(self.landmarks) / self.fps

    def only(self, landmarks: np.ndarray) -> "Motion":
        """Mask all other landmarks with NaN, so that two dances are compared by the same ones.

        Args:
            landmarks: (33,) bool, those to keep.
        """
        return replace(self, landmarks=np.where(landmarks[:, None], self.landmarks, np.nan))

    def cut(self, start: int, stop: int | None = None) -> "Motion":
        """Frames start to stop (exclusive; None: to the end), as for a slice."""
        return replace(self, landmarks=self.landmarks[start:stop])


# ---------------------------------------------------------------------------------------------------- preparation


def prepare(landmarks: ArrayLike, visibility: ArrayLike, fps: float, width: int, height: int) -> Motion:
    """Convert landmarks of any frame rate and image size to a `Motion` at 60 Hz.

    Args:
        landmarks: (T, 33, 2), x and y as fractions of the image. NaN counts as not visible.
        visibility: (T, 33) in [0, 1]. Landmarks under 0.5 are not visible: they are interpolated before resampling and
            masked after it. A landmark that is visible in less than a tenth of the frames is masked throughout. Where a
            hip is not visible, `root` and `q` are NaN.
        fps: frames per second of the landmarks.
        width: px, of the image.
        height: px. Both are needed because fractions of width and of height are different units.

    Raises:
        ValueError: for arrays of other shapes, or an fps or size that is not above 0.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    scores = np.asarray(visibility, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (33, 2):
        raise ValueError(f"landmarks: expected shape (T, 33, 2), got {points.shape}")
    if scores.shape != points.shape[:2]:
        raise ValueError(f"visibility: expected shape {points.shape[:2]} as the landmarks', got {scores.shape}")
    if not (fps > 0 and width > 0 and height > 0):
        raise ValueError(f"fps, width and height must be above 0, got {fps}, {width} and {height}")

    pixels = points * [width, height]  # (T, 33, 2)
    visible = (scores >= MIN_VISIBILITY) & np.isfinite(pixels).all(axis=-1)  # (T, 33)
    if len(visible):
        visible &= visible.mean(axis=0) >= MIN_VISIBLE_SHARE
    pixels, visible = _resample(_bridge(pixels, visible), visible, fps)  # (N, 33, 2), (N, 33)
    in_pixels = Motion(np.where(visible[..., None], pixels, np.nan), 1.0)

    torsos = np.linalg.norm(in_pixels.q[:, SHOULDERS].mean(axis=1), axis=-1)
    torsos = torsos[np.isfinite(torsos)]
    torso = float(np.median(torsos)) if len(torsos) else np.nan
    if not torso > 0:
        torso = np.nan  # without a unit of length, everything is NaN
    return Motion(in_pixels.landmarks / torso, torso)


def _bridge(pixels: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Fill gaps in (T, 33, 2) by monotone interpolation; visible: (T, 33) bool. Ends are held constant.

    Monotone, because a plain cubic spline overshoots in long gaps, and the resampling spline would carry the error into
    the neighbouring samples.
    """
    bridged = np.where(visible.all(axis=0)[:, None], pixels, 0.0)
    for joint in np.flatnonzero(visible.any(axis=0) & ~visible.all(axis=0)):  # gaps differ from landmark to landmark
        at = np.flatnonzero(visible[:, joint])
        samples = pixels[at, joint]
        if len(at) == 1:
            bridged[:, joint] = samples
        else:
            every = np.clip(np.arange(len(pixels)), at[0], at[-1])
            bridged[:, joint] = PchipInterpolator(at, samples)(every)
            bridged[at, joint] = samples
    return bridged


def _resample(pixels: np.ndarray, visible: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, 33, 2) and (T, 33) at `fps` -> (N, 33, 2) and (N, 33) at 60 Hz.

    A new sample is visible where the old samples on both sides of it are.
    """
    frames = len(pixels)
    if frames < 2:
        return pixels, visible
    end = int((frames - 1) * FPS / fps + 1e-6)  # whole 60ths of a second within the clip
    at = np.minimum(np.arange(end + 1) * fps / FPS, frames - 1)  # in frames of the clip
    before, after = np.floor(at + 1e-6).astype(int), np.ceil(at - 1e-6).astype(int)
    return CubicSpline(np.arange(frames), pixels)(at), visible[before] & visible[after]


# --------------------------------------------------------------------------------- smoothing and means over gaps


def mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Mean of the values that are finite; NaN, without NumPy's warning, where there are none."""
    finite = np.isfinite(values)
    count = finite.sum(axis=axis)
    return np.where(count > 0, np.where(finite, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter over time that ignores NaN: short gaps are filled, long ones stay NaN.

    Args:
        values: (N, ...).
        sigma: of the Gaussian, in frames.
    """
    finite = np.isfinite(values)
    total = _gaussian(np.where(finite, values, 0.0), sigma)
    if finite.all():
        return total
    weight = _gaussian(finite.astype(float), sigma)
    return np.where(weight > 0.1, total / np.maximum(weight, 0.1), np.nan)


def _gaussian(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian filter over time with reflection at the ends, (N, ...) -> (N, ...).

    A product in the cosine transform, which implies the reflection. Its cost does not depend on sigma.
    """
    frames = len(values)
    if not frames:
        return values
    response = np.exp(-0.5 * (sigma * np.pi * np.arange(frames) / frames) ** 2)
    spectrum = dct(values, axis=0) * response.reshape(-1, *[1] * (values.ndim - 1))
    return idct(spectrum, axis=0)


def velocity(path: np.ndarray, fps: float) -> np.ndarray:
    """Central differences over time: (N, ...) in L -> (N, ...) in L/s; NaN next to a gap and where N is 1."""
    return np.gradient(path, axis=0) * fps if len(path) > 1 else np.full_like(path, np.nan)


def joint_speeds(motion: Motion) -> np.ndarray:
    """Speed of every joint relative to mid-hip, (N, 13) in L/s; NaN where not visible."""
    return np.linalg.norm(velocity(motion.q, motion.fps), axis=-1)


# ------------------------------------------------------------------------------------------------- amount of motion


def magnitude(motion: Motion) -> float:
    """Mean joint speed relative to mid-hip, L/s: the mean over time of each joint, then over joints."""
    return float(mean(mean(joint_speeds(motion), axis=0)))


def median_speed(motions: Sequence[Motion]) -> float:
    """Median over all frames of all motions of the mean joint speed, L/s: the reference of `freeze_ratio`."""
    speeds = np.concatenate([mean(joint_speeds(motion), axis=1) for motion in motions] or [np.zeros(0)])
    speeds = speeds[np.isfinite(speeds)]
    return float(np.median(speeds)) if len(speeds) else np.nan


def freeze_ratio(motion: Motion, real_median: float) -> float:
    """Share of windows of 0.5 s in which the dancer hardly moves: the mean speed is under a tenth of the real median.

    Args:
        motion: the dance to measure.
        real_median: L/s, `median_speed` of real dances.

    Returns:
        In [0, 1], without the windows in which no joint is visible; NaN without a window or where `real_median` is NaN.
    """
    width = round(motion.fps / 2)
    speed = mean(joint_speeds(motion), axis=1)
    windows = mean(speed[: len(speed) // width * width].reshape(-1, width), axis=1)
    windows = windows[np.isfinite(windows)]
    return float(np.mean(windows < 0.1 * real_median)) if len(windows) and np.isfinite(real_median) else np.nan


def jerk(motion: Motion) -> float:
    """Mean length of the third difference of joint positions at 60 Hz, L/s^3: high where the body trembles.

    It depends on the noise of the landmarks: compare only motions that were tracked at the same frame rate.
    """
    third = np.diff(motion.q, n=3, axis=0) * motion.fps**3
    return float(mean(mean(np.linalg.norm(third, axis=-1), axis=0)))


def drift(motion: Motion, seconds: float = 10.0) -> float:
    """Magnitude of the last seconds over that of the first: 1 is steady, 0 is motion that dies down.

    Args:
        motion: the dance to measure.
        seconds: length of the two spans.

    Returns:
        At least 0; NaN where the motion is shorter than two spans or does not move in the first.
    """
    span = round(seconds * motion.fps)
    if len(motion.q) < 2 * span:
        return np.nan
    first, last = magnitude(motion.cut(0, span)), magnitude(motion.cut(-span))
    return last / first if first > STILL else np.nan
