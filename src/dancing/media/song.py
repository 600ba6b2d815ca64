"""Read a song for inference: features for the model, audio for the video. Letters: T frames, F audio features."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dancing.errors import UserError
from dancing.media import audio
from dancing.media.sound import SILENCE, read_audio, stream_audio

#: Sample rate of the audio track of rendered videos, Hz.
SOUND_RATE = 48_000


@dataclass(frozen=True)
class Song:
    """The audio features of a song for the model. Its audio for the video is read while the video is written."""

    path: Path
    features: np.ndarray  # (T, F) audio features, not standardised
    beats: np.ndarray  # (b,) beat times, s
    seconds: float  # length
    start: float = 0.0  # where it starts in the file, s

    def sound(self) -> Iterator[np.ndarray]:
        """Yield the audio in blocks (n, 2) float32 at `SOUND_RATE`, in constant memory."""
        skipped = round(self.start * SOUND_RATE)
        for block in stream_audio(self.path, SOUND_RATE, self.start + self.seconds):
            if len(block) > skipped:
                yield block[skipped:]
            skipped = max(skipped - len(block), 0)


def read_song(path: Path, fps: int, n_mfcc: int, seconds: float | None, start: float = 0.0) -> Song:
    """Read a song, or a part of it.

    Args:
        path: any file with audio that PyAV can read.
        fps: frames a second of the features.
        n_mfcc: number of MFCC coefficients.
        seconds: how much of the song to read; None for all of it.
        start: where in the song to start, s.

    Raises:
        UserError: the file is missing, has no audio, is silent, or has less audio than one frame.
    """
    rate = audio.sample_rate_of(fps)
    asked = 1 if seconds is None else round(seconds * fps)
    samples = read_audio(path, rate, seconds=None if seconds is None else start + seconds) if asked else np.zeros(0)
    if start and asked and len(samples) <= start * rate:
        raise UserError(f"{path}: is {len(samples) / rate:.1f} s long, render.start is {start:g} s; start earlier")
    samples = samples[round(start * rate) :]
    if len(samples) and np.abs(samples).max() < SILENCE:
        raise UserError(
            f"{path}: silence from {start:g} s to {start + len(samples) / rate:g} s; start where there is music"
        )
    frames = round(len(samples) / rate * fps)
    if frames < 1:
        raise UserError(f"{path}: its sound, or render.seconds, is shorter than one frame; give a longer one")
    features = audio.extract(samples, fps, n_mfcc, frames)
    return Song(path, audio.stack(features), features.beats, frames / fps, start)
