"""Crops around the dancer: they hold the dancer, and nothing is moved by being cropped."""

import numpy as np
import pytest
import torch
from conftest import dance
from hypothesis import given, settings
from hypothesis import strategies as st

from dancing.body.skeleton import limb_heatmaps
from dancing.pose_to_image.background import estimate_backgrounds
from dancing.pose_to_image.batches import PoseImages
from dancing.pose_to_image.person_crops import PersonCrops


@settings(deadline=None)
@given(
    seed=st.integers(0, 9999), count=st.integers(1, 4), height=st.sampled_from([32, 72, 136, 512]),
    width=st.sampled_from([40, 64, 256]), margin=st.integers(0, 60), step=st.sampled_from([4, 8, 32]),
    spread=st.floats(0, 3),
)  # fmt: skip
def test_crops_are_of_one_size_and_hold_the_dancer(seed, count, height, width, margin, step, spread):
    landmarks = np.random.default_rng(seed).normal(0.5, spread, (count, 33, 2))  # some far outside
    crops = PersonCrops.around(landmarks, height, width, margin, step)
    for side, whole in ((crops.height, height), (crops.width, width)):
        assert side == whole or (side % step == 0 and 32 <= side < whole)
    size = np.array([width, height])
    for pose, (left, top) in zip(landmarks * size, crops.corners, strict=True):
        assert 0 <= left <= width - crops.width
        assert 0 <= top <= height - crops.height
        inside = pose[((pose >= 0) & (pose <= size)).all(axis=1)]
        low = np.maximum(inside - margin, 0) - [left, top]
        high = np.minimum(inside + margin, size) - [left, top]
        assert (low >= -1).all()  # whole pixels: one may be missing of the margin
        assert (high <= np.array([crops.width, crops.height]) + 1).all()


def test_a_small_dancer_in_a_large_picture_costs_little():
    crops = PersonCrops.around(0.4 + 0.2 * dance(5), 512, 256, margin=4, step=8)
    assert crops.height * crops.width < 512 * 256 / 8


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 999), margin=st.integers(0, 12))
def test_drawn_in_a_crop_a_pose_is_what_the_crop_shows_of_it(seed, margin):
    poses = torch.from_numpy(0.3 + 0.4 * dance(60)[seed % 50 :][:3])
    crops = PersonCrops.around(poses.numpy(), 96, 80, margin, 8)
    assert (crops.height, crops.width) < (96, 80)
    drawn = limb_heatmaps(crops.landmarks(poses), crops.height, crops.width, 2.0)
    torch.testing.assert_close(drawn, crops.crop(limb_heatmaps(poses, 96, 80, 2.0)), atol=1e-3, rtol=0)


def test_what_was_cropped_is_pasted_where_it_was():
    pictures = torch.rand(3, 3, 64, 72)
    crops = PersonCrops([(0, 0), (8, 24), (32, 16)], 32, 40, (64, 72))
    assert torch.equal(crops.paste(crops.crop(pictures), pictures), pictures)
    background = torch.zeros(1, 3, 64, 72)
    pasted = crops.paste(crops.crop(pictures), background)
    assert torch.equal(pasted[1, :, 24:56, 8:48], pictures[1, :, 24:56, 8:48])
    assert pasted[1].count_nonzero() == 3 * 32 * 40
    assert not background.any()


def test_coordinates_are_of_the_whole_image():
    whole, crops = PersonCrops.whole(2, 64, 72), PersonCrops([(0, 0), (8, 24)], 32, 40, (64, 72))
    coordinates = whole.coordinates()
    assert coordinates.shape == (2, 2, 64, 72)
    assert (coordinates.amin(dim=(0, 2, 3)).tolist(), coordinates.amax(dim=(0, 2, 3)).tolist()) == ([-1, -1], [1, 1])
    torch.testing.assert_close(crops.coordinates(), crops.crop(coordinates))
    poses = torch.rand(2, 33, 2)
    torch.testing.assert_close(whole.landmarks(poses), poses)


@pytest.mark.slow
def test_a_cropped_batch_shows_what_the_whole_one_shows(make_dataset, monkeypatch: pytest.MonkeyPatch):
    dataset = make_dataset(height=128, width=96)
    images = PoseImages(dataset, "train", estimate_backgrounds(dataset), torch.device("cpu"))
    rows = [0, 5, 40]
    poses = images.landmarks(rows)
    crops = PersonCrops.around(poses, 128, 96, 2, 8)
    assert crops.width < 96
    whole, part = images.batch(rows), images.batch(rows, crops)
    torch.testing.assert_close(whole.landmarks, torch.from_numpy(poses))
    torch.testing.assert_close(part.landmarks, crops.landmarks(whole.landmarks))
    for name in ("images", "masks", "background", "coordinates"):
        assert torch.equal(getattr(part, name), crops.crop(getattr(whole, name)))
    monkeypatch.setattr("dancing.training.transfer.fits", lambda size, device: True)  # as on a GPU
    on_device = PoseImages(dataset, "train", images.backgrounds, torch.device("cpu"))
    assert on_device.images is not None
    assert on_device.masks is not None
    for name in ("images", "masks"):
        assert torch.equal(getattr(on_device.batch(rows, crops), name), getattr(part, name))
