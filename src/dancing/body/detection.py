"""Detect body landmarks in video frames (MediaPipe Pose), bridge gaps and smooth.

A pose consists of the 33 landmarks of BlazePose (Bazarevsky et al., BlazePose: On-device Real-time Body Pose Tracking,
2020), as fractions of the width and height of the frame. x grows to the right and y downwards. Landmarks of limbs that
leave the frame are outside [0, 1]. Letter: T frames.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import pairwise

os.environ.setdefault("GLOG_minloglevel", "2")  # before the import, or MediaPipe's C++ code logs every start
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import mediapipe as mp
import numpy as np
from scipy.signal import butter, sosfiltfilt

from dancing.body.masks import MaskRecorder, MaskTrack

N_LANDMARKS = 33
_NO_POSE = [(np.nan, np.nan, 0.0)] * N_LANDMARKS
_SHOULDERS, _HIPS = [11, 12], [23, 24]
#: Torso lengths a second, about 7 m/s: no dancer's hips move faster.
_FASTEST = 15.0
Segment = tuple[int, int]  # first frame, and the frame after the last


@dataclass(frozen=True)
class QualityReport:
    """Quality of the pose detection in a clip, as plain values for JSON."""

    fps: float
    duration: float  # seconds
    has_sound: bool
    detected: float  # share of the frames with a pose
    gaps: int  # number of runs of frames without a pose
    longest_gap: float  # seconds
    visibility: float  # mean over all landmarks of the frames with a pose
    segments: list[list[int]]  # first frame, and the frame after the last, of each segment


@dataclass(frozen=True)
class PoseTrack:
    """The poses of T frames. Landmarks are NaN outside the segments; bridged frames have visibility 0 and no mask."""

    landmarks: np.ndarray  # (T, 33, 2) float32
    visibility: np.ndarray  # (T, 33) float32 in [0, 1]
    detected: np.ndarray  # (T,) bool, before bridging
    segments: list[Segment]
    masks: MaskTrack = field(default_factory=MaskTrack.none)


def detect(frames: Iterable[np.ndarray], masks: MaskRecorder | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Detect the pose in consecutive frames of one video; each search starts from the previous pose.

    Args:
        frames: (H, W, 3) uint8 RGB each.
        masks: gets the mask of the person in each frame.

    Returns:
        Landmarks (T, 33, 2) float32 and their visibility (T, 33) float32. In frames without a pose, landmarks are NaN
        and visibility is 0.
    """
    return _detect(frames, static_image_mode=False, masks=masks)


def detect_still(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Detect the pose in images that are independent of each other; 96 x 54 px are enough.

    Args:
        frames: (H, W, 3) uint8 RGB each.

    Returns:
        Landmarks (T, 33, 2) and visibility (T, 33), as `detect` returns them.
    """
    return _detect(frames, static_image_mode=True)


def _detect(
    frames: Iterable[np.ndarray], static_image_mode: bool, masks: MaskRecorder | None = None
) -> tuple[np.ndarray, np.ndarray]:
    landmarks, visibility = [], []
    with _silent_stderr():
        detector = mp.solutions.pose.Pose(
            static_image_mode=static_image_mode,
            model_complexity=1,
            smooth_landmarks=False,
            enable_segmentation=masks is not None,
            smooth_segmentation=False,  # it would mix in the mask before, and a dancer is elsewhere by now
        )
        detector.process(np.zeros((64, 64, 3), np.uint8))  # its threads log while they start: wait for them here
    with detector:
        for frame in frames:
            with _silent_stderr():
                result = detector.process(np.ascontiguousarray(frame))
            found = result.pose_landmarks
            if masks is not None:
                masks.add(result.segmentation_mask if found else None)
            points = [(p.x, p.y, p.visibility) for p in found.landmark] if found else _NO_POSE
            pose = np.array(points, np.float32)  # (33, 3)
            landmarks.append(pose[:, :2])
            visibility.append(pose[:, 2])
    shape = (len(landmarks), N_LANDMARKS)
    return np.array(landmarks, np.float32).reshape(*shape, 2), np.array(visibility, np.float32).reshape(shape)


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what MediaPipe's C++ code writes to the terminal: it ignores log levels and `sys.stderr`."""
    sys.stderr.flush()
    stderr, devnull = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(devnull)


def track(
    frames: Iterable[np.ndarray],
    fps: float,
    every: int,
    smooth_cutoff: float,
    max_gap_s: float,
    min_length_s: float,
    left_out: Sequence[tuple[float, float]] = (),
    notes: list[str] | None = None,
) -> PoseTrack:
    """Detect poses and masks, interpolate poses, cut into segments, bridge short gaps, reject glitches and smooth.

    A jump that no body makes cuts a segment in two: another person, or another shot.

    Args:
        frames: (H, W, 3) uint8 RGB each, consecutive.
        fps: frames a second.
        every: frames from one detected pose to the next. Bodies move slowly beside 30 frames/s: with 2, half of the
            work, the error of the demo's landmarks grows by 2 %, and that of their velocities by 4 %.
        smooth_cutoff: Hz, see `smooth`.
        max_gap_s: seconds, see `segments`.
        min_length_s: seconds, see `segments`.
        left_out: stretches from and to, in seconds, that are in no segment, whatever is seen in them.
        notes: gets a sentence on the jumps.
    """
    some = _EveryNth(frames, every)

    def clean(run: np.ndarray) -> np.ndarray:
        return smooth(reject_glitches(run), fps, smooth_cutoff)

    recorder = MaskRecorder()
    raw, visibility = detect(some, recorder)
    raw, jumps = part_at_jumps(raw, some.size, fps / every, max_gap_s)
    masks = recorder.track(some.numbers, np.isfinite(raw).all(axis=(1, 2)), every)
    raw, visibility, jumps = _between(raw, some.numbers, jumps), _between(visibility, some.numbers), some.numbers[jumps]
    visibility[np.isnan(raw).any(axis=(1, 2))] = 0
    if notes is not None and len(jumps):
        times = ", ".join(f"{frame / fps:.1f}" for frame in jumps[:5]) + (" ..." if len(jumps) > 5 else "")
        notes.append(f"the pose jumps at {times} s, as between two people or two shots: the clip is parted there")
    cuts = [(frame / fps, frame / fps) for frame in jumps]
    poses = assemble(raw, visibility, fps, max_gap_s, min_length_s, clean, [*left_out, *cuts])
    return replace(poses, masks=masks)


def assemble(
    raw: np.ndarray,
    visibility: np.ndarray,
    fps: float,
    max_gap_s: float,
    min_length_s: float,
    clean: Callable[[np.ndarray], np.ndarray] = lambda run: run,
    left_out: Sequence[tuple[float, float]] = (),
) -> PoseTrack:
    """Cut detected poses into segments, bridge the short gaps in them and clean each segment.

    Args:
        raw: (T, 33, 2) landmarks, NaN in frames without a pose.
        visibility: (T, 33) in [0, 1].
        fps: frames a second.
        max_gap_s: seconds, see `segments`.
        min_length_s: seconds, see `segments`.
        clean: function applied to the landmarks of each segment, (n, 33, 2) without NaN; by default the identity.
        left_out: see `track`.
    """
    detected = np.isfinite(raw).all(axis=(1, 2))
    landmarks = np.full_like(raw, np.nan)
    bounds = [0, *(round(time * fps) for stretch in merged(left_out) for time in stretch), len(raw)]
    found = []
    for first, last in zip(bounds[::2], bounds[1::2], strict=True):
        parts = segments(detected[first:last], fps, max_gap_s, min_length_s)
        found += [(first + start, first + stop) for start, stop in parts]
    for start, stop in found:
        landmarks[start:stop] = clean(bridge(raw[start:stop]))
    return PoseTrack(landmarks, visibility, detected, found)


class _EveryNth:
    """Passes on every n-th frame, from the first, and the last one.

    Attributes:
        size: width and height of the frames in pixels.
        numbers: (n,) int, those of the frames passed on.
    """

    def __init__(self, frames: Iterable[np.ndarray], n: int) -> None:
        self.frames, self.n, self.size, self.numbers = frames, n, np.ones(2), np.zeros(0, int)

    def __iter__(self) -> Iterator[np.ndarray]:
        numbers, number, frame = [], -1, None
        for number, frame in enumerate(self.frames):
            if number % self.n == 0:
                numbers.append(number)
                yield frame
        if frame is not None:
            self.size = np.array([frame.shape[1], frame.shape[0]], np.float64)
            if number % self.n:
                numbers.append(number)
                yield frame
        self.numbers = np.array(numbers, int)


def _between(values: np.ndarray, numbers: np.ndarray, cuts: Sequence[int] | np.ndarray = ()) -> np.ndarray:
    """Interpolate linearly from some frames to all.

    Args:
        values: (n, ...) float32; between two of which one is NaN, so is the result.
        numbers: (n,) the frames that they are of, ascending from 0.
        cuts: indices of `values` that have nothing to do with the ones before: the frames between are NaN.

    Returns:
        (T, ...) float32, T the last of `numbers` and one.
    """
    if len(values) == 0:
        return values
    frames = np.arange(numbers[-1] + 1)
    columns = [np.interp(frames, numbers, column) for column in values.reshape(len(values), -1).T]
    full = np.stack(columns, axis=1).reshape(len(frames), *values.shape[1:]).astype(values.dtype)
    for cut in cuts:
        full[numbers[cut - 1] + 1 : numbers[cut]] = np.nan
    return full


def part_at_jumps(raw: np.ndarray, size: np.ndarray, fps: float, max_gap_s: float) -> tuple[np.ndarray, np.ndarray]:
    """Find where the hips move faster than a body can, as where the detector goes over to another person.

    Args:
        raw: (T, 33, 2) landmarks, NaN in frames without a pose.
        size: (2,) width and height of the image in pixels.
        fps: frames a second.
        max_gap_s: seconds; a shorter stay elsewhere, after which the pose is back, is an error of the detector.

    Returns:
        The landmarks, with NaN in such errors, and the frames (n,) that begin with another person.
    """
    raw = raw.copy()
    while True:
        seen = np.flatnonzero(np.isfinite(raw).all(axis=(1, 2)))
        if len(seen) < 2:
            return raw, seen[:0]
        hips, shoulders = (raw[seen][:, pair].mean(axis=1) * size for pair in (_HIPS, _SHOULDERS))
        torso = max(float(np.median(np.linalg.norm(hips - shoulders, axis=1))), 1e-6)  # pixels
        fastest = _FASTEST * torso / fps  # pixels a frame
        limit = fastest * np.minimum(np.diff(seen), max(max_gap_s * fps, 1))
        jumps = np.flatnonzero(np.linalg.norm(np.diff(hips, axis=0), axis=1) > limit) + 1  # in `seen`
        errors = []
        for first, last in pairwise(jumps):
            away = seen[last] - seen[first - 1]  # frames
            if away <= max_gap_s * fps + 1 and np.linalg.norm(hips[last] - hips[first - 1]) <= fastest * away:
                errors.append(seen[first:last])
        if not errors:
            return raw, seen[jumps]
        raw[np.concatenate(errors)] = np.nan


def merged(stretches: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Join the stretches, from and to, that overlap; sorted."""
    joined: list[tuple[float, float]] = []
    for start, stop in sorted(stretches):
        if joined and start <= joined[-1][1]:
            joined[-1] = joined[-1][0], max(stop, joined[-1][1])
        else:
            joined.append((start, stop))
    return joined


def segments(detected: np.ndarray, fps: float, max_gap_s: float, min_length_s: float) -> list[Segment]:
    """Find the runs of frames with a pose, apart from short gaps. A run begins and ends with a detected frame.

    Args:
        detected: (T,) bool, whether a frame has a pose.
        fps: frames a second.
        max_gap_s: seconds; a longer gap separates two segments.
        min_length_s: seconds; shorter segments are dropped.

    Returns:
        First frame, and the frame after the last, of each segment.
    """
    hits = np.flatnonzero(detected)
    if len(hits) == 0:
        return []
    missing = np.diff(hits) - 1  # undetected frames between one detection and the next
    cuts = np.flatnonzero(missing > max_gap_s * fps + 1e-6)
    starts = hits[np.concatenate([[0], cuts + 1])]
    stops = hits[np.concatenate([cuts, [len(hits) - 1]])] + 1
    shortest = min_length_s * fps - 1e-6
    return [(int(a), int(b)) for a, b in zip(starts, stops, strict=True) if b - a >= shortest]


def bridge(landmarks: np.ndarray) -> np.ndarray:
    """Interpolate linearly over frames with NaN; frames before the first pose and after the last repeat that pose.

    Args:
        landmarks: (T, 33, 2); at least one frame is without NaN.
    """
    flat = landmarks.reshape(len(landmarks), -1)  # (T, 66)
    known = np.isfinite(flat).all(axis=1)
    frames = np.arange(len(flat))
    columns = [np.interp(frames, frames[known], column[known]) for column in flat.T]
    return np.stack(columns, axis=1).reshape(landmarks.shape).astype(landmarks.dtype)


def reject_glitches(landmarks: np.ndarray) -> np.ndarray:
    """Median over three frames of landmarks (T, 33, 2). It removes errors of one frame, such as swapped sides."""
    if len(landmarks) < 3:
        return landmarks
    middle = np.median([landmarks[:-2], landmarks[1:-1], landmarks[2:]], axis=0)
    return np.concatenate([landmarks[:1], middle, landmarks[-1:]]).astype(landmarks.dtype)


def smooth(landmarks: np.ndarray, fps: float, cutoff: float) -> np.ndarray:
    """Second-order Butterworth low-pass, run forwards and backwards, so without delay.

    Winter, Biomechanics and Motor Control of Human Movement, 4th edition, 2009, section 3.4. At 5 Hz, the jerk of the
    detected landmarks in the demo is 1.05 times the true jerk (12 times without smoothing), and the error of their
    velocities is the smallest. Cutoffs of 4 to 8 Hz and Savitzky-Golay windows of 0.25 to 0.6 s were tried.

    Args:
        landmarks: (T, 33, 2); each run of frames without NaN is filtered separately.
        fps: frames a second.
        cutoff: Hz, below fps / 2; 0 switches smoothing off.
    """
    smoothed = landmarks.copy()
    if cutoff == 0:
        return smoothed
    sections = butter(2, cutoff, fs=fps, output="sos")
    known = np.isfinite(landmarks).all(axis=(1, 2))
    edges = np.flatnonzero(np.diff(np.concatenate([[False], known, [False]])))
    margin = round(fps)  # frames of odd reflection at both ends; a second is longer than the filter's response
    for start, stop in edges.reshape(-1, 2):
        if stop - start > 2:
            run = landmarks[start:stop].astype(np.float64)
            smoothed[start:stop] = sosfiltfilt(sections, run, axis=0, padlen=min(margin, stop - start - 1))
    return smoothed


def quality(pose: PoseTrack, fps: float, has_sound: bool) -> QualityReport:
    """Summarise how well the pose was detected in a clip.

    Args:
        pose: the poses of the clip.
        fps: frames a second.
        has_sound: whether the clip has an audio track; copied into the report.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[True], pose.detected, [True]])))
    gaps = np.diff(edges.reshape(-1, 2), axis=1)
    visibility = pose.visibility[pose.detected]
    return QualityReport(
        fps=float(fps),
        duration=len(pose.detected) / fps,
        has_sound=has_sound,
        detected=float(pose.detected.mean()) if len(pose.detected) else 0.0,
        gaps=len(gaps),
        longest_gap=float(gaps.max(initial=0) / fps),
        visibility=float(visibility.mean()) if len(visibility) else 0.0,
        segments=[list(segment) for segment in pose.segments],
    )
