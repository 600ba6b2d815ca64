import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.image import structural_similarity_index_measure

from dancing.training.losses import (
    GanLoss,
    MotionLoss,
    SeedVaeLoss,
    feature_matching,
    gradient_penalty,
    kl_to_normal,
    r1_penalty,
    ssim_loss,
)


def motion_loss(**weights: float) -> MotionLoss:
    zero = dict.fromkeys(("kl_weight", "free_bits"), 0.0)
    zero |= {f"{part}_weight": 0.0 for part in ("velocity", "acceleration", "bone", "foot")}
    return MotionLoss(torch.zeros(68), torch.ones(68), **zero | weights)


@settings(deadline=None, max_examples=10)
@given(batch=st.integers(1, 3), height=st.integers(11, 40), width=st.integers(11, 40), noise=st.floats(0, 1))
def test_dissimilarity_is_what_ssim_lacks_where_its_window_fits(batch, height, width, noise):
    real = torch.rand(batch, 3, height, width, dtype=torch.float64)
    fake = torch.lerp(real, torch.rand_like(real), noise)
    padded = [torch.nn.functional.pad(pictures, (10, 10, 10, 10)) for pictures in (fake, real)]  # it pads by itself
    _, maps = structural_similarity_index_measure(*padded, data_range=1.0, return_full_image=True)
    fits = maps[..., 15 : height + 5, 15 : width + 5]
    torch.testing.assert_close(ssim_loss(2 * fake - 1, 2 * real - 1), 1 - fits.mean())


def test_dissimilarity_sees_what_is_faint_and_can_be_learnt():
    real = torch.full((1, 3, 24, 24), -0.9)
    real[..., 8:16] = -0.8  # a fold in dark clothes, a twentieth of the brightness between black and white
    flat = torch.full_like(real, -0.85).requires_grad_()
    assert float(ssim_loss(real, real)) == pytest.approx(0, abs=1e-6)
    loss = ssim_loss(flat, real)
    assert loss > 0.1
    loss.backward()
    lit = -flat.grad.mean(dim=(0, 1, 2))  # where the loss wants it brighter
    assert lit[10:14].min() > lit[[5, 6, 17, 18]].max()


def test_kl_of_known_normals():
    kl = kl_to_normal(torch.tensor([0.0, 1.0, 0.0]), torch.tensor([0.0, 0.0, math.log(4.0)]))
    torch.testing.assert_close(kl, torch.tensor([0.0, 0.5, 0.5 * (4 - 1 - math.log(4))]))


def test_seed_loss_is_mse_plus_kl_summed_over_the_latent():
    pose, target = torch.full((2, 3, 66), 2.0), torch.zeros(2, 3, 66)
    parts = SeedVaeLoss(kl_weight=0.1)(pose, target, torch.ones(2, 8), torch.zeros(2, 8), warmup=0.5)
    assert float(parts["reconstruction"]) == 4.0
    assert float(parts["kl"]) == 4.0  # 8 dimensions of 0.5 nats
    assert float(parts["total"]) == pytest.approx(4.0 + 0.5 * 0.1 * 4.0)


def test_motion_loss_by_hand():
    # x = t against x = 2t: velocity 1 against 2, relative error (1 - 2)^2 / 2^2; acceleration nil in both.
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


def test_free_bits_leave_small_kl_alone():
    mean = torch.tensor([1.0, 0.1]).expand(3, 5, 2)  # 0.5 and 0.005 nats
    pose = torch.zeros(3, 5, 68)
    parts = motion_loss(kl_weight=1.0, free_bits=0.2)(pose, pose, mean, torch.zeros(3, 5, 2), warmup=1.0)
    assert float(parts["total"]) == pytest.approx(0.5 + 0.2)
    assert float(parts["kl"]) == pytest.approx(0.505)


def test_bones_in_torso_lengths():
    loss, body = motion_loss(), torch.zeros(1, 1, 68)
    body[..., 22:26] = torch.tensor([0.0, 0.0, 3.0, 4.0])  # shoulders (landmarks 11 and 12), 5 apart
    assert float(loss.bones(body)[0, 0, 0]) == pytest.approx(5.0, abs=1e-3)


def test_feet_that_stand_and_feet_that_step():
    # The path goes 0.3 a frame to the right; the body's feet go back by as much in `standing`, not in `carried`.
    loss, carried, standing = motion_loss(foot_weight=2.0), torch.zeros(1, 5, 68), torch.zeros(1, 5, 68)
    carried[..., 66] = standing[..., 66] = 0.3 * torch.arange(5.0)
    standing[..., : 2 * 33 : 2] = -standing[..., 66:67]
    torch.testing.assert_close(loss.steps(standing), torch.zeros(1, 4, 4, 2))
    torch.testing.assert_close(loss.steps(carried)[0, 0, 0], torch.tensor([0.3, 0.0]))
    half, still = (carried + standing) / 2, (torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))
    parts = loss(half, carried, *still, warmup=1.0)
    assert float(parts["foot"]) == pytest.approx(0.5, abs=1e-3)
    without = motion_loss()(half, carried, *still, warmup=1.0)
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
    loss, judged = GanLoss(kind), [(torch.full((2, 1), 0.5), []), (torch.full((2, 1, 3, 3), 0.5), [])]
    assert float(loss.discriminator(judged, judged)) == pytest.approx(discriminator)
    assert float(loss.generator(judged)) == pytest.approx(generator)


def test_the_penalty_is_nil_where_the_slope_is_one():
    def judges(slope):
        return lambda pictures: [(slope * pictures.flatten(1).sum(dim=1, keepdim=True) / 48**0.5, [])]

    pictures = torch.randn(2, 3, 4, 4)  # 48 numbers: the slope of their sum is the root of 48
    assert float(gradient_penalty(judges(1.0), pictures)) == pytest.approx(0.0, abs=1e-6)
    assert float(gradient_penalty(judges(3.0), pictures)) == pytest.approx(4.0, rel=1e-5)


def test_the_slope_penalty_is_the_squared_slope_of_a_patch():
    pictures = torch.randn(2, 1, 2, 2)
    assert float(r1_penalty(lambda x: [(3 * x, [])], pictures)) == pytest.approx(9.0)  # four patches, one pixel each
    assert float(r1_penalty(lambda x: [(3 * x, []), (x, [])], pictures)) == pytest.approx(16.0)
    assert float(r1_penalty(lambda x: [(0 * x, [])], pictures)) == 0.0


def test_scores_are_probabilities_for_bce_alone():
    judged = [(torch.zeros(2, 1), []), (torch.full((2, 1, 3, 3), 50.0), [])]
    assert float(GanLoss("bce").score(judged)) == pytest.approx(0.75)
    assert float(GanLoss("hinge").score(judged)) == pytest.approx(25.0)


def test_feature_matching_moves_the_generator_only():
    real, fake = torch.ones(2, 3, requires_grad=True), torch.zeros(2, 3, requires_grad=True)
    score = torch.zeros(2, 1)
    loss = feature_matching([(score, [real])], [(score, [fake])])
    loss.backward()
    assert loss.item() == 1.0
    assert real.grad is None
    assert fake.grad is not None
