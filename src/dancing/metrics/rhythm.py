"""How a dance rides on the music: motion beats, beat alignment, tempo locking.

Every score stands beside its chance level, since the usual ones are far from 0 for motion that ignores the music.

Letters: N frames at 60 Hz, C channels, W frames of a window, S stretches of time, P = 4 periods, b beats.
Units: torso lengths (L) and seconds. Beat times are seconds from the motion's first frame.
A value that can't be told (too short, no beats, nothing seen) is NaN.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.signal import find_peaks

from dancing.metrics.motion import FPS, JOINTS, STILL, Motion, joint_speeds, mean, smooth, velocity

BEAT_SIGMA = 5.0  # frames, smooths the speed whose minima are motion beats
BAS_SIGMA = 3.0  # frames, how near is near in the beat alignment score
F1_WINDOW = 0.070  # s
SHIFTS = 100  # circular shifts of the music that make the null

PERIODS = (1, 2, 3, 4)  # beats
WINDOW = 15.0  # s
THIN = 2  # one frame in two is kept: channels smoothed by 3 frames hold nothing that the others could add
MIN_BEATS = 8  # a dance must span two of the longest period, or the tempo can't be told from its neighbours
#: How many times too slow or too fast the music is taken; 1 is its own tempo.
STRETCHES = np.sort(np.append(np.geomspace(0.7, 1.43, 61), 1.0))
#: Which of them are wrong: not the right tempo, nor those at which four beats pass for three.
WRONG = (abs(STRETCHES - 1) > 0.06) & (abs(STRETCHES * 4 / 3 - 1) > 0.04) & (abs(STRETCHES * 3 / 4 - 1) > 0.04)


# -------------------------------------------------------------------------------------- minima of speed and beats


def body_speed(motion: Motion) -> np.ndarray:
    """How fast the body as a whole moves, (N,) L/s; NaN in long gaps.

    The mean joint speed, smoothed by a Gaussian of 5 frames at 60 Hz (Li et al., AI Choreographer, ICCV 2021, and Siyao
    et al., Bailando, CVPR 2022, do so at whatever frame rate they have).
    """
    return smooth(mean(joint_speeds(motion), axis=1), BEAT_SIGMA)


def motion_beats(motion: Motion) -> np.ndarray:
    """Times (s) at which the body as a whole comes to rest: local minima of its speed.

    Minima by less than rounding error don't count.
    """
    if not len(motion.q):
        return np.zeros(0)
    speed = body_speed(motion)
    lowest = find_peaks(-speed, prominence=STILL)[0]
    before, after = speed[lowest - 1] - speed[lowest], speed[lowest + 1] - speed[lowest]  # both at least 0
    within = 0.5 * (before - after) / np.maximum(before + after, STILL)
    return (lowest + within) / motion.fps


def beats_within(beats: ArrayLike, duration: float) -> np.ndarray:
    """The beats from 0 to `duration` (s), sorted, each once."""
    times = np.unique(np.asarray(beats, dtype=np.float64))  # sorted, each once
    return times[(times >= 0) & (times < duration)]


def _nearest(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance (s) from each of `times` (K, n) to the nearest of `others` (K, m) in its row, sorted; (K, n).

    Infinite where there are none. The rows are laid end to end, far apart, and searched as one.
    """
    if not others.shape[1]:
        return np.full(times.shape, np.inf)
    rows = 10 * (1 + max(times.max(initial=0.0), others.max())) * np.arange(len(times))[:, None]
    wanted, fence = times + rows, np.concatenate([[-np.inf], (others + rows).ravel(), [np.inf]])
    after = np.searchsorted(fence, wanted)
    return np.minimum(wanted - fence[after - 1], fence[after] - wanted)


def _distances(rests: np.ndarray, music: np.ndarray, duration: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """How far (s) each beat of the music is from the nearest motion beat, and each motion beat from the nearest beat of
    the music: (1 + 100, b) and (1 + 100, m).

    First the music as it is, then its beats turned round the motion's length by 100 random amounts: the null. Random,
    since even steps can fall on whole beats, and the null would be the score itself.
    """
    shifts = np.append(0.0, np.random.default_rng(seed).uniform(0, duration, SHIFTS))
    turned = np.sort((music + shifts[:, None]) % duration, axis=1)
    repeated = np.repeat(rests[None], len(shifts), axis=0)
    return _nearest(turned, repeated), _nearest(repeated, turned)


def _closeness(seconds: np.ndarray) -> np.ndarray:
    """Mean of exp(-d^2 / (2 * 3^2)) over each row of distances, d in frames at 60 Hz."""
    return mean(np.exp(-((seconds * FPS) ** 2) / (2 * BAS_SIGMA**2)), axis=1)


def beat_alignment(motion: Motion, beats: ArrayLike, seed: int = 0) -> dict[str, float]:
    """Beat alignment score in both directions, beside what the same dance scores against the music turned round.

    The raw score tells nothing by itself: white jitter reaches 0.29. The gain over the null is 0 by chance and about
    +0.74 for a dancer who rests on every beat at 120 BPM.

    Args:
        beats: (b,) s; those outside the motion are left out.
        seed: of the 100 circular shifts.

    Returns:
        bas: mean over music beats of the closeness of the nearest motion beat, as in Bailando (Siyao et al., CVPR
            2022); 0 for a dancer who never comes to rest, NaN without music beats.
        bas_null, bas_gain, bas_gain_z: mean over the shifts; bas - bas_null; the gain in standard deviations of the
            null (NaN where the null does not vary).
        bas_motion, bas_motion_null, bas_motion_gain: the same over motion beats, the nearest music beat to each, as in
            AI Choreographer's FACT (Li et al., ICCV 2021); NaN without motion beats.
    """
    names = ("bas", "bas_null", "bas_gain", "bas_gain_z", "bas_motion", "bas_motion_null", "bas_motion_gain")
    music = beats_within(beats, motion.duration)
    if not len(music) or not np.isfinite(motion.q).any():
        return dict.fromkeys(names, np.nan)
    score, score_motion = map(_closeness, _distances(motion_beats(motion), music, motion.duration, seed))
    null, null_motion = score[1:].mean(), score_motion[1:].mean()
    spread = score[1:].std()
    gain = score[0] - null
    z = gain / spread if spread > 0 else np.nan
    values = (score[0], null, gain, z, score_motion[0], null_motion, score_motion[0] - null_motion)
    return dict(zip(names, map(float, values), strict=True))


def beat_f1(motion: Motion, beats: ArrayLike, seed: int = 0) -> dict[str, float]:
    """Motion beats as a detector of music beats, to within 70 ms, beside its chance level (0.20-0.31 for dance).

    Args:
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
    # One beat may serve two: rests lie apart. A hair is added, or rounding decides about a beat just on the edge.
    recall, precision = (
        mean(np.where(distance <= F1_WINDOW + 1e-9, 1.0, 0.0), axis=1)
        for distance in _distances(motion_beats(motion), music, motion.duration, seed)
    )
    hits = np.nan_to_num(precision) * recall
    f1 = np.where(hits > 0, 2 * hits / np.where(hits > 0, precision + recall, 1.0), 0.0)
    return dict(zip(names, map(float, (f1[0], precision[0], recall[0], f1[1:].mean())), strict=True))


# -------------------------------------------------------------------------------------------------- tempo locking


def beat_phase(beats: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Music's phase in beats at `times` (s): k at beat k, linear between, on by the median period beyond the ends.

    beats: (b,) s, sorted, at least two. Returns the shape of `times`.
    """
    period = np.median(np.diff(beats))
    inside = np.interp(times, beats, np.arange(len(beats)))
    return inside + (np.minimum(times - beats[0], 0) + np.maximum(times - beats[-1], 0)) / period


def _channels(motion: Motion) -> np.ndarray:
    """What may ride on the music: (N, C = 41), each without its slow trend and of unit variance over the song.

    x and y velocities of the 13 joints and of the root, then the 13 joints' speeds. Gaps and still channels are 0: they
    add nothing to any tempo.
    """
    moving = velocity(motion.q, motion.fps)  # (N, 13, 2)
    raw = np.concatenate(
        [moving.reshape(len(moving), -1), velocity(motion.root, motion.fps), np.linalg.norm(moving, axis=-1)],
        axis=1,
    )
    quick = smooth(raw, sigma=3)
    quick -= smooth(quick, sigma=120)
    spread = np.sqrt(mean((quick - mean(quick, axis=0)) ** 2, axis=0))  # (C,)
    return np.nan_to_num(quick / np.where(spread > STILL, spread, np.inf))


@dataclass(frozen=True)
class LockingSpectrum:
    """How much of a motion rides on each of several tempi.

    energy: (S, P + 1) for each of `STRETCHES`: E_1 to E_4 and their sum, shares of the motion's variance. NaN where it
        can't be told.
    lag: in beats, -0.5 to 0.5: how late the joints' speeds are least after the beat.
    """

    energy: np.ndarray
    lag: float

    @property
    def chance(self) -> np.ndarray:
        """(P + 1,) mean energy at the wrong tempi; NaN where nothing moves."""
        level = self.energy[WRONG].mean(axis=0)
        return np.where(level > 0, level, np.nan)

    @property
    def relative(self) -> np.ndarray:
        """(S, P + 1) energy over chance: what to plot. A peak at 1 of the stretches is a dance that has the tempo."""
        return self.energy / self.chance


def locking_spectrum(motion: Motion, beats: ArrayLike) -> LockingSpectrum:
    """Tempo locking at the music's own tempo and at wrong ones.

    Channels v are `_channels`. In windows of 15 s (at least half overlapping; one shorter for a shorter clip) with
    weights w = Hann / sum, and phi the music's phase in beats, the energy at a period of p beats is

        E_p = 2 * mean over channels of |sum_t w v exp(2 pi i phi / p)|^2,  mean over windows,

    the share of the motion's variance in that rhythm. Other tempi are the same with time stretched about each window's
    middle by `STRETCHES`.

    Args:
        beats: (b,) s. Beats outside the motion serve to know the phase within.

    Returns:
        All NaN where the motion spans under 8 beats, or there are under two beats.
    """
    music = np.unique(np.asarray(beats, dtype=np.float64))
    if len(music) < 2 or motion.duration < MIN_BEATS * np.median(np.diff(music)):
        return LockingSpectrum(np.full((len(STRETCHES), len(PERIODS) + 1), np.nan), np.nan)

    channels = _channels(motion)[::THIN]  # (N / THIN, C)
    width = min(len(channels), round(WINDOW * motion.fps / THIN))
    hops = int(np.ceil((len(channels) - width) / (width / 2)))
    starts = np.linspace(0, len(channels) - width, hops + 1).round().astype(int)
    hann = np.hanning(width + 2)[1:-1]  # without the two zeros at its ends
    hann /= hann.sum()

    own = int(np.flatnonzero(STRETCHES == 1)[0])
    away = (np.arange(width) - (width - 1) / 2) / motion.fps * THIN  # (W,) s from the window's middle
    energy = np.zeros((len(STRETCHES), len(PERIODS)))
    rhythm = 0j  # of the 13 speeds at one beat
    for start in starts:
        middle = (start + (width - 1) / 2) / motion.fps * THIN
        phase = beat_phase(music, middle + STRETCHES[:, None] * away)  # (S, W)
        # All periods divide twelve beats: one exponential serves them all.
        twelfth = np.exp(2j * np.pi / 12 * phase)
        turns = np.stack([twelfth ** (12 // period) for period in PERIODS], axis=1)  # (S, P, W)
        weighted = hann[:, None] * channels[start : start + width]  # (W, C)
        riding = turns.real @ weighted + 1j * (turns.imag @ weighted)  # (S, P, C)
        energy += 2 * (np.abs(riding) ** 2).mean(axis=-1) / len(starts)
        rhythm += riding[own, 0, -len(JOINTS) :].sum()

    # From the phase of the 13 speeds, as the sign of a velocity depends on the side of the body. The speed's minimum is
    # half a turn after its maximum.
    lag = float(np.angle(-rhythm) / (2 * np.pi))
    return LockingSpectrum(np.concatenate([energy, energy.sum(axis=1, keepdims=True)], axis=1), lag)


def tempo_locking(spectrum: LockingSpectrum) -> dict[str, float]:
    """How much of the motion rides on the music's tempo, against wrong tempi.

    Chance is 1 whatever the dancer's delay, which only turns the phase (that is why a circular shift can't be the null
    here). A stiff metronome would score highest: read it beside magnitude and jerk, and beside the value of real dance,
    which is the aim, not the sky.

    Returns:
        tempo_locking_1 to _4: E_p over its mean at the wrong tempi.
        tempo_locking_sum: the same for E_1 + E_2 + E_3 + E_4.
        tempo_locking_z, tempo_locking_rank: the sum's excess in standard deviations of the null, and the share of
            wrong tempi that it beats (chance 0.5).
        tempo_locking_lag: the spectrum's.
        tempo_share, tempo_share_null: E_1 + E_2 + E_3 + E_4 and its mean in the null, as shares of the motion's
            variance. The ratio has no upper end for a drawn dancer who does nothing beside the rhythm; the share has.

        All NaN where the spectrum is, or nothing moves.
    """
    names = [f"tempo_locking_{p}" for p in (*PERIODS, "sum", "z", "rank", "lag")] + ["tempo_share", "tempo_share_null"]
    chance = spectrum.chance
    if np.isnan(chance).any():
        return dict.fromkeys(names, np.nan)
    own, null = spectrum.energy[STRETCHES == 1][0], spectrum.energy[WRONG]
    z = (own[-1] - chance[-1]) / null[:, -1].std()
    rank = np.mean(null[:, -1] < own[-1])
    return dict(zip(names, map(float, [*own / chance, z, rank, spectrum.lag, own[-1], chance[-1]]), strict=True))
