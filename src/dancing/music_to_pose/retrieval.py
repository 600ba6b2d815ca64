"""Baseline without a model: segments of real dance, chosen by the music's similarity and aligned to the beat.

A song is cut into stretches of eight beats. For each stretch, the eight beats of the training part with the most
similar audio are found, and their dance is resampled so that its beats fall on the song's. A model that scores no
higher has learnt nothing beyond a library of clips.

Letters: T frames, F audio features, b beats, K beats of a stretch, S segments of the training part, D pose dimensions.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from dancing.body.skeleton import PoseSpace
from dancing.clips.dataset import BEAT_COLUMNS, Dataset, Piece
from dancing.metrics.rhythm import beat_phase

BEATS = 8  # K: two bars of four
PER_BEAT = 2  # parts of a beat, over each of which the audio features are averaged
TEMPO_STD = 0.25  # octaves of tempo that count as much as one standard deviation of a feature
FADE = 0.5  # beats before and after a join over which two segments are blended
DEFAULT_PERIOD = 0.5  # s between beats, for songs without any
MIN_PART = 1e-9  # frames, the least that a sum over a part of a beat is divided by


@dataclass(frozen=True)
class _Clip:
    """A training piece that segments are taken from."""

    beats: np.ndarray  # (b,) s
    poses: CubicSpline  # s -> (D,)
    duration: float  # s, to the last frame


@dataclass(frozen=True)
class Retrieval:
    """All segments of the training part.

    Attributes:
        space: of the poses.
        fps: frames a second.
        audio_mean: (F,), of the training part.
        audio_std: (F,), of the training part.
        clips: the training pieces.
        origin: (S, 2) int: each segment's clip, and the beat of the clip that it starts at.
        sounds: (S, K * PER_BEAT, F - BEAT_COLUMNS + 1): each segment's averaged audio features and its tempo.
    """

    space: PoseSpace
    fps: int
    audio_mean: np.ndarray
    audio_std: np.ndarray
    clips: list[_Clip]
    origin: np.ndarray
    sounds: np.ndarray

    @classmethod
    def fit(cls, dataset: Dataset) -> "Retrieval":
        """Collect the segments of the training part, one starting at every beat.

        If the longest piece has fewer than `BEATS` beats, segments have as many as that piece.
        """
        pieces = [piece for piece in dataset.split("train") if len(piece) > 1]
        space = PoseSpace.fit("body", [piece.landmarks for piece in pieces], dataset.width, dataset.height)
        grids = [_beat_grid(piece.beats, len(piece) / dataset.fps) for piece in pieces]
        beats = min(BEATS, max(len(grid) for grid in grids) - 1)
        clips = [_clip(piece, grid, space, dataset.fps) for piece, grid in zip(pieces, grids, strict=True)]
        origin, sounds = [], []
        for number, (piece, grid) in enumerate(zip(pieces, grids, strict=True)):
            by_beat = _sound(dataset.audio(piece), grid, dataset.fps).reshape(len(grid) - 1, PER_BEAT, -1)
            for first in range(len(grid) - beats):
                origin.append((number, first))
                sounds.append(by_beat[first : first + beats].reshape(beats * PER_BEAT, -1))
        return cls(
            space, dataset.fps, dataset.audio_mean, dataset.audio_std, clips, np.array(origin), np.array(sounds)
        )  # fmt: skip

    def generate(self, audio: np.ndarray, beats: np.ndarray) -> np.ndarray:
        """Return poses for a song, (T, 33, 2), in fractions of the image.

        Args:
            audio: (T, F), audio features, not standardised.
            beats: (b,) s from the first frame.
        """
        times = np.arange(len(audio)) / self.fps
        grid = _beat_grid(beats, len(audio) / self.fps)
        sound = _sound((audio - self.audio_mean) / self.audio_std, grid, self.fps)
        phase = beat_phase(grid, times)  # (T,) in beats
        length = self.sounds.shape[1] // PER_BEAT
        poses = np.zeros((len(audio), self.space.dim))
        for start in np.arange(0, len(grid) - 1, length):
            stretch = sound[start * PER_BEAT : (start + length) * PER_BEAT]  # the last one may be shorter
            nearest = np.argmin(((self.sounds[:, : len(stretch)] - stretch) ** 2).mean(axis=(1, 2)))
            number, first = self.origin[nearest]
            weight = np.ones(len(audio))
            if start > 0:
                weight *= _fade_in(phase - start)
            if start + length < len(grid) - 1:
                weight *= 1 - _fade_in(phase - start - length)
            active = weight > 0
            clip = self.clips[number]
            clip_times = _time(clip.beats, phase[active] - start + first)
            poses[active] += weight[active, None] * clip.poses(np.clip(clip_times, 0, clip.duration))
        return self.space.decode(poses)


def _clip(piece: Piece, grid: np.ndarray, space: PoseSpace, fps: int) -> _Clip:
    times = np.arange(len(piece)) / fps
    return _Clip(grid, CubicSpline(times, space.encode(piece.landmarks)), float(times[-1]))


def _beat_grid(beats: np.ndarray, duration: float) -> np.ndarray:
    """Return beats (b,) s that cover the whole duration, at least two.

    The given ones are extended to both ends by their median period, or by `DEFAULT_PERIOD` if there are fewer than two.
    """
    known = np.unique(beats)
    if len(known) < 2:
        known = np.array([0.0, DEFAULT_PERIOD])
    period = np.median(np.diff(known))
    before = known[0] - period * np.arange(int(max(known[0], 0) / period), 0, -1)
    after = known[-1] + period * np.arange(1, int(max(duration - known[-1], 0) / period) + 1)
    return np.concatenate([before, known, after])


def _sound(audio: np.ndarray, grid: np.ndarray, fps: int) -> np.ndarray:
    """Return the audio features of each part of each beat, (beats * PER_BEAT, F - BEAT_COLUMNS + 1).

    These are the means of the standardised features `audio` (T, F), and the tempo. The features of beat and bar are
    left out, because they are the same on every grid.
    """
    timbre = audio[:, :-BEAT_COLUMNS]
    ends = _time(grid, np.arange((len(grid) - 1) * PER_BEAT + 1) / PER_BEAT) * fps
    # The sum over a part is the difference of the running sum, interpolated between frames, at the part's two ends.
    total = np.concatenate([np.zeros((1, timbre.shape[1])), np.cumsum(timbre, axis=0)])
    ends = np.clip(ends, 0, len(timbre))
    below = np.minimum(ends.astype(int), len(timbre) - 1)
    running = total[below] + (ends - below)[:, None] * timbre[below]
    means = np.diff(running, axis=0) / np.maximum(np.diff(ends), MIN_PART)[:, None]
    tempo = np.repeat(np.log2(np.diff(grid)) / TEMPO_STD, PER_BEAT)[:, None]
    # The features are scaled down, so that the tempo weighs as much as all of them together.
    return np.concatenate([means / np.sqrt(means.shape[1]), tempo], axis=1)


def _time(grid: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Return the times, s, at which the phase is `phase` beats: the inverse of `beat_phase`."""
    last, period = len(grid) - 1, np.median(np.diff(grid))
    return np.interp(phase, np.arange(len(grid)), grid) + (np.minimum(phase, 0) + np.maximum(phase - last, 0)) * period


def _fade_in(beats: np.ndarray) -> np.ndarray:
    """Return a smooth step from 0 to 1, from `FADE` beats before a join to `FADE` beats after it."""
    share = np.clip(beats / (2 * FADE) + 0.5, 0, 1)
    return share * share * (3 - 2 * share)
