"""The motion table: trained models on the songs of the test part, next to chance, controls and real dance.

Letters: T frames of a dance, F audio features, S time stretches, P periods.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from dancing.clips.dataset import Dataset, Piece
from dancing.evaluation.common import held_out
from dancing.metrics import controls
from dancing.metrics.bootstrap_cells import Row
from dancing.metrics.motion import Motion, mean, prepare
from dancing.metrics.rhythm import LockingSpectrum, locking_spectrum
from dancing.metrics.table import (
    AMOUNT,
    Reference,
    Takes,
    motion_row,
    rhythm_row,
    scores_of,
    song_means,
)
from dancing.music_to_pose.beat_warping import warp_to_beats
from dancing.music_to_pose.inference import MusicToPose
from dancing.music_to_pose.retrieval import Retrieval

LONG = 60.0  # s, of the dance that shows whether motion dies down


@dataclass(frozen=True)
class MotionResult:
    """Rows of the motion table, and the dances and spectra that they were measured on."""

    rows: dict[str, Row]
    dances: dict[str, list[np.ndarray]]  # row -> (T, 33, 2) in [0, 1] for each test piece, its first take
    locking: dict[str, np.ndarray]  # row -> (S, P + 1), `LockingSpectrum.relative` over `STRETCHES`, mean over songs


def evaluate_motion(
    dataset: Dataset, pose_models: Mapping[str, MusicToPose], temperature: float, seeds: int, seed: int
) -> MotionResult:
    """Generate dances to every test song and measure them.

    Args:
        dataset: of clips with music and poses.
        pose_models: row name -> trained model; "ours" is required, and has additional rows.
        temperature: of the sampling.
        seeds: takes of each song by each model.
        seed: of the bootstrap, the nulls, the jitter and the wrong songs.

    Returns:
        Rows with all of `METRICS`, except where only a part of them is given:

        - each model's name;
        - ours_beat_warped: ours after `warp_to_beats`;
        - retrieval, frozen, jitter: the controls;
        - real: the ceiling;
        - ours_to_other_music, real_to_other_music: chance; the same dances with wrong beats, `RHYTHM` only;
        - ours_60s: dances of at least a minute, with shorter songs repeated, `AMOUNT` only: shows whether motion dies
          down.

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

    def prepared(dance: np.ndarray) -> Motion:
        """Prepare a generated dance: all landmarks are visible, those that count are kept."""
        return prepare(dance, np.ones(dance.shape[:2]), *size).only(reference.seen)

    motions = {name: [[prepared(dance) for dance in dances] for dances in part] for name, part in takes.items()}
    motions["real"] = [[dance.only(reference.seen)] for dance in real]
    spectra = {name: _spectra(part, beats) for name, part in motions.items()}
    rows = {name: motion_row(part, spectra[name], beats, clips, reference, seed) for name, part in motions.items()}

    wrong = controls.wrong_beats(beats, [len(piece) / dataset.fps for piece in pieces], np.random.default_rng(seed))
    for name in ("ours", "real"):
        other = f"{name}_to_other_music"
        spectra[other] = _spectra(motions[name], wrong)
        rows[other] = rhythm_row(motions[name], spectra[other], wrong, clips, seed)

    long = [
        prepared(pose_models["ours"].generate(_at_least(piece.audio, dataset.fps), 0, temperature)) for piece in pieces
    ]
    rows["ours_60s"] = song_means([[scores_of(dance, reference, AMOUNT)] for dance in long], clips, AMOUNT, seed)

    first_takes = {name: [dances[0] for dances in part] for name, part in takes.items()}
    first_takes["real"] = [piece.landmarks for piece in pieces]
    return MotionResult(rows, first_takes, {name: _mean_spectrum(part) for name, part in spectra.items()})


def _takes(
    dataset: Dataset,
    pieces: Sequence[Piece],
    pose_models: Mapping[str, MusicToPose],
    temperature: float,
    seeds: int,
    seed: int,
) -> dict[str, list[list[np.ndarray]]]:
    """Dances of the models and the controls: row -> [piece][take] (T, 33, 2) in [0, 1]."""
    takes = {
        name: [[model.generate(piece.audio, s, temperature) for s in range(seeds)] for piece in pieces]
        for name, model in pose_models.items()
    }
    pixels, size = np.array([dataset.width, dataset.height]), (dataset.fps, dataset.width, dataset.height)
    takes["ours_beat_warped"] = [
        [warp_to_beats(dance * pixels, piece.beats, dataset.fps) / pixels for dance in dances]
        for dances, piece in zip(takes["ours"], pieces, strict=True)
    ]
    retrieval = Retrieval.fit(dataset)
    takes["retrieval"] = [[retrieval.generate(piece.audio, piece.beats)] for piece in pieces]
    takes["frozen"] = [[controls.frozen(piece.landmarks)] for piece in pieces]
    takes["jitter"] = [[controls.jitter(piece.landmarks, piece.visibility, *size, seed)] for piece in pieces]
    return takes


def _spectra(motions: Takes, beats: Sequence[np.ndarray]) -> list[list[LockingSpectrum]]:
    """Locking spectrum of each take of each piece."""
    return [[locking_spectrum(take, music) for take in takes] for takes, music in zip(motions, beats, strict=True)]


def _mean_spectrum(spectra: Sequence[Sequence[LockingSpectrum]]) -> np.ndarray:
    """Mean over takes, then over the songs whose spectrum is defined: (S, P + 1)."""
    songs = [mean(np.array([take.relative for take in takes]), axis=0) for takes in spectra]
    return mean(np.array(songs), axis=0)


def _at_least(audio: np.ndarray, fps: int, seconds: float = LONG) -> np.ndarray:
    """Repeat a song's features until they last: (T, F) -> (T', F)."""
    return np.tile(audio, (int(np.ceil(seconds * fps / len(audio))), 1))
