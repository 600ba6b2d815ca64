"""The seed's tables layer by layer, shapes of ours at random sizes, gradients into every parameter."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dancing.models import build_gan, build_vae, config_from_dict, config_to_dict
from dancing.models.dense_gan import DenseDiscriminator, DenseGanConfig, DenseGenerator
from dancing.models.layers import Conv2dSame, ConvTranspose2dSame
from dancing.models.lstm_vae import LstmVae, LstmVaeConfig
from dancing.models.motion_vae import MotionVae, MotionVaeConfig
from dancing.models.skeleton_gan import PatchDiscriminator, SkeletonGanConfig, SkeletonGenerator

MOTION = MotionVaeConfig(audio_dim=9, pose_dim=68, latent_dim=5, hidden=8, layers=2, chunk=4)


def learned(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def shapes(model: torch.nn.Module, *inputs: torch.Tensor) -> dict[str, tuple[int, ...]]:
    """Output shape of every named layer in one forward pass."""
    found = {}

    def note(name):
        def hook(_module, _inputs, output):
            found[name] = tuple((output[0] if isinstance(output, tuple) else output).shape)

        return hook

    handles = [layer.register_forward_hook(note(name)) for name, layer in model.named_children()]
    model(*inputs)
    for handle in handles:
        handle.remove()
    return found


def test_lstm_vae_is_the_seeds_table():
    model = LstmVae(LstmVaeConfig(n_mfcc=13, latent_dim=16))
    assert learned(model) == 350_690  # Keras' count; torch's second LSTM bias is zero and frozen
    found = shapes(model, torch.randn(2, 150, 29), torch.randn(2, 150, 66))
    assert found == {
        "encoder": (2, 150, 128), "summary": (2, 150, 128), "z_mean": (2, 16), "z_log_var": (2, 16),
        "expand": (2, 128), "decoder": (2, 150, 128), "pose": (2, 150, 66),
    }  # fmt: skip
    forget = model.encoder.bias_ih_l0[128:256]
    torch.testing.assert_close(forget, torch.ones(128))
    assert not model.encoder.bias_hh_l0.any()


def test_dense_gan_is_the_seeds_table():
    config = DenseGanConfig(128, 128)
    generator, discriminator = DenseGenerator(config), DenseDiscriminator(config)
    assert learned(generator) == 17_230_467
    assert learned(discriminator) == 206_721
    assert shapes(generator, torch.rand(2, 33, 2)) == {
        "hidden": (2, 256), "spread": (2, 65536), "up1": (2, 128, 32, 32), "up2": (2, 64, 64, 64),
        "up3": (2, 3, 128, 128),
    }  # fmt: skip
    assert shapes(discriminator, torch.rand(2, 33, 2), torch.rand(2, 3, 128, 128)) == {
        "down1": (2, 64, 64, 64), "down2": (2, 128, 32, 32), "score": (2, 1),
    }  # fmt: skip


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
@given(batch=st.integers(1, 3), chunks=st.integers(1, 5), chunk=st.sampled_from([2, 4, 8]), extra=st.integers(0, 7))
def test_motion_vae_at_any_length(batch, chunks, chunk, extra):
    model = MotionVae(MotionVaeConfig(9, 68, 5, 8, 2, chunk))
    frames = chunks * chunk
    pose, mean, log_var = model(torch.randn(batch, frames, 9), torch.randn(batch, frames, 68))
    assert pose.shape == (batch, frames, 68)
    assert mean.shape == log_var.shape == (batch, chunks, 5)
    song = torch.randn(batch, frames + extra, 9)
    noise = torch.randn(model.noise_shape(batch, frames + extra))
    assert model.generate(song, noise, 1.0).shape == (batch, frames + extra, 68)


@settings(deadline=None, max_examples=8)
@given(batch=st.integers(1, 2), height=st.sampled_from([32, 40, 64]), width=st.sampled_from([32, 72]))
def test_gans_at_any_size(batch, height, width):
    for config in (SkeletonGanConfig(height, width, 8), DenseGanConfig(height, width)):
        generator, discriminator = build_gan(config)
        pictures = generator(torch.rand(batch, 33, 2))
        assert pictures.shape == (batch, 3, height, width)
        assert pictures.abs().max() <= 1
        score, features = discriminator(torch.rand(batch, 33, 2), pictures)
        assert score.shape[0] == batch
        assert len(features) >= 2


def every_parameter_learns(model: torch.nn.Module, loss: torch.Tensor) -> None:
    loss.backward()
    idle = [name for name, p in model.named_parameters() if p.requires_grad and (p.grad is None or not p.grad.any())]
    assert not idle


@pytest.mark.parametrize("config", [MOTION, LstmVaeConfig(n_mfcc=9, latent_dim=5)], ids=["motion", "lstm"])
def test_gradients_reach_every_vae_parameter(config):
    model = build_vae(config)
    audio, pose = torch.randn(2, 16, 9), torch.randn(2, 16, config.pose_dim)
    decoded, mean, log_var = model(audio, pose, torch.randn(model.noise_shape(2, 16)))
    every_parameter_learns(model, (decoded - pose).square().mean() + (mean.square() + log_var.square()).mean())


@pytest.mark.parametrize("config", [SkeletonGanConfig(32, 32, 8), DenseGanConfig(32, 32)], ids=["skeleton", "dense"])
def test_gradients_reach_every_gan_parameter(config):
    generator, discriminator = build_gan(config)
    landmarks = torch.rand(2, 33, 2)
    every_parameter_learns(generator, (generator(landmarks) - torch.randn(2, 3, 32, 32)).square().mean())
    score, _ = discriminator(landmarks, torch.randn(2, 3, 32, 32))
    every_parameter_learns(discriminator, score.square().mean())


def test_the_plate_shows_where_the_mask_is_closed():
    generator = SkeletonGenerator(SkeletonGanConfig(32, 32, 8))
    generator.plate.copy_(torch.rand(1, 3, 32, 32) - 0.5)
    generator.paint.bias.data[3] = -50.0
    with torch.no_grad():
        torch.testing.assert_close(generator(torch.rand(1, 33, 2)), generator.plate)


def test_the_patch_discriminator_looks_at_the_pose_and_the_seeds_does_not():
    picture, here, there = torch.randn(1, 3, 32, 32), torch.rand(1, 33, 2), torch.rand(1, 33, 2)
    patch, dense = PatchDiscriminator(SkeletonGanConfig(32, 32, 8)), DenseDiscriminator(DenseGanConfig(32, 32))
    patch.eval()
    assert not torch.equal(patch(here, picture)[0], patch(there, picture)[0])
    assert torch.equal(dense(here, picture)[0], dense(there, picture)[0])


def test_noise_and_temperature_choose_the_dance():
    model = MotionVae(MOTION)
    audio, noise = torch.randn(1, 16, 9), torch.randn(model.noise_shape(1, 16))
    assert torch.equal(model.generate(audio, noise, 1.0), model.generate(audio, noise, 1.0))
    assert not torch.equal(model.generate(audio, noise, 1.0), model.generate(audio, -noise, 1.0))
    assert torch.equal(model.generate(audio, noise, 0.0), model.generate(audio, -noise, 0.0))


@pytest.mark.parametrize("config", [MOTION, LstmVaeConfig(9, 5), SkeletonGanConfig(32, 40, 8), DenseGanConfig(32, 40)])
def test_a_config_survives_a_checkpoint(config):
    assert config_from_dict(config_to_dict(config)) == config
