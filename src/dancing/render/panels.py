"""Panels of a video: poses as skeletons, generated images or recorded frames, side by side."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from scipy.interpolate import make_interp_spline

from dancing.body.skeleton import PoseSpace
from dancing.media.framing import Framing
from dancing.media.video import probe, read_frames
from dancing.pose_to_image.inference import PoseToImage
from dancing.render.plots import BACKGROUND, caption, draw_skeleton

#: Height of the bar with the panels' captions, px.
CAPTION_HEIGHT = 32


def resample(landmarks: np.ndarray, fps: float, wanted: float) -> np.ndarray:
    """Resample a dance to another frame rate by cubic splines over time.

    Args:
        landmarks: (T, 33, 2).
        fps: frames/s of the landmarks.
        wanted: frames/s of the result.

    Returns:
        (N, 33, 2) of the same dtype, with N = T * wanted / fps rounded, at least 1. After its end the last pose is
        held.
    """
    if wanted == fps:
        return landmarks
    last = len(landmarks) - 1
    at = np.minimum(np.arange(max(round(len(landmarks) * wanted / fps), 1)) * (fps / wanted), last)
    spline = make_interp_spline(np.arange(last + 1), landmarks, k=min(3, last))
    return spline(at).astype(landmarks.dtype)


# ------------------------------------------------------------------------------------------------------- panels
# A panel is an iterator of images (height, width, 3) uint8, made one at a time while the video is written.


def panel_width(space: PoseSpace, height: int) -> int:
    """Width of a panel (px) with this height and the aspect ratio of the pose space; even, as H.264 requires."""
    return max(2, round(space.width * height / space.height / 2) * 2)


def skeletons(landmarks: np.ndarray, height: int, width: int) -> Iterator[np.ndarray]:
    """Draw poses (T, 33, 2) in [0, 1] as skeletons; yields (height, width, 3) uint8."""
    return (draw_skeleton(pose, height, width) for pose in landmarks)


def generated(landmarks: np.ndarray, image_model: PoseToImage, height: int, width: int) -> Iterator[np.ndarray]:
    """Generate images of poses (T, 33, 2) in [0, 1], resized to the panel; yields (height, width, 3) uint8."""
    return (enlarged(image, height, width) for image in image_model.render(landmarks))


def enlarged(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an image (H, W, 3) uint8 to the panel, (height, width, 3) uint8."""
    # Cubic, because Lanczos adds ringing around the dancer. For a demo frame, reduced to 128 px and enlarged to 640 px,
    # cubic has SSIM 0.931, PSNR 30.2 dB; Lanczos 0.929, 30.3 dB at 18 times the cost; linear 0.929, 29.5 dB.
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)


def recording(
    clip: Path, fps: float, frames: int, fit: Literal["letterbox", "crop"], height: int, width: int, start: float = 0.0
) -> Iterator[np.ndarray]:
    """Return a clip's own frames.

    Args:
        clip: file to read.
        fps: frames/s of the result.
        frames: number of frames; if the clip has fewer, the last one is repeated.
        fit: how frames of another aspect ratio are fitted.
        height: px.
        width: px.
        start: of the first frame in the clip, s.

    Returns:
        Iterator of (height, width, 3) uint8.

    Raises:
        MediaError: where the clip has no frame.
    """
    info = probe(clip)
    framing = Framing(info.width, info.height, width, height, fit)
    shown = islice(read_frames(clip, fps), round(start * fps), None)
    return _repeat_last(map(framing.picture, shown), frames)


def _repeat_last(images: Iterator[np.ndarray], frames: int) -> Iterator[np.ndarray]:
    image = next(images)
    for _ in range(frames):
        yield image
        image = next(images, image)


def side_by_side(panels: Mapping[str, Iterable[np.ndarray]]) -> Iterator[np.ndarray]:
    """Join panels from left to right; yields (height, sum of widths, 3) uint8.

    Raises:
        ValueError: while iterating, where panels differ in length.
    """
    return (np.concatenate(images, axis=1) for images in zip(*panels.values(), strict=True))


def captioned(panels: Mapping[str, Iterable[np.ndarray]], width: int) -> Iterator[np.ndarray]:
    """Join panels of the same width as `side_by_side` does, with captions above: `CAPTION_HEIGHT` px higher."""
    names = np.concatenate([caption(name, CAPTION_HEIGHT, width) for name in panels], axis=1)
    return (np.concatenate([names, row]) for row in side_by_side(panels))


def centred(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """Put an image, (h, w, 3) uint8 of at most this size, into the middle of an empty one, (height, width, 3)."""
    h, w = image.shape[:2]
    if (h, w) == (height, width):
        return image
    whole = np.full((height, width, 3), BACKGROUND, np.uint8)
    top, left = (height - h) // 2, (width - w) // 2
    whole[top : top + h, left : left + w] = image
    return whole
