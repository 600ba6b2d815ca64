"""The losses on inputs whose answer is known by hand, or from another implementation."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.image import structural_similarity_index_measure

from dancing.music_to_pose.losses import BaselineVaeLoss, MotionLoss
from dancing.pose_to_image.losses import ssim_loss
from dancing.training.adversarial import GanLoss, gradient_penalty, r1_penalty
from dancing.training.variational import kl_to_normal


def motion_loss(**weights: float) -> MotionLoss:
    zero = dict.fromkeys(("kl_weight", "free_bits"), 0.0)
    zero |= {f"{part}_weight": 0.0 for part in ("velocity", "acceleration", "bone", "foot")}
    return MotionLoss(torch.zeros(68), torch.ones(68), **zero | weights)


@settings(deadline=None, max_examples=10)
@given(batch=st.integers(1, 3), height=st.integers(11, 40), width=st.integers(11, 40), noise=st.floats(0, 1))
def test_ssim_loss_equals_torchmetrics_where_the_window_fits(batch, height, width, noise):
    real = torch.rand(batch, 3, height, width, dtype=torch.float64)
    fake = torch.lerp(real, torch.rand_like(real), noise)
    padded = [
        torch.nn.functional.pad(images, (10, 10, 10, 10)) for images in (fake, real)
    ]  # torchmetrics pads by itself
    _, maps = structural_similarity_index_measure(*padded, data_range=1.0, return_full_image=True)
    fits = maps[..., 15 : height + 5, 15 : width + 5]
    torch.testing.assert_close(ssim_loss(2 * fake - 1, 2 * real - 1), 1 - fits.mean())


def test_ssim_loss_detects_low_contrast_and_has_a_useful_gradient():
    real = torch.full((1, 3, 24, 24), -0.9)
    real[..., 8:16] = -0.8  # a fold in dark clothes: a twentieth of the range from black to white
    flat = torch.full_like(real, -0.85).requires_grad_()
    assert float(ssim_loss(real, real)) == pytest.approx(0, abs=1e-6)
    loss = ssim_loss(flat, real)
    assert loss > 0.1
    loss.backward()
    brightening = -flat.grad.mean(dim=(0, 1, 2))  # a descent step changes each column by so much
    assert brightening[10:14].min() > brightening[[5, 6, 17, 18]].max()


def test_kl_of_known_normals():
    kl = kl_to_normal(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, math.log(4.0)]))
    torch.testing.assert_close(kl, torch.tensor([0.0, 0.5, 0.5 * (4 - 1 - math.log(4))]))


def test_baseline_loss_is_mse_plus_kl_summed_over_the_latent():
    pose, target = torch.full((2, 3, 66), 2.0), torch.zeros(2, 3, 66)
    parts = BaselineVaeLoss(kl_weight=0.1)(pose, target, torch.ones(2, 8), torch.zeros(2, 8), warmup=0.5)
    assert float(parts["reconstruction"]) == 4.0
    assert float(parts["kl"]) == 4.0  # 8 dimensions of 0.5 nats
    assert float(parts["total"]) == pytest.approx(4.0 + 0.5 * 0.1 * 4.0)


def test_motion_loss_by_hand():
    # x = t against x = 2t: velocity 1 against 2, relative error (1 - 2)^2 / 2^2; acceleration 0 in both.
    t = torch.arange(6.0)[None, :, None].expand(1, 6, 68)
    still = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)
    parts = motion_loss(velocity_weight=3.0)(t, 2 * t, *still, warmup=1.0)
    assert float(parts["reconstruction"]) == pytest.approx(55 / 6)
    assert float(parts["velocity"]) == pytest.approx(0.25)
    assert float(parts["acceleration"]) == 0.0
    assert float(parts["total"]) == pytest.approx(55 / 6 + 0.75)


def test_acceleration_against_a_parabola():
    t = torch.arange(8.0)[None, :, None].expand(1, 8, 68)
    still = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)
    parts = motion_loss()(t, t.square(), *still, warmup=1.0)  # 0 against 2, relative error 1
    assert float(parts["acceleration"]) == pytest.approx(1.0)


def test_kl_below_free_bits_is_not_minimised():
    mean = torch.tensor([1.0, 0.1]).expand(3, 5, 2)  # 0.5 and 0.005 nats
    pose = torch.zeros(3, 5, 68)
    parts = motion_loss(kl_weight=1.0, free_bits=0.2)(pose, pose, mean, torch.zeros(3, 5, 2), warmup=1.0)
    assert float(parts["total"]) == pytest.approx(0.5 + 0.2)
    assert float(parts["kl"]) == pytest.approx(0.505)


def test_bone_lengths_are_in_torso_lengths():
    loss, body = motion_loss(), torch.zeros(1, 1, 68)
    body[..., 22:26] = torch.tensor([0.0, 0.0, 3.0, 4.0])  # shoulders (landmarks 11 and 12), 5 apart
    assert float(loss.bones(body)[0, 0, 0]) == pytest.approx(5.0, abs=1e-3)


def test_foot_loss_of_feet_that_stand_and_feet_that_slide():
    # The path moves 0.3 a frame to the right. In `standing` the feet move back by as much, in `sliding` they don't.
    loss, sliding, standing = motion_loss(foot_weight=2.0), torch.zeros(1, 5, 68), torch.zeros(1, 5, 68)
    sliding[..., 66] = standing[..., 66] = 0.3 * torch.arange(5.0)
    standing[..., : 2 * 33 : 2] = -standing[..., 66:67]
    torch.testing.assert_close(loss.steps(standing), torch.zeros(1, 4, 4, 2))
    torch.testing.assert_close(loss.steps(sliding)[0, 0, 0], torch.tensor([0.3, 0.0]))
    half, still = (sliding + standing) / 2, (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
    parts = loss(half, sliding, *still, warmup=1.0)
    assert float(parts["foot"]) == pytest.approx(0.5, abs=1e-3)
    without = motion_loss()(half, sliding, *still, warmup=1.0)
    assert float(parts["total"] - without["total"]) == pytest.approx(2 * 0.5, abs=1e-3)


@pytest.mark.parametrize(
    ("kind", "discriminator", "generator"),
    [
        ("hinge", 0.5 + 1.5, -0.5),
        ("bce", math.log1p(math.exp(-0.5)) + math.log1p(math.exp(0.5)), math.log1p(math.exp(-0.5))),
        ("wgan_gp", 0.0, -0.5),
    ],
)
def test_gan_losses_by_hand(kind, discriminator, generator):
    loss, logits = GanLoss(kind), [torch.full((2, 1), 0.5), torch.full((2, 1, 3, 3), 0.5)]
    assert float(loss.discriminator(logits, logits)) == pytest.approx(discriminator)
    assert float(loss.generator(logits)) == pytest.approx(generator)


def test_gradient_penalty_is_zero_at_norm_one():
    def critic(slope):
        return lambda images: [slope * images.flatten(1).sum(dim=1, keepdim=True) / 48**0.5]

    images = torch.randn(2, 3, 4, 4)  # 48 numbers: the gradient of their sum has the norm sqrt(48)
    assert float(gradient_penalty(critic(1.0), images)) == pytest.approx(0.0, abs=1e-6)
    assert float(gradient_penalty(critic(3.0), images)) == pytest.approx(4.0, rel=1e-5)


def test_r1_penalty_is_the_squared_gradient_per_patch():
    images = torch.randn(2, 1, 2, 2)
    assert float(r1_penalty(lambda x: [3 * x], images)) == pytest.approx(9.0)  # four patches of one pixel each
    assert float(r1_penalty(lambda x: [3 * x, x], images)) == pytest.approx(16.0)
    assert float(r1_penalty(lambda x: [0 * x], images)) == 0.0


def test_scores_are_probabilities_for_bce_alone():
    logits = [torch.zeros(2, 1), torch.full((2, 1, 3, 3), 50.0)]
    assert float(GanLoss("bce").score(logits)) == pytest.approx(0.75)
    assert float(GanLoss("hinge").score(logits)) == pytest.approx(25.0)
