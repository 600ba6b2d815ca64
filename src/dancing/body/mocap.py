"""Landmark files: the dance to a song, measured (motion capture) or made, where there is no video of it.

NAME.npz beside the song holds, for n poses:

    landmarks      (n, 33, 2)  MediaPipe Pose's order; x and y as fractions of the picture, y downwards; NaN: not seen
    visibility     (n, 33)     0 to 1
    fps            poses a second
    width, height  of the picture that the fractions are of, pixels

The first pose belongs to the song's first sample. Other arrays in the file are left alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from dancing.body.detection import N_LANDMARKS, bridge
from dancing.errors import UserError

_KEYS = ("landmarks", "visibility", "fps", "width", "height")
#: How far, in sizes of the picture, a landmark may be outside it: more is another unit.
_OUTSIDE = 1.0
#: A pose this near to a frame, in poses, is the frame's: 1/3 of a second is no exact number.
_ROUNDING = 1e-6


class LandmarkFileError(UserError):
    """A landmark file that can't serve; the message names the file, what was expected and what to do."""


@dataclass(frozen=True)
class Capture:
    """What a landmark file holds, n poses."""

    landmarks: np.ndarray  # (n, 33, 2) float32, about [0, 1]; NaN throughout a pose of which one is not known
    visibility: np.ndarray  # (n, 33) float32 in [0, 1], 0 where the pose is NaN
    fps: float
    width: int  # pixels
    height: int

    @property
    def duration(self) -> float:
        """Seconds: each pose lasts until the next is due."""
        return len(self.landmarks) / self.fps


def read(path: str | os.PathLike) -> Capture:
    """Read and check a landmark file. Raises LandmarkFileError."""
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
    seen = visibility[whole]
    if not ((seen >= 0) & (seen <= 1)).all():
        raise LandmarkFileError(f"{path}: visibility must be from 0 (a guess) to 1 (measured) wherever there is a pose")
    return Capture(
        landmarks=np.where(whole[:, None, None], landmarks, np.nan).astype(np.float32),
        visibility=np.where(whole[:, None], visibility, 0).astype(np.float32),
        fps=_number(path, arrays, "fps"),
        width=round(_number(path, arrays, "width")),
        height=round(_number(path, arrays, "height")),
    )


def resample(capture: Capture, fps: float, n_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """The poses at ``t = k / fps``, on a cubic spline through the file's poses; at the file's own rate they stay.

    A frame between two poses of which one is NaN is NaN. After the last pose, that pose.

    Returns:
        Landmarks (n_frames, 33, 2) float32 and their visibility (n_frames, 33) float32, the lower of the two poses'.
    """
    knots = np.arange(len(capture.landmarks))
    places = np.minimum(np.arange(n_frames) * (capture.fps / fps), knots[-1])  # (n_frames,) in poses of the file
    before, after = np.floor(places + _ROUNDING).astype(int), np.ceil(places - _ROUNDING).astype(int)
    # Straight lines over what is NaN let the spline pass; what it says there is taken out again.
    spline = CubicSpline(knots, bridge(capture.landmarks.astype(np.float64)))
    whole = np.isfinite(capture.landmarks).all(axis=(1, 2))
    landmarks = np.where((whole[before] & whole[after])[:, None, None], spline(places), np.nan)
    visibility = np.minimum(capture.visibility[before], capture.visibility[after])
    return landmarks.astype(np.float32), visibility


def _arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of the file that are ours, all numbers."""
    try:
        with np.load(path, allow_pickle=False) as file:  # a pickle may run any program
            arrays = {key: file[key] for key in _KEYS if key in file}
    except Exception:  # whatever broken bytes lead zipfile, zlib and NumPy to
        raise LandmarkFileError(
            f"{path}: not an .npz file of plain arrays: write it with numpy.savez, without Python objects"
        ) from None
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
