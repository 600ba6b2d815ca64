"""Rows of the motion table: one system on the songs of the test part.

A score is averaged over the takes of a song (its random seeds, its pieces) and then over songs. Songs are the units of
the bootstrap, because several takes of one song are not independent. Undefined values are None, null in JSON.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dancing.metrics.body import bone_limits, foot_slide, long_bones, physical_foot_contact
from dancing.metrics.bootstrap import interval, percentiles, resampled
from dancing.metrics.bootstrap_cells import Cell, Row
from dancing.metrics.distribution import kernel_means, mmd2, mmd2_floor, over_pairs
from dancing.metrics.kinetic import KineticSpace, distances, frechet, kinetic_features, window_features
from dancing.metrics.motion import STILL, Motion, drift, freeze_ratio, jerk, magnitude, mean, median_speed
from dancing.metrics.rhythm import PERIODS, LockingSpectrum, beat_alignment, beat_f1, tempo_locking

Takes = Sequence[Sequence[Motion]]  # [piece of the test part][take]

RHYTHM = (
    *(f"tempo_locking_{p}" for p in (*PERIODS, "sum", "z", "rank")), "tempo_share", "tempo_share_null",
    "bas", "bas_null", "bas_gain", "bas_gain_z", "bas_motion", "bas_motion_gain", "f1", "f1_null",
)  # fmt: skip
KINETIC = ("mmd", "mmd_floor", "mmd_ratio", "frechet", "diversity", "multimodality")

FEW = 3  # songs: with fewer, a mean over pairs has no interval, because two songs make a single pair
FRECHET_RESAMPLES = 100


@dataclass(frozen=True)
class Reference:
    """Values of real dance, which every row is compared with."""

    seen: np.ndarray  # (33,) bool, the landmarks that count
    magnitude: float  # L/s
    jerk: float  # L/s^3
    median_speed: float  # L/s
    bones: np.ndarray  # (21,) L, length limits
    space: KineticSpace
    windows: list[np.ndarray]  # standardised features (n, d) of the windows of each training clip
    floor: float  # of MMD^2

    @classmethod
    def of(
        cls, real: Sequence[Motion], clips: Sequence[str], train: Sequence[Motion], train_clips: Sequence[str],
        seed: int,
    ) -> "Reference":  # fmt: skip
        """Measure the real dances.

        Args:
            real: the test part: reference of magnitude, jerk and freezing. Only landmarks that are visible in at least
                half of these dances count.
            clips: the clip that each test dance is from.
            train: the training part: reference of bone lengths and kinetic features.
            train_clips: the clip that each training dance is from.
            seed: of the splits for the floor.
        """
        seen = np.mean([np.isfinite(dance.landmarks).any(axis=(0, 2)) for dance in real], axis=0) >= 0.5
        real, train = [dance.only(seen) for dance in real], [dance.only(seen) for dance in train]
        features = [window_features(dance) for dance in train]
        space = KineticSpace.fit(np.concatenate(features))
        windows = _by_clip([space.standardise(windows) for windows in features], train_clips)
        return cls(
            seen=seen,
            magnitude=float(mean(np.array([magnitude(dance) for dance in real]))),
            jerk=float(mean(np.array([jerk(dance) for dance in real]))),
            median_speed=median_speed(real),
            bones=bone_limits(train),
            space=space,
            windows=windows,
            floor=mmd2_floor(kernel_means(windows), len(set(clips)), seed) if _usable(windows) else np.nan,
        )


def _over_real(value: float, real: float) -> float:
    return value / real if real > STILL else np.nan


Score = Callable[[Motion, Reference], float]
#: How much a dance moves; magnitude and jerk are over those of real dance.
AMOUNT: dict[str, Score] = {
    "magnitude": lambda dance, real: _over_real(magnitude(dance), real.magnitude),
    "freeze": lambda dance, real: freeze_ratio(dance, real.median_speed),
    "jerk": lambda dance, real: _over_real(jerk(dance), real.jerk),
    "drift": lambda dance, _: drift(dance),
}
#: Whether a body could move like that: foot sliding, physical foot contact and bone lengths.
BODY: dict[str, Score] = {
    "foot_slide": lambda dance, _: foot_slide(dance),
    "pfc": lambda dance, _: physical_foot_contact(dance),
    "long_bones": lambda dance, real: long_bones(dance, real.bones),
}
METRICS = (*RHYTHM, *AMOUNT, *BODY, *KINETIC)


def scores_of(motion: Motion, reference: Reference, scores: Mapping[str, Score]) -> dict[str, float]:
    """Return some scores of one dance, such as `AMOUNT` or `BODY`."""
    return {name: score(motion, reference) for name, score in scores.items()}


def song_means(
    scores: Sequence[Sequence[Mapping[str, float]]], clips: Sequence[str], names: Collection[str], seed: int
) -> Row:  # fmt: skip
    """Cells of some metrics: means over songs.

    Args:
        scores: [piece][take] scores by name.
        clips: the clip, which stands for the song, of each piece.
        names: the metrics wanted.
        seed: of the bootstrap.
    """
    values = np.array([[[take[name] for name in names] for take in piece] for piece in scores])  # (pieces, takes, M)
    songs = _clip_means(mean(values, axis=1), clips)  # (songs, M)
    return {name: _cell(songs[:, column], seed) for column, name in enumerate(names)}


def rhythm_row(
    dances: Takes,
    spectra: Sequence[Sequence[LockingSpectrum]],
    beats: Sequence[np.ndarray],
    clips: Sequence[str],
    seed: int,
) -> Row:
    """Cells of `RHYTHM`: how well dances follow the music. Arguments as for `motion_row`."""
    scores = [
        [
            tempo_locking(spectrum) | beat_alignment(take, music, seed) | beat_f1(take, music, seed)
            for take, spectrum in zip(takes, lines, strict=True)
        ]
        for takes, lines, music in zip(dances, spectra, beats, strict=True)
    ]
    return song_means(scores, clips, RHYTHM, seed)


def kinetic_row(dances: Takes, clips: Sequence[str], reference: Reference, seed: int) -> Row:
    """Cells of `KINETIC`: distance of a system's dances from real dance, and from each other.

    mmd: unbiased MMD^2 between the windows of these dances and of the training part.
    mmd_floor, mmd_ratio: the typical size of MMD^2 between real dances, and mmd over it. Without a difference the
        ratio is about 0, of either sign; a ratio of up to about 1 is no difference that so few songs could show. The
        row of the real test dances shows how far they are from training.
    frechet: Frechet distance between the same windows; None for too few windows.
    diversity: mean distance between dances to different songs.
    multimodality: mean distance between takes of the same song.

    Args:
        dances: [piece][take], with the landmarks that `reference` counts alone. Pieces under three frames are left out.
        clips: the clip of each piece.
        reference: of real dance.
        seed: of the bootstrap.
    """
    kept = [(takes, clip) for takes, clip in zip(dances, clips, strict=True) if min(len(take.q) for take in takes) >= 3]
    if not kept or not _usable(reference.windows):
        return {name: _cell(np.zeros(0), seed) for name in KINETIC}
    clips = [clip for _, clip in kept]
    standardise = reference.space.standardise
    windows = _by_clip([standardise(np.concatenate([window_features(t) for t in takes])) for takes, _ in kept], clips)
    whole = standardise(np.array([[kinetic_features(take) for take in takes] for takes, _ in kept]))  # (P, takes, d)

    return {
        **_mmd_cells(windows, reference, seed),
        "frechet": _frechet_cell(windows, reference, seed),
        **_variety_cells(whole, clips, seed),
    }


def _mmd_cells(windows: Sequence[np.ndarray], reference: Reference, seed: int) -> Row:
    """Cells of mmd, mmd_floor and mmd_ratio of the windows (n, d) of each song."""
    songs, trained = len(windows), len(reference.windows)
    means = kernel_means([*reference.windows, *windows])
    train, test = np.repeat([1.0, 0.0], [trained, songs]), np.repeat([0.0, 1.0], [trained, songs])
    weights = resampled(songs, seed)
    resamples = np.concatenate([np.zeros((len(weights), trained)), weights], axis=1)
    mmd, mmds = mmd2(means, train, test), mmd2(means, train, resamples)
    return {
        "mmd": _pair_cell(mmd, mmds, songs),
        "mmd_floor": _pair_cell(reference.floor, np.zeros(0), trained),
        "mmd_ratio": _pair_cell(mmd / reference.floor, mmds / reference.floor, songs),
    }


def _frechet_cell(windows: Sequence[np.ndarray], reference: Reference, seed: int) -> Cell:
    """Cell of frechet, of the windows (n, d) of each song."""
    real, songs = np.concatenate(reference.windows), len(windows)
    distance, draws = frechet(real, np.concatenate(windows)), np.zeros(0)
    if np.isfinite(distance):
        picks = np.random.default_rng(seed).integers(0, songs, (FRECHET_RESAMPLES, songs))
        draws = np.array([frechet(real, np.concatenate([windows[song] for song in pick])) for pick in picks])
    return _pair_cell(distance, draws, songs)


def _variety_cells(features: np.ndarray, clips: Sequence[str], seed: int) -> Row:
    """Cells of diversity and multimodality, from the features (pieces, takes, d) of whole dances."""
    between = distances(features.swapaxes(0, 1)).mean(axis=0)  # (pieces, pieces), mean over takes
    between = _clip_means(_clip_means(between, clips).T, clips)  # (songs, songs)
    songs, takes = np.ones(len(between)), np.ones(features.shape[1])
    weights = resampled(len(songs), seed)
    within = np.array([over_pairs(piece, takes, takes) for piece in distances(features)])  # (pieces,)
    return {
        "diversity": _pair_cell(over_pairs(between, songs, songs), over_pairs(between, weights, weights), len(songs)),
        "multimodality": _cell(_clip_means(within, clips), seed),
    }


def motion_row(
    dances: Takes, spectra: Sequence[Sequence[LockingSpectrum]], beats: Sequence[np.ndarray], clips: Sequence[str],
    reference: Reference, seed: int,
) -> Row:  # fmt: skip
    """Make one complete row: a cell for each of `METRICS`, with mean, n and interval over songs.

    Args:
        dances: [piece][take] of one system, the same number of takes for every piece of the test part, with only the
            landmarks that `reference` counts (`Motion.only`).
        spectra: `locking_spectrum` of each dance.
        beats: (b,) s, of each piece.
        clips: the clip of each piece, which stands for the song.
        reference: of real dance.
        seed: of the null's shifts and the bootstrap.

    Raises:
        ValueError: where dances, spectra, beats and clips differ in number.
    """
    scores = [[scores_of(take, reference, AMOUNT | BODY) for take in takes] for takes in dances]
    return (
        rhythm_row(dances, spectra, beats, clips, seed)
        | song_means(scores, clips, (*AMOUNT, *BODY), seed)
        | kinetic_row(dances, clips, reference, seed)
    )


def _by_clip(windows: Sequence[np.ndarray], clips: Sequence[str]) -> list[np.ndarray]:
    """Windows (n, d) of each piece -> of each clip, without clips that have no window."""
    units = {clip: [w for w, name in zip(windows, clips, strict=True) if name == clip] for clip in clips}
    return [unit for unit in map(np.concatenate, units.values()) if len(unit)]


def _usable(windows: Sequence[np.ndarray]) -> bool:
    """Whether any window has a feature."""
    return any(unit.size for unit in windows)


def _clip_means(values: np.ndarray, clips: Sequence[str]) -> np.ndarray:
    """Means over the pieces of each clip without NaN, (pieces, ...) -> (clips, ...), in order of first occurrence."""
    names = np.array(clips)
    return np.array([mean(values[names == clip], axis=0) for clip in dict.fromkeys(clips)])


def _cell(values: np.ndarray, seed: int) -> Cell:
    """Cell of the mean over songs, (songs,), without NaN."""
    values = values[np.isfinite(values)]
    average = float(values.mean()) if len(values) else None
    return {"mean": average, "n": len(values), "ci95": interval(values, np.ones(len(values)), seed)}


def _pair_cell(value: float | np.floating | np.ndarray, draws: np.ndarray, songs: int) -> Cell:
    """Cell of a mean over pairs of songs, with its values in the bootstrap samples."""
    average = float(value) if np.isfinite(value) else None
    return {"mean": average, "n": songs, "ci95": percentiles(draws) if songs >= FEW else None}
