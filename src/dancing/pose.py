"""Pictures to body landmarks (MediaPipe Pose): detection, gaps and smoothing.

A pose is the 33 landmarks of BlazePose (Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking, 2020) as
fractions of the picture: x grows to the right, y downwards; a limb may reach a little outside [0, 1].
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

os.environ.setdefault("GLOG_minloglevel", "2")  # before the import: MediaPipe's C++ side reports every start otherwise
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import mediapipe as mp
import numpy as np

N_LANDMARKS = 33
Segment = tuple[int, int]  # first frame and the one after the last


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
    with detector:
        for frame in frames:
            found = detector.process(np.ascontiguousarray(frame)).pose_landmarks
            points = [(p.x, p.y, p.visibility) for p in found.landmark] if found else [(np.nan, np.nan, 0.0)] * 33
            pose = np.array(points, np.float32)  # (33, 3)
            landmarks.append(pose[:, :2])
            visibility.append(pose[:, 2])
    shape = (len(landmarks), N_LANDMARKS)
    return np.array(landmarks, np.float32).reshape(*shape, 2), np.array(visibility, np.float32).reshape(shape)
