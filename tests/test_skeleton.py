import numpy as np
import pytest
import torch
from conftest import dance
from hypothesis import given
from hypothesis import strategies as st

from dancing.body.skeleton import (
    BONES,
    LANDMARKS,
    LIMBS,
    MIRROR,
    Placement,
    PoseSpace,
    limb_heatmaps,
    mirrored,
    torso_and_root,
)


def test_landmarks_are_mediapipes():
    assert len(LANDMARKS) == 33
    assert (LANDMARKS[0], LANDMARKS[12], LANDMARKS[32]) == ("nose", "right_shoulder", "right_foot_index")
    assert max(max(bone) for bone in BONES) <= 32


def test_mirroring_twice_is_nothing_and_once_swaps_sides():
    pose = np.random.default_rng(0).random((5, 33, 2))
    assert [MIRROR[MIRROR[i]] for i in range(33)] == list(range(33))
    np.testing.assert_allclose(mirrored(mirrored(pose)), pose)
    np.testing.assert_allclose(mirrored(pose)[:, 11, 0], 1 - pose[:, 12, 0])


def test_torso_of_a_known_figure():
    pixels = np.zeros((3, 33, 2))
    pixels[:, [11, 12]] = [[90, 40], [110, 40]]
    pixels[:, [23, 24]] = [[95, 100], [105, 100]]
    torso, root = torso_and_root(pixels)
    assert torso == 60
    np.testing.assert_array_equal(root, [[100, 100]] * 3)


@pytest.mark.parametrize("kind", ["picture", "body"])
def test_pose_space_goes_there_and_back(kind):
    clip = dance(90)
    space = PoseSpace.fit(kind, [clip], width=72, height=128)
    vectors = space.encode(clip)
    assert vectors.shape == (90, 66 if kind == "picture" else 68)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(space.decode(vectors), clip, atol=1e-5)
    np.testing.assert_allclose(PoseSpace.from_dict(space.to_dict()).decode(vectors), clip, atol=1e-5)


def test_body_space_is_free_of_camera_and_aspect_ratio():
    near = dance(60)
    far = near * [0.3, 0.6] + [0.2, 0.1]  # half the size in a picture twice as wide... and elsewhere
    space = PoseSpace.fit("body", [near], width=100, height=100)
    other = PoseSpace("body", 200, 100, space.torso, space.home, space.mean, space.std)
    np.testing.assert_allclose(other.encode(far.astype(np.float32)), space.encode(near), atol=2e-3)


SIZE = st.tuples(st.integers(32, 500), st.integers(32, 500))


@given(size=SIZE, scale=st.floats(0.2, 3), place=st.tuples(st.floats(-2, 2), st.floats(-2, 2)), seed=st.integers(0, 99))
def test_a_fitted_dance_stands_where_and_as_large_as_the_placement(size, scale, place, seed):
    placement = Placement.of([dance(60), dance(40, phase=0.3) * 0.9], *size)
    other = (dance(90, phase=seed / 9) * scale + np.array(place)).astype(np.float32)
    fitted = placement.fit(other)
    assert fitted.shape == other.shape
    assert fitted.dtype == np.float32
    own = Placement.of([fitted], *size)
    np.testing.assert_allclose(
        [own.torso, own.place, own.ground], [placement.torso, placement.place, placement.ground], rtol=1e-3, atol=0.05
    )
    # One scale for x and y, in pixels: every step is the other's, so much larger.
    grown = placement.torso / Placement.of([other], *size).torso
    np.testing.assert_allclose(np.diff(fitted, axis=0), np.diff(other, axis=0) * grown, atol=2e-4 * max(grown, 1))


def test_a_placement_s_own_clip_and_a_still_stay_as_they_are():
    clip = dance(60)
    for frames in (clip, clip[:1]):
        placement = Placement.of([frames], width=72, height=128)
        np.testing.assert_allclose(placement.fit(frames), frames, atol=1e-6)
        assert Placement.from_dict(placement.to_dict()) == placement


def test_a_placement_in_numbers():
    pose = np.zeros((10, 33, 2))
    pose[:, [11, 12]] = [[0.4, 0.2], [0.6, 0.2]]
    pose[:, [23, 24]] = [[0.45, 0.5], [0.55, 0.5]]
    pose[:, 27:33, 1] = 0.85
    pose[:, 31, 1] = 0.9
    pose[0, 27:33, 1] = 0.4  # a jump
    assert Placement.of([pose], 100, 200).to_dict() == {
        "torso": pytest.approx(60), "place": pytest.approx(50), "ground": pytest.approx(180), "width": 100,
        "height": 200,
    }  # fmt: skip


def test_heatmaps_peak_on_the_limb_and_fall_off_as_a_gaussian():
    pose = torch.rand(2, 33, 2, generator=torch.Generator().manual_seed(0))
    # Left shoulder to left hip, upright, through pixel centres at x = 10.5.
    pose[:, 11], pose[:, 23] = torch.tensor([10.5 / 40, 8.5 / 48]), torch.tensor([10.5 / 40, 30.5 / 48])
    maps = limb_heatmaps(pose, 48, 40, thickness=2.0)
    assert maps.shape == (2, len(LIMBS), 48, 40)
    limb = maps[0, LIMBS.index(((11,), (23,)))]
    torch.testing.assert_close(limb[8:31, 10], torch.ones(23))
    torch.testing.assert_close(limb[20, 13], torch.tensor(np.exp(-9 / 8), dtype=torch.float32))  # 3 px off the side
    torch.testing.assert_close(limb[33, 10], torch.tensor(np.exp(-9 / 8), dtype=torch.float32))  # 3 px past the end


@given(height=st.integers(8, 40), width=st.integers(8, 40), batch=st.integers(1, 3), seed=st.integers(0, 99))
def test_heatmaps_agree_with_the_definition_pixel_by_pixel(height, width, batch, seed):
    pose = torch.rand(batch, 33, 2, generator=torch.Generator().manual_seed(seed))
    maps = limb_heatmaps(pose, height, width, 1.5)
    rng = np.random.default_rng(seed)
    b, limb, y, x = (int(rng.integers(n)) for n in maps.shape)
    start, end = (pose[b, list(side)].mean(0).numpy() * [width, height] for side in LIMBS[limb])
    pixel = np.array([x + 0.5, y + 0.5])
    share = np.clip((pixel - start) @ (end - start) / max((end - start) @ (end - start), 1e-6), 0, 1)
    distance = np.linalg.norm(pixel - start - share * (end - start))
    assert maps[b, limb, y, x] == pytest.approx(np.exp(-(distance**2) / 4.5), abs=1e-4)


def test_heatmaps_pass_gradients_to_the_landmarks():
    pose = torch.tensor(dance(2), requires_grad=True)
    limb_heatmaps(pose, 32, 32, 2.0).square().sum().backward()
    used = sorted({i for limb in LIMBS for side in limb for i in side})
    assert torch.isfinite(pose.grad).all()
    assert (pose.grad[:, used].abs().sum(-1) > 0).all()
