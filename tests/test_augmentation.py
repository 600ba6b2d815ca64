"""Poses and images stay together, whatever is done to them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import standing
from hypothesis import given, settings
from hypothesis import strategies as st

from dancing.body.skeleton import LEFT_WRIST, RIGHT_WRIST, limb_heatmaps
from dancing.pose_to_image.augmentation import augment, enlarged, jitter, mirror, zoom
from dancing.pose_to_image.batches import PoseBatch
from dancing.pose_to_image.person_crops import PersonCrops
from dancing.training.diffaugment import DiffAugment

HEIGHT, WIDTH = 64, 48


def batch() -> PoseBatch:
    """A person whose image is the heatmaps of the limbs."""
    landmarks = torch.from_numpy(standing()).float()[None]
    images = 2 * limb_heatmaps(landmarks, HEIGHT, WIDTH, 2.0).amax(dim=1, keepdim=True).expand(-1, 3, -1, -1) - 1
    background = -torch.ones(1, 3, HEIGHT, WIDTH)
    masks = (images[:, :1] + 1) / 2
    return PoseBatch(landmarks, images, masks, background, PersonCrops.whole(1, HEIGHT, WIDTH).coordinates())


def together(changed: PoseBatch, thickness: float = 2.0) -> None:
    limbs = 2 * limb_heatmaps(changed.landmarks, HEIGHT, WIDTH, thickness).amax(dim=1) - 1
    assert (limbs - changed.images[:, 0]).abs().mean() < 0.03
    torch.testing.assert_close((changed.images[:, :1] + 1) / 2, changed.masks)


def test_in_the_mirror_left_is_right():
    changed = mirror(batch())
    together(changed)
    was, now = batch().landmarks[0], changed.landmarks[0]
    torch.testing.assert_close(now[LEFT_WRIST], torch.stack([1 - was[RIGHT_WRIST, 0], was[RIGHT_WRIST, 1]]))
    torch.testing.assert_close(mirror(changed).landmarks, batch().landmarks)
    torch.testing.assert_close(changed.coordinates, batch().coordinates)  # the whole image's mirror is the whole image


@settings(deadline=None, max_examples=25)
@given(scale=st.floats(0.8, 1.2), x=st.floats(-0.1, 0.1), y=st.floats(-0.1, 0.1))
def test_nearer_and_elsewhere(scale, x, y):
    together(zoom(batch(), scale, (x, y)), thickness=2.0 * scale)


@pytest.mark.parametrize("flip", [True, False])
def test_variations_are_the_seeds(flip):
    def change(seed):
        return augment(batch(), flip, torch.Generator().manual_seed(seed)).landmarks

    assert torch.equal(change(1), change(1))
    kinds = {tuple(change(seed)[0, 0].tolist()) for seed in range(40)}
    assert len(kinds) > 5
    if not flip:  # then nobody's left hand comes to the right
        side = batch().landmarks[0, LEFT_WRIST, 0] > batch().landmarks[0, RIGHT_WRIST, 0]
        assert all((c[0, LEFT_WRIST, 0] > c[0, RIGHT_WRIST, 0]) == side for c in map(change, range(40)))


def test_noise_is_in_torso_lengths_and_the_pictures_shape_counts():
    landmarks = torch.from_numpy(standing()).float().expand(4000, 33, 2)
    off = (jitter(landmarks, 100, 200, torch.Generator().manual_seed(1)) - landmarks) * torch.tensor([200, 100])
    x, y = off.std(dim=(0, 1)).tolist()
    torso = 0.25 * 100  # the standing figure's, upright
    assert x == pytest.approx(0.01 * torso, rel=0.05)
    assert y == pytest.approx(x, rel=0.05)


def test_diffaugment_moves_pose_and_image_alike():
    augmentation = DiffAugment(brightness=0.0, saturation=1.0, contrast=1.0, shift=(5, -3), hole=(10, 10, 20, 20))
    maps, pictures = torch.rand(1, 4, HEIGHT, WIDTH), torch.rand(1, 3, HEIGHT, WIDTH)
    moved, shown = augmentation.maps(maps), augmentation.images(pictures)
    assert moved.shape == maps.shape
    for seen, whole in ((moved, maps), (shown, pictures)):
        torch.testing.assert_close(seen[..., 30:40, 30:40], whole[..., 33:43, 25:35])
        assert not seen[..., 10:20, 10:20].any()
        assert not seen[..., :5].any()


def test_an_augmentation_of_folded_maps_is_that_of_their_images():
    augmentation = DiffAugment(brightness=0.0, saturation=1.0, contrast=1.0, shift=(5, -3), hole=(10, 10, 20, 20))
    maps = torch.rand(1, 3, HEIGHT, WIDTH)
    large = enlarged(augmentation, 2).images(F.interpolate(maps, scale_factor=2.0))
    torch.testing.assert_close(large[..., ::2, ::2], augmentation.maps(maps))


def test_colours_change_and_can_be_learnt_through():
    pictures = torch.rand(2, 3, 16, 16, requires_grad=True)
    grey = DiffAugment(0.0, 0.0, 1.0, (0, 0), None).images(pictures)
    torch.testing.assert_close(grey[:, 0], grey[:, 2])
    torch.testing.assert_close(DiffAugment(0.5, 1.0, 1.0, (0, 0), None).images(pictures), pictures + 0.5)
    flat = DiffAugment(0.0, 1.0, 0.0, (0, 0), None).images(pictures)
    torch.testing.assert_close(flat, pictures.mean(dim=(1, 2, 3), keepdim=True).expand_as(pictures))
    grey.sum().backward()
    assert pictures.grad is not None
    assert np.isfinite(pictures.grad.numpy()).all()
