"""How well a body dances: pure functions of 2D motion and beat times.

Every score stands beside its chance level, since the usual ones are far from 0 for motion that ignores the music.
Scores are of one dance; `summarise` makes one row of a table, a system over its songs.

Letters: T frames of a clip, N frames at 60 Hz, J = 13 joints, C channels, W frames of a window, b beats.
Units: torso lengths (L) and seconds. Beat times are seconds from the motion's first frame.
A value that can't be told (too short, no beats, nothing seen) is NaN; `summarise` turns it into None, JSON's null.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline, PchipInterpolator
from scipy.ndimage import gaussian_filter1d
from scipy.signal import find_peaks

#: MediaPipe's landmarks that count: nose, shoulders to wrists, hips to ankles. All 33 would weigh the head by a third.
JOINTS = (0, 11, 12, 13, 14, 15, 16, 23, 24, 25, 26, 27, 28)
SHOULDERS = [JOINTS.index(11), JOINTS.index(12)]
HIPS = [JOINTS.index(23), JOINTS.index(24)]

FPS = 60.0  # of every motion that is measured: smoothing in frames means nothing across frame rates
MIN_VISIBILITY = 0.5  # a landmark below it is a guess
MIN_SEEN = 0.1  # share of the frames in which a joint must be seen to be counted at all
STILL = 1e-6  # L/s, rounding error rather than motion

BEAT_SIGMA = 5.0  # frames, smooths the speed whose minima are motion beats
BAS_SIGMA = 3.0  # frames, how near is near in the beat alignment score
F1_WINDOW = 0.070  # s
SHIFTS = 100  # circular shifts of the music that make the null

PERIODS = (1, 2, 3, 4)  # beats
WINDOW = 15.0  # s
MIN_BEATS = 8  # a dance must span two of the longest period, or the tempo can't be told from its neighbours
STRETCHES = np.geomspace(0.7, 1.43, 61)
# The right tempo is left out of the null, and the tempi at which four beats pass for three.
STRETCHES = STRETCHES[
    (abs(STRETCHES - 1) > 0.06) & (abs(STRETCHES * 4 / 3 - 1) > 0.04) & (abs(STRETCHES * 3 / 4 - 1) > 0.04)
]


@dataclass(frozen=True)
class Motion:
    """A dance free of camera, distance, aspect ratio and frame rate, as `prepare` makes it.

    q: (N, 13, 2) the `JOINTS` seen from mid-hip, in torso lengths, x to the right and y down; NaN where not seen.
    root: (N, 2) mid-hip's path in torso lengths, from the picture's upper left corner; NaN where not seen.
    torso: px, the median length from mid-hip to mid-shoulder.
    """

    q: np.ndarray
    root: np.ndarray
    torso: float
    fps: float = FPS

    @property
    def duration(self) -> float:
        """Seconds."""
        return len(self.q) / self.fps

    def only(self, joints: np.ndarray) -> "Motion":
        """The same dance with nothing but these joints, (13,) bool, so that two dances compare like with like."""
        return replace(self, q=np.where(joints[:, None], self.q, np.nan))


# ---------------------------------------------------------------------------------------------------- preparation


def prepare(landmarks: ArrayLike, visibility: ArrayLike, fps: float, width: int, height: int) -> Motion:
    """Bring landmarks of any frame rate and picture size to one `Motion` at 60 Hz.

    Args:
        landmarks: (T, 33, 2), x and y as fractions of the picture. NaN counts as not seen.
        visibility: (T, 33) in [0, 1]. Landmarks under 0.5 are not seen: the spline goes on without them, and what it
            says there is masked. A joint seen in less than a tenth of the frames is left out altogether. Where a hip
            is not seen, no joint has a place relative to it, and all are masked.
        fps: frames per second of the landmarks.
        width, height: px, of the picture: normalised x and y have different scales and must not be mixed.

    Raises:
        ValueError: for arrays of other shapes, or an fps or size that is not above 0.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    visible = np.asarray(visibility, dtype=np.float64)
    if points.ndim != 3 or points.shape[1:] != (33, 2):
        raise ValueError(f"landmarks: expected shape (T, 33, 2), got {points.shape}")
    if visible.shape != points.shape[:2]:
        raise ValueError(f"visibility: expected shape {points.shape[:2]} as the landmarks', got {visible.shape}")
    if not (fps > 0 and width > 0 and height > 0):
        raise ValueError(f"fps, width and height must be above 0, got {fps}, {width} and {height}")

    pixels = points[:, JOINTS] * [width, height]  # (T, 13, 2)
    seen = (visible[:, JOINTS] >= MIN_VISIBILITY) & np.isfinite(pixels).all(axis=-1)  # (T, 13)
    if len(seen):
        seen &= seen.mean(axis=0) >= MIN_SEEN
    pixels, seen = _resample(_bridge(pixels, seen), seen, fps)  # (N, 13, 2), (N, 13)

    root = pixels[:, HIPS].mean(axis=1)  # (N, 2)
    rooted = seen[:, HIPS].all(axis=1)  # (N,)
    upright = rooted & seen[:, SHOULDERS].all(axis=1)
    torsos = np.linalg.norm(pixels[:, SHOULDERS].mean(axis=1) - root, axis=-1)[upright]
    torso = float(np.median(torsos)) if len(torsos) else np.nan
    if not torso > 0:
        torso = np.nan  # nothing to measure by: everything is NaN
    q = np.where((seen & rooted[:, None])[..., None], pixels - root[:, None], np.nan) / torso
    return Motion(q, np.where(rooted[:, None], root, np.nan) / torso, torso)


def _bridge(pixels: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Replace unseen samples of (T, J, 2) by a monotone curve through the seen ones; the ends are held.

    Monotone, since a plain cubic would swing out over a long gap and pull its neighbours along.
    """
    bridged = np.zeros_like(pixels)
    for joint in np.flatnonzero(seen.any(axis=0)):  # gaps differ from joint to joint
        at = np.flatnonzero(seen[:, joint])
        samples = pixels[at, joint]
        if len(at) == 1:
            bridged[:, joint] = samples
        else:
            every = np.clip(np.arange(len(pixels)), at[0], at[-1])
            bridged[:, joint] = PchipInterpolator(at, samples)(every)
            bridged[at, joint] = samples
    return bridged


def _resample(pixels: np.ndarray, seen: np.ndarray, fps: float) -> tuple[np.ndarray, np.ndarray]:
    """(T, J, 2) and (T, J) at `fps` -> the same at 60 Hz; seen means that the samples on both sides were."""
    frames = len(pixels)
    if frames < 2:
        return pixels, seen
    end = int((frames - 1) * FPS / fps + 1e-6)  # whole 60ths of a second within the clip
    at = np.minimum(np.arange(end + 1) * fps / FPS, frames - 1)  # in frames of the clip
    before, after = np.floor(at + 1e-6).astype(int), np.ceil(at - 1e-6).astype(int)
    return CubicSpline(np.arange(frames), pixels)(at), seen[before] & seen[after]


# --------------------------------------------------------------------------------- smoothing and means over gaps


def _mean(values: np.ndarray, axis: int | None = None) -> np.ndarray:
    """Mean over what is not NaN; NaN (and no warning) where there is nothing."""
    seen = np.isfinite(values)
    count = seen.sum(axis=axis)
    return np.where(count > 0, np.where(seen, values, 0).sum(axis=axis) / np.maximum(count, 1), np.nan)


def _smooth(values: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian over time (axis 0, sigma in frames) of what is not NaN: short gaps are bridged, long ones stay NaN."""
    seen = np.isfinite(values)
    total = gaussian_filter1d(np.where(seen, values, 0.0), sigma, axis=0)
    weight = gaussian_filter1d(seen.astype(float), sigma, axis=0)
    return np.where(weight > 0.1, total / np.maximum(weight, 0.1), np.nan)


def _velocity(path: np.ndarray, fps: float) -> np.ndarray:
    """Central differences over time, (N, ...) in L -> (N, ...) in L/s; NaN beside a gap and where N is 1."""
    return np.gradient(path, axis=0) * fps if len(path) > 1 else np.full_like(path, np.nan)


def joint_speeds(motion: Motion) -> np.ndarray:
    """Speed of every joint relative to mid-hip, (N, 13) in L/s; NaN where not seen."""
    return np.linalg.norm(_velocity(motion.q, motion.fps), axis=-1)


# -------------------------------------------------------------------------------------- minima of speed and beats


def motion_beats(motion: Motion) -> np.ndarray:
    """Times (s) at which the body as a whole comes to rest: local minima of the mean joint speed.

    The speed is smoothed by a Gaussian of 5 frames at 60 Hz (Li et al., AI Choreographer, ICCV 2021, and Siyao et al.,
    Bailando, CVPR 2022, do so at whatever frame rate they have). Minima by less than rounding error don't count.
    """
    if not len(motion.q):
        return np.zeros(0)
    speed = _smooth(_mean(joint_speeds(motion), axis=1), BEAT_SIGMA)
    lowest = find_peaks(-speed, prominence=STILL)[0]
    before, after = speed[lowest - 1] - speed[lowest], speed[lowest + 1] - speed[lowest]  # both at least 0
    within = 0.5 * (before - after) / np.maximum(before + after, STILL)
    return (lowest + within) / motion.fps


def _nearest(times: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance (s) from each of `times` to the nearest of the sorted `others`; infinite where there are none."""
    fence = np.concatenate([[-np.inf], others, [np.inf]])
    after = np.searchsorted(others, times) + 1
    return np.minimum(times - fence[after - 1], fence[after] - times)


def _beats_within(beats: ArrayLike, duration: float) -> np.ndarray:
    times = np.unique(np.asarray(beats, dtype=np.float64))  # sorted, each once
    return times[(times >= 0) & (times < duration)]


def _shifted(beats: np.ndarray, duration: float, seed: int) -> list[np.ndarray]:
    """The music's beats turned round the motion's length by 100 random amounts.

    Random, since even steps can fall on whole beats, and the null would be the score itself.
    """
    shifts = np.random.default_rng(seed).uniform(0, duration, SHIFTS)
    return list(np.sort((beats + shifts[:, None]) % duration, axis=1))


def _closeness(times: np.ndarray, others: np.ndarray) -> float:
    """Mean over `times` of exp(-d^2 / (2 * 3^2)), d the distance to the nearest of `others` in frames at 60 Hz."""
    frames = _nearest(times, others) * FPS
    return float(_mean(np.exp(-(frames**2) / (2 * BAS_SIGMA**2))))


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
    music, rests = _beats_within(beats, motion.duration), motion_beats(motion)
    turned = _shifted(music, motion.duration, seed) if len(music) else []
    score = _closeness(music, rests)
    null = np.array([_closeness(shifted, rests) for shifted in turned])
    score_motion = _closeness(rests, music) if len(music) else np.nan
    null_motion = float(_mean(np.array([_closeness(rests, shifted) for shifted in turned])))
    spread = float(np.std(null)) if len(null) else 0.0
    gain = score - float(_mean(null))
    return {
        "bas": score,
        "bas_null": float(_mean(null)),
        "bas_gain": gain,
        "bas_gain_z": gain / spread if spread > 0 else np.nan,
        "bas_motion": score_motion,
        "bas_motion_null": null_motion,
        "bas_motion_gain": score_motion - null_motion,
    }


def _f1(rests: np.ndarray, music: np.ndarray) -> tuple[float, float, float]:
    """F1, precision and recall of motion beats within 70 ms of a music beat (one may serve two: rests lie apart)."""
    # A hair is added, or rounding decides about a beat just on the edge.
    precision = float(_mean(_nearest(rests, music) <= F1_WINDOW + 1e-9))
    recall = float(_mean(_nearest(music, rests) <= F1_WINDOW + 1e-9))
    hits = np.nan_to_num(precision) * recall
    return (2 * hits / (precision + recall) if hits > 0 else 0.0), precision, recall


def beat_f1(motion: Motion, beats: ArrayLike, seed: int = 0) -> dict[str, float]:
    """Motion beats as a detector of music beats, to within 70 ms, beside its chance level (0.20-0.31 for dance).

    Args:
        beats: (b,) s; those outside the motion are left out.
        seed: of the 100 circular shifts.

    Returns:
        f1, precision, recall, and f1_null, the mean over circular shifts of the music beats. All NaN without music
        beats; without motion beats f1 and recall are 0 and precision is NaN.
    """
    music, rests = _beats_within(beats, motion.duration), motion_beats(motion)
    if not len(music):
        return dict.fromkeys(("f1", "precision", "recall", "f1_null"), np.nan)
    f1, precision, recall = _f1(rests, music)
    null = [_f1(rests, shifted)[0] for shifted in _shifted(music, motion.duration, seed)]
    return {"f1": f1, "precision": precision, "recall": recall, "f1_null": float(np.mean(null))}


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
    velocity = _velocity(motion.q, motion.fps)  # (N, 13, 2)
    raw = np.concatenate(
        [velocity.reshape(len(velocity), -1), _velocity(motion.root, motion.fps), np.linalg.norm(velocity, axis=-1)],
        axis=1,
    )
    quick = _smooth(raw, sigma=3)
    quick -= _smooth(quick, sigma=120)
    spread = np.sqrt(_mean((quick - _mean(quick, axis=0)) ** 2, axis=0))  # (C,)
    return np.nan_to_num(quick / np.where(spread > STILL, spread, np.inf))


def tempo_locking(motion: Motion, beats: ArrayLike) -> dict[str, float]:
    """How much of the motion rides on the music's tempo, against wrong tempi.

    Channels v are `_channels`. In windows of 15 s (at least half overlapping; one shorter for a shorter clip) with
    weights w = Hann / sum, and phi the music's phase in beats, the energy at a period of p beats is

        E_p = 2 * mean over channels of |sum_t w v exp(2 pi i phi / p)|^2,  mean over windows,

    the share of the motion's variance in that rhythm. The null is the same with time stretched about each window's
    middle by factors from 0.7 to 1.43, without those near 1, 3/4 and 4/3. Chance is 1 whatever the dancer's delay,
    which only turns the phase (that is why a circular shift can't be the null here). A stiff metronome would score
    highest: read it beside magnitude and jerk, and beside the value of real dance, which is the aim, not the sky.

    Args:
        beats: (b,) s. Beats outside the motion serve to know the phase within.

    Returns:
        tempo_locking_1 to _4: E_p / mean null E_p.
        tempo_locking_sum: the same for E_1 + E_2 + E_3 + E_4.
        tempo_locking_z, tempo_locking_rank: the sum's excess in standard deviations of the null, and the share of
            wrong tempi that it beats (chance 0.5).
        tempo_locking_lag: in beats, -0.5 to 0.5: how late the joints' speeds are least after the beat. From the phase
            at one beat of the 13 speeds, as the sign of a velocity depends on the side of the body.
        tempo_share, tempo_share_null: E_1 + E_2 + E_3 + E_4 and its mean in the null, as shares of the motion's
            variance. The ratio has no upper end for a drawn dancer who does nothing beside the rhythm; the share has.

        All NaN where the motion spans under 8 beats, there are under two beats, or nothing moves.
    """
    names = [f"tempo_locking_{p}" for p in (*PERIODS, "sum", "z", "rank", "lag")] + ["tempo_share", "tempo_share_null"]
    music = np.unique(np.asarray(beats, dtype=np.float64))
    if len(music) < 2 or motion.duration < MIN_BEATS * np.median(np.diff(music)):
        return dict.fromkeys(names, np.nan)

    channels = _channels(motion)  # (N, C)
    width = min(len(channels), round(WINDOW * motion.fps))
    hops = int(np.ceil((len(channels) - width) / (width / 2)))
    starts = np.linspace(0, len(channels) - width, hops + 1).round().astype(int)
    hann = np.hanning(width + 2)[1:-1]  # without the two zeros at its ends
    hann /= hann.sum()

    factors = np.concatenate([[1.0], STRETCHES])  # the music's own tempo first
    away = (np.arange(width) - (width - 1) / 2) / motion.fps  # (W,) s from the window's middle
    energy = np.zeros((len(factors), len(PERIODS)))
    rhythm = 0j  # of the 13 speeds at one beat
    for start in starts:
        middle = (start + (width - 1) / 2) / motion.fps
        phase = beat_phase(music, middle + factors[:, None] * away)  # (factors, W)
        turns = np.exp(2j * np.pi * phase[:, None] / np.array(PERIODS)[:, None])  # (factors, periods, W)
        riding = turns @ (hann[:, None] * channels[start : start + width])  # (factors, periods, C)
        energy += 2 * (np.abs(riding) ** 2).mean(axis=-1) / len(starts)
        rhythm += riding[0, 0, -len(JOINTS) :].sum()

    energy = np.concatenate([energy, energy.sum(axis=1, keepdims=True)], axis=1)  # (factors, periods and their sum)
    true, null = energy[0], energy[1:]
    chance = null.mean(axis=0)
    if not chance.all():
        return dict.fromkeys(names, np.nan)
    z = (true[-1] - chance[-1]) / null[:, -1].std()
    rank = np.mean(null[:, -1] < true[-1])
    lag = np.angle(-rhythm) / (2 * np.pi)  # the speed's minimum is half a turn after its maximum
    return dict(zip(names, map(float, [*true / chance, z, rank, lag, true[-1], chance[-1]]), strict=True))


# ------------------------------------------------------------------------------------------------- amount of motion


def magnitude(motion: Motion) -> float:
    """Mean joint speed relative to mid-hip, L/s: each joint's over time, then over the joints."""
    return float(_mean(_mean(joint_speeds(motion), axis=0)))


def median_speed(motions: Sequence[Motion]) -> float:
    """Median over all frames of all motions of the mean joint speed, L/s: the measure of `freeze_ratio`."""
    speeds = np.concatenate([_mean(joint_speeds(motion), axis=1) for motion in motions] or [np.zeros(0)])
    speeds = speeds[np.isfinite(speeds)]
    return float(np.median(speeds)) if len(speeds) else np.nan


def freeze_ratio(motion: Motion, real_median: float) -> float:
    """Share of 0.5 s windows whose mean speed is under a tenth of `real_median` (L/s, see `median_speed`).

    Windows in which nothing is seen are left out; NaN where there is no window or no `real_median`.
    """
    width = round(motion.fps / 2)
    speed = _mean(joint_speeds(motion), axis=1)
    windows = _mean(speed[: len(speed) // width * width].reshape(-1, width), axis=1)
    windows = windows[np.isfinite(windows)]
    return float(np.mean(windows < 0.1 * real_median)) if len(windows) and np.isfinite(real_median) else np.nan


def jerk(motion: Motion) -> float:
    """Mean length of the third difference of the joints at 60 Hz, L/s^3: how much the body trembles.

    It depends on the noise of the landmarks, so compare only motions that were tracked at one frame rate.
    """
    third = np.diff(motion.q, n=3, axis=0) * motion.fps**3
    return float(_mean(_mean(np.linalg.norm(third, axis=-1), axis=0)))


def drift(motion: Motion, seconds: float = 10.0) -> float:
    """Magnitude of the last 10 s over that of the first: 1 is steady, 0 is a dance that dies down.

    NaN where the motion is shorter than both together, or begins frozen.
    """
    span = round(seconds * motion.fps)
    if len(motion.q) < 2 * span:
        return np.nan
    first, last = (magnitude(replace(motion, q=part)) for part in (motion.q[:span], motion.q[-span:]))
    return last / first if first > STILL else np.nan


def kinetic_features(motion: Motion) -> np.ndarray:
    """What kind of motion it is: (39,) log1p of 13 joints x (horizontal energy, vertical energy, acceleration).

    Energies are mean squared velocities (L^2/s^2), the third the mean length of the acceleration (L/s^2), after Onuma
    et al., FMDistance (Eurographics 2008), in two dimensions. A frozen pose has all 0; a joint not seen has NaN.
    """
    if len(motion.q) < 3:
        return np.full(3 * len(JOINTS), np.nan)
    energy = _mean(_velocity(motion.q, motion.fps) ** 2, axis=0)  # (13, 2)
    acceleration = np.linalg.norm(np.diff(motion.q, n=2, axis=0), axis=-1) * motion.fps**2  # (N - 2, 13)
    return np.log1p(np.concatenate([energy, _mean(acceleration, axis=0)[:, None]], axis=1)).reshape(-1)


# ----------------------------------------------------------------------------------------------- a row of the table


def shuffled(beats: Sequence[np.ndarray], durations: Sequence[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Beats of a wrong song for every dance: the control in which gain and locking must fall to chance.

    The songs are rolled by a random number of places. Locking doesn't feel a delay, so a wrong song at the right tempo
    would be no control (all Viennese waltzes have one tempo): where the partner's period is within 6 % of 1/2, 2/3,
    3/4, 1, 4/3, 3/2 or 2 of the dance's own, its beats are stretched to 0.82-0.92 of it, or to the inverse. A single
    song is its own partner, and so always stretched.

    Args:
        beats: each song's, (b,) s.
        durations: s, each dance's; beats go on at their median period to its end and stop there.

    Returns:
        n arrays of beat times. Empty for a partner with under two beats.

    Raises:
        ValueError: where beats and durations differ in number.
    """
    roll = int(rng.integers(1, len(beats))) if len(beats) > 1 else 0
    harmonics = np.array([1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2])
    pairs = []
    for place, (song, duration) in enumerate(zip(beats, durations, strict=True)):
        own, other = np.unique(song), np.unique(beats[(place + roll) % len(beats)])
        if len(other) < 2:
            pairs.append(np.zeros(0))
            continue
        period = np.median(np.diff(other))
        ratio = period / np.median(np.diff(own)) if len(own) > 1 else np.nan
        if (abs(ratio / harmonics - 1) < 0.06).any():
            wrong = rng.uniform(0.82, 0.92) ** rng.choice([-1, 1])
            other, period = other * wrong / ratio, period * wrong / ratio
        further = other[-1] + period * np.arange(1, max(0.0, duration - other[-1]) / period + 1)
        pairs.append(_beats_within(np.concatenate([other, further]), duration))
    return pairs


def interval(totals: np.ndarray, counts: np.ndarray, seed: int, resamples: int = 1000) -> list[float] | None:
    """Bootstrap 95 % interval (percentiles) of sum(totals) / sum(counts) over independent units.

    totals, counts: (units,). For a plain mean over units, counts are 1. Units whose count is 0 say nothing and are
    left out. None for fewer than two units.
    """
    totals, counts = totals[counts > 0], counts[counts > 0]
    if len(totals) < 2:
        return None
    drawn = np.random.default_rng(seed).integers(0, len(totals), (resamples, len(totals)))
    return [float(edge) for edge in np.percentile(totals[drawn].sum(axis=1) / counts[drawn].sum(axis=1), [2.5, 97.5])]


#: What `summarise` tells.
METRICS = (
    *(f"tempo_locking_{p}" for p in (*PERIODS, "sum")), "tempo_share", "tempo_share_null",
    "bas", "bas_null", "bas_gain", "bas_gain_z", "f1", "f1_null", "magnitude", "freeze", "jerk", "drift",
)  # fmt: skip


def summarise(
    motions: Sequence[Motion], beats: Sequence[np.ndarray], real: Sequence[Motion], seed: int
) -> dict[str, dict]:
    """One row of the table: one system over n songs.

    Args:
        motions: the system's dance to each song.
        beats: each song's beats, (b,) s.
        real: real dances, the measure of magnitude, jerk (both as ratios to the mean over real dances) and freezing;
            any number, not paired with the motions. Only joints seen in at least half of them are counted.
        seed: of the null's shifts and the bootstrap.

    Returns:
        For each of `METRICS`: {"mean": over songs, "n": songs that have a value, "ci95": bootstrap over songs, [low,
        high]}. mean is None without any value, ci95 is None for fewer than two.

    Raises:
        ValueError: where motions and beats differ in number.
    """
    if len(motions) != len(beats):
        raise ValueError(f"expected as many motions as songs' beats, got {len(motions)} and {len(beats)}")
    tracked = np.array([np.isfinite(dance.q).any(axis=(0, 2)) for dance in real]).reshape(-1, len(JOINTS))
    joints = tracked.mean(axis=0) >= 0.5 if len(tracked) else np.ones(len(JOINTS), dtype=bool)
    real, motions = [dance.only(joints) for dance in real], [dance.only(joints) for dance in motions]
    real_median = median_speed(real)
    real_magnitude, real_jerk = (float(_mean(np.array([score(d) for d in real]))) for score in (magnitude, jerk))

    songs = [
        tempo_locking(dance, music)
        | beat_alignment(dance, music, seed)
        | beat_f1(dance, music, seed)
        | {
            "magnitude": magnitude(dance) / real_magnitude if real_magnitude > STILL else np.nan,
            "freeze": freeze_ratio(dance, real_median),
            "jerk": jerk(dance) / real_jerk if real_jerk > STILL else np.nan,
            "drift": drift(dance),
        }
        for dance, music in zip(motions, beats, strict=True)
    ]
    row = {}
    for name in METRICS:
        values = np.array([song[name] for song in songs])
        values = values[np.isfinite(values)]
        mean = float(values.mean()) if len(values) else None
        row[name] = {"mean": mean, "n": len(values), "ci95": interval(values, np.ones(len(values)), seed)}
    return row
