"""Landmark files: the dance to a song from motion capture or animation, without a video.

NAME.npz, in the folder of the song NAME, holds n poses:

    landmarks      (n, 33, 2)  order of MediaPipe Pose; x and y as fractions of the image, y downwards; NaN: unknown
    visibility     (n, 33)     0 to 1
    fps            poses a second
    width, height  size in pixels of the image that the fractions refer to

The first pose is at the first sample of the song. Other arrays in the file are ignored.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from dancing.body.detection import N_LANDMARKS, bridge
from dancing.errors import UserError
from dancing.npz import read_npz

_KEYS = ("landmarks", "visibility", "fps", "width", "height")
_MAX_BYTES = 2**29  # over four hours at 30 poses a second, in double precision
#: How far outside the image a landmark may be, in widths and heights. Values beyond are probably in another unit.
_OUTSIDE = 1.0
#: A frame this close to a pose of the file, in poses, takes that pose: times are subject to rounding.
_ROUNDING = 1e-6


class LandmarkFileError(UserError):
    """A landmark file can't be used; the message names the file, what was expected and what to do."""


@dataclass(frozen=True)
class Capture:
    """The contents of a landmark file: n poses."""

    landmarks: np.ndarray  # (n, 33, 2) float32, about [0, 1]; all NaN in a pose with any unknown landmark
    visibility: np.ndarray  # (n, 33) float32 in [0, 1], 0 where the pose is NaN
    fps: float  # poses a second
    width: int  # pixels, of the image
    height: int  # pixels

    @property
    def duration(self) -> float:
        """Seconds; the last pose lasts as long as the others."""
        return len(self.landmarks) / self.fps


def read(path: str | os.PathLike) -> Capture:
    """Read and check a landmark file.

    Raises:
        LandmarkFileError: the file is not an .npz file of plain arrays, an array is missing or has another shape, fewer
            than two poses are without NaN, or values are out of range.
    """
    arrays = _arrays(path)
    landmarks, visibility = arrays["landmarks"].astype(np.float64), arrays["visibility"].astype(np.float64)
    if landmarks.shape[1:] != (N_LANDMARKS, 2):
        raise LandmarkFileError(
            f"{path}: landmarks is {landmarks.shape}, expected (n, {N_LANDMARKS}, 2): the landmarks of MediaPipe Pose, "
            "x and y; estimate those that were not measured and give them a low visibility"
        )
    if visibility.shape != landmarks.shape[:2]:
        raise LandmarkFileError(
            f"{path}: visibility is {visibility.shape}, expected {landmarks.shape[:2]}: a number a landmark"
        )
    known = np.isfinite(landmarks).all(axis=2)  # (n, 33)
    whole = known.all(axis=1)  # (n,)
    if whole.sum() < 2:
        never = np.flatnonzero(~known.any(axis=0)).tolist()
        raise LandmarkFileError(
            f"{path}: {whole.sum()} of {len(whole)} poses are free of NaN (landmarks that never are: {never}): "
            "estimate what was not measured and give it a low visibility"
        )
    low, high = landmarks[whole].min(), landmarks[whole].max()
    if low < -_OUTSIDE or high > 1 + _OUTSIDE:
        raise LandmarkFileError(
            f"{path}: landmarks reach from {low:.4g} to {high:.4g}, expected fractions of the picture, 0 to 1: divide "
            "pixels by width and height, and put NaN where the dancer was lost"
        )
    measured = visibility[whole]
    if not ((measured >= 0) & (measured <= 1)).all():
        raise LandmarkFileError(f"{path}: visibility must be from 0 (a guess) to 1 (measured) wherever there is a pose")
    return Capture(
        landmarks=np.where(whole[:, None, None], landmarks, np.nan).astype(np.float32),
        visibility=np.where(whole[:, None], visibility, 0).astype(np.float32),
        fps=_number(path, arrays, "fps"),
        width=round(_number(path, arrays, "width")),
        height=round(_number(path, arrays, "height")),
    )


def resample(capture: Capture, fps: float, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Interpolate the poses at ``t = k / fps`` with a cubic spline. At the rate of the file, poses stay as they are.

    A frame is NaN if one of the two poses around it is NaN. Frames after the last pose repeat that pose.

    Args:
        capture: the poses of a landmark file.
        fps: frames a second of the result.
        n_frames: number of frames of the result.

    Returns:
        Landmarks (n_frames, 33, 2) float32 and their visibility (n_frames, 33) float32, which is the lower one of the
        two poses around a frame.
    """
    knots = np.arange(len(capture.landmarks))
    positions = np.minimum(np.arange(n_frames) * (capture.fps / fps), knots[-1])  # (n_frames,) in poses of the file
    before, after = np.floor(positions + _ROUNDING).astype(int), np.ceil(positions - _ROUNDING).astype(int)
    # The spline needs finite values: NaN is bridged first, and put back afterwards.
    spline = CubicSpline(knots, bridge(capture.landmarks.astype(np.float64)))
    whole = np.isfinite(capture.landmarks).all(axis=(1, 2))
    landmarks = np.where((whole[before] & whole[after])[:, None, None], spline(positions), np.nan)
    visibility = np.minimum(capture.visibility[before], capture.visibility[after])
    return landmarks.astype(np.float32), visibility


def _arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays `_KEYS` of the file, checked to hold numbers."""
    try:
        arrays = read_npz(path, _KEYS, _MAX_BYTES, widened=8)
    except ValueError as error:
        raise LandmarkFileError(f"{path}: {error}: write it with numpy.savez, without Python objects") from None
    if missing := [key for key in _KEYS if key not in arrays]:
        raise LandmarkFileError(f"{path}: lacks {', '.join(missing)}; expected {', '.join(_KEYS)}")
    for key, array in arrays.items():
        if array.dtype.kind not in "fiub":
            raise LandmarkFileError(f"{path}: {key} holds {array.dtype}, expected numbers")
    return arrays


def _number(path: str | os.PathLike, arrays: dict[str, np.ndarray], key: str) -> float:
    value = arrays[key]
    if value.size != 1 or not 1 <= value.item() < np.inf:
        raise LandmarkFileError(f"{path}: {key} is {value.tolist()}, expected one number, 1 at least")
    return float(value.item())
