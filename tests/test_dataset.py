import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from conftest import filmed, make_masks, make_pictures, make_piece, nobody

from dancing.clips.dataset import AUDIO_SEQUENCES, BEAT_COLUMNS, Dataset, Picture, open_dataset, write_dataset
from dancing.errors import UserError
from dancing.h5 import DatasetError

ATTRIBUTES = {"fps": 30, "width": 24, "height": 32, "fit": "letterbox", "n_mfcc": 4}


def write(path: Path, pieces) -> None:
    write_dataset(path, ATTRIBUTES, ((piece, filmed(piece.landmarks, 32, 24)) for piece in pieces))


def test_round_trip_names_and_shapes(tmp_path: Path):
    notes = ("silent from 1.0 s to 3.5 s: this part is left out", "späte Töne")
    pieces = [make_piece("a", "train", 20, 1), replace(make_piece("b", "test", 13, 2), notes=notes)]
    write(tmp_path / "d.h5", pieces)
    with h5py.File(tmp_path / "d.h5") as file:
        assert file["a/audio_mfcc_sequences"].shape == (20, 4)
        assert file["a/pose_landmark_sequences"].shape == (20, 33, 2)
        assert file["a/frames"].shape == (20, 32, 24, 3)
        assert file["a/frames"].dtype == np.uint8
        assert file["a/frames"].chunks == (1, 32, 24, 3)
        assert file["a/masks"].shape == (20, 32, 24)
        assert file["a/masks"].chunks == (1, 32, 24)
        assert all(file["a"][name].attrs["description"] for name in file["a"])
    with open_dataset(tmp_path / "d.h5") as dataset:
        assert [(p.name, p.split, len(p)) for p in dataset.pieces] == [("a", "train", 20), ("b", "test", 13)]
        read = dataset.pieces[1]
        assert [piece.notes for piece in dataset.pieces] == [(), notes]
        np.testing.assert_array_equal(read.landmarks, pieces[1].landmarks)
        np.testing.assert_array_equal(read.beats, pieces[1].beats)
        np.testing.assert_array_equal(read.audio, pieces[1].audio)
        np.testing.assert_array_equal(dataset.frames(read), make_pictures(read.landmarks, 32, 24))
        np.testing.assert_array_equal(dataset.frame(read, 5), dataset.frames(read, 5, 6)[0])
        np.testing.assert_array_equal(dataset.masks(read), make_masks(read.landmarks, 32, 24))
        np.testing.assert_array_equal(dataset.mask(read, 5), dataset.masks(read, 5, 6)[0])


def test_pieces_with_and_without_pictures(tmp_path: Path):
    pieces = [make_piece("a", "train", 20, 1), make_piece("b", "train", 13, 2), make_piece("c", "test", 9, 3)]
    pictures = make_pictures(pieces[1].landmarks, 32, 24)
    for name in ("d.h5", "again.h5"):
        write_dataset(tmp_path / name, ATTRIBUTES, zip(pieces, (None, nobody(pictures), None), strict=True))
    assert (tmp_path / "d.h5").read_bytes() == (tmp_path / "again.h5").read_bytes()
    with open_dataset(tmp_path / "d.h5") as dataset:
        assert [dataset.has_frames(piece) for piece in dataset.pieces] == [False, True, False]
        pictured = dataset.with_frames()
        assert [piece.name for piece in pictured.split("train")] == ["b"]
        assert pictured.split("test") == []
        assert len(dataset.split("train")) == 2
        np.testing.assert_array_equal(pictured.frames(pictured.pieces[0]), pictures)
        np.testing.assert_array_equal(dataset.pieces[0].landmarks, pieces[0].landmarks)
        assert (dataset.width, dataset.height) == (24, 32)


@pytest.fixture
def pose_models(tmp_path: Path) -> Iterator[Dataset]:
    """Ben's pictures are most, Ann has fewer, Cleo has landmarks alone; one clip is in no folder."""
    clips = [("a", "ann", 30), ("b", "ben", 25), ("c", "ben", 9), ("d", "", 9), ("e", "cleo", 99)]
    pieces = [
        replace(make_piece(name, "train", frames, seed), subject=subject)
        for seed, (name, subject, frames) in enumerate(clips)
    ]
    shown = ((p, None if p.subject == "cleo" else filmed(p.landmarks, 32, 24)) for p in pieces)
    write_dataset(tmp_path / "d.h5", ATTRIBUTES, shown)
    with open_dataset(tmp_path / "d.h5") as dataset:
        yield dataset


def test_one_subject_among_several(pose_models: Dataset):
    assert [piece.subject for piece in pose_models.pieces] == ["ann", "ben", "ben", "", "cleo"]
    assert list(pose_models.subjects().items()) == [("ben", 34), ("ann", 30), ("", 9)]
    for name, pieces in (("ann", ["a"]), ("ben", ["b", "c"]), ("", ["d"]), (None, ["b", "c"])):
        chosen = pose_models.for_subject(name)
        assert [piece.name for piece in chosen.pieces] == pieces
        assert chosen.for_subject(name).pieces == chosen.pieces


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Ben", r'gan\.subject: Ben has no clip in .*choose one of ben, ann, "" \(no folder\), or null'),
        ("cleo", r"gan\.subject: cleo has landmarks, but no pictures, in .*choose one of ben, ann"),
        ("../ben", r"gan\.subject: \.\./ben has no clip .* skipped are in data/features/report\.json"),
    ],
)
def test_a_subject_that_cannot_be_learnt_is_told(pose_models: Dataset, name: str, message: str):
    with pytest.raises(UserError, match=message):
        pose_models.for_subject(name)


@pytest.mark.parametrize("name", [None, "", "cleo"])
def test_nobody_has_pictures(pose_models: Dataset, name: str | None):
    unseen = replace(pose_models, pieces=[piece for piece in pose_models.pieces if piece.subject == "cleo"])
    assert unseen.subjects() == {}
    with pytest.raises(UserError, match=r"d\.h5: no pictures; give videos, or train without pictures"):
        unseen.for_subject(name)


def test_normalisation_is_of_the_training_part_only(tmp_path: Path):
    pieces = [make_piece("a", "train", 20, 1), make_piece("b", "test", 13, 2)]
    write(tmp_path / "d.h5", pieces)
    with open_dataset(tmp_path / "d.h5") as dataset:
        heard, beat = slice(None, -BEAT_COLUMNS), slice(-BEAT_COLUMNS, None)
        np.testing.assert_allclose(dataset.audio_mean[heard], pieces[0].audio.mean(axis=0)[heard], rtol=1e-5)
        standard = dataset.audio(dataset.pieces[0])
        np.testing.assert_allclose(standard.mean(axis=0)[heard], 0, atol=1e-5)
        np.testing.assert_array_equal(standard[:, beat], pieces[0].audio[:, beat])  # a phase has its own scale
        assert abs(dataset.audio(dataset.pieces[1]).mean(axis=0)).max() > 0.01


def test_same_input_same_bytes(tmp_path: Path):
    for name in ("one.h5", "two.h5"):
        write(tmp_path / name, [make_piece("a", "train", 20, 1), make_piece("b", "val", 9, 2)])
    first, second = (hashlib.sha256((tmp_path / n).read_bytes()).digest() for n in ("one.h5", "two.h5"))
    assert first == second


@pytest.mark.parametrize("short", ["visibility", *AUDIO_SEQUENCES])
def test_one_clock_is_enforced_and_a_failed_write_leaves_the_old_file(tmp_path: Path, short: str):
    path = tmp_path / "d.h5"
    good = make_piece("a", "train", 20, 1)
    write(path, [good])
    before = path.read_bytes()
    if short == "visibility":
        bad = replace(good, visibility=good.visibility[:-1])
    else:
        bad = replace(good, sequences={**good.sequences, short: good.sequences[short][:-1]})
    with pytest.raises(DatasetError, match="one clock"):
        write(path, [bad])
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("frames", [19, 21])
def test_pictures_must_match_poses(tmp_path: Path, frames: int):
    piece, shown = make_piece("a", "train", 20, 1), nobody(np.zeros((frames, 32, 24, 3), np.uint8))
    with pytest.raises(DatasetError, match="a/frames"):
        write_dataset(tmp_path / "d.h5", ATTRIBUTES, [(piece, shown)])


def test_masks_must_have_the_pictures_size(tmp_path: Path):
    piece = make_piece("a", "train", 2, 1)
    shown = [Picture(np.zeros((32, 24, 3), np.uint8), np.zeros((32, 32), np.uint8))] * 2
    with pytest.raises(DatasetError, match="a/frames"):
        write_dataset(tmp_path / "d.h5", ATTRIBUTES, [(piece, shown)])


def test_files_that_are_not_ours(tmp_path: Path):
    with pytest.raises(DatasetError, match="build_hdf5 makes it"):
        open_dataset(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(DatasetError, match="not readable as HDF5"):
        open_dataset(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(DatasetError, match="not a dancing-dataset"):
        open_dataset(tmp_path / "other.h5")
    write(tmp_path / "d.h5", [make_piece("a", "train", 20, 1)])
    with h5py.File(tmp_path / "d.h5", "a") as file:
        del file["a/chroma"]
    with pytest.raises(DatasetError, match=r"incomplete.*chroma"):
        open_dataset(tmp_path / "d.h5")
    with pytest.raises(DatasetError, match="no piece is left to train on"):
        write(tmp_path / "e.h5", [make_piece("a", "test", 20, 1)])
