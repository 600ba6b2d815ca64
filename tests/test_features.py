"""The feature network: shapes, gradients, training, and that its distances rank degraded images."""

import numpy as np
import pytest
import torch
from conftest import dance, make_pictures
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dancing.features.feature_net import FeatureNet
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


def dance_images(frames=48, height=48, width=40, phase=0.0):
    """Images (T, H, W, 3) uint8 of a dance, and its landmarks (T, 33, 2)."""
    landmarks = dance(frames, fps=13, phase=phase)
    return make_pictures(landmarks, height, width), landmarks


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5))
def test_features_at_any_size(batch, rows, columns):
    net, images = FeatureNet(4), torch.rand(batch, 3, 8 * rows, 8 * columns)
    shapes = [tuple(layer.shape) for layer in net(images)]
    assert shapes == [(batch, 4 * 2**k, 8 * rows // 2**k, 8 * columns // 2**k) for k in range(4)]
    pooled = net.pooled(images, torch.ones(batch, 1, 8 * rows, 8 * columns))
    assert pooled.shape == (batch, 30 * 4) == (batch, net.pooled_size)


def test_gradients_reach_every_parameter():
    net, images = FeatureNet(4), torch.rand(2, 3, 32, 32) * 2 - 1
    head = nn.Linear(net.pooled_size, len(DEGRADATIONS))
    head(net.pooled(images, torch.ones(2, 1, 32, 32))).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for m in (net, head) for p in m.parameters())


def test_pooled_features_are_weighted_means_and_deviations():
    net = FeatureNet(4)
    images = torch.rand(1, 3, 32, 32)
    where = torch.zeros(1, 1, 32, 32)
    where[..., :16, :] = 1
    first = net(images)[0][:, :, :16]
    pooled = net.pooled(images, where)
    torch.testing.assert_close(pooled[:, :4], first.mean(dim=(2, 3)))
    deviation = first.std(dim=(2, 3), unbiased=False)
    torch.testing.assert_close(pooled[:, 60:64], (deviation**2 + 1e-6).sqrt())


@pytest.mark.slow
def test_training_reduces_the_loss_and_is_reproducible():
    net, losses = train_features(*dance_images(), 150, seed=1, device=CPU)
    assert np.mean(losses[-10:]) < 0.8 * np.mean(losses[:5])
    assert not any(p.requires_grad for p in net.parameters())
    _, same = train_features(*dance_images(), 3, seed=1, device=CPU)
    assert same == train_features(*dance_images(), 3, seed=1, device=CPU)[1]
    assert same != train_features(*dance_images(), 3, seed=2, device=CPU)[1]


def test_each_degradation_grows_with_its_strength():
    images, rng = scaled(dance_images(frames=6)[0]), torch.Generator().manual_seed(0)
    for way in (mix, melt, blur, noise):
        unchanged, some, much = (way(images, torch.full((6,), s), rng) for s in (0.0, 0.3, 1.0))
        torch.testing.assert_close(unchanged, images, atol=1e-4, rtol=0)
        assert 0 < (some - images).abs().mean() < (much - images).abs().mean()
        assert much.min() >= -1.001
        assert much.max() <= 1.001
    degraded, strengths = degrade(images, rng)
    assert degraded.shape == images.shape
    assert strengths.shape == (6, 4)
    assert 0 < (strengths == 0).float().mean() < 1


def test_blur_has_a_strength_per_image():
    images = scaled(dance_images(frames=2)[0])
    one = blur(images, torch.tensor([1.0, 0.0]), torch.Generator())
    torch.testing.assert_close(one[1], images[1])
    torch.testing.assert_close(one[0], blur(images[:1], torch.tensor([1.0]), torch.Generator())[0])
    torch.testing.assert_close(one[0].mean(), images[0].mean(), atol=0.02, rtol=0)


def test_person_weight_is_high_at_the_limbs():
    _, landmarks = dance_images(frames=1)
    where = person(torch.from_numpy(landmarks), 48, 40)
    assert where.shape == (1, 1, 48, 40)
    assert 0 < where.min() < 0.01  # nowhere 0: a weighted mean needs some weight
    assert where[0, 0, 20, 20] > 0.5 > where[0, 0, 4, 2]


@pytest.mark.slow
def test_distance_grows_with_degradation():
    """Real test images are nearest to the training images, blurred ones farther, more blurred ones still farther."""
    train, poses = dance_images(frames=120)
    test, test_poses = dance_images(frames=60, phase=0.31)
    net, _ = train_features(train, poses, 100, seed=1, device=CPU)

    def pooled(images, landmarks):
        return net.pooled(images, person(torch.from_numpy(landmarks), 48, 40)).numpy()

    runs, rng = np.repeat(np.arange(12), 5), torch.Generator().manual_seed(0)
    reference = FeatureReference.of(pooled(scaled(train), poses), runs, seed=0)
    worse = {"real": scaled(test)}
    for name, way, strength in (("soft", blur, 0.6), ("softer", blur, 1.0), ("melted", melt, 1.0), ("mixed", mix, 1.0)):
        worse[name] = way(scaled(test), torch.full((60,), strength), rng)
    distance = {
        name: reference.row(pooled(shown, test_poses), runs, 0)["feature_mmd"]["mean"] for name, shown in worse.items()
    }
    assert distance["real"] < distance["soft"] < distance["softer"]
    assert distance["real"] < min(distance["melted"], distance["mixed"])
