"""The strongest cheap dancer: real dance, chosen by ear and put on the beat.

A song is cut into stretches of eight beats. For each the training part is searched for the eight beats that sound most
alike, and their dance is played so that its beats fall on the song's. A model that is no better has learnt nothing that
a library of clips doesn't know.

Letters: T frames, F audio features, K beats of a stretch, S segments of the training part, D pose dimensions.
"""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

from dancing.body.skeleton import PoseSpace
from dancing.clips.dataset import BEAT_COLUMNS, Dataset, Piece
from dancing.metrics.rhythm import beat_phase

BEATS = 8  # of a stretch, two bars
PER_BEAT = 2  # means of each audio feature
OCTAVE = 0.25  # of tempo: counts as one standard deviation of a feature
FADE = 0.5  # beats to either side of a join
PULSE = 0.5  # s, of the beats that are taken where a song has none: time goes on all the same


@dataclass(frozen=True)
class _Clip:
    """A training piece that segments are taken from."""

    beats: np.ndarray  # (b,) s
    poses: CubicSpline  # s -> (D,)
    duration: float  # s, to the last frame


@dataclass(frozen=True)
class Retrieval:
    """All segments of the training part."""

    space: PoseSpace
    fps: int
    audio_mean: np.ndarray  # (F,)
    audio_std: np.ndarray  # (F,)
    clips: list[_Clip]
    origin: np.ndarray  # (S, 2) clip and the beat of it at which the segment begins
    sounds: np.ndarray  # (S, K * PER_BEAT, F + 1)

    @classmethod
    def fit(cls, dataset: Dataset) -> "Retrieval":
        """Cut the training part at every beat. In short clips the segments have as few beats as the longest clip."""
        pieces = [piece for piece in dataset.split("train") if len(piece) > 1]
        space = PoseSpace.fit("body", [piece.landmarks for piece in pieces], dataset.width, dataset.height)
        grids = [_grid(piece.beats, len(piece) / dataset.fps) for piece in pieces]
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

    def dance(self, audio: np.ndarray, beats: np.ndarray) -> np.ndarray:
        """Poses (T, 33, 2) in [0, 1] to a song's raw audio features (T, F) and its beats (b,) in s."""
        times = np.arange(len(audio)) / self.fps
        grid = _grid(beats, len(audio) / self.fps)
        sound = _sound((audio - self.audio_mean) / self.audio_std, grid, self.fps)  # (beats * PER_BEAT, F + 1)
        phase = beat_phase(grid, times)  # (T,) in beats
        length = self.sounds.shape[1] // PER_BEAT
        starts = np.arange(0, len(grid) - 1, length)
        poses = np.zeros((len(audio), self.space.dim))
        for start in starts:
            heard = sound[start * PER_BEAT : (start + length) * PER_BEAT]  # the last stretch may be shorter
            near = np.argmin(((self.sounds[:, : len(heard)] - heard) ** 2).mean(axis=(1, 2)))
            number, first = self.origin[near]
            weight = np.ones(len(audio))
            if start > 0:
                weight *= _rising(phase - start)
            if start + length < len(grid) - 1:
                weight *= 1 - _rising(phase - start - length)
            on = weight > 0
            clip = self.clips[number]
            at = _time(clip.beats, phase[on] - start + first)
            poses[on] += weight[on, None] * clip.poses(np.clip(at, 0, clip.duration))
        return self.space.decode(poses)


def _clip(piece: Piece, grid: np.ndarray, space: PoseSpace, fps: int) -> _Clip:
    times = np.arange(len(piece)) / fps
    return _Clip(grid, CubicSpline(times, space.encode(piece.landmarks)), float(times[-1]))


def _grid(beats: np.ndarray, duration: float) -> np.ndarray:
    """Beats throughout a sound: on at the median period to both its ends; of 120 BPM where there are none. (b,) s,
    at least two."""
    known = np.unique(beats)
    if len(known) < 2:
        known = np.array([0.0, PULSE])
    period = np.median(np.diff(known))
    before = known[0] - period * np.arange(int(max(known[0], 0) / period), 0, -1)
    after = known[-1] + period * np.arange(1, int(max(duration - known[-1], 0) / period) + 1)
    return np.concatenate([before, known, after])


def _sound(audio: np.ndarray, grid: np.ndarray, fps: int) -> np.ndarray:
    """What each part of each beat sounds like: (beats * PER_BEAT, F + 1).

    Means of the standardised features, the beat's own left out (they are the same on every grid), and the tempo. The
    mean over a part is the difference of the running sum at its ends.
    """
    heard = audio[:, :-BEAT_COLUMNS]
    ends = _time(grid, np.arange((len(grid) - 1) * PER_BEAT + 1) / PER_BEAT) * fps
    total = np.concatenate([np.zeros((1, heard.shape[1])), np.cumsum(heard, axis=0)])
    ends = np.clip(ends, 0, len(heard))
    below = np.minimum(ends.astype(int), len(heard) - 1)
    running = total[below] + (ends - below)[:, None] * heard[below]
    means = np.diff(running, axis=0) / np.maximum(np.diff(ends), 1e-9)[:, None]
    tempo = np.repeat(np.log2(np.diff(grid)) / OCTAVE, PER_BEAT)[:, None]
    # Next to some thirty features one tempo would not be heard: it weighs as much as all of them.
    return np.concatenate([means / np.sqrt(means.shape[1]), tempo], axis=1)


def _time(grid: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """The inverse of `beat_phase`: seconds at which the music's phase is `phase` beats."""
    last, period = len(grid) - 1, np.median(np.diff(grid))
    return np.interp(phase, np.arange(len(grid)), grid) + (np.minimum(phase, 0) + np.maximum(phase - last, 0)) * period


def _rising(beats: np.ndarray) -> np.ndarray:
    """From 0 to 1 over the fade about a join, smoothly; what falls is 1 minus it, so that the two are 1 together."""
    share = np.clip(beats / (2 * FADE) + 0.5, 0, 1)
    return share * share * (3 - 2 * share)
