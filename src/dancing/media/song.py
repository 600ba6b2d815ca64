"""Read a song for inference: features for the model, audio for the video. Letters: T frames, F audio features."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancing.errors import UserError
from dancing.media import audio
from dancing.media.video import read_audio

#: Sample rate of the audio track of rendered videos, Hz.
SOUND_RATE = 48_000


@dataclass(frozen=True)
class Song:
    """The audio features of a song for the model, and its audio for the video; both have the same duration."""

    path: Path
    features: np.ndarray  # (T, F) audio features, not standardised
    sound: np.ndarray  # (n, 2) float32 at SOUND_RATE
    beats: np.ndarray  # (b,) beat times, s


def read_song(path: Path, fps: int, n_mfcc: int, seconds: float | None) -> Song:
    """Read a song, or its first seconds.

    Args:
        path: any file with audio that PyAV can read.
        fps: frames a second of the features.
        n_mfcc: number of MFCC coefficients.
        seconds: how much of the song to read; None for the whole song.

    Raises:
        UserError: the file is missing, has no audio, or has less audio than one frame.
    """
    rate = audio.sample_rate_of(fps)
    samples = read_audio(path, rate)
    sound = read_audio(path, SOUND_RATE, channels=2)
    length = len(samples) / rate if seconds is None else min(seconds, len(samples) / rate)
    frames = round(length * fps)
    if frames < 1:
        raise UserError(f"{path}: {length:.3f} s of sound is less than one frame; give a longer song or render.seconds")
    features = audio.extract(samples[: round(length * rate)], fps, n_mfcc, frames)
    return Song(path, audio.stack(features), sound[: round(frames * SOUND_RATE / fps)], features.beats)
