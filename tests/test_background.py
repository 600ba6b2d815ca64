"""Backgrounds: the room without the dancer, and which clips were filmed in the same one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import make_masks, make_pictures, make_piece, nobody
from hypothesis import given
from hypothesis import strategies as st

from dancing.clips.dataset import Dataset, Picture, Piece, open_dataset, write_dataset
from dancing.pose_to_image.background import (
    SAME_SETUP,
    Backgrounds,
    background_distance,
    dancer_margin,
    estimate_background,
    estimate_backgrounds,
    nearest_setup,
    visible_background,
)

SIZE = 64
EMPTY = make_pictures(np.full((1, 33, 2), -9.0), SIZE, SIZE)[0].astype(float)  # the room with nobody in it
OTHER = 255 - EMPTY


def pictures(piece: Piece, room: np.ndarray) -> np.ndarray:
    """(T, SIZE, SIZE, 3) uint8: the piece's dancer, in this room (SIZE, SIZE, 3)."""
    dancer = make_pictures(piece.landmarks, SIZE, SIZE) - EMPTY
    return np.clip(dancer + room, 0, 255).astype(np.uint8)


def filmed(path: Path, clips: Sequence[tuple[str, str, int, np.ndarray]]) -> Dataset:
    """A dataset of clips: name, split, frames, room."""
    attributes = {"fps": 30, "width": SIZE, "height": SIZE, "fit": "letterbox", "n_mfcc": 4}
    pieces = [make_piece(name, split, frames, seed) for seed, (name, split, frames, _) in enumerate(clips)]
    shown = (
        (piece, map(Picture, pictures(piece, clip[3]), make_masks(piece.landmarks, SIZE, SIZE)))
        for piece, clip in zip(pieces, clips, strict=True)
    )
    write_dataset(path / "d.h5", attributes, shown)
    return open_dataset(path / "d.h5")


def levels(background: torch.Tensor) -> np.ndarray:
    """(3, H, W) in [-1, 1] -> (H, W, 3) in [0, 255]."""
    return (background.permute(1, 2, 0).numpy() + 1) * 127.5


def as_background(room: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.clip(room, 0, 255)).permute(2, 0, 1).float() / 127.5 - 1


def batch(dataset: Dataset, piece: Piece) -> tuple[torch.Tensor, torch.Tensor]:
    images = torch.from_numpy(dataset.frames(piece)).permute(0, 3, 1, 2).float() / 127.5 - 1
    return images, torch.from_numpy(dataset.masks(piece))[:, None].float() / 255


def test_the_background_is_the_room_even_where_the_dancer_mostly_stands(tmp_path):
    dataset = filmed(tmp_path, [("a", "train", 40, EMPTY)])
    shown = levels(estimate_background(*batch(dataset, dataset.pieces[0])))
    median = np.median(dataset.frames(dataset.pieces[0]), axis=0)
    assert abs(shown - EMPTY).mean() < 0.3 * abs(median - EMPTY).mean()


def test_a_set_up_has_its_clips_and_the_first_has_most_frames(tmp_path):
    clips = [
        ("a1", "train", 30, EMPTY), ("a2", "train", 12, EMPTY), ("b1", "train", 40, OTHER), ("b2", "test", 9, OTHER),
        ("a3", "val", 9, EMPTY), ("a1_end", "test", 9, EMPTY),
    ]  # fmt: skip
    dataset = filmed(tmp_path, clips)
    backgrounds = estimate_backgrounds(dataset)
    assert backgrounds.images.shape == (2, 3, SIZE, SIZE)
    assert backgrounds.of_clip == {
        "a1.mp4": 0, "a2.mp4": 0, "a3.mp4": 0, "a1_end.mp4": 0, "b1.mp4": 1, "b2.mp4": 1,
    }  # fmt: skip
    for background, room in zip(backgrounds.images, (EMPTY, OTHER), strict=True):
        assert abs(levels(background) - room).mean() < 2
    for piece in dataset.pieces:
        assert backgrounds.of(piece) == nearest_setup(backgrounds.images, *batch(dataset, piece))
    again = estimate_backgrounds(dataset)
    assert torch.equal(again.images, backgrounds.images)
    assert again.of_clip == backgrounds.of_clip


@pytest.mark.parametrize(
    ("name", "room", "setups"),
    [
        ("a little brighter", EMPTY * 1.08, 1),
        ("warmer", EMPTY * [1.05, 1.0, 0.95], 1),
        ("a bag on the floor", np.where(np.indices((SIZE, SIZE, 3))[:2].max(axis=0) < 12, 200, EMPTY), 1),
        ("another light", EMPTY * 1.5, 2),
        ("the camera elsewhere", np.roll(EMPTY, SIZE // 4, axis=1), 2),
    ],
)
def test_what_is_the_same_set_up(tmp_path, name, room, setups):
    dataset = filmed(tmp_path, [("a", "train", 30, EMPTY), ("b", "train", 20, room)])
    assert len(estimate_backgrounds(dataset).images) == setups, name


def test_pieces_of_one_clip_are_one_clip(tmp_path):
    clips = [("a.0", "train", 20, EMPTY), ("a.1", "val", 9, EMPTY), ("a.2", "test", 9, EMPTY)]
    dataset = filmed(tmp_path, clips)
    whole = replace(dataset, pieces=[replace(piece, clip="a.mp4") for piece in dataset.pieces])
    assert estimate_backgrounds(whole).of_clip == {"a.mp4": 0}


def test_a_dancer_who_always_fills_the_picture_leaves_no_room():
    images, masks = torch.rand(5, 3, 64, 2) * 2 - 1, torch.ones(5, 1, 64, 2)
    nothing = visible_background(images, masks)
    assert nothing.isnan().all()
    assert torch.equal(estimate_background(images, masks), images.median(dim=0).values)
    assert background_distance(nothing, images[0]) == float("inf")
    assert nearest_setup(images, images, masks) == 0


def test_pictures_without_a_known_mask_tell_nothing_of_the_background():
    images, masks = torch.zeros(3, 3, 64, 48), torch.zeros(3, 1, 64, 48)
    images[1:], masks[1:] = 1.0, 128 / 255  # most pictures, but nobody knows where the dancer is
    assert torch.equal(visible_background(images, masks), images[0])


@pytest.mark.parametrize("radius", [3, 9])
def test_how_far_the_dancer_reaches_beyond_his_landmarks(tmp_path, radius):
    dataset = filmed(tmp_path, [("a", "train", 40, EMPTY)])
    x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)

    def hat(pose: np.ndarray) -> np.ndarray:
        """The mask of a hat of this radius."""
        top = pose.min(axis=0) * SIZE
        return np.where(np.hypot(x - SIZE / 2, y - top[1]) < radius, 255, 0).astype(np.uint8)

    piece = dataset.pieces[0]
    attributes = {"fps": 30, "width": SIZE, "height": SIZE, "fit": "letterbox", "n_mfcc": 4}
    room = EMPTY.astype(np.uint8)
    write_dataset(tmp_path / "hat.h5", attributes, [(piece, [Picture(room, hat(pose)) for pose in piece.landmarks])])
    backgrounds = Backgrounds(as_background(EMPTY)[None], {piece.clip: 0})
    with open_dataset(tmp_path / "hat.h5") as hats:
        assert radius - 2 <= dancer_margin(hats, backgrounds) <= radius
    path = tmp_path / "nobody.h5"
    write_dataset(path, attributes, [(piece, nobody(np.repeat(room[None], len(piece), axis=0)))])
    with open_dataset(path) as empty:
        assert dancer_margin(empty, backgrounds) == 0


def test_no_training_clip_no_backgrounds(tmp_path):
    dataset = filmed(tmp_path, [("a", "train", 5, EMPTY), ("b", "test", 9, EMPTY)])
    with pytest.raises(ValueError, match="no training piece"):
        estimate_backgrounds(replace(dataset, pieces=dataset.split("test")))


@given(seed=st.integers(0, 999), gain=st.floats(0.92, 1.08), hidden=st.floats(0, 0.9))
def test_distance_does_not_see_exposure_nor_what_is_hidden(seed, gain, hidden):
    rng = np.random.default_rng(seed)
    room = rng.uniform(10, 230, (16, 16, 3))
    background, brighter = as_background(room), as_background(room * gain)
    assert background_distance(background, background) == 0
    mask = torch.from_numpy(rng.random((16, 16)) < hidden)
    brighter[:, mask] = float("nan")
    assert background_distance(background, brighter) <= (1.5 if not mask.all() else float("inf"))
    assert background_distance(background, as_background(rng.uniform(10, 230, (16, 16, 3)))) > SAME_SETUP


def test_black_bars_tell_nothing():
    left, right = EMPTY.copy(), OTHER.copy()
    left[:, 8:], right[:, 8:] = 0, 0  # a narrow picture between wide bars
    assert background_distance(as_background(left), as_background(right)) > SAME_SETUP
    assert background_distance(as_background(left * 0), as_background(right * 0)) == 0
