"""The seed's tables layer by layer, shapes of ours at random sizes, gradients into every parameter."""

import math
from dataclasses import replace

import pytest
import torch
from conftest import dance
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dancing.clips.dataset import BEAT_COLUMNS
from dancing.music_to_pose import beat_grid
from dancing.music_to_pose.flow_prior import FlowPrior, FlowPriorConfig
from dancing.music_to_pose.lstm_vae import LstmVaeConfig
from dancing.music_to_pose.motion_vae import MotionVae, MotionVaeConfig
from dancing.noise_to_image.deep_discriminator import DeepDiscriminator
from dancing.noise_to_image.digits_gan import DigitsGanConfig
from dancing.pose_to_image.dense_gan import DenseDiscriminator, DenseGanConfig
from dancing.pose_to_image.person_crops import PersonCrops
from dancing.pose_to_image.skeleton_gan import SkeletonDiscriminator, SkeletonGanConfig, SkeletonGenerator
from dancing.training.layers import Conv2dSame, ConvTranspose2dSame
from dancing.training.param_tanh import CnnParamTanh
from dancing.training.registry import build_gan, build_vae, config_from_dict, config_to_dict

FEATURES = BEAT_COLUMNS + 3
SKELETON = SkeletonGanConfig(32, 32, 8, plates=1, sees_previous=True, output="tanh", margin=4)
MOTION = MotionVaeConfig(FEATURES, pose_dim=68, latent_dim=5, hidden=8, layers=2, latents_per_beat=2, fps=30)


def music(batch: int, frames: int, period: float = 15.0) -> torch.Tensor:
    """(B, T, FEATURES): noise, and a beat every `period` frames."""
    audio = torch.randn(batch, frames, FEATURES)
    turn = 2 * torch.pi * (torch.arange(frames) / period + 0.3)
    audio[..., -BEAT_COLUMNS], audio[..., -BEAT_COLUMNS + 1] = turn.sin(), turn.cos()
    return audio


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_same_convolutions_place_pixels_as_keras_does(kernel: int):
    # An impulse at column 2 of 8: Keras' Conv2D 'same', stride 2, sees it at o where 2o - left <= 2 < 2o - left + k.
    conv = Conv2dSame(1, 1, kernel, stride=2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    x = torch.zeros(1, 1, 8, 8)
    x[..., 2] = 1
    seen = [o for o in range(4) if o * 2 - (kernel - 2) // 2 <= 2 < o * 2 - (kernel - 2) // 2 + kernel]
    assert conv(x)[0, 0, 2].nonzero().flatten().tolist() == seen
    # The transposed one is its gradient: <conv(x), y> = <x, transposed(y)>.
    transposed = ConvTranspose2dSame(1, 1, kernel, stride=2)
    transposed.weight.data.copy_(torch.randn(1, 1, kernel, kernel))
    conv.weight.data.copy_(transposed.weight.data)
    torch.nn.init.zeros_(transposed.bias)
    x, y = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 4, 4)
    torch.testing.assert_close((conv(x) * y).sum(), (x * transposed(y)).sum())


@settings(deadline=None, max_examples=15)
@given(batch=st.integers(1, 3), frames=st.integers(1, 70), period=st.floats(8, 40))
def test_motion_vae_at_any_length_and_tempo(batch, frames, period):
    model, audio = MotionVae(MOTION), music(batch, frames, period)
    pose, mean, log_var = model(audio, torch.randn(batch, frames, 68), torch.Generator())
    assert pose.shape == (batch, frames, 68)
    points = math.floor(2 * (0.3 + (frames - 1) / period) % 1 + 2 * (frames - 1) / period)  # at least
    assert mean.shape == log_var.shape
    assert mean.shape[1] >= points
    drawn = model.draw(audio, torch.Generator(), 1.0)
    assert drawn.shape == mean.shape
    assert model.decode(audio, drawn).shape == pose.shape


def test_a_song_in_blocks_is_the_song_in_one():
    model, audio = MotionVae(MOTION).eval(), music(1, 500)
    z = model.draw(audio, torch.Generator().manual_seed(1), 1.0)
    torch.testing.assert_close(model.decode(audio, z, block=64), model.decode(audio, z), rtol=1e-5, atol=1e-5)


def test_a_slow_song_in_a_batch_is_encoded_as_by_itself():
    model = MotionVae(MOTION).eval()
    slow, fast, pose = music(1, 60, period=30), music(1, 60, period=10), torch.randn(1, 60, 68)
    alone, _ = model.encode(slow, pose)
    both, _ = model.encode(torch.cat([slow, fast]), pose.expand(2, -1, -1))
    points = alone.shape[1]
    assert both.shape[1] > points
    torch.testing.assert_close(both[0, :points], alone[0])
    assert torch.equal(both[0, points - 1 :], both[0, points - 1 : points].expand_as(both[0, points - 1 :]))


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
def test_the_grid_counts_beats(fps):
    seconds = torch.arange(10 * fps) / fps
    turn = 2 * torch.pi * (seconds - 0.7) / 0.5  # a beat at 0.7 s, and every half second
    audio = torch.zeros(1, len(seconds), BEAT_COLUMNS)
    audio[0, :, 0], audio[0, :, 1] = turn.sin(), turn.cos()
    position = beat_grid.positions(audio, 2, fps)[0]
    at_beats = position[torch.tensor([round(t * fps) for t in (0.7, 1.2, 5.7)])]
    expected = torch.tensor([0.0, 2.0, 20.0], dtype=torch.float64)
    torch.testing.assert_close(at_beats - at_beats[0], expected, atol=0.2, rtol=0)  # to the nearest frame
    assert 0 <= position[0] < 1
    whole = position[round(0.7 * fps)] - 2 * (round(0.7 * fps) / fps - 0.7) / 0.5
    assert abs(whole - whole.round()) < 1e-4  # a beat is a point


def test_without_a_beat_the_grid_goes_on_at_120():
    position = beat_grid.positions(torch.zeros(1, 61, BEAT_COLUMNS), 2, 30)
    torch.testing.assert_close(position[0, [0, 30, 60]], torch.tensor([0.0, 4.0, 8.0], dtype=torch.float64))


@settings(deadline=None)
@given(frames=st.integers(2, 40), pace=st.floats(0.05, 0.9), start=st.floats(0, 0.99))
def test_what_is_spread_straight_is_pooled_straight(frames, pace, start):
    position = (start + pace * torch.arange(frames, dtype=torch.float64))[None]
    points = beat_grid.count(position)
    line = torch.arange(points, dtype=torch.float32)[None, :, None] * torch.tensor([1.0, -2.0])
    over = beat_grid.spread(line, position)
    torch.testing.assert_close(over[0, :, 0], position[0].float())
    pooled = beat_grid.pool(torch.ones(1, frames, 1), position, points)
    torch.testing.assert_close(pooled[0, 1:-1], torch.ones(points - 2, 1))


@pytest.mark.slow
def test_the_flow_carries_noise_to_what_it_has_learnt():
    """One latent, two values that alternate from beat to beat: drawn songs must alternate, either way round."""
    torch.manual_seed(0)
    config = FlowPriorConfig(latent_dim=1, hidden=16, layers=3, latents_per_beat=1, fps=30)
    flow, audio = FlowPrior(config), music(1, 120)
    condition = flow.condition(audio)
    optimiser = torch.optim.Adam(flow.parameters(), lr=5e-3)
    signs = (-1.0) ** torch.arange(condition.shape[1])
    for _ in range(300):
        target = signs[None, :, None] * torch.where(torch.rand(32, 1, 1) < 0.5, -1.0, 1.0)
        noise, time = torch.randn(target.shape), torch.rand(32)
        way = torch.lerp(noise, target, time[:, None, None])
        loss = (flow(way, time, condition.expand(32, -1, -1)) - (target - noise)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    drawn = torch.stack([flow.draw(audio, torch.Generator().manual_seed(s), 1.0, 1.0)[0, :, 0] for s in range(20)])
    alternating = (drawn * signs).mean(dim=1)
    assert (alternating.abs() > 0.8).float().mean() > 0.8
    assert (alternating > 0).any()
    assert (alternating < 0).any()


def test_guidance_zero_does_not_hear_the_music():
    flow = FlowPrior(FlowPriorConfig(2, 8, 2, 2, 30))
    torch.nn.init.normal_(flow.velocity.weight)
    first, second = music(1, 90), music(1, 90)

    def draw(audio, guidance):
        return flow.draw(audio, torch.Generator().manual_seed(3), 1.0, guidance)

    assert torch.equal(draw(first, 0.0), draw(second, 0.0))
    assert not torch.equal(draw(first, 1.0), draw(second, 1.0))
    torch.testing.assert_close(draw(first, 1.0), draw(first, 1.0 + 1e-7), rtol=1e-3, atol=1e-3)


@settings(deadline=None, max_examples=8)
@given(batch=st.integers(1, 2), height=st.sampled_from([32, 40, 64, 136]), width=st.sampled_from([32, 72, 256]))
def test_gans_at_any_size(batch, height, width):
    for config in (SkeletonGanConfig(height, width, 8, 1, True, "tanh", 4), DenseGanConfig(height, width, "tanh")):
        generator, discriminator = build_gan(config)
        drawing = generator.draw(torch.rand(batch, 33, 2))
        pictures = generator(drawing)
        assert pictures.shape == (batch, 3, height, width)
        assert pictures.abs().max() <= 1
        plate = torch.rand(batch, 3, height, width)
        assert generator.pictures(torch.rand(batch, 33, 2), plate, pictures).shape == pictures.shape
        for score, features in discriminator(pictures, drawing, drawing, pictures):
            assert score.shape[0] == batch
            assert len(features) >= 2


def every_parameter_learns(model: torch.nn.Module, loss: torch.Tensor) -> None:
    loss.backward()
    idle = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not idle


@pytest.mark.parametrize("config", [MOTION, LstmVaeConfig(n_mfcc=9, latent_dim=5)], ids=["motion", "lstm"])
def test_gradients_reach_every_vae_parameter(config):
    model = build_vae(config)
    audio, pose = music(2, 32), torch.randn(2, 32, config.pose_dim)
    decoded, mean, log_var = model(audio, pose, torch.Generator())
    every_parameter_learns(model, (decoded - pose).square().mean() + (mean.square() + log_var.square()).mean())


@pytest.mark.parametrize("config", [SKELETON, DenseGanConfig(32, 32, "tanh")], ids=["skeleton", "dense"])
def test_gradients_reach_every_gan_parameter(config):
    generator, discriminator = build_gan(config)
    drawing, wanted = generator.draw(torch.rand(2, 33, 2)), torch.randn(2, 3, 32, 32)
    every_parameter_learns(generator, (generator(drawing) - wanted).square().mean())
    judged = discriminator(wanted, drawing, drawing, wanted.flip(0))
    every_parameter_learns(discriminator, sum(score.square().mean() for score, _ in judged))


@settings(deadline=None, max_examples=10)
@given(batch=st.integers(1, 3), colours=st.sampled_from([1, 3]), height=st.integers(16, 70), width=st.integers(16, 70))
def test_the_deep_discriminator_at_any_size(batch, colours, height, width):
    discriminator = DeepDiscriminator(colours, height, width)
    ((score, features),) = discriminator(torch.rand(batch, colours, height, width))
    assert score.shape == (batch, 1)
    assert min(features[-2].shape[-2:]) <= 4
    every_parameter_learns(discriminator, score.square().sum())


def test_the_deep_discriminator_sees_whether_far_parts_go_together():
    """The table's adds up what it thinks of patches: there a stroke's worth doesn't depend on what is far from it."""
    pictures = torch.full((4, 1, 28, 28), -1.0)
    pictures[1::2, :, 4:8, 4:8] = 1.0
    pictures[2:, :, 16:20, 16:20] = 1.0  # neither, the first, the second, both
    together = {}
    for kind in ("deep", "table"):
        torch.manual_seed(0)
        _, discriminator = build_gan(DigitsGanConfig("tanh", kind))
        with torch.no_grad():
            neither, first, second, both = discriminator.eval()(pictures)[0][0][:, 0].tolist()
        together[kind] = abs(both - first - second + neither)
    assert together["table"] < 1e-5
    assert together["deep"] > 1e-2


def test_the_layers_alpha_is_one_at_first_and_every_part_of_it_learns():
    layer, x = CnnParamTanh(), torch.randn(2, 3, 40, 24)
    torch.testing.assert_close(layer.alpha(x), torch.ones(2, 1, 16, 16))
    torch.testing.assert_close(layer(x), x.tanh())
    nn.init.normal_(layer.alphas.weight, std=0.5)
    assert layer.alpha(x).min() > 0
    assert layer(x).shape == x.shape
    every_parameter_learns(layer, (layer(x) - 0.5).square().mean())


def test_the_layers_video_is_copies_moved_a_little():
    x = torch.randn(1, 1, 32, 32)
    video = CnnParamTanh(colours=1).video(x)
    assert video.shape == (1, 16, 32, 32)
    torch.testing.assert_close(video[0, 0, 5:, 5:], x[0, 0, 2:-3, 2:-3])  # three up and to the left
    torch.testing.assert_close(video[0, 15, :-5, :-5], x[0, 0, 3:-2, 3:-2])


def test_the_plate_shows_where_the_mask_is_closed():
    generator = SkeletonGenerator(replace(SKELETON, plates=2))
    generator.plates.copy_(torch.rand(2, 3, 32, 32) - 0.5)
    generator.paint.bias.data[3] = -50.0
    drawing = generator.draw(torch.rand(1, 33, 2))
    with torch.no_grad():
        torch.testing.assert_close(generator(drawing), generator.plates[:1])
        torch.testing.assert_close(generator(drawing, generator.plates[1:]), generator.plates[1:])


def test_round_the_dancer_it_is_painted_elsewhere_is_the_plate_and_there_is_no_seam():
    config = SkeletonGanConfig(128, 96, 8, plates=1, sees_previous=True, output="tanh", margin=4)
    generator, poses = SkeletonGenerator(config), torch.from_numpy(0.3 + 0.4 * dance(2))
    generator.plates.fill_(-0.5)
    generator.paint.bias.data[3] = 50.0  # the mask is open everywhere
    step = 2**config.levels
    crops = PersonCrops.around(poses.numpy(), 128, 96, config.margin + step // 2, step)
    with torch.no_grad():
        pictures = generator.pictures(poses)
        painted = generator(
            generator.draw(crops.landmarks(poses), (crops.height, crops.width)),
            generator.plates[:, :, : crops.height, : crops.width],
            None,
            crops.places(),
        )
    assert pictures.shape == (2, 3, 128, 96)
    torch.testing.assert_close(crops.of(pictures), painted)
    apart = (pictures + 0.5).abs().amax(dim=1)
    elsewhere = crops.pasted(torch.zeros_like(painted), torch.ones(1, 3, 128, 96))[:, 0] == 1
    assert not apart[elsewhere].any()
    edge = (painted + 0.5).abs().amax(dim=1)
    assert edge[:, 0].max() < 0.5 * edge[:, 8].max()


def test_pictures_that_are_not_seen_change_nothing():
    generator, previous = SkeletonGenerator(SKELETON), torch.rand(2, 3, 32, 32)
    drawing, unseen = generator.draw(torch.rand(2, 33, 2)), previous.clone()
    unseen[1] = float("nan")
    with torch.no_grad():
        none, all_, some = generator(drawing), generator(drawing, None, previous), generator(drawing, None, unseen)
    assert not torch.allclose(none[0], all_[0])
    torch.testing.assert_close(some, torch.stack([all_[0], none[1]]))


def test_judges_look_at_the_pose_and_at_the_picture_before_and_the_seeds_does_not():
    picture, other = torch.randn(2, 1, 3, 32, 32)
    here, there = torch.rand(2, 1, 33, 2)
    ours, generator = SkeletonDiscriminator(SKELETON), SkeletonGenerator(SKELETON)
    drawing, elsewhere = generator.draw(here), generator.draw(there)

    def differ(*changed):
        pairs = zip(ours(picture, drawing, drawing, picture), ours(*changed), strict=True)
        return [not torch.equal(a, b) for (a, _), (b, _) in pairs]

    assert differ(picture, elsewhere, drawing, picture) == [True, True, True]
    assert differ(picture, drawing, elsewhere, picture) == [False, False, True]
    assert differ(picture, drawing, drawing, other) == [False, False, True]
    dense = DenseDiscriminator(DenseGanConfig(32, 32, "tanh"))
    (score, _), (moved, _) = dense(picture, here)[0], dense(picture, there)[0]
    assert torch.equal(score, moved)


def test_gradients_reach_every_parameter_of_the_flow():
    flow = FlowPrior(FlowPriorConfig(5, 8, 2, 2, 30))
    torch.nn.init.normal_(flow.velocity.weight)
    z = torch.randn(2, 12, 5)
    every_parameter_learns(flow, flow(z, torch.rand(2), torch.randn(2, 12, BEAT_COLUMNS + 1)).square().mean())


@pytest.mark.parametrize("config", [MOTION, LstmVaeConfig(n_mfcc=9, latent_dim=5)], ids=["motion", "lstm"])
def test_seed_and_temperature_choose_the_dance(config):
    model, audio = build_vae(config), music(1, 60)

    def dance(seed, temperature):
        return model.decode(audio, model.draw(audio, torch.Generator().manual_seed(seed), temperature))

    assert torch.equal(dance(1, 1.0), dance(1, 1.0))
    assert not torch.equal(dance(1, 1.0), dance(2, 1.0))
    assert torch.equal(dance(1, 0.0), dance(2, 0.0))


@pytest.mark.parametrize(
    "config",
    [
        MOTION,
        LstmVaeConfig(9, 5),
        FlowPriorConfig(5, 8, 2, 2, 30),
        SkeletonGanConfig(32, 40, 8, 2, False, "param_tanh", 9),
        DenseGanConfig(32, 40, "tanh"),
    ],
)
def test_a_config_survives_a_checkpoint(config):
    assert config_from_dict(config_to_dict(config)) == config
