"""Songs to dance to, and dances as video frames: a skeleton beside its painted picture, or several skeletons."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dancing import audio
from dancing.errors import UserError
from dancing.figures import caption, draw_skeleton
from dancing.inference import Painter
from dancing.skeleton import PoseSpace
from dancing.video import read_audio

#: Sample rate of the video's sound, Hz.
SOUND_RATE = 48_000
#: Height of the bar with the dancers' names over `side_by_side`, px.
CAPTION_HEIGHT = 32


@dataclass(frozen=True)
class Song:
    """What the dancer hears and what the viewer hears, equally long."""

    features: np.ndarray  # (T, F) raw audio features, a row a frame
    sound: np.ndarray  # (n, 2) float32 at SOUND_RATE
    beats: np.ndarray  # (m,) s


def read_song(path: Path, fps: int, n_mfcc: int, seconds: float | None) -> Song:
    """Read the song, or its first `seconds`.

    Raises UserError where there is no such file or no sound in it, or less than a frame.
    """
    rate = audio.sample_rate_for(fps)
    heard = read_audio(path, rate)
    sound = read_audio(path, SOUND_RATE, channels=2)
    length = len(heard) / rate if seconds is None else min(seconds, len(heard) / rate)
    frames = round(length * fps)
    if frames < 1:
        raise UserError(f"{path}: {length:.3f} s of sound is less than one frame; give a longer song or render.seconds")
    features = audio.extract(heard[: round(length * rate)], fps, n_mfcc, frames)
    return Song(audio.stack(features), sound[: round(frames * SOUND_RATE / fps)], features.beats)


def panel_width(space: PoseSpace, height: int) -> int:
    """Width of a panel of this height: the shape of the picture that poses are in, even as H.264 wants it."""
    return max(2, round(space.width * height / space.height / 2) * 2)


def frames(landmarks: np.ndarray, painter: Painter | None, height: int, width: int) -> Iterator[np.ndarray]:
    """The video's pictures, one at a time, for poses (T, 33, 2) in [0, 1].

    (height, 2 * width, 3) uint8: skeleton and picture, a panel each; without a painter (height, width, 3), no picture.
    """
    if painter is None:
        yield from (draw_skeleton(pose, height, width) for pose in landmarks)
        return
    for pose, picture in zip(landmarks, painter.paint(landmarks), strict=True):
        shown = cv2.resize(picture, (width, height), interpolation=cv2.INTER_LANCZOS4)
        yield np.concatenate([draw_skeleton(pose, height, width), shown], axis=1)


def side_by_side(dances: Mapping[str, np.ndarray], height: int, width: int) -> Iterator[np.ndarray]:
    """Pictures, one at a time, of several dances (T, 33, 2) at once: skeletons under their dancers' names.

    (CAPTION_HEIGHT + height, dances * width, 3) uint8. Raises ValueError where the dances differ in length.
    """
    names = np.concatenate([caption(name, CAPTION_HEIGHT, width) for name in dances], axis=1)
    for poses in zip(*dances.values(), strict=True):
        dancers = np.concatenate([draw_skeleton(pose, height, width) for pose in poses], axis=1)
        yield np.concatenate([names, dancers])
