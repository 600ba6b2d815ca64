"""The networks: shapes at random sizes, gradients into every parameter, and what each is built to do."""

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
from dancing.music_to_pose import models as motion_models
from dancing.music_to_pose.flow_prior import FlowPrior, FlowPriorConfig
from dancing.music_to_pose.lstm_vae import LstmVaeConfig
from dancing.music_to_pose.motion_vae import MotionVae, MotionVaeConfig
from dancing.noise_to_image.deep_discriminator import DeepDiscriminator
from dancing.noise_to_image.digits_gan import DigitsGanConfig
from dancing.noise_to_image.models import GANS
from dancing.pose_to_image import models as pose_models
from dancing.pose_to_image.dense_gan import DenseDiscriminator, DenseGanConfig
from dancing.pose_to_image.person_crops import PersonCrops
from dancing.pose_to_image.skeleton_gan import (
    SkeletonDiscriminator,
    SkeletonGanConfig,
    SkeletonGenerator,
    fold_for,
)
from dancing.training.layers import Conv2dSame, ConvTranspose2dSame
from dancing.training.param_tanh import CnnParamTanh

FEATURES = BEAT_COLUMNS + 3
SKELETON = SkeletonGanConfig(32, 32, channels=8, setups=1, output="tanh", margin=4, fold=1)
DENSE = DenseGanConfig(32, 32, "tanh")
MOTION = MotionVaeConfig(
    FEATURES, BEAT_COLUMNS, pose_dim=68, latent_dim=5, hidden=8, layers=2, latents_per_beat=2, fps=30
)
LSTM = LstmVaeConfig(n_mfcc=9, latent_dim=5)


def flow_prior(latent_dim: int, hidden: int, layers: int, latents_per_beat: int) -> FlowPrior:
    return FlowPrior(FlowPriorConfig(latent_dim, BEAT_COLUMNS, hidden, layers, latents_per_beat, fps=30))


def music(batch: int, frames: int, period: float = 15.0) -> torch.Tensor:
    """(B, T, FEATURES): noise, and a beat every `period` frames."""
    audio = torch.randn(batch, frames, FEATURES)
    turn = 2 * torch.pi * (torch.arange(frames) / period + 0.3)
    audio[..., -BEAT_COLUMNS], audio[..., -BEAT_COLUMNS + 1] = turn.sin(), turn.cos()
    return audio


@pytest.mark.parametrize("kernel", [3, 4, 5])
def test_same_convolutions_place_pixels_as_keras_does(kernel: int):
    # An impulse at column 2 of 8 reaches output o of Keras' Conv2D 'same', stride 2, if 2o - left <= 2 < 2o - left + k.
    conv = Conv2dSame(1, 1, kernel, stride=2)
    torch.nn.init.ones_(conv.weight)
    torch.nn.init.zeros_(conv.bias)
    x = torch.zeros(1, 1, 8, 8)
    x[..., 2] = 1
    reached = [o for o in range(4) if o * 2 - (kernel - 2) // 2 <= 2 < o * 2 - (kernel - 2) // 2 + kernel]
    assert conv(x)[0, 0, 2].nonzero().flatten().tolist() == reached
    # The transposed one is its gradient: <conv(x), y> = <x, transposed(y)>.
    transposed = ConvTranspose2dSame(1, 1, kernel, stride=2)
    transposed.weight.data.copy_(torch.randn(1, 1, kernel, kernel))
    conv.weight.data.copy_(transposed.weight.data)
    torch.nn.init.zeros_(transposed.bias)
    x, y = torch.randn(1, 1, 8, 8), torch.randn(1, 1, 4, 4)
    torch.testing.assert_close((conv(x) * y).sum(), (x * transposed(y)).sum())


@pytest.mark.parametrize("kernel", [1, 3, 4, 7])
def test_same_convolutions_compute_what_torchs_layers_do(kernel: int):
    """One output channel takes another way, and so does a transposed convolution's bias: values and gradients."""
    conv, transposed = Conv2dSame(5, 1, kernel), ConvTranspose2dSame(5, 3, kernel, stride=2)
    x = torch.randn(2, 5, 9, 6)
    padded = torch.nn.functional.pad(x, conv._pad)
    for layer, ours, theirs in (
        (conv, conv(x), torch.nn.Conv2d.forward(conv, padded)),
        (transposed, transposed(x), torch.nn.ConvTranspose2d.forward(transposed, x)[..., :18, :12]),
    ):
        torch.testing.assert_close(ours, theirs)
        weights = torch.randn_like(ours)
        for own, other in zip(
            *(torch.autograd.grad((output * weights).sum(), [layer.weight, layer.bias]) for output in (ours, theirs)),
            strict=True,
        ):
            torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


@settings(deadline=None, max_examples=15)
@given(batch=st.integers(1, 3), frames=st.integers(1, 70), period=st.floats(8, 40))
def test_motion_vae_at_any_length_and_tempo(batch, frames, period):
    model, audio = MotionVae(MOTION), music(batch, frames, period)
    pose, mean, log_var = model(audio, torch.randn(batch, frames, 68), torch.Generator())
    assert pose.shape == (batch, frames, 68)
    points = math.floor(2 * (0.3 + (frames - 1) / period) % 1 + 2 * (frames - 1) / period)  # at least
    assert mean.shape == log_var.shape
    assert mean.shape[1] >= points
    z = model.sample_latents(audio, torch.Generator(), 1.0)
    assert z.shape == mean.shape
    assert model.decode(audio, z).shape == pose.shape


def test_decoding_in_blocks_equals_decoding_in_one():
    model, audio = MotionVae(MOTION).eval(), music(1, 500)
    z = model.sample_latents(audio, torch.Generator().manual_seed(1), 1.0)
    torch.testing.assert_close(model.decode(audio, z, block=64), model.decode(audio, z), rtol=1e-5, atol=1e-5)


def test_a_slow_song_is_encoded_in_a_batch_as_alone():
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
    beat_phase = torch.stack([turn.sin(), turn.cos()], dim=-1)[None]
    position = beat_grid.positions(beat_phase, 2, fps)[0]
    at_beats = position[torch.tensor([round(t * fps) for t in (0.7, 1.2, 5.7)])]
    expected = torch.tensor([0.0, 2.0, 20.0], dtype=torch.float64)
    torch.testing.assert_close(at_beats - at_beats[0], expected, atol=0.2, rtol=0)  # to the nearest frame
    assert 0 <= position[0] < 1
    whole = position[round(0.7 * fps)] - 2 * (round(0.7 * fps) / fps - 0.7) / 0.5
    assert abs(whole - whole.round()) < 1e-4  # a beat is a point


def test_without_a_beat_the_grid_assumes_120_bpm():
    position = beat_grid.positions(torch.zeros(1, 61, 2), 2, 30)
    torch.testing.assert_close(position[0, [0, 30, 60]], torch.tensor([0.0, 4.0, 8.0], dtype=torch.float64))


@settings(deadline=None)
@given(frames=st.integers(2, 40), pace=st.floats(0.05, 0.9), start=st.floats(0, 0.99))
def test_interpolation_keeps_lines_and_pooling_keeps_constants(frames, pace, start):
    position = (start + pace * torch.arange(frames, dtype=torch.float64))[None]
    points = beat_grid.count(position)
    line = torch.arange(points, dtype=torch.float32)[None, :, None] * torch.tensor([1.0, -2.0])
    at_frames = beat_grid.interpolate(line, position)
    torch.testing.assert_close(at_frames[0, :, 0], position[0].float())
    pooled = beat_grid.pool(torch.ones(1, frames, 1), position, points)
    torch.testing.assert_close(pooled[0, 1:-1], torch.ones(points - 2, 1))


@pytest.mark.slow
def test_the_flow_samples_both_modes_that_it_was_trained_on():
    """One latent, two values that alternate from beat to beat: samples must alternate, and begin with either value."""
    torch.manual_seed(0)
    flow, audio = flow_prior(latent_dim=1, hidden=16, layers=3, latents_per_beat=1), music(1, 120)
    condition = flow.condition(audio)
    optimizer = torch.optim.Adam(flow.parameters(), lr=5e-3)
    signs = (-1.0) ** torch.arange(condition.shape[1])
    for _ in range(300):
        target = signs[None, :, None] * torch.where(torch.rand(32, 1, 1) < 0.5, -1.0, 1.0)
        noise, time = torch.randn(target.shape), torch.rand(32)
        path = torch.lerp(noise, target, time[:, None, None])
        loss = (flow(path, time, condition.expand(32, -1, -1)) - (target - noise)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    rngs = [torch.Generator().manual_seed(seed) for seed in range(20)]
    samples = torch.stack([flow.sample_latents(audio, rng, 1.0, 1.0)[0, :, 0] for rng in rngs])
    alternating = (samples * signs).mean(dim=1)
    assert (alternating.abs() > 0.8).float().mean() > 0.8
    assert (alternating > 0).any()
    assert (alternating < 0).any()


def test_guidance_zero_ignores_the_music():
    flow = flow_prior(2, 8, 2, 2)
    torch.nn.init.normal_(flow.velocity.weight)
    first, second = music(1, 90), music(1, 90)

    def sample(audio, guidance):
        return flow.sample_latents(audio, torch.Generator().manual_seed(3), 1.0, guidance)

    assert torch.equal(sample(first, 0.0), sample(second, 0.0))
    assert not torch.equal(sample(first, 1.0), sample(second, 1.0))
    torch.testing.assert_close(sample(first, 1.0), sample(first, 1.0 + 1e-7), rtol=1e-3, atol=1e-3)


def on_background(generator: SkeletonGenerator, landmarks: torch.Tensor) -> torch.Tensor:
    """Whole images (B, 3, H, W) by one forward pass, without crops, over the first background."""
    size = generator.config.height, generator.config.width
    count = len(landmarks)
    background, coordinates = (x[:1].expand(count, -1, -1, -1) for x in (generator.backgrounds, generator.coordinates))
    return generator(generator.pose_maps(landmarks, size), background, coordinates)[0]


@settings(deadline=None, max_examples=8)
@given(batch=st.integers(1, 2), height=st.sampled_from([32, 40, 136, 360]), width=st.sampled_from([32, 72, 256]))
def test_pose_gans_at_any_size(batch, height, width):
    landmarks, background = torch.rand(batch, 33, 2), torch.rand(batch, 3, height, width)
    skeleton = replace(SKELETON, height=height, width=width, fold=fold_for(height, width))
    dense = DenseGanConfig(height, width, "tanh")
    for config, pose_maps in ((skeleton, True), (dense, False)):
        generator, discriminator = pose_models.MODELS.build(config)
        images = on_background(generator, landmarks) if pose_maps else generator(landmarks.flatten(1))
        assert images.shape == (batch, 3, height, width)
        assert images.abs().max() <= 1
        assert generator.render(landmarks, background).shape == images.shape
        pose = discriminator.folded(generator.pose_maps(landmarks, (height, width))) if pose_maps else ()
        for logits in discriminator(images, *pose):
            assert logits.shape[:2] == (batch, 1)


def every_parameter_learns(model: torch.nn.Module, loss: torch.Tensor) -> None:
    loss.backward()
    idle = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not idle


@pytest.mark.parametrize("config", [MOTION, LSTM], ids=["motion", "lstm"])
def test_gradients_reach_every_vae_parameter(config):
    (model,) = motion_models.MODELS.build(config)
    audio, pose = music(2, 32), torch.randn(2, 32, config.pose_dim)
    decoded, mean, log_var = model(audio, pose, torch.Generator())
    every_parameter_learns(model, (decoded - pose).square().mean() + (mean.square() + log_var.square()).mean())


@pytest.mark.parametrize("height", [32, 192])
def test_gradients_reach_every_parameter_of_the_skeleton_gan(height: int):
    config = replace(SKELETON, height=height, fold=fold_for(height, 32))
    assert config.fold == (2 if height == 192 else 1)
    generator, discriminator = pose_models.MODELS.build(config)
    landmarks, target = torch.rand(2, 33, 2), torch.randn(2, 3, height, 32)
    every_parameter_learns(generator, (on_background(generator, landmarks) - target).square().mean())
    outputs = discriminator(target, *discriminator.folded(generator.pose_maps(landmarks, (height, 32))))
    every_parameter_learns(discriminator, sum(logits.square().mean() for logits in outputs))


def test_gradients_reach_every_parameter_of_the_dense_gan():
    generator, discriminator = pose_models.MODELS.build(DENSE)
    target = torch.randn(2, 3, 32, 32)
    every_parameter_learns(generator, (generator(torch.rand(2, 66)) - target).square().mean())
    every_parameter_learns(discriminator, sum(logits.square().mean() for logits in discriminator(target)))


@settings(deadline=None, max_examples=10)
@given(batch=st.integers(1, 3), colours=st.sampled_from([1, 3]), height=st.integers(16, 70), width=st.integers(16, 70))
def test_the_deep_discriminator_at_any_size(batch, colours, height, width):
    discriminator, last_maps = DeepDiscriminator(colours, height, width), []
    discriminator.down[-1].register_forward_hook(lambda _module, _inputs, output: last_maps.append(output))
    (logits,) = discriminator(torch.rand(batch, colours, height, width))
    assert logits.shape == (batch, 1)
    assert min(last_maps[0].shape[-2:]) <= 4
    every_parameter_learns(discriminator, logits.square().sum())


def test_the_deep_discriminator_relates_distant_parts_of_an_image():
    """The original one is a sum over patches: what a patch adds doesn't depend on patches far from it."""
    images = torch.full((4, 1, 28, 28), -1.0)
    images[1::2, :, 4:8, 4:8] = 1.0
    images[2:, :, 16:20, 16:20] = 1.0  # neither, the first, the second, both
    interaction = {}
    for kind in ("deep", "original"):
        torch.manual_seed(0)
        _, discriminator = GANS.build(DigitsGanConfig("tanh", kind))
        with torch.no_grad():
            neither, first, second, both = discriminator.eval()(images)[0][:, 0].tolist()
        interaction[kind] = abs(both - first - second + neither)
    assert interaction["original"] < 1e-5
    assert interaction["deep"] > 1e-2


def test_alpha_is_one_at_first_and_every_parameter_learns():
    layer, x = CnnParamTanh(), torch.randn(2, 3, 40, 24)
    torch.testing.assert_close(layer.alpha(x), torch.ones(2, 1, 16, 16))
    torch.testing.assert_close(layer(x), x.tanh())
    nn.init.normal_(layer.alphas.weight, std=0.5)
    assert layer.alpha(x).min() > 0
    assert layer(x).shape == x.shape
    every_parameter_learns(layer, (layer(x) - 0.5).square().mean())


def test_the_synthetic_video_is_shifted_copies():
    x = torch.randn(1, 1, 32, 32)
    video = CnnParamTanh(colours=1).video(x)
    assert video.shape == (1, 16, 32, 32)
    torch.testing.assert_close(video[0, 0, 5:, 5:], x[0, 0, 2:-3, 2:-3])  # three up and to the left
    torch.testing.assert_close(video[0, 15, :-5, :-5], x[0, 0, 3:-2, 3:-2])


def test_the_background_shows_where_the_mask_is_closed():
    generator = SkeletonGenerator(replace(SKELETON, setups=2))
    generator.backgrounds.copy_(torch.rand(2, 3, 32, 32) - 0.5)
    generator.to_rgb_and_mask.bias.data[3] = -50.0
    landmarks = torch.rand(1, 33, 2)
    assert generator.paint(landmarks)[1].max() < 1e-6
    with torch.no_grad():
        torch.testing.assert_close(on_background(generator, landmarks), generator.backgrounds[:1])
        torch.testing.assert_close(generator.render(landmarks), generator.backgrounds[:1])
        torch.testing.assert_close(generator.render(landmarks, generator.backgrounds[1:]), generator.backgrounds[1:])


def test_render_generates_the_crop_around_the_person_without_a_seam():
    config = SkeletonGanConfig(128, 96, channels=8, setups=1, output="tanh", margin=4, fold=1)
    generator, poses = SkeletonGenerator(config), torch.from_numpy(0.3 + 0.4 * dance(2))
    generator.backgrounds.fill_(-0.5)
    generator.to_rgb_and_mask.bias.data[3] = 50.0  # the mask is open everywhere
    step = config.step
    crops = PersonCrops.around(poses.numpy(), 128, 96, config.margin + step // 2, step)
    with torch.no_grad():
        images, whole_masks = generator.paint(poses)
        generated, masks = generator(
            generator.pose_maps(crops.landmarks(poses), (crops.height, crops.width)),
            crops.crop(generator.backgrounds),
            crops.coordinates(),
        )
    assert images.shape == (2, 3, 128, 96)
    torch.testing.assert_close(crops.crop(images), generated)
    torch.testing.assert_close(crops.crop(whole_masks), masks)
    change = (images + 0.5).abs().amax(dim=1)
    outside = crops.paste(torch.zeros_like(generated), torch.ones(1, 3, 128, 96))[:, 0] == 1
    assert not change[outside].any()
    edge = (generated + 0.5).abs().amax(dim=1)
    assert edge[:, 0].max() < 0.5 * edge[:, 8].max()


def test_the_skeleton_discriminator_depends_on_the_pose_and_the_original_one_does_not():
    image = torch.randn(1, 3, 32, 32)
    pose, other_pose = torch.rand(2, 1, 33, 2)
    discriminator, generator = SkeletonDiscriminator(SKELETON), SkeletonGenerator(SKELETON)
    maps = [discriminator.folded(generator.pose_maps(p, (32, 32))) for p in (pose, other_pose)]
    outputs, moved = (discriminator(image, *folded) for folded in maps)
    assert [not torch.equal(a, b) for a, b in zip(outputs, moved, strict=True)] == [True, True]
    dense = DenseDiscriminator(DENSE)
    assert torch.equal(dense(image, pose)[0], dense(image, other_pose)[0])


def test_gradients_reach_every_parameter_of_the_flow():
    flow = flow_prior(5, 8, 2, 2)
    torch.nn.init.normal_(flow.velocity.weight)
    z = torch.randn(2, 12, 5)
    every_parameter_learns(flow, flow(z, torch.rand(2), torch.randn(2, 12, BEAT_COLUMNS + 1)).square().mean())


@pytest.mark.parametrize("config", [MOTION, LSTM], ids=["motion", "lstm"])
def test_seed_and_temperature_determine_the_dance(config):
    (model,), audio = motion_models.MODELS.build(config), music(1, 60)

    def generate(seed, temperature):
        return model.decode(audio, model.sample_latents(audio, torch.Generator().manual_seed(seed), temperature))

    assert torch.equal(generate(1, 1.0), generate(1, 1.0))
    assert not torch.equal(generate(1, 1.0), generate(2, 1.0))
    assert torch.equal(generate(1, 0.0), generate(2, 0.0))
