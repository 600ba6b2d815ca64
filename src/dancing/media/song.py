"""Songs to dance to. Letters: T frames, F audio features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancing.errors import UserError
from dancing.media import audio
from dancing.media.video import read_audio

#: Sample rate of the video's sound, Hz.
SOUND_RATE = 48_000


@dataclass(frozen=True)
class Song:
    """A song's features for the model and its sound for the video, equally long."""

    path: Path
    features: np.ndarray  # (T, F) raw audio features, a row a frame
    sound: np.ndarray  # (n, 2) float32 at SOUND_RATE
    beats: np.ndarray  # (m,) s


def read_song(path: Path, fps: int, n_mfcc: int, seconds: float | None) -> Song:
    """Read a song, or its first `seconds`.

    Args:
        path: any file with sound that PyAV reads.
        fps: frames/s of the features.
        n_mfcc: MFCC coefficients a frame.
        seconds: length; None: the whole song.

    Raises:
        UserError: there is no such file, no sound in it, or less than a frame.
    """
    rate = audio.sample_rate_for(fps)
    samples = read_audio(path, rate)
    sound = read_audio(path, SOUND_RATE, channels=2)
    length = len(samples) / rate if seconds is None else min(seconds, len(samples) / rate)
    frames = round(length * fps)
    if frames < 1:
        raise UserError(f"{path}: {length:.3f} s of sound is less than one frame; give a longer song or render.seconds")
    features = audio.extract(samples[: round(length * rate)], fps, n_mfcc, frames)
    return Song(path, audio.stack(features), sound[: round(frames * SOUND_RATE / fps)], features.beats)
