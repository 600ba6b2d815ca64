"""Sound to features on the clock of the pictures: timbre (MFCC), onsets, harmony (chroma), beat and bar (librosa).

Sound comes at ``fps * 512`` Hz, so that a hop of 512 samples is one frame: row k of every feature is centred on
``t = k / fps`` and no feature is ever interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass

import librosa
import numpy as np

from dancing.media import downbeats

HOP = 512  # samples a frame
N_FFT = 2048  # samples in the window of MFCC and chroma: 133 ms at 30 frames/s
FEATURE_ORDER = ("mfcc", "onset_strength", "chroma", "beat_phase", "bar_phase", "metre", "beat_nearness")

# Onsets and beats are found on a finer grid and in shorter windows than a frame, then brought to the clock.
_FINE_HOP = 128
_FINE_WINDOW_S = 0.033
_FINE_MELS = 40
_BASS_HZ = 200  # kick drums and bass notes are below
# librosa reports onsets and beats late. Mean over tracks of clicks, noise bursts and kick drums at 70 to 140 BPM with
# exactly known beats: 10.0, 9.6, 8.6, 9.7, 9.4, 8.0 ms at 24, 25, 30, 48, 50, 60 frames/s. Held by tests/test_audio.py.
_BEAT_LAG_S = 0.009
# Middle of the prior of tempo, about an octave wide. librosa's own 120 takes many slow waltzes (84 to 90 BPM) for 3/2
# or twice their tempo: 17 of 25 recordings, against 1 with 100; dance music from 90 to 140 BPM is found alike.
_LIKELY_BPM = 100.0
_TEMPO_WINDOW_S, _TEMPO_BLOCK = 8.0, 4096
_SLOWEST_BPM = 72.0  # below it every other beat was missed: people move twice as often
_QUIET_S = 1.0  # silence put around a sound: the tracker misplaces a beat that comes right at an end
_NEARNESS_S = 0.1  # a beat's nearness falls to 1/e at this distance
_SILENCE = 1e-4  # -80 dBFS: a sound that never exceeds it has no onsets


@dataclass(frozen=True)
class AudioFeatures:
    """Features of T frames; see `FEATURE_ORDER` for the columns of `stack`."""

    mfcc: np.ndarray  # (T, n_mfcc) float32
    onset_strength: np.ndarray  # (T,) float32, 1 is a strong onset of this sound
    chroma: np.ndarray  # (T, 12) float32 in [0, 1], from C
    beat_phase: np.ndarray  # (T, 2) float32: sine and cosine, (0, 1) on the beat
    bar_phase: np.ndarray  # (T, 6) float32: sine and cosine of the phase in bars of 2, 3 and 4 beats, (0, 1) on the one
    metre: np.ndarray  # (T,) float32 in [-1, 1], the same throughout: above 0 where bars of three fit best
    beat_nearness: np.ndarray  # (T,) float32 in [0, 1], 1 on the beat
    beats: np.ndarray  # (n,) float64 seconds
    tempo: float  # beats a minute, 0 where there is no beat


def sample_rate_for(fps: float) -> int:
    """The rate in Hz at which one hop is one frame."""
    return round(fps * HOP)


def stack(features: AudioFeatures) -> np.ndarray:
    """All features of a frame side by side, (T, n_mfcc + 23) float32 in `FEATURE_ORDER`."""
    columns = [getattr(features, name) for name in FEATURE_ORDER]
    return np.concatenate([column if column.ndim == 2 else column[:, None] for column in columns], axis=1)


def extract(samples: np.ndarray, fps: float, n_mfcc: int, n_frames: int | None = None) -> AudioFeatures:
    """Features of a sound, a row a frame.

    A sound without onsets, or too short for two beats, has phases, metre and nearness zero throughout. Before the first
    and after the last beat, the phases go on with the median period.

    Args:
        samples: (n,) float in [-1, 1] at ``sample_rate_for(fps)``.
        fps: frames a second.
        n_mfcc: number of mel-frequency cepstral coefficients, at most 128.
        n_frames: T; what the sound lacks is silence. By default as many as the sound fills.

    Raises:
        ValueError: samples of another shape, or with NaN or infinity among them.
    """
    samples = np.asarray(samples, np.float32)
    if samples.ndim != 1 or not np.isfinite(samples).all():
        raise ValueError(f"samples must be one channel (n,) of finite numbers, got shape {samples.shape}")
    T = len(samples) // HOP if n_frames is None else n_frames
    length = max(T * HOP + N_FFT // 2, N_FFT)  # to the end of the last frame's window
    sound = librosa.util.fix_length(samples, size=length)
    rate = sample_rate_for(fps)

    power = np.abs(librosa.stft(sound, n_fft=N_FFT, hop_length=HOP)) ** 2  # (1 + N_FFT / 2, frames)
    mel = librosa.power_to_db(librosa.feature.melspectrogram(S=power, sr=rate))
    mfcc = librosa.feature.mfcc(S=mel, n_mfcc=n_mfcc)
    chroma = librosa.feature.chroma_stft(S=power, sr=rate, tuning=0.0)

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


def warm_up() -> None:
    """Have librosa compile what `extract` uses, before several processes do.

    On a fresh install numba compiles it at the first use and keeps it on disk; two processes that do so at once can
    crash (seen: a segmentation fault in a worker).
    """
    clicks = np.zeros(sample_rate_for(30) * 3, np.float32)
    clicks[:: sample_rate_for(30) // 2] = 1.0
    extract(clicks, 30, n_mfcc=13)


def _onset_envelopes(sound: np.ndarray, rate: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Onset strength of all and of the bass on the fine grid, and its times, (n,) each; a strong onset of all is 1."""
    loudest = np.abs(sound).max()
    n_fft = 2 ** round(np.log2(_FINE_WINDOW_S * rate))
    times = np.arange(1 + len(sound) // _FINE_HOP) * _FINE_HOP / rate - _BEAT_LAG_S
    if loudest < _SILENCE:
        return np.zeros(len(times), np.float32), np.zeros(len(times), np.float32), times
    mel = librosa.feature.melspectrogram(
        y=sound / loudest, sr=rate, n_fft=n_fft, hop_length=_FINE_HOP, n_mels=_FINE_MELS
    )
    bands = librosa.power_to_db(mel)
    low = librosa.mel_frequencies(_FINE_MELS + 2, fmax=rate / 2)[1:-1] < _BASS_HZ  # by the bands' middles
    options = {"sr": rate, "hop_length": _FINE_HOP, "n_fft": n_fft}
    envelope = librosa.onset.onset_strength(S=bands, **options)
    bass = librosa.onset.onset_strength(S=bands[low], **options)
    rising = envelope[envelope > 0]
    return envelope / np.percentile(rising, 95) if len(rising) else envelope, bass, times


def _strongest_in_frame(envelope: np.ndarray, times: np.ndarray, fps: float, T: int) -> np.ndarray:
    """The largest value within half a frame of each ``k / fps``, (T,) float32."""
    strongest = np.zeros(T, np.float32)
    frames = np.rint(times * fps).astype(int)
    inside = (frames >= 0) & (frames < T)
    np.maximum.at(strongest, frames[inside], envelope[inside])
    return strongest


def _track_beats(envelope: np.ndarray, rate: int, duration: float) -> np.ndarray:
    """Times of beats in seconds, (n,) float64 (Ellis, Beat Tracking by Dynamic Programming, 2007)."""
    if not envelope.any():
        return np.zeros(0)
    quiet = round(_QUIET_S * rate / _FINE_HOP)
    heard = np.pad(envelope, quiet)
    tempo = _tempo(heard, rate)
    _, steps = librosa.beat.beat_track(onset_envelope=heard, sr=rate, hop_length=_FINE_HOP, bpm=tempo)
    beats = (steps - quiet) * _FINE_HOP / rate - _BEAT_LAG_S
    return np.maximum(beats[(beats >= -_BEAT_LAG_S) & (beats < duration)], 0.0)


def _tempo(envelope: np.ndarray, rate: int) -> float:
    """Beats a minute, from the envelope's autocorrelation in windows of 8 s.

    In blocks of windows: all at once are 6 MB of memory a second of song.
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
    """The beats, gone on with their median period beyond both ends, s, and how many come before the first.

    Empty where there are under two beats.
    """
    if len(beats) < 2:
        return np.zeros(0), 0
    period = np.median(np.diff(beats))
    before = np.arange(np.ceil(beats[0] / period), 0, -1)
    after = np.arange(1, max(np.ceil((duration - beats[-1]) / period), 0) + 2)
    return np.concatenate([beats[0] - before * period, beats, beats[-1] + after * period]), len(before)


def _beat_features(grid: tuple[np.ndarray, int], times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Phase as (T, 2) sine and cosine, and nearness (T,), at the times of the frames."""
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
    """Phase in bars of two, three and four beats, (T, 6), and the metre; bass: (b,) onset strength at the beats."""
    T = len(chroma)
    extended, before = grid
    if not len(extended) or T == 0:
        return np.zeros((T, 2 * len(downbeats.METRES)), np.float32), 0.0
    cuts = np.clip(np.rint(beats * fps).astype(int), 0, T)
    sums = np.concatenate([np.zeros((1, 12)), np.cumsum(chroma, axis=0)])  # up to each frame
    between = np.diff(sums[np.concatenate([[0], cuts, [T]])], axis=0)  # the direction counts, not the length
    accents = downbeats.accents(bass, between)
    threes, fours = downbeats.count_beats(accents, 3), downbeats.count_beats(accents, 4)
    times = np.arange(T) / fps
    k = np.searchsorted(extended, times, side="right") - 1
    share = (times - extended[k]) / (extended[k + 1] - extended[k])
    columns = []
    for metre, places in zip(downbeats.METRES, (fours % 2, threes, fours), strict=True):
        known = np.clip(k - before, 0, len(beats) - 1)  # beyond the ends one counts on
        angle = 2 * np.pi * (places[known] + (k - before - known) + share) / metre
        columns += [np.sin(angle), np.cos(angle)]
    return np.stack(columns, axis=1).astype(np.float32), downbeats.triple_against_double(accents, threes, fours)
