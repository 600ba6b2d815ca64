"""Dances as the images of a video, in panels side by side."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from scipy.interpolate import make_interp_spline

from dancing.body.skeleton import PoseSpace
from dancing.media.framing import Framing
from dancing.media.video import probe, read_frames
from dancing.pose_to_image.inference import PoseToImage
from dancing.render.plots import caption, draw_skeleton

#: Height of the bar with the panels' names, px.
CAPTION_HEIGHT = 32


def resample(landmarks: np.ndarray, fps: float, wanted: float) -> np.ndarray:
    """A dance at another frame rate, by cubic splines over time.

    Args:
        landmarks: (T, 33, 2) at `fps` frames/s.
        wanted: frames/s.

    Returns:
        (N, 33, 2) of the same dtype, with N = T * wanted / fps rounded, at least 1. After the last pose it stays.
    """
    if wanted == fps:
        return landmarks
    last = len(landmarks) - 1
    at = np.minimum(np.arange(max(round(len(landmarks) * wanted / fps), 1)) * (fps / wanted), last)
    spline = make_interp_spline(np.arange(last + 1), landmarks, k=min(3, last))
    return spline(at).astype(landmarks.dtype)


# ------------------------------------------------------------------------------------------------------- panels
# A panel is an iterator of pictures (height, width, 3) uint8, drawn one at a time as the video is written.


def panel_width(space: PoseSpace, height: int) -> int:
    """Width of a panel of this height: the shape of the picture that poses are in, even as H.264 wants it."""
    return max(2, round(space.width * height / space.height / 2) * 2)


def skeletons(landmarks: np.ndarray, height: int, width: int) -> Iterator[np.ndarray]:
    """Poses (T, 33, 2) in [0, 1] as drawn skeletons."""
    return (draw_skeleton(pose, height, width) for pose in landmarks)


def generated(landmarks: np.ndarray, image_model: PoseToImage, height: int, width: int) -> Iterator[np.ndarray]:
    """Poses (T, 33, 2) in [0, 1] as the image_model sees them, brought to the panel's size."""
    for picture in image_model.render(landmarks):
        # Cubic: Lanczos rings a second time round the dancer. A demo frame shrunk to 128 px and brought back to 640:
        # SSIM 0.931, PSNR 30.2 dB; Lanczos 0.929, 30.3 dB at 18 times the cost; linear 0.929, 29.5 dB.
        yield cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)


def recording(
    clip: Path, fps: float, frames: int, fit: Literal["letterbox", "crop"], height: int, width: int
) -> Iterator[np.ndarray]:
    """A clip's own pictures at this rate; the last one stays where the clip has fewer than `frames`.

    Raises MediaError where it holds none.
    """
    info = probe(clip)
    framing = Framing(info.width, info.height, width, height, fit)
    return _lasting(map(framing.picture, read_frames(clip, fps)), frames)


def _lasting(pictures: Iterator[np.ndarray], frames: int) -> Iterator[np.ndarray]:
    picture = next(pictures)
    for _ in range(frames):
        yield picture
        picture = next(pictures, picture)


def side_by_side(panels: Mapping[str, Iterable[np.ndarray]]) -> Iterator[np.ndarray]:
    """The pictures of panels beside each other, (height, all widths, 3). Raises ValueError where lengths differ."""
    return (np.concatenate(pictures, axis=1) for pictures in zip(*panels.values(), strict=True))


def captioned(panels: Mapping[str, Iterable[np.ndarray]], width: int) -> Iterator[np.ndarray]:
    """`side_by_side`, each panel of this width under its name: CAPTION_HEIGHT px higher."""
    names = np.concatenate([caption(name, CAPTION_HEIGHT, width) for name in panels], axis=1)
    return (np.concatenate([names, row]) for row in side_by_side(panels))
