"""Audio features, one row a video frame: MFCC, onset strength, chroma, beats and bars (librosa).

Audio is sampled at ``fps * 512`` Hz, so that a hop of 512 samples is one frame. Row k of every feature is centred on
``t = k / fps``, and no feature needs to be interpolated. Letters: T frames, n samples, b beats.
"""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
from filelock import FileLock

from dancing.media import downbeats

HOP = 512  # samples a frame
N_FFT = 2048  # samples in the window of MFCC and chroma: 133 ms at 30 frames/s
FEATURE_ORDER = ("mfcc", "onset_strength", "chroma", "beat_phase", "bar_phase", "metre", "beat_nearness")

# Onsets and beats are detected on a finer grid and in shorter windows than the other features.
_FINE_HOP = 128
_FINE_WINDOW_S = 0.033
_FINE_MELS = 40
_BASS_HZ = 200  # kick drums and bass notes are below
# librosa reports onsets and beats late. Mean lag over tracks of clicks, noise bursts and kick drums at 70 to 140 BPM
# with exactly known beats: 10.0, 9.6, 8.6, 9.7, 9.4, 8.0 ms at 24, 25, 30, 48, 50, 60 frames/s. Checked by
# tests/test_audio.py.
_BEAT_LAG_S = 0.009
# Centre of the tempo prior, which is about an octave wide. With librosa's default of 120, the estimate was 3/2 or twice
# the tempo for 17 of 25 recordings of slow waltzes (84 to 90 BPM), with 100 for one of them. Dance music from 90 to 140
# BPM gives the same tempo with both.
_LIKELY_BPM = 100.0
_TEMPO_WINDOW_S, _TEMPO_BLOCK = 8.0, 4096
_SPECTRUM_BLOCK = 2**23  # samples in the windows of the spectra that are in memory at once
_SLOWEST_BPM = 72.0  # a lower estimate is doubled: it found only every other beat that people move to
_QUIET_S = 1.0  # silence added at both ends: the tracker misplaces beats that are close to an end
_NEARNESS_S = 0.1  # beat_nearness falls to 1/e at this distance from the beat
_SILENCE = 1e-4  # -80 dBFS: audio that never exceeds it has no onsets


@dataclass(frozen=True)
class AudioFeatures:
    """Audio features of T frames; `FEATURE_ORDER` is the order of the columns of `stack`."""

    mfcc: np.ndarray  # (T, n_mfcc) float32
    onset_strength: np.ndarray  # (T,) float32; 1 is the 95th percentile of its positive values
    chroma: np.ndarray  # (T, 12) float32 in [0, 1], from C
    beat_phase: np.ndarray  # (T, 2) float32: sine and cosine, (0, 1) on the beat
    bar_phase: np.ndarray  # (T, 6) float32: sine and cosine in bars of 2, 3 and 4 beats, (0, 1) on the downbeat
    metre: np.ndarray  # (T,) float32 in [-1, 1], constant over the recording: above 0 if bars of three fit best
    beat_nearness: np.ndarray  # (T,) float32 in [0, 1], 1 on the beat
    beats: np.ndarray  # (n,) float64 seconds
    tempo: float  # beats a minute, 0 if fewer than two beats were found


def sample_rate_of(fps: float) -> int:
    """Sample rate in Hz at which one hop (`HOP` samples) is one frame at `fps` frames a second."""
    return round(fps * HOP)


def stack(features: AudioFeatures) -> np.ndarray:
    """Concatenate all features to (T, n_mfcc + 23) float32, with the columns in `FEATURE_ORDER`."""
    columns = [getattr(features, name) for name in FEATURE_ORDER]
    return np.concatenate([column if column.ndim == 2 else column[:, None] for column in columns], axis=1)


def extract(samples: np.ndarray, fps: float, n_mfcc: int, n_frames: int | None = None) -> AudioFeatures:
    """Compute the audio features of a recording, one row a frame.

    If the recording has no onsets, or is too short for two beats, then the phases, the metre and the nearness are zero
    in every frame. Before the first and after the last beat, the phases continue with the median beat period.

    Args:
        samples: (n,) float in [-1, 1] at ``sample_rate_of(fps)``.
        fps: frames a second.
        n_mfcc: number of mel-frequency cepstral coefficients, at most 128.
        n_frames: T; a shorter recording is padded with silence. By default, as many frames as the samples fill.

    Raises:
        ValueError: the samples have another shape, or contain NaN or infinity.
    """
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"samples must be one channel (n,) of finite numbers, got shape {samples.shape}")
    load_compiled_functions()
    return _extract(samples, fps, n_mfcc, len(samples) // HOP if n_frames is None else n_frames)


@functools.cache
def load_compiled_functions() -> None:
    """Load the functions that numba compiles for librosa, one process at a time; the first ever compiles them.

    Numba caches a function in two files. If two processes compile at the same time, the files may not match, and from
    then on every process that loads them ends in a segmentation fault (numba issue 10128). `extract` calls this. Code
    that uses librosa without `extract` has to call it first.
    """
    clicks = np.zeros(sample_rate_of(30) * 3, np.float32)
    clicks[:: sample_rate_of(30) // 2] = 1.0
    with FileLock(Path(tempfile.gettempdir(), f"librosa-compiles-{os.getuid()}.lock")):
        _extract(clicks, 30, n_mfcc=13, T=90)


def _extract(samples: np.ndarray, fps: float, n_mfcc: int, T: int) -> AudioFeatures:
    length = max(T * HOP + N_FFT // 2, N_FFT)  # up to the end of the window of the last frame
    sound = librosa.util.fix_length(samples, size=length)
    rate = sample_rate_of(fps)

    mels, chromas = [], []
    for power in _power_spectra(sound, N_FFT, HOP):
        mels.append(librosa.feature.melspectrogram(S=power, sr=rate))
        chromas.append(librosa.feature.chroma_stft(S=power, sr=rate, tuning=0.0))
    mfcc = librosa.feature.mfcc(S=librosa.power_to_db(np.concatenate(mels, axis=1)), n_mfcc=n_mfcc)
    chroma = np.concatenate(chromas, axis=1)

    envelope, bass, times = _onset_envelopes(sound, rate)
    beats = _track_beats(envelope, rate, T / fps)
    grid = _beat_grid(beats, T / fps)
    phase, nearness = _beat_features(grid, np.arange(T) / fps)
    bar_phase, metre = _bar_features(beats, grid, np.interp(beats, times, bass), chroma.T[:T], fps)
    return AudioFeatures(
        mfcc=np.ascontiguousarray(mfcc.T[:T], np.float32),
        onset_strength=_strongest_in_frame(envelope, times, fps, T),
        chroma=np.ascontiguousarray(chroma.T[:T], np.float32),
        beat_phase=phase,
        bar_phase=bar_phase,
        metre=np.full(T, metre, np.float32),
        beat_nearness=nearness,
        beats=beats,
        tempo=float(60 / np.median(np.diff(beats))) if len(beats) > 1 else 0.0,
    )


def _power_spectra(sound: np.ndarray, n_fft: int, hop: int) -> Iterator[np.ndarray]:
    """Power spectra of all frames, (1 + n_fft / 2, frames), in blocks: a song of an hour would take gigabytes."""
    padded = np.pad(sound, n_fft // 2)
    count, block = 1 + len(sound) // hop, _SPECTRUM_BLOCK // n_fft
    for first in range(0, count, block):
        last = min(first + block, count) - 1
        samples = padded[first * hop : last * hop + n_fft]
        yield np.abs(librosa.stft(samples, n_fft=n_fft, hop_length=hop, center=False)) ** 2


def _onset_envelopes(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Onset strength of all bands (scaled: a strong onset is 1) and of the bass, and their times in s, (m,) each."""
    loudest = np.abs(sound).max()
    n_fft = 2 ** round(np.log2(_FINE_WINDOW_S * rate))
    times = np.arange(1 + len(sound) // _FINE_HOP) * _FINE_HOP / rate - _BEAT_LAG_S
    if loudest < _SILENCE:
        return np.zeros(len(times), np.float32), np.zeros(len(times), np.float32), times
    mels = [
        librosa.feature.melspectrogram(S=power, sr=rate, n_mels=_FINE_MELS)
        for power in _power_spectra(sound / loudest, n_fft, _FINE_HOP)
    ]
    bands = librosa.power_to_db(np.concatenate(mels, axis=1))
    low = librosa.mel_frequencies(_FINE_MELS + 2, fmax=rate / 2)[1:-1] < _BASS_HZ  # by centre frequency
    options = {"sr": rate, "hop_length": _FINE_HOP, "n_fft": n_fft}
    envelope = librosa.onset.onset_strength(S=bands, **options)
    bass = librosa.onset.onset_strength(S=bands[low], **options)
    rising = envelope[envelope > 0]
    return envelope / np.percentile(rising, 95) if len(rising) else envelope, bass, times


def _strongest_in_frame(envelope: np.ndarray, times: np.ndarray, fps: float, T: int) -> np.ndarray:
    """The maximum of the envelope within half a frame of each ``k / fps``, (T,) float32."""
    strongest = np.zeros(T, np.float32)
    frames = np.rint(times * fps).astype(int)
    inside = (frames >= 0) & (frames < T)
    np.maximum.at(strongest, frames[inside], envelope[inside])
    return strongest


def _track_beats(envelope: np.ndarray, rate: int, duration: float) -> np.ndarray:
    """Beat times in seconds, (b,) float64 (Ellis, Beat Tracking by Dynamic Programming, 2007)."""
    if not envelope.any():
        return np.zeros(0)
    quiet = round(_QUIET_S * rate / _FINE_HOP)
    padded = np.pad(envelope, quiet)
    tempo = _tempo(padded, rate)
    _, steps = librosa.beat.beat_track(onset_envelope=padded, sr=rate, hop_length=_FINE_HOP, bpm=tempo)
    beats = (steps - quiet) * _FINE_HOP / rate - _BEAT_LAG_S
    return np.maximum(beats[(beats >= -_BEAT_LAG_S) & (beats < duration)], 0.0)


def _tempo(envelope: np.ndarray, rate: int) -> float:
    """Beats a minute, estimated from the autocorrelation of the envelope in windows of 8 s.

    The windows are summed in blocks, because all of them at once take 6 MB of memory for each second of audio.
    """
    window = int(librosa.time_to_frames(_TEMPO_WINDOW_S, sr=rate, hop_length=_FINE_HOP))
    padded = np.pad(envelope, window // 2, mode="linear_ramp", end_values=0)
    total = np.zeros(window)
    for first in range(0, len(padded) - window + 1, _TEMPO_BLOCK):
        block = padded[first : first + _TEMPO_BLOCK + window - 1]
        total += librosa.feature.tempogram(onset_envelope=block, win_length=window, center=False).sum(axis=1)
    tempo = float(librosa.feature.tempo(tg=total[:, None], sr=rate, hop_length=_FINE_HOP, start_bpm=_LIKELY_BPM)[0])
    return 2 * tempo if tempo < _SLOWEST_BPM else tempo


def _beat_grid(beats: np.ndarray, duration: float) -> tuple[np.ndarray, int]:
    """Extrapolate the beats (s) beyond both ends with their median period.

    Returns the extended beats and the number of beats added before the first one; no beats if there are fewer than two.
    """
    if len(beats) < 2:
        return np.zeros(0), 0
    period = np.median(np.diff(beats))
    before = np.arange(np.ceil(beats[0] / period), 0, -1)
    after = np.arange(1, max(np.ceil((duration - beats[-1]) / period), 0) + 2)
    return np.concatenate([beats[0] - before * period, beats, beats[-1] + after * period]), len(before)


def _beat_features(grid: tuple[np.ndarray, int], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Beat phase (T, 2), as sine and cosine, and nearness (T,) at the times (T,) in s; grid: see `_beat_grid`."""
    beats, _ = grid
    if not len(beats) or len(times) == 0:
        return np.zeros((len(times), 2), np.float32), np.zeros(len(times), np.float32)
    following = np.searchsorted(beats, times, side="right")
    last, coming = beats[following - 1], beats[following]
    angle = 2 * np.pi * (times - last) / (coming - last)
    nearness = np.exp(-np.minimum(times - last, coming - times) / _NEARNESS_S)
    return np.stack([np.sin(angle), np.cos(angle)], axis=1).astype(np.float32), nearness.astype(np.float32)


def _bar_features(
    beats: np.ndarray, grid: tuple[np.ndarray, int], bass: np.ndarray, chroma: np.ndarray, fps: float
) -> tuple[np.ndarray, float]:
    """Phase (T, 6) in bars of two, three and four beats, and the metre.

    `bass` (b,) is the onset strength of the bass at the beats, `chroma` (T, 12); for `grid`, see `_beat_grid`.
    """
    T = len(chroma)
    extended, before = grid
    if not len(extended) or T == 0:
        return np.zeros((T, 2 * len(downbeats.METRES)), np.float32), 0.0
    cuts = np.clip(np.rint(beats * fps).astype(int), 0, T)
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])  # of the frames before each frame
    between = np.diff(sums[np.concatenate([[0], cuts, [T]])], axis=0)  # sums, not means: only the direction matters
    accents = downbeats.accents(bass, between)
    threes, fours = downbeats.count_beats(accents, 3), downbeats.count_beats(accents, 4)
    times = np.arange(T) / fps
    k = np.searchsorted(extended, times, side="right") - 1
    share = (times - extended[k]) / (extended[k + 1] - extended[k])
    columns = []
    for metre, positions in zip(downbeats.METRES, (fours % 2, threes, fours), strict=True):
        known = np.clip(k - before, 0, len(beats) - 1)  # beyond the ends, counting continues
        angle = 2 * np.pi * (positions[known] + (k - before - known) + share) / metre
        columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1).astype(np.float32), downbeats.triple_metre_score(accents, threes, fours)
