"""dataset.h5: the training data of the dance system. Schema, writer and reader.

Each clip, or piece of a clip, is a group. All its sequences have T rows, one a frame::

    /                            attributes: format, version, fps, width, height, fit, n_mfcc, audio_features
    /normalisation/audio_mean    (F,)  statistics of the training part only
    /normalisation/audio_std     (F,)
    /NAME                        attributes: split, clip, subject, start (s), tempo (BPM), and notes on the clip, if any
    /NAME/audio_mfcc_sequences   (T, n_mfcc) float32
    /NAME/onset_strength         (T,) float32
    /NAME/chroma                 (T, 12) float32
    /NAME/beat_phase             (T, 2) float32, sine and cosine of the phase between two beats
    /NAME/bar_phase              (T, 6) float32, sine and cosine of the phase in bars of 2, 3 and 4 beats
    /NAME/metre                  (T,) float32, above 0 where bars of three fit better than bars of two or four
    /NAME/beat_nearness          (T,) float32, exp(-distance to the nearest beat / 0.1 s)
    /NAME/beats                  (n,) float64, seconds after the piece's first frame
    /NAME/pose_landmark_sequences (T, 33, 2) float32, fractions of the width and height of the image
    /NAME/pose_visibility        (T, 33) float32
    /NAME/frames                 (T, height, width, 3) uint8 RGB, one chunk a frame; absent if the clip has no video
    /NAME/masks                  (T, height, width) uint8, 255 where the dancer is, 0 elsewhere, 128 where it is
                                 uncertain; chunks likewise

This module imports no librosa, MediaPipe, OpenCV or PyAV, so that machines for training do not need them.
Letters: T rows (frames), F audio features, b beats.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import h5py
import numpy as np

from dancing.errors import UserError
from dancing.files import atomic_write, ensure_space
from dancing.h5 import SPLITS, DatasetError, Split, open_h5, whole_number
from dancing.media.downbeats import METRES

FORMAT, VERSION = "dancing-dataset", 4

#: Audio features in the order of the columns of `Piece.audio`, with the descriptions that the file contains.
AUDIO_SEQUENCES = {
    "audio_mfcc_sequences": "MFCC coefficients, one row a frame",
    "onset_strength": "onset strength, scaled by the clip's own loud onsets",
    "chroma": "energy of the 12 pitch classes, C first",
    "beat_phase": "sine and cosine of the phase between one beat and the next",
    "bar_phase": "sine and cosine of the phase in bars of 2, 3 and 4 beats, counted by accents",
    "metre": "above 0 where bars of three beats fit better than bars of two or four, -1 to 1",
    "beat_nearness": "exp(-distance to the nearest beat / 0.1 s)",
}
_FAR = 100  # widths or heights of the image; no landmark is so far from it
_CHECKED = 64  # frames that are written from one look at the free space to the next
#: Number of last columns that hold beat and bar. They are not standardised, because phases already have a scale.
BEAT_COLUMNS = 10


def feature_names(n_mfcc: int) -> list[str]:
    """Names of the F columns of `Piece.audio`, for this number of MFCC coefficients."""
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
    """Name of a subject in texts for users; clips in no folder have the subject ""."""
    return subject or "(no folder)"


@dataclass(frozen=True)
class Piece:
    """T consecutive rows of a clip: audio features and poses. The frames, if any, stay in the file."""

    name: str
    split: Split
    clip: str  # path of the clip, relative to data.clips
    subject: str  # the dancer: the folder of the clip, "" if it is in none
    start: float  # s, of the first row in the clip
    tempo: float  # BPM
    beats: np.ndarray  # (b,) s after the first row
    sequences: dict[str, np.ndarray]  # a key of AUDIO_SEQUENCES -> (T,) or (T, n)
    landmarks: np.ndarray  # (T, 33, 2) fractions of the width and height of the image
    visibility: np.ndarray  # (T, 33) in [0, 1]
    notes: tuple[str, ...] = ()  # what extraction found odd about the clip and dealt with

    @property
    def audio(self) -> np.ndarray:
        """All audio features concatenated, (T, F) float32, not standardised."""
        return np.concatenate([self.sequences[key].reshape(len(self), -1) for key in AUDIO_SEQUENCES], axis=1)

    def __len__(self) -> int:
        return len(self.landmarks)


class Picture(NamedTuple):
    """What dataset.h5 holds of a video's frame."""

    frame: np.ndarray  # (height, width, 3) uint8 RGB
    mask: np.ndarray  # (height, width) uint8


Pictures = Iterable[Picture]


def write_dataset(
    path: str | Path, attributes: dict[str, Any], pieces: Iterable[tuple[Piece, Pictures | None]]
) -> None:
    """Write dataset.h5 completely or not at all. The same input gives the same bytes.

    Args:
        path: the file to write; its folder is made if missing.
        attributes: fps, width, height, fit and n_mfcc.
        pieces: each with its T pictures, which are read one at a time, or with None if it has none.

    Raises:
        DatasetError: the lengths in a piece differ, a frame has another shape, or no piece is in the training part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    size = (attributes["height"], attributes["width"], 3)
    training: list[np.ndarray] = []
    # "latest" writes no modification times and stores small groups compactly.
    with atomic_write(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        names = feature_names(attributes["n_mfcc"])
        file.attrs.update({"format": FORMAT, "version": VERSION, **attributes, "audio_features": names})
        for piece, pictures in pieces:
            group = _write_piece(file, piece)
            if pictures is not None:
                _write_pictures(group, piece, pictures, size)
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
    """Write a piece without its frames and masks."""
    group = file.create_group(piece.name)
    group.attrs.update({key: getattr(piece, key) for key in ("split", "clip", "subject", "start", "tempo")})
    if piece.notes:
        group.attrs["notes"] = list(piece.notes)
    total = len(piece)
    data = {**piece.sequences, "pose_landmark_sequences": piece.landmarks, "pose_visibility": piece.visibility}
    for name, values in data.items():
        if len(values) != total:
            raise DatasetError(f"{piece.name}/{name} has {len(values)} rows, but {total} poses: not on one clock")
        dataset = group.create_dataset(name, data=np.ascontiguousarray(values, dtype=np.float32))
        dataset.attrs["description"] = AUDIO_SEQUENCES.get(name, _POSE.get(name, ""))
    group.create_dataset("beats", data=np.asarray(piece.beats, dtype=np.float64))
    group["beats"].attrs["description"] = "times of the music's beats, seconds after the first frame"
    return group


def _write_pictures(group: h5py.Group, piece: Piece, pictures: Pictures, size: tuple[int, int, int]) -> None:
    total = len(piece)
    # One chunk a frame, so that random access reads nothing else. Uncompressed, because no codec is faster.
    stored = group.create_dataset("frames", shape=(total, *size), dtype=np.uint8, chunks=(1, *size))
    stored.attrs["description"] = "RGB pictures"
    masks = group.create_dataset("masks", shape=(total, *size[:2]), dtype=np.uint8, chunks=(1, *size[:2]))
    masks.attrs["description"] = "255 where the dancer is, 0 elsewhere, 128 where it is uncertain"
    ensure_space(Path(group.file.filename).parent, total * int(np.prod(size) + np.prod(size[:2])))
    count = 0
    for count, (frame, mask) in enumerate(pictures, start=1):
        if count > total or frame.shape != size or mask.shape != size[:2]:
            raise DatasetError(
                f"{piece.name}/frames: frame {count} is {frame.shape}, its mask {mask.shape}; "
                f"expected {total} of {size} and {size[:2]}"
            )
        if count % _CHECKED == 0:
            ensure_space(Path(group.file.filename).parent, _CHECKED * (frame.nbytes + mask.nbytes))
        stored[count - 1], masks[count - 1] = frame, mask
    if count != total:
        raise DatasetError(f"{piece.name}/frames: {count} frames, but {total} poses: not on one clock")


_POSE = {
    "pose_landmark_sequences": "33 landmarks (MediaPipe Pose's order), x and y as fractions of width and height",
    "pose_visibility": "how likely each landmark is seen, 0 to 1",
}


@dataclass(frozen=True)
class Dataset:
    """An open dataset.h5, and a context manager that closes it.

    Audio features and poses are in memory; frames are read from the file on demand.
    """

    path: Path
    fps: int  # rows a second
    width: int  # px, of the frames
    height: int  # px
    n_mfcc: int
    audio_mean: np.ndarray  # (F,) over the training part; 0 for the last BEAT_COLUMNS
    audio_std: np.ndarray  # (F,) likewise; 1 for the last BEAT_COLUMNS
    pieces: list[Piece]
    _file: h5py.File = field(repr=False)

    def split(self, split: Split) -> list[Piece]:
        """The pieces of this part."""
        return [piece for piece in self.pieces if piece.split == split]

    def summary(self) -> dict[str, Any]:
        """The clips, and the length of each part in seconds."""
        return {
            "clips": sorted({piece.clip for piece in self.pieces}),
            "seconds": {split: round(sum(map(len, self.split(split))) / self.fps, 1) for split in SPLITS},
        }

    def has_frames(self, piece: Piece) -> bool:
        """Whether the piece has frames (its clip is a video)."""
        return "frames" in self._file[piece.name]

    def with_frames(self) -> "Dataset":
        """The same open file, restricted to the pieces that have frames."""
        return replace(self, pieces=[piece for piece in self.pieces if self.has_frames(piece)])

    def subjects(self) -> dict[str, int]:
        """The subjects that have frames, each with its number of frames, in descending order."""
        pictured = self.with_frames().pieces
        frames = {name: sum(len(p) for p in pictured if p.subject == name) for name in {p.subject for p in pictured}}
        return dict(sorted(frames.items(), key=lambda item: (-item[1], item[0])))

    def for_subject(self, name: str | None) -> "Dataset":
        """The same open file, restricted to the pieces with frames of one subject.

        Args:
            name: name of the subject; None for the one with the most frames.

        Raises:
            UserError: there is no such subject, or it has no frames; the message lists the subjects that have some.
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
        pictured = self.with_frames()
        return replace(pictured, pieces=[piece for piece in pictured.pieces if piece.subject == name])

    def audio(self, piece: Piece) -> np.ndarray:
        """The audio features of a piece, standardised with the training part's statistics, (T, F) float32."""
        return ((piece.audio - self.audio_mean) / self.audio_std).astype(np.float32)

    def frames(self, piece: Piece, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read the frames start..stop of a piece, (n, height, width, 3) uint8 RGB."""
        return self._file[piece.name]["frames"][start:stop]

    def frame(self, piece: Piece, index: int) -> np.ndarray:
        """Read one frame of a piece, (height, width, 3) uint8 RGB."""
        return self._file[piece.name]["frames"][index]

    def masks(self, piece: Piece, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Read the masks of the frames start..stop of a piece, (n, height, width) uint8."""
        return self._file[piece.name]["masks"][start:stop]

    def mask(self, piece: Piece, index: int) -> np.ndarray:
        """Read the mask of one frame of a piece, (height, width) uint8."""
        return self._file[piece.name]["masks"][index]

    def close(self) -> None:
        """Close the file. Reading frames is an error afterwards."""
        self._file.close()

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_dataset(path: str | Path) -> Dataset:
    """Open and check a dataset.h5.

    Raises:
        DatasetError: the file is missing, is not a dataset of this version, is incomplete, or the lengths of a piece
            differ; the message names the group.
    """
    path = Path(path)

    def read(file: h5py.File) -> Dataset:
        statistics = file["normalisation"]
        limits = {"fps": 1000, "width": 2**16, "height": 2**16, "n_mfcc": 128}
        numbers = {key: whole_number(file.attrs, key, most) for key, most in limits.items()}
        F = len(feature_names(numbers["n_mfcc"]))
        if not all(_finite(statistics[key], (F,)) for key in ("audio_mean", "audio_std")):
            raise DatasetError(f"the statistics of the audio are not {F} finite numbers each")
        if not (statistics["audio_std"][:] > 0).all():
            raise DatasetError("the standard deviations of the audio are not all positive")
        pieces = list(_read_pieces(file, path))
        if not any(piece.split == "train" for piece in pieces):
            raise DatasetError("no piece to train on")
        return Dataset(
            path=path,
            **numbers,
            audio_mean=statistics["audio_mean"][:],
            audio_std=statistics["audio_std"][:],
            pieces=pieces,
            _file=file,
        )

    return open_h5(path, FORMAT, VERSION, read)


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
            notes=tuple(group.attrs.get("notes", ())),
        )
        lengths = {len(piece), len(piece.visibility), *map(len, piece.sequences.values())}
        if "frames" in group:
            lengths |= {len(group["frames"]), len(group["masks"])}
        if len(lengths) > 1:
            raise DatasetError(f"{path}: group {name} mixes lengths {sorted(lengths)}; run build_hdf5 again")
        _check_piece(piece, group, file.attrs)
        yield piece


def _check_piece(piece: Piece, group: h5py.Group, attributes: Mapping[str, Any]) -> None:
    """Raise DatasetError where a piece has another shape than the schema, or numbers that can't be."""
    T, n_mfcc = len(piece), int(attributes["n_mfcc"])
    widths = {"audio_mfcc_sequences": (n_mfcc,), "chroma": (12,), "beat_phase": (2,), "bar_phase": (2 * len(METRES),)}
    shapes = {key: (T, *widths.get(key, ())) for key in AUDIO_SEQUENCES}
    shapes |= {"pose_landmark_sequences": (T, 33, 2), "pose_visibility": (T, 33), "beats": (len(piece.beats),)}
    for key, shape in shapes.items():
        if not _finite(group[key], shape):
            raise DatasetError(f"{piece.name}/{key} is {group[key].shape}, expected {shape}, and finite numbers")
    size = (T, int(attributes["height"]), int(attributes["width"]), 3)
    for key, shape in {"frames": size, "masks": size[:3]}.items() if "frames" in group else ():
        if group[key].shape != shape or group[key].dtype != np.uint8:
            raise DatasetError(f"{piece.name}/{key} is {group[key].shape}, expected {shape} of uint8")
    if T < 1 or piece.split not in SPLITS or not np.isfinite([piece.start, piece.tempo]).all():
        raise DatasetError(
            f"{piece.name} has {T} rows, split {piece.split!r}, start {piece.start}, tempo {piece.tempo}"
        )
    if np.abs(piece.landmarks).max() > _FAR:
        raise DatasetError(f"{piece.name} has landmarks that are no fractions of the image")
    place = PurePosixPath(piece.clip) if isinstance(piece.clip, str) else None
    if not isinstance(piece.subject, str):
        raise DatasetError(f"{piece.name} has the subject {piece.subject!r}, expected a name")
    if not all(isinstance(note, str) for note in piece.notes):
        raise DatasetError(f"{piece.name} has the notes {piece.notes!r}, expected texts")
    if place is None or place.is_absolute() or ".." in place.parts:
        raise DatasetError(f"{piece.name} is of the clip {piece.clip!r}, which would lie outside data.clips")


def _finite(stored: h5py.Dataset, shape: tuple[int, ...]) -> bool:
    return stored.shape == shape and stored.dtype.kind == "f" and bool(np.isfinite(stored[:]).all())
