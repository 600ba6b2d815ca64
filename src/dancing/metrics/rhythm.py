"""How well motion follows the music: motion beats, beat alignment, tempo locking.

Every score comes with its chance level: the usual scores are far from 0 even for motion that ignores the music.

Letters: N frames at 60 Hz, C channels, W frames of a window, S time stretches, P = 4 periods, b beats.
Units: torso lengths (L) and seconds. Beat times are in seconds from the motion's first frame.
Undefined values (motion too short, no beats, nothing visible) are NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from dancing.metrics.motion import FPS, JOINTS, STILL, Motion, joint_speeds, mean, smooth, velocity

BEAT_SIGMA = 5.0  # frames, of the smoothing of the speed, whose minima are motion beats
BAS_SIGMA = 3.0  # frames, the tolerance of the beat alignment score
F1_WINDOW = 0.070  # s, the tolerance of F1
SHIFTS = 100  # random circular shifts of the beats, for the null

PERIODS = (1, 2, 3, 4)  # beats
WINDOW = 15.0  # s
THIN = 2  # every second frame is kept: after smoothing by 3 frames the others add no information
MIN_BEATS = 8  # a dance must span two of the longest period, or neighbouring tempi can't be separated
#: Tempi to compare, as multiples of the music's own.
STRETCHES = np.sort(np.append(np.geomspace(0.7, 1.43, 61), 1.0))
#: Which of them are wrong, (S,) bool: not close to the right tempo, 3/4 or 4/3 of it.
WRONG = (abs(STRETCHES - 1) > 0.06) & (abs(STRETCHES * 4 / 3 - 1) > 0.04) & (abs(STRETCHES * 3 / 4 - 1) > 0.04)


# -------------------------------------------------------------------------------------- minima of speed and beats


def body_speed(motion: Motion) -> np.ndarray:
    """Mean joint speed, smoothed by a Gaussian of 5 frames at 60 Hz: (N,) L/s; NaN in long gaps.

    Li et al. (AI Choreographer, ICCV 2021) and Siyao et al. (Bailando, CVPR 2022) smooth by 5 frames at the frame rate
    of their data.
    """
    return smooth(mean(joint_speeds(motion), axis=1), BEAT_SIGMA)


def motion_beats(motion: Motion) -> np.ndarray:
    """Motion beats: the local minima of `body_speed`, without those that are as small as rounding errors.

    Returns:
        (m,) s, rising.
    """
    if not len(motion.q):
        return np.zeros(0)
    speed = body_speed(motion)
    lowest = find_peaks(-speed, prominence=STILL)[0]
    before, after = speed[lowest - 1] - speed[lowest], speed[lowest + 1] - speed[lowest]  # both at least 0
    offset = 0.5 * (before - after) / np.maximum(before + after, STILL)  # of the vertex of a parabola, in frames
    return (lowest + offset) / motion.fps


def beats_within(beats: ArrayLike, duration: float) -> np.ndarray:
    """Sorted beat times (s) from 0 to `duration` (s, exclusive), without duplicates."""
    times = np.unique(np.asarray(beats, dtype=np.float64))
    return times[(times >= 0) & (times < duration)]


def _nearest(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance (s) from each of `times` (K, n) to the nearest of `others` (K, m) in the same row: (K, n).

    `others` is sorted within rows. Infinite where m is 0. Each row is shifted far from the others, so that one search
    serves all rows.
    """
    if not others.shape[1]:
        return np.full(times.shape, np.inf)
    shifts = 10 * (1 + max(times.max(initial=0.0), others.max())) * np.arange(len(times))[:, None]
    wanted, candidates = times + shifts, np.concatenate([[-np.inf], (others + shifts).ravel(), [np.inf]])
    after = np.searchsorted(candidates, wanted)
    return np.minimum(wanted - candidates[after - 1], candidates[after] - wanted)


def _distances(motion: np.ndarray, music: np.ndarray, duration: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances between motion beats (m,) and music beats (b,), all in s.

    The first row is for the music as it is. The other 100 are the null: its beats are shifted circularly within the
    motion's length by random amounts. Even steps could be whole beats, and the null would equal the score.

    Returns:
        (1 + 100, b) from each music beat to the nearest motion beat, and (1 + 100, m) the other way round.
    """
    shifts = np.append(0.0, np.random.default_rng(seed).uniform(0, duration, SHIFTS))
    shifted = np.sort((music + shifts[:, None]) % duration, axis=1)
    repeated = np.repeat(motion[None], len(shifts), axis=0)
    return _nearest(shifted, repeated), _nearest(repeated, shifted)


def _closeness(seconds: np.ndarray) -> np.ndarray:
    """Mean of exp(-d^2 / (2 * 3^2)) over each row of distances, d in frames at 60 Hz."""
    return mean(np.exp(-((seconds * FPS) ** 2) / (2 * BAS_SIGMA**2)), axis=1)


def beat_alignment(motion: Motion, beats: ArrayLike, seed: int = 0) -> dict[str, float]:
    """Beat alignment score in both directions, with its null: the score against circularly shifted music.

    The raw score alone says little: white jitter reaches 0.29. The gain over the null is 0 by chance and about +0.74
    for a dancer who rests on every beat at 120 BPM.

    Args:
        motion: the dance to measure.
        beats: (b,) s; those outside the motion are left out.
        seed: of the 100 circular shifts.

    Returns:
        bas: mean over music beats of exp(-d^2 / 18), with d the distance to the nearest motion beat in frames, as in
            Bailando (Siyao et al., CVPR 2022); 0 without motion beats, NaN without music beats.
        bas_null, bas_gain, bas_gain_z: mean over the shifts; bas - bas_null; the gain in standard deviations of the
            null (NaN where the null does not vary).
        bas_motion, bas_motion_null, bas_motion_gain: the same over motion beats, with the distance to the nearest music
            beat, as in AI Choreographer (Li et al., ICCV 2021); NaN without motion beats.
    """
    names = ("bas", "bas_null", "bas_gain", "bas_gain_z", "bas_motion", "bas_motion_null", "bas_motion_gain")
    music = beats_within(beats, motion.duration)
    if not len(music) or not np.isfinite(motion.q).any():
        return dict.fromkeys(names, np.nan)
    score, score_motion = map(_closeness, _distances(motion_beats(motion), music, motion.duration, seed))
    null, null_motion = score[1:].mean(), score_motion[1:].mean()
    deviation = score[1:].std()
    gain = score[0] - null
    z = gain / deviation if deviation > 0 else np.nan
    values = (score[0], null, gain, z, score_motion[0], null_motion, score_motion[0] - null_motion)
    return dict(zip(names, map(float, values), strict=True))


def beat_f1(motion: Motion, beats: ArrayLike, seed: int = 0) -> dict[str, float]:
    """F1 of motion beats as a detector of music beats, to within 70 ms. Its chance level is 0.20-0.31 for dance.

    Args:
        motion: the dance to measure.
        beats: (b,) s; those outside the motion are left out.
        seed: of the 100 circular shifts.

    Returns:
        f1, precision, recall, and f1_null, the mean over circular shifts of the music beats. All NaN without music
        beats; without motion beats f1 and recall are 0 and precision is NaN.
    """
    names = ("f1", "precision", "recall", "f1_null")
    music = beats_within(beats, motion.duration)
    if not len(music) or not np.isfinite(motion.q).any():
        return dict.fromkeys(names, np.nan)
    # Beats are not matched one to one; motion beats are too far apart for it to matter. 1e-9 absorbs rounding errors at
    # the edge of the window.
    recall, precision = (
        mean(np.where(distance <= F1_WINDOW + 1e-9, 1.0, 0.0), axis=1)
        for distance in _distances(motion_beats(motion), music, motion.duration, seed)
    )
    hits = np.nan_to_num(precision) * recall
    f1 = np.where(hits > 0, 2 * hits / np.where(hits > 0, precision + recall, 1.0), 0.0)
    return dict(zip(names, map(float, (f1[0], precision[0], recall[0], f1[1:].mean())), strict=True))


# -------------------------------------------------------------------------------------------------- tempo locking


def beat_phase(beats: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Phase of the music in beats: k at beat k, linear between beats, extrapolated by the median period.

    Args:
        beats: (b,) s, sorted, at least two.
        times: s, of any shape.

    Returns:
        The phase at `times`, in the same shape.
    """
    period = np.median(np.diff(beats))
    inside = np.interp(times, beats, np.arange(len(beats)))
    return inside + (np.minimum(times - beats[0], 0) + np.maximum(times - beats[-1], 0)) / period


def _channels(motion: Motion) -> np.ndarray:
    """Signals that may follow the music, without slow trends and with unit variance: (N, C = 41).

    x and y velocities of the 13 joints and of the root, then the speeds of the 13 joints. Gaps and constant channels
    are 0, so that they add no energy at any tempo.
    """
    velocities = velocity(motion.q, motion.fps)  # (N, 13, 2)
    speeds = np.linalg.norm(velocities, axis=-1)
    raw = np.concatenate(
        [velocities.reshape(len(velocities), -1), velocity(motion.root, motion.fps), speeds], axis=1
    )  # fmt: skip
    fast = smooth(raw, sigma=3)
    fast -= smooth(fast, sigma=120)
    deviation = np.sqrt(mean((fast - mean(fast, axis=0)) ** 2, axis=0))  # (C,)
    return np.nan_to_num(fast / np.where(deviation > STILL, deviation, np.inf))


@dataclass(frozen=True)
class LockingSpectrum:
    """How much of a motion is periodic with each of several tempi.

    Attributes:
        energy: (S, P + 1) for each of `STRETCHES`: E_1 to E_4 and their sum, shares of the motion's variance. NaN where
            undefined.
        lag: beats, -0.5 to 0.5: how late after the beat the joints' speeds are lowest.
    """

    energy: np.ndarray
    lag: float

    @property
    def chance(self) -> np.ndarray:
        """Chance level: mean energy at the wrong tempi, (P + 1,); NaN where nothing moves."""
        level = self.energy[WRONG].mean(axis=0)
        return np.where(level > 0, level, np.nan)

    @property
    def relative(self) -> np.ndarray:
        """Energy over chance, (S, P + 1). A peak at stretch 1 means that the dance follows the tempo."""
        return self.energy / self.chance


def locking_spectrum(motion: Motion, beats: ArrayLike) -> LockingSpectrum:
    """Tempo locking at the music's own tempo and at wrong ones.

    The channels v are the x and y velocities of the 13 joints and of mid-hip and the speeds of the joints, without slow
    trends and with unit variance. phi is the music's phase in beats. In windows of 15 s that overlap by at least half
    (one shorter window for a shorter motion), with weights w = Hann / sum, the energy at a period of p beats is

        E_p = 2 * mean over channels of |sum_t w v exp(2 pi i phi / p)|^2,  mean over windows,

    the share of the motion's variance in that rhythm. For another tempo, time is stretched around each window's middle
    by `STRETCHES`.

    Args:
        motion: the dance to measure.
        beats: (b,) s. Beats outside the motion are used too: they determine the phase at its ends.

    Returns:
        The spectrum; all NaN where the motion spans fewer than 8 beats or there are fewer than two beats.
    """
    music = np.unique(np.asarray(beats, dtype=np.float64))
    if len(music) < 2 or motion.duration < MIN_BEATS * np.median(np.diff(music)):
        return LockingSpectrum(np.full((len(STRETCHES), len(PERIODS) + 1), np.nan), np.nan)

    channels = _channels(motion)[::THIN]  # (N / THIN, C)
    width = min(len(channels), round(WINDOW * motion.fps / THIN))
    hops = int(np.ceil((len(channels) - width) / (width / 2)))
    starts = np.linspace(0, len(channels) - width, hops + 1).round().astype(int)
    hann = np.hanning(width + 2)[1:-1]  # without the zeros at both ends
    hann /= hann.sum()

    own = int(np.flatnonzero(STRETCHES == 1)[0])
    offsets = (np.arange(width) - (width - 1) / 2) / motion.fps * THIN  # (W,) s from the window's middle
    energy = np.zeros((len(STRETCHES), len(PERIODS)))
    speed_phasor = 0j  # sum over the 13 speeds, at a period of one beat
    for start in starts:
        middle = (start + (width - 1) / 2) / motion.fps * THIN
        phase = beat_phase(music, middle + STRETCHES[:, None] * offsets)  # (S, W)
        # Every period divides 12 beats, so all exponentials are powers of one.
        twelfth = np.exp(2j * np.pi / 12 * phase)
        waves = np.stack([twelfth ** (12 // period) for period in PERIODS], axis=1)  # (S, P, W)
        weighted = hann[:, None] * channels[start : start + width]  # (W, C)
        phasors = waves.real @ weighted + 1j * (waves.imag @ weighted)  # (S, P, C)
        energy += 2 * (np.abs(phasors) ** 2).mean(axis=-1) / len(starts)
        speed_phasor += phasors[own, 0, -len(JOINTS) :].sum()

    # From the speeds alone, because the sign of a velocity differs between the sides of the body. The minus is for the
    # minimum of the speed, which is half a period after its maximum.
    lag = float(np.angle(-speed_phasor) / (2 * np.pi))
    return LockingSpectrum(np.concatenate([energy, energy.sum(axis=1, keepdims=True)], axis=1), lag)


def tempo_locking(spectrum: LockingSpectrum) -> dict[str, float]:
    """How much more of the motion is periodic with the music's tempo than with wrong tempi.

    Chance is 1, whatever the dancer's delay: a delay only changes the phase, which is also why circular shifts can't be
    the null here. A stiff metronome would score highest: match the value of real dance, do not maximise, and read the
    score together with magnitude and jerk.

    Returns:
        tempo_locking_1 to _4: E_p over its mean at the wrong tempi.
        tempo_locking_sum: the same for E_1 + E_2 + E_3 + E_4.
        tempo_locking_z, tempo_locking_rank: the sum's excess over chance in standard deviations of the null, and the
            share of wrong tempi with a lower sum (chance 0.5).
        tempo_locking_lag: `LockingSpectrum.lag`.
        tempo_share, tempo_share_null: E_1 + E_2 + E_3 + E_4 and its mean at the wrong tempi, as shares of the motion's
            variance. Unlike the ratio, the share is bounded, also for synthetic motion that is purely periodic.

        All NaN where the spectrum is NaN or nothing moves.
    """
    names = [f"tempo_locking_{p}" for p in (*PERIODS, "sum", "z", "rank", "lag")] + ["tempo_share", "tempo_share_null"]
    chance = spectrum.chance
    if np.isnan(chance).any():
        return dict.fromkeys(names, np.nan)
    own, null = spectrum.energy[STRETCHES == 1][0], spectrum.energy[WRONG]
    z = (own[-1] - chance[-1]) / null[:, -1].std()
    rank = np.mean(null[:, -1] < own[-1])
    return dict(zip(names, map(float, [*own / chance, z, rank, spectrum.lag, own[-1], chance[-1]]), strict=True))
