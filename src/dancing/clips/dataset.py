"""dataset.h5: what flows from the clips to the models. Schema, writer, reader.

One group a clip (or piece of a clip), every sequence in it T rows long, on one clock::

    /                            attributes: format, version, fps, width, height, fit, n_mfcc, audio_features
    /normalisation/audio_mean    (F,)  statistics of the training part only
    /normalisation/audio_std     (F,)
    /NAME                        attributes: split, clip, subject, start (s), tempo (BPM)
    /NAME/audio_mfcc_sequences   (T, n_mfcc) float32
    /NAME/onset_strength         (T,) float32
    /NAME/chroma                 (T, 12) float32
    /NAME/beat_phase             (T, 2) float32, sine and cosine of the phase between two beats
    /NAME/bar_phase              (T, 6) float32, sine and cosine of the phase in bars of 2, 3 and 4 beats
    /NAME/metre                  (T,) float32, above 0 where bars of three fit better than bars of two or four
    /NAME/beat_nearness          (T,) float32, exp(-distance to the nearest beat / 0.1 s)
    /NAME/beats                  (n,) float64, seconds after the piece's first frame
    /NAME/pose_landmark_sequences (T, 33, 2) float32, fractions of the picture
    /NAME/pose_visibility        (T, 33) float32
    /NAME/frames                 (T, height, width, 3) uint8 RGB, a chunk a frame; absent where there are no pictures

No librosa, MediaPipe, OpenCV or PyAV here: the training side reads this file on machines that have none of them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from dancing.errors import UserError
from dancing.files import written_whole
from dancing.h5 import DatasetError, Split, open_checked
from dancing.media.downbeats import METRES

FORMAT, VERSION = "dancing-dataset", 3

#: Audio features in the order in which models see them, with the attribute that says what they are.
AUDIO_SEQUENCES = {
    "audio_mfcc_sequences": "MFCC coefficients, one row a frame",
    "onset_strength": "onset strength, scaled by the clip's own loud onsets",
    "chroma": "energy of the 12 pitch classes, C first",
    "beat_phase": "sine and cosine of the phase between one beat and the next",
    "bar_phase": "sine and cosine of the phase in bars of 2, 3 and 4 beats, counted by accents",
    "metre": "above 0 where bars of three beats fit better than bars of two or four, -1 to 1",
    "beat_nearness": "exp(-distance to the nearest beat / 0.1 s)",
}
#: How many of their last columns are the beat's and the bar's, and are not standardised: phases have a scale.
BEAT_COLUMNS = 10


def feature_names(n_mfcc: int) -> list[str]:
    """Names of the columns of `Piece.audio`."""
    pitches = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
    return [
        *(f"mfcc_{i}" for i in range(n_mfcc)),
        "onset_strength",
        *(f"chroma_{pitch}" for pitch in pitches),
        "beat_sin",
        "beat_cos",
        *(f"bar_of_{metre}_{part}" for metre in METRES for part in ("sin", "cos")),
        "metre",
        "beat_nearness",
    ]


def subject_title(subject: str) -> str:
    """A subject's name as people read it."""
    return subject or "(no folder)"


@dataclass(frozen=True)
class Piece:
    """A run of T frames that has sound, pose and, if its clip is a video, pictures."""

    name: str
    split: Split
    clip: str  # file that it comes from
    subject: str  # who dances: the clip's folder, "" where it is in none
    start: float  # s into the clip
    tempo: float  # BPM
    beats: np.ndarray  # (n,) s after the first frame
    sequences: dict[str, np.ndarray]  # AUDIO_SEQUENCES' keys -> (T,) or (T, n)
    landmarks: np.ndarray  # (T, 33, 2)
    visibility: np.ndarray  # (T, 33)

    @property
    def audio(self) -> np.ndarray:
        """All audio features side by side, (T, F) float32."""
        return np.concatenate([self.sequences[key].reshape(len(self), -1) for key in AUDIO_SEQUENCES], axis=1)

    def __len__(self) -> int:
        return len(self.landmarks)


def write_dataset(
    path: str | Path, attributes: dict[str, Any], pieces: Iterable[tuple[Piece, Iterable[np.ndarray] | None]]
) -> None:
    """Write the file whole or not at all, byte-identical for identical input.

    `attributes` are fps, width, height, fit and n_mfcc; each piece comes with its T frames, (height, width, 3) uint8
    each, taken one at a time, or with None where it has no pictures. Raises DatasetError where lengths within a piece
    disagree or nothing is left to train on.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (attributes["height"], attributes["width"], 3)
    training: list[np.ndarray] = []
    # "latest" writes no modification times and packs small groups tightly.
    with written_whole(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        names = feature_names(attributes["n_mfcc"])
        file.attrs.update({"format": FORMAT, "version": VERSION, **attributes, "audio_features": names})
        for piece, frames in pieces:
            group = _write_piece(file, piece)
            if frames is not None:
                _write_frames(group, piece, frames, size)
            if piece.split == "train":
                training.append(piece.audio)
        if not training:
            raise DatasetError(f"{path}: no piece is left to train on; add clips, or lower data.val and data.test")
        audio = np.concatenate(training)
        group = file.create_group("normalisation")
        mean, std = audio.mean(axis=0), np.maximum(audio.std(axis=0), 1e-3)
        mean[-BEAT_COLUMNS:], std[-BEAT_COLUMNS:] = 0, 1
        group.create_dataset("audio_mean", data=mean)
        group.create_dataset("audio_std", data=std)
        group.attrs["description"] = "over the frames of the training part; 0 and 1 for beat and bar"


def _write_piece(file: h5py.File, piece: Piece) -> h5py.Group:
    """All but the pictures."""
    group = file.create_group(piece.name)
    group.attrs.update({key: getattr(piece, key) for key in ("split", "clip", "subject", "start", "tempo")})
    total = len(piece)
    data = {**piece.sequences, "pose_landmark_sequences": piece.landmarks, "pose_visibility": piece.visibility}
    for name, values in data.items():
        if len(values) != total:
            raise DatasetError(f"{piece.name}/{name} has {len(values)} rows beside {total} poses: not one clock")
        dataset = group.create_dataset(name, data=np.ascontiguousarray(values, dtype=np.float32))
        dataset.attrs["description"] = AUDIO_SEQUENCES.get(name, _POSE.get(name, ""))
    group.create_dataset("beats", data=np.asarray(piece.beats, dtype=np.float64))
    group["beats"].attrs["description"] = "times of the music's beats, seconds after the first frame"
    return group


def _write_frames(group: h5py.Group, piece: Piece, frames: Iterable[np.ndarray], size: tuple[int, int, int]) -> None:
    total = len(piece)
    # A chunk a frame: random reads touch only what they need. Uncompressed: faster than any codec, and lossless.
    pictures = group.create_dataset("frames", shape=(total, *size), dtype=np.uint8, chunks=(1, *size))
    pictures.attrs["description"] = "RGB pictures"
    count = 0
    for count, frame in enumerate(frames, start=1):
        if count > total or frame.shape != size:
            raise DatasetError(f"{piece.name}/frames: frame {count} is {frame.shape}; expected {total} of {size}")
        pictures[count - 1] = frame
    if count != total:
        raise DatasetError(f"{piece.name}/frames: {count} pictures beside {total} poses: not one clock")


_POSE = {
    "pose_landmark_sequences": "33 landmarks (MediaPipe Pose's order), x and y as fractions of width and height",
    "pose_visibility": "how likely each landmark is seen, 0 to 1",
}


@dataclass(frozen=True)
class Dataset:
    """An open dataset.h5. Sound and poses are in memory; frames are read when asked for."""

    path: Path
    fps: int
    width: int
    height: int
    n_mfcc: int
    audio_mean: np.ndarray  # (F,)
    audio_std: np.ndarray  # (F,)
    pieces: list[Piece]
    _file: h5py.File = field(repr=False)

    def split(self, split: Split) -> list[Piece]:
        return [piece for piece in self.pieces if piece.split == split]

    def has_pictures(self, piece: Piece) -> bool:
        return "frames" in self._file[piece.name]

    def with_pictures(self) -> "Dataset":
        """The same file without the pieces that have no pictures."""
        return replace(self, pieces=[piece for piece in self.pieces if self.has_pictures(piece)])

    def subjects(self) -> dict[str, int]:
        """Every subject with its number of pictures, the one with most first; without the subjects that have none."""
        pictured = self.with_pictures().pieces
        frames = {name: sum(len(p) for p in pictured if p.subject == name) for name in {p.subject for p in pictured}}
        return dict(sorted(frames.items(), key=lambda item: (-item[1], item[0])))

    def of_subject(self, name: str | None) -> "Dataset":
        """The same file with the pieces that show this subject, all with pictures; None: the one with most pictures.

        Raises:
            UserError: there is no such subject, or it has no pictures; the message names those that have.
        """
        known = self.subjects()
        if not known:
            raise UserError(f"{self.path}: no pictures; give videos, or train without pictures (gan.model: none)")
        if name is None:
            name = next(iter(known))
        if name not in known:
            absent = name not in {piece.subject for piece in self.pieces}
            choices = ", ".join(subject or '"" (no folder)' for subject in known)
            raise UserError(
                f"gan.subject: {subject_title(name)} has {'no clip' if absent else 'landmarks, but no pictures,'} in "
                f"{self.path}; choose one of {choices}, or null for the one with most pictures. A subject is a folder "
                "in data.clips; clips that were skipped are in data/features/report.json, with the reason"
            )
        pictured = self.with_pictures()
        return replace(pictured, pieces=[piece for piece in pictured.pieces if piece.subject == name])

    def audio(self, piece: Piece) -> np.ndarray:
        """The piece's audio features standardised by the training part, (T, F) float32."""
        return ((piece.audio - self.audio_mean) / self.audio_std).astype(np.float32)

    def frames(self, piece: Piece, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Pictures start..stop of a piece, (n, height, width, 3) uint8."""
        return self._file[piece.name]["frames"][start:stop]

    def frame(self, piece: Piece, index: int) -> np.ndarray:
        """One picture, (height, width, 3) uint8."""
        return self._file[piece.name]["frames"][index]

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_dataset(path: str | Path) -> Dataset:
    """Open and check a dataset.h5. Raises DatasetError naming what is wrong and where."""
    path = Path(path)

    def read(file: h5py.File) -> Dataset:
        statistics = file["normalisation"]
        return Dataset(
            path=path,
            fps=int(file.attrs["fps"]),
            width=int(file.attrs["width"]),
            height=int(file.attrs["height"]),
            n_mfcc=int(file.attrs["n_mfcc"]),
            audio_mean=statistics["audio_mean"][:],
            audio_std=statistics["audio_std"][:],
            pieces=list(_read_pieces(file, path)),
            _file=file,
        )

    return open_checked(path, FORMAT, VERSION, read)


def _read_pieces(file: h5py.File, path: Path) -> Iterator[Piece]:
    for name, group in file.items():
        if name == "normalisation":
            continue
        piece = Piece(
            name=name,
            split=group.attrs["split"],
            clip=group.attrs["clip"],
            subject=group.attrs["subject"],
            start=float(group.attrs["start"]),
            tempo=float(group.attrs["tempo"]),
            beats=group["beats"][:],
            sequences={key: group[key][:] for key in AUDIO_SEQUENCES},
            landmarks=group["pose_landmark_sequences"][:],
            visibility=group["pose_visibility"][:],
        )
        lengths = {len(piece), len(piece.visibility), *map(len, piece.sequences.values())}
        if "frames" in group:
            lengths.add(len(group["frames"]))
        if len(lengths) > 1:
            raise DatasetError(f"{path}: group {name} mixes lengths {sorted(lengths)}; run build_hdf5 again")
        yield piece
