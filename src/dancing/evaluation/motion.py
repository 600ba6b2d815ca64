"""The table of motion: trained pose_models on the test songs, beside chance, controls and the real dance.

Letters: T frames of a dance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dancing.clips.dataset import Dataset, Piece
from dancing.evaluation.common import held_out
from dancing.metrics import controls
from dancing.metrics.motion import Motion, mean, prepare
from dancing.metrics.rhythm import LockingSpectrum, locking_spectrum
from dancing.metrics.table import (
    AMOUNT,
    Reference,
    Row,
    Takes,
    amount_scores,
    rhythm_row,
    song_means,
    summarise,
)
from dancing.music_to_pose.beat_warping import warp_to_beats
from dancing.music_to_pose.inference import MusicToPose
from dancing.music_to_pose.retrieval import Retrieval

LONG = 60.0  # s, of the dance that shows whether a dancer dies down


@dataclass(frozen=True)
class MotionResult:
    """Rows of the table of motion, and what lies behind them."""

    rows: dict[str, Row]
    dances: dict[str, list[np.ndarray]]  # row -> (T, 33, 2) in [0, 1], one a test piece: its first take
    locking: dict[str, np.ndarray]  # row -> (S, P + 1), `LockingSpectrum.relative` over `STRETCHES`, mean over songs


def evaluate_motion(
    dataset: Dataset, pose_models: Mapping[str, MusicToPose], temperature: float, seeds: int, seed: int
) -> MotionResult:
    """Dance to every test song and measure.

    Args:
        pose_models: row names -> trained models; "ours" must be there, and has rows beside it that others don't.
        temperature: of every dance.
        seeds: takes of every song by every dancer.
        seed: of the bootstrap, the nulls, the jitter and the wrong songs.

    Returns:
        Rows, all of `METRICS` but where said otherwise:

        - each dancer's name;
        - ours_beat_warped: ours after `warp_to_beats`;
        - retrieval, frozen, jitter: the controls;
        - real: the ceiling;
        - ours_to_other_music, real_to_other_music: the same dances against wrong beats, `RHYTHM` alone: chance;
        - ours_60s: dances of a minute at least, the song repeated where it is shorter, `AMOUNT` alone: a dancer who
          dies down shows.

    Raises:
        UserError: where there is no test part.
    """
    pieces = held_out(dataset)
    size = (dataset.fps, dataset.width, dataset.height)
    takes = _takes(dataset, pieces, pose_models, temperature, seeds, seed)

    real, train = (
        [prepare(piece.landmarks, piece.visibility, *size) for piece in part]
        for part in (pieces, dataset.split("train"))
    )
    clips, beats = [piece.clip for piece in pieces], [piece.beats for piece in pieces]
    reference = Reference.of(real, clips, train, [piece.clip for piece in dataset.split("train")], seed)

    def measured(dance: np.ndarray) -> Motion:
        """A made dance, of which every landmark that a real one shows is known."""
        return prepare(dance, np.ones(dance.shape[:2]), *size).only(reference.seen)

    motions = {name: [[measured(dance) for dance in dances] for dances in part] for name, part in takes.items()}
    motions["real"] = [[dance.only(reference.seen)] for dance in real]
    spectra = {name: _spectra(part, beats) for name, part in motions.items()}
    rows = {name: summarise(part, spectra[name], beats, clips, reference, seed) for name, part in motions.items()}

    wrong = controls.shuffled(beats, [len(piece) / dataset.fps for piece in pieces], np.random.default_rng(seed))
    for name in ("ours", "real"):
        other = f"{name}_to_other_music"
        spectra[other] = _spectra(motions[name], wrong)
        rows[other] = rhythm_row(motions[name], spectra[other], wrong, clips, seed)

    long = [
        measured(pose_models["ours"].generate(_at_least(piece.audio, dataset.fps), 0, temperature)) for piece in pieces
    ]
    rows["ours_60s"] = song_means([[amount_scores(dance, reference)] for dance in long], clips, AMOUNT, seed)

    shown = {name: [dances[0] for dances in part] for name, part in takes.items()}
    shown["real"] = [piece.landmarks for piece in pieces]
    return MotionResult(rows, shown, {name: _mean_spectrum(part) for name, part in spectra.items()})


def _takes(
    dataset: Dataset,
    pieces: Sequence[Piece],
    pose_models: Mapping[str, MusicToPose],
    temperature: float,
    seeds: int,
    seed: int,
) -> dict[str, list[list[np.ndarray]]]:
    """Every made dance: row -> [piece][take] (T, 33, 2)."""
    takes = {
        name: [[dancer.generate(piece.audio, s, temperature) for s in range(seeds)] for piece in pieces]
        for name, dancer in pose_models.items()
    }
    pixels, size = np.array([dataset.width, dataset.height]), (dataset.fps, dataset.width, dataset.height)
    takes["ours_beat_warped"] = [
        [warp_to_beats(dance * pixels, piece.beats, dataset.fps) / pixels for dance in dances]
        for dances, piece in zip(takes["ours"], pieces, strict=True)
    ]
    retrieval = Retrieval.fit(dataset)
    takes["retrieval"] = [[retrieval.dance(piece.audio, piece.beats)] for piece in pieces]
    takes["frozen"] = [[controls.frozen(piece.landmarks)] for piece in pieces]
    takes["jitter"] = [[controls.jitter(piece.landmarks, piece.visibility, *size, seed)] for piece in pieces]
    return takes


def _spectra(motions: Takes, beats: Sequence[np.ndarray]) -> list[list[LockingSpectrum]]:
    return [[locking_spectrum(take, music) for take in takes] for takes, music in zip(motions, beats, strict=True)]


def _mean_spectrum(spectra: Sequence[Sequence[LockingSpectrum]]) -> np.ndarray:
    """Over takes, then over the songs for which it can be told; (S, P + 1)."""
    songs = [mean(np.array([take.relative for take in takes]), axis=0) for takes in spectra]
    return mean(np.array(songs), axis=0)


def _at_least(audio: np.ndarray, fps: int, seconds: float = LONG) -> np.ndarray:
    """A song's features end to end until they last: (T, F) -> (T', F)."""
    return np.tile(audio, (int(np.ceil(seconds * fps / len(audio))), 1))
