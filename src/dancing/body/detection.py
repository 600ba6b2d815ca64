"""Pictures to body landmarks (MediaPipe Pose): detection, gaps and smoothing.

A pose is the 33 landmarks of BlazePose (Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020) as
fractions of the picture: x grows to the right, y downwards; a limb may reach a little outside [0, 1].
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

os.environ.setdefault("GLOG_minloglevel", "2")  # before the import: MediaPipe's C++ side reports every start otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import mediapipe as mp
import numpy as np
from scipy.signal import butter, sosfiltfilt

N_LANDMARKS = 33
_NOBODY = [(np.nan, np.nan, 0.0)] * N_LANDMARKS
Segment = tuple[int, int]  # first frame and the one after the last


@dataclass(frozen=True)
class QualityReport:
    """How well a clip shows its dancer; plain values, ready for JSON."""

    fps: float
    duration: float  # seconds
    has_sound: bool
    detected: float  # share of the frames in which somebody is seen
    gaps: int  # stretches in which nobody is
    longest_gap: float  # seconds
    visibility: float  # mean over the landmarks of the frames with a pose
    segments: list[list[int]]  # first frame and the one after the last


@dataclass(frozen=True)
class PoseTrack:
    """The pose in T frames. Outside the segments, landmarks are NaN; bridged frames have visibility 0."""

    landmarks: np.ndarray  # (T, 33, 2) float32
    visibility: np.ndarray  # (T, 33) float32 in [0, 1]
    detected: np.ndarray  # (T,) bool, before bridging
    segments: list[Segment]


def detect(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Landmarks of consecutive frames of one video: each search starts from the pose before.

    Args:
        frames: (H, W, 3) uint8 RGB each.

    Returns:
        Landmarks (T, 33, 2) float32, NaN where nobody is seen, and their visibility (T, 33) float32, there 0.
    """
    return _detect(frames, static_image_mode=False)


def detect_still(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Like `detect`, for pictures that have nothing to do with each other; 96x54 pixels are enough."""
    return _detect(frames, static_image_mode=True)


def _detect(frames: Iterable[np.ndarray], static_image_mode: bool) -> tuple[np.ndarray, np.ndarray]:
    landmarks, visibility = [], []
    with _silent_stderr():
        detector = mp.solutions.pose.Pose(
            static_image_mode=static_image_mode, model_complexity=1, smooth_landmarks=False
        )
        detector.process(np.zeros((64, 64, 3), np.uint8))  # waits for its threads, which have more to say
    with detector:
        for frame in frames:
            with _silent_stderr():
                found = detector.process(np.ascontiguousarray(frame)).pose_landmarks
            points = [(p.x, p.y, p.visibility) for p in found.landmark] if found else _NOBODY
            pose = np.array(points, np.float32)  # (33, 3)
            landmarks.append(pose[:, :2])
            visibility.append(pose[:, 2])
    shape = (len(landmarks), N_LANDMARKS)
    return np.array(landmarks, np.float32).reshape(*shape, 2), np.array(visibility, np.float32).reshape(shape)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep MediaPipe's C++ side from writing to the terminal: it heeds no log level and knows no `sys.stderr`."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def track(
    frames: Iterable[np.ndarray],
    fps: float,
    smooth_cutoff: float,
    max_gap_s: float,
    min_length_s: float,
) -> PoseTrack:
    """Detect, cut into segments, bridge the short gaps in them, reject glitches and smooth.

    Args:
        frames: (H, W, 3) uint8 RGB each, consecutive.
        fps: frames a second.
        smooth_cutoff: see `smooth`.
        max_gap_s, min_length_s: see `segments`.
    """

    def clean(run: np.ndarray) -> np.ndarray:
        return smooth(reject_glitches(run), fps, smooth_cutoff)

    return assemble(*detect(frames), fps, max_gap_s, min_length_s, clean)


def assemble(
    raw: np.ndarray,
    visibility: np.ndarray,
    fps: float,
    max_gap_s: float,
    min_length_s: float,
    clean: Callable[[np.ndarray], np.ndarray] = lambda run: run,
) -> PoseTrack:
    """Cut into segments, bridge the short gaps in them and clean what results.

    Args:
        raw, visibility: (T, 33, 2) with NaN where nobody is seen, and (T, 33), as `detect` returns them.
        fps: frames a second.
        max_gap_s, min_length_s: see `segments`.
        clean: what is done to each segment, (n, 33, 2) without NaN; by default nothing.
    """
    detected = np.isfinite(raw).all(axis=(1, 2))
    landmarks = np.full_like(raw, np.nan)
    found = segments(detected, fps, max_gap_s, min_length_s)
    for start, stop in found:
        landmarks[start:stop] = clean(bridge(raw[start:stop]))
    return PoseTrack(landmarks, visibility, detected, found)


def segments(detected: np.ndarray, fps: float, max_gap_s: float, min_length_s: float) -> list[Segment]:
    """Stretches (start, stop) of frames in which the dancer is seen, but for short gaps.

    A segment begins and ends with a detected frame.

    Args:
        detected: (T,) bool.
        fps: frames a second.
        max_gap_s: a longer gap, in seconds, parts two segments.
        min_length_s: a shorter segment, in seconds, is dropped.
    """
    seen = np.flatnonzero(detected)
    if len(seen) == 0:
        return []
    missing = np.diff(seen) - 1  # undetected frames between one detection and the next
    parted = np.flatnonzero(missing > max_gap_s * fps + 1e-6)
    starts = seen[np.concatenate([[0], parted + 1])]
    stops = seen[np.concatenate([parted, [len(seen) - 1]])] + 1
    shortest = min_length_s * fps - 1e-6
    return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True) if b - a >= shortest]


def bridge(landmarks: np.ndarray) -> np.ndarray:
    """Straight lines over the frames with NaN; before the first and after the last pose, that pose.

    Args:
        landmarks: (T, 33, 2), at least one frame without NaN.
    """
    flat = landmarks.reshape(len(landmarks), -1)  # (T, 66)
    known = np.isfinite(flat).all(axis=1)
    frames = np.arange(len(flat))
    columns = [np.interp(frames, frames[known], column[known]) for column in flat.T]
    return np.stack(columns, axis=1).reshape(landmarks.shape).astype(landmarks.dtype)


def reject_glitches(landmarks: np.ndarray) -> np.ndarray:
    """Median of three frames, (T, 33, 2): takes out what lasts one frame, such as left and right swapped."""
    if len(landmarks) < 3:
        return landmarks
    middle = np.median([landmarks[:-2], landmarks[1:-1], landmarks[2:]], axis=0)
    return np.concatenate([landmarks[:1], middle, landmarks[-1:]]).astype(landmarks.dtype)


def smooth(landmarks: np.ndarray, fps: float, cutoff: float) -> np.ndarray:
    """Butterworth low-pass of second order, run forth and back: no delay (Winter, Biomechanics, 2009, section 3.4).

    At 5 Hz the demo dancer's landmarks tremble as much as his true ones (jerk 1.05 of the truth's, 12 unsmoothed), and
    the error of their velocities is least (4 to 8 Hz and Savitzky-Golay windows of 0.25 to 0.6 s were tried).

    Args:
        landmarks: (T, 33, 2); each run of frames without NaN is filtered by itself.
        fps: frames a second.
        cutoff: Hz, under fps / 2; 0 leaves all as it is.
    """
    smoothed = landmarks.copy()
    if cutoff == 0:
        return smoothed
    sections = butter(2, cutoff, fs=fps, output="sos")
    known = np.isfinite(landmarks).all(axis=(1, 2))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
    margin = round(fps)  # the run is turned round its ends: a second is beyond what the filter remembers
    for start, stop in edges.reshape(-1, 2):
        if stop - start > 2:
            run = landmarks[start:stop].astype(np.float64)
            smoothed[start:stop] = sosfiltfilt(sections, run, axis=0, padlen=min(margin, stop - start - 1))
    return smoothed


def quality(pose: PoseTrack, fps: float, has_sound: bool) -> QualityReport:
    """Figures by which to judge a clip before training on it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[True], pose.detected, [True]])))
    gaps = np.diff(edges.reshape(-1, 2), axis=1)
    seen = pose.visibility[pose.detected]
    return QualityReport(
        fps=float(fps),
        duration=len(pose.detected) / fps,
        has_sound=has_sound,
        detected=float(pose.detected.mean()) if len(pose.detected) else 0.0,
        gaps=len(gaps),
        longest_gap=float(gaps.max(initial=0) / fps),
        visibility=float(seen.mean()) if len(seen) else 0.0,
        segments=[list(segment) for segment in pose.segments],
    )
