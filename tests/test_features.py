"""The own feature network: shapes, gradients, what it learns, and that its distances rank what is worse."""

import numpy as np
import pytest
import torch
from conftest import dance, make_pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dancing.features.feature_net import FeatureNet, PoseHead
from dancing.features.train_features import (
    DEGRADATIONS,
    blur,
    degrade,
    melt,
    mix,
    noise,
    person,
    scaled,
    train_features,
)
from dancing.metrics.feature_reference import FeatureReference

CPU = torch.device("cpu")


def shown(frames=48, height=48, width=40, phase=0.0):
    """A dance and its pictures."""
    landmarks = dance(frames, fps=13, phase=phase)
    return make_pictures(landmarks, height, width), landmarks


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_features_at_any_size(batch, rows, columns):
    net, pictures = FeatureNet(4), torch.rand(batch, 3, 8 * rows, 8 * columns)
    shapes = [tuple(layer.shape) for layer in net(pictures)]
    assert shapes == [(batch, 4 * 2**k, 8 * rows // 2**k, 8 * columns // 2**k) for k in range(4)]
    pooled = net.pooled(pictures, torch.ones(batch, 1, 8 * rows, 8 * columns))
    assert pooled.shape == (batch, 30 * 4) == (batch, net.pooled_size)
    landmarks = PoseHead(32)(net(pictures))
    assert landmarks.shape == (batch, 33, 2)
    assert 0 < landmarks.min() < landmarks.max() < 1 or (rows, columns) == (1, 1)


@pytest.mark.parametrize("task", ["pose", "degradation"])
def test_gradients_reach_every_parameter(task):
    net, pictures = FeatureNet(4), torch.rand(2, 3, 32, 32) * 2 - 1
    head = PoseHead(32) if task == "pose" else nn.Linear(net.pooled_size, len(DEGRADATIONS))
    where = torch.ones(2, 1, 32, 32)
    head(net(pictures) if task == "pose" else net.pooled(pictures, where)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for m in (net, head) for p in m.parameters())


def test_pooled_are_means_and_deviations_where_asked():
    net = FeatureNet(4)
    pictures = torch.rand(1, 3, 32, 32)
    where = torch.zeros(1, 1, 32, 32)
    where[..., :16, :] = 1
    first = net(pictures)[0][:, :, :16]
    pooled = net.pooled(pictures, where)
    torch.testing.assert_close(pooled[:, :4], first.mean(dim=(2, 3)))
    deviation = first.std(dim=(2, 3), unbiased=False)
    torch.testing.assert_close(pooled[:, 60:64], (deviation**2 + 1e-6).sqrt())


@pytest.mark.slow
@pytest.mark.parametrize(("task", "steps", "share"), [("pose", 60, 0.35), ("degradation", 150, 0.8)])
def test_it_learns_its_task(task, steps, share):
    net, losses = train_features(*shown(), task, steps, seed=1, device=CPU)
    assert np.mean(losses[-10:]) < share * np.mean(losses[:5])
    assert not any(p.requires_grad for p in net.parameters())
    again, same = train_features(*shown(), task, 3, seed=1, device=CPU)
    assert same == train_features(*shown(), task, 3, seed=1, device=CPU)[1]
    assert same != train_features(*shown(), task, 3, seed=2, device=CPU)[1]
    picture = torch.rand(1, 3, 16, 16, requires_grad=True)
    again(picture)[-1].sum().backward()  # a perceptual loss needs the picture's gradient
    assert picture.grad.abs().sum() > 0


@pytest.mark.slow
def test_one_batch_is_learnt_by_heart():
    pictures, landmarks = shown(frames=4)
    _, losses = train_features(pictures, landmarks, "pose", 150, seed=1, device=CPU)
    assert losses[-1] < 0.15 * losses[0]


def test_each_way_to_spoil_a_picture_grows_with_its_strength():
    pictures, rng = scaled(shown(frames=6)[0]), torch.Generator().manual_seed(0)
    for way in (mix, melt, blur, noise):
        unchanged, some, much = (way(pictures, torch.full((6,), s), rng) for s in (0.0, 0.3, 1.0))
        torch.testing.assert_close(unchanged, pictures, atol=1e-4, rtol=0)
        assert 0 < (some - pictures).abs().mean() < (much - pictures).abs().mean()
        assert much.min() >= -1.001
        assert much.max() <= 1.001
    spoilt, strengths = degrade(pictures, rng)
    assert spoilt.shape == pictures.shape
    assert strengths.shape == (6, 4)
    assert 0 < (strengths == 0).float().mean() < 1


def test_blur_is_each_pictures_own():
    pictures = scaled(shown(frames=2)[0])
    one = blur(pictures, torch.tensor([1.0, 0.0]), torch.Generator())
    torch.testing.assert_close(one[1], pictures[1])
    torch.testing.assert_close(one[0], blur(pictures[:1], torch.tensor([1.0]), torch.Generator())[0])
    torch.testing.assert_close(one[0].mean(), pictures[0].mean(), atol=0.02, rtol=0)


def test_the_person_is_where_the_limbs_are():
    _, landmarks = shown(frames=1)
    where = person(torch.from_numpy(landmarks), 48, 40)
    assert where.shape == (1, 1, 48, 40)
    assert 0 < where.min() < 0.01  # nowhere quite nothing: there is always something to take a mean of
    assert where[0, 0, 20, 20] > 0.5 > where[0, 0, 4, 2]


@pytest.mark.slow
def test_distances_rank_what_is_worse():
    """Real test pictures are nearest to real training ones, blurred ones farther, more blurred ones still farther."""
    train, poses = shown(frames=120)
    test, asked = shown(frames=60, phase=0.31)
    net, _ = train_features(train, poses, "degradation", 100, seed=1, device=CPU)

    def seen(pictures, landmarks):
        return net.pooled(pictures, person(torch.from_numpy(landmarks), 48, 40)).numpy()

    runs, rng = np.repeat(np.arange(12), 5), torch.Generator().manual_seed(0)
    reference = FeatureReference.of(seen(scaled(train), poses), runs, seed=0)
    worse = {"real": scaled(test)}
    for name, way, strength in (("soft", blur, 0.6), ("softer", blur, 1.0), ("melted", melt, 1.0), ("mixed", mix, 1.0)):
        worse[name] = way(scaled(test), torch.full((60,), strength), rng)
    far = {name: reference.row(seen(made, asked), runs, 0)["feature_mmd"]["mean"] for name, made in worse.items()}
    assert far["real"] < far["soft"] < far["softer"]
    assert far["real"] < min(far["melted"], far["mixed"])
