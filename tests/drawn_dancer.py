"""A person drawn with a few limbs, in whom MediaPipe detects a pose: real detection without a real clip."""

from pathlib import Path

import cv2
import numpy as np

from dancing.media.video_writer import VideoWriter

SHOULDERS, HIPS = ((0.66, 0.29), (0.34, 0.29)), ((0.59, 0.54), (0.41, 0.54))  # left, right, as fractions of the picture
SKIN, SHIRT, TROUSERS, SHADE = (225, 180, 150), (180, 60, 60), (40, 50, 90), (30, 30, 30)


def draw(angle: float, height: int = 320, width: int = 180) -> np.ndarray:
    """One picture, (H, W, 3) uint8 RGB; the angle swings the arms."""
    picture = np.full((height, width, 3), (205, 200, 190), np.uint8)
    swing = 0.06 * np.sin(angle)

    def at(x: float, y: float) -> tuple[int, int]:
        return int(x * width), int(y * height)

    limbs = [
        ((0.42, 0.55), (0.40, 0.72), 14, TROUSERS),
        ((0.40, 0.72), (0.39, 0.90), 12, TROUSERS),
        ((0.58, 0.55), (0.60, 0.72), 14, TROUSERS),
        ((0.60, 0.72), (0.61, 0.90), 12, TROUSERS),
        ((0.36, 0.30), (0.26, 0.42), 11, SHIRT),
        ((0.26, 0.42), (0.22 - swing, 0.54), 9, SKIN),
        ((0.64, 0.30), (0.74, 0.42), 11, SHIRT),
        ((0.74, 0.42), (0.78, 0.54 + swing), 9, SKIN),
    ]
    for start, end, thickness, colour in limbs:
        cv2.line(picture, at(*start), at(*end), colour, thickness, cv2.LINE_AA)
    cv2.fillPoly(picture, [np.array([at(0.34, 0.27), at(0.66, 0.27), at(0.61, 0.57), at(0.39, 0.57)])], SHIRT)
    cv2.line(picture, at(0.5, 0.27), at(0.5, 0.20), SKIN, 9)
    cv2.ellipse(picture, at(0.5, 0.155), (11, 16), 0, 0, 360, SKIN, -1, cv2.LINE_AA)
    cv2.ellipse(picture, at(0.5, 0.125), (12, 10), 0, 180, 360, SHADE, -1, cv2.LINE_AA)
    for x in (0.47, 0.53):
        cv2.circle(picture, at(x, 0.15), 2, SHADE, -1)
    cv2.line(picture, at(0.475, 0.182), at(0.525, 0.182), SHIRT, 2)
    for x in (0.37, 0.63):
        cv2.ellipse(picture, at(x, 0.915), (9, 5), 0, 0, 360, SHADE, -1)
    return picture


def empty_room(height: int = 320, width: int = 180) -> np.ndarray:
    return np.full((height, width, 3), (205, 200, 190), np.uint8)


def write_clip(path: Path, pictures: list[np.ndarray], fps: float = 30, sound: bool = True) -> Path:
    """A clip of the pictures, with a click every half second."""
    rate = 48_000
    clicks = np.zeros(round(len(pictures) / fps * rate), np.float32)
    for start in range(rate // 4, len(clicks) - 500, rate // 2):
        clicks[start : start + 500] = 0.7 * np.sin(np.arange(500) / 5)
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pictures[0].shape[:2]
    with VideoWriter(path, fps, width, height, clicks if sound else None, rate) as writer:
        for picture in pictures:
            writer.write(picture)
    return path
