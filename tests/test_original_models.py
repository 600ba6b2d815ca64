"""The original models equal their tables: the shape after every layer, the parameter count, and Keras' output.

For the last, a test builds the same table in Keras (with its torch backend) and copies one set of weights into both.
"""

import os
from itertools import chain

import numpy as np
import pytest
import torch
from torch import nn

from dancing.music_to_pose.lstm_vae import LstmVae, LstmVaeConfig
from dancing.noise_to_image.conv_vae import ConvVae, ConvVaeConfig
from dancing.noise_to_image.dcgan import GRID, DcganConfig, DcganDiscriminator, DcganGenerator
from dancing.noise_to_image.digits_gan import DigitsDiscriminator, DigitsGanConfig, DigitsGenerator
from dancing.noise_to_image.vae_gan import VaeCritic, VaeGanConfig, VaeGenerator
from dancing.params import DCGAN_SIDES
from dancing.pose_to_image.dense_gan import DenseDiscriminator, DenseGanConfig, DenseGenerator
from dancing.training.param_tanh import FLOOR, CnnParamTanh


def parameter_count(model: nn.Module) -> int:
    """Number of parameters as Keras counts them: with batch norm's moving statistics."""
    moving = chain.from_iterable(
        (m.running_mean, m.running_var) for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)
    )
    return sum(p.numel() for p in chain((p for p in model.parameters() if p.requires_grad), moving))


def shapes(model: nn.Module, *inputs: torch.Tensor) -> dict[str, tuple[int, ...]]:
    """Output shape of every named layer in one forward pass, also of layers in a ModuleList."""
    found = {}

    def note(name):
        def hook(_module, _inputs, output):
            found[name] = tuple((output[0] if isinstance(output, tuple) else output).shape)

        return hook

    layers = [(name, layer) for name, layer in model.named_modules() if layer is not model]
    layers = [(name, layer) for name, layer in layers if not isinstance(layer, nn.ModuleList | nn.Sequential)]
    handles = [layer.register_forward_hook(note(name)) for name, layer in layers]
    model(*inputs)
    for handle in handles:
        handle.remove()
    return found


# ------------------------------------------------------------------------------------------ shapes and counts


def test_lstm_vae_equals_the_original_table():
    model = LstmVae(LstmVaeConfig(n_mfcc=13, latent_dim=16))
    assert parameter_count(model) == 350_690  # Keras' count; torch's second LSTM bias is zero and frozen
    found = shapes(model, torch.randn(2, 150, 29), torch.randn(2, 150, 66))
    assert found == {
        "encoder": (2, 150, 128), "summary": (2, 150, 128), "z_mean": (2, 16), "z_log_var": (2, 16),
        "expand": (2, 128), "decoder": (2, 150, 128), "to_pose": (2, 150, 66),
    }  # fmt: skip
    forget = model.encoder.bias_ih_l0[128:256]
    torch.testing.assert_close(forget, torch.ones(128))
    assert not model.encoder.bias_hh_l0.any()


def test_dense_gan_equals_the_original_table():
    config = DenseGanConfig(128, 128, "tanh")
    generator, discriminator = DenseGenerator(config), DenseDiscriminator(config)
    assert parameter_count(generator) == 17_230_467
    assert parameter_count(discriminator) == 206_721
    assert shapes(generator, torch.rand(2, 66)) == {
        "hidden": (2, 256), "expand": (2, 65536), "up1": (2, 128, 32, 32), "up2": (2, 64, 64, 64),
        "up3": (2, 3, 128, 128), "output": (2, 3, 128, 128),
    }  # fmt: skip
    assert shapes(discriminator, torch.rand(2, 3, 128, 128)) == {
        "down1": (2, 64, 64, 64), "down2": (2, 128, 32, 32), "logit": (2, 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("side", "counts"),
    zip(DCGAN_SIDES, [(6_198_467, 677_057), (6_229_859, 708_449), (6_237_363, 715_953)], strict=True),
)
def test_dcgan_equals_the_original_table(side: int, counts: tuple[int, int]):
    config = DcganConfig(side, "tanh", "original", batch_norm=True)
    generator, discriminator = DcganGenerator(config), DcganDiscriminator(config)
    assert (parameter_count(generator), parameter_count(discriminator)) == counts
    sizes = [(16, 256), (32, 128), (64, 64), (128, 32), (256, 16)][: len(config.channels)]
    found = shapes(generator, torch.randn(2, 100))
    assert found.pop("expand") == found.pop("expand_norm") == (2, 32768)
    assert found.pop("to_image") == found.pop("output") == (2, 3, side, side)
    for i, (size, channels) in enumerate(sizes):
        assert found.pop(f"up.{i}") == found.pop(f"norms.{i}") == (2, channels, size, size)
    assert not found
    found = shapes(discriminator, torch.randn(2, 3, side, side))
    assert found.pop("dropout") == (2, 16384)
    assert found.pop("logit") == (2, 1)
    back = [(size // 2, channels) for size, channels in reversed(sizes)]
    for i, (size, channels) in enumerate(back):
        assert found.pop(f"down.{i}") == found.pop(f"norms.{i}") == (2, channels, size, size)
    assert not found


def test_digits_vae_equals_the_original_table():
    model = ConvVae(ConvVaeConfig(latent_dim=16))
    assert parameter_count(model) == 533_473
    assert shapes(model, torch.rand(2, 1, 28, 28)) == {
        "down1": (2, 32, 14, 14), "down2": (2, 64, 7, 7), "hidden": (2, 128), "z_mean": (2, 16), "z_log_var": (2, 16),
        "expand": (2, 3136), "up1": (2, 64, 14, 14), "up2": (2, 32, 28, 28), "to_image": (2, 1, 28, 28),
    }  # fmt: skip


def test_digits_gan_equals_the_original_table():
    config = DigitsGanConfig("tanh", "original")
    generator, discriminator = DigitsGenerator(config), DigitsDiscriminator(config)
    assert (parameter_count(generator), parameter_count(discriminator)) == (1_164_289, 40_705)
    assert shapes(generator, torch.randn(2, 100)) == {
        "expand": (2, 6272), "up1": (2, 128, 14, 14), "up2": (2, 128, 28, 28), "to_image": (2, 1, 28, 28),
        "output": (2, 1, 28, 28),
    }  # fmt: skip
    found = shapes(discriminator, torch.rand(2, 1, 28, 28))
    assert found == {
        "down1": (2, 64, 14, 14), "down2": (2, 64, 7, 7), "dropout": (2, 64, 7, 7), "logit": (2, 1),
    }  # fmt: skip


def test_vae_gan_equals_the_original_table():
    config = VaeGanConfig(128, 128, latent_dim=128, output="param_tanh")
    generator, critic = VaeGenerator(config), VaeCritic(config)
    # Convolution, ReLU, max pooling, four times.
    down = []
    for size, channels in ((128, 16), (64, 32), (32, 64), (16, 128)):
        down += [(2, channels, size, size)] * 2 + [(2, channels, size // 2, size // 2)]
    assert list(shapes(generator.encoder, torch.rand(2, 3, 128, 128)).values()) == down
    assert shapes(generator, torch.randn(2, 128)) == {
        "expand": (2, 8192), "up.0": (2, 64, 16, 16), "up.1": (2, 32, 32, 32), "up.2": (2, 16, 64, 64),
        "up.3": (2, 3, 128, 128), "output.conv": (2, 2, 128, 128), "output.alphas": (2, 256),
        "output": (2, 3, 128, 128),
    }  # fmt: skip
    assert [*shapes(critic, torch.rand(2, 3, 128, 128)).values()] == [*down, (2, 1)]
    assert parameter_count(generator.output) == 2 * (48 * 9 + 1) + 513 * 256
    assert parameter_count(critic) == parameter_count(generator.encoder) + 8193


def test_critic_and_encoder_have_the_same_layers():
    config = VaeGanConfig(32, 48, latent_dim=4, output="tanh")
    generator, critic = VaeGenerator(config), VaeCritic(config)
    assert [str(layer) for layer in generator.encoder] == [str(layer) for layer in critic.body]


def test_initial_weights_keep_the_scale_of_activations():
    config = VaeGanConfig(64, 64, latent_dim=16, output="param_tanh")
    generator, images = VaeGenerator(config), 2 * torch.rand(8, 3, 64, 64) - 1
    with torch.no_grad():
        mean, log_var = generator.encode(images)
        shown = generator.before_output(torch.randn(8, 16))
        apart = VaeCritic(config)(images)[0].std()
    assert 0.1 < float(shown.std()) < 2  # with PyTorch's default initial weights: 0.02
    assert 0.1 < float(mean.std()) < 4
    assert float(apart) > 0.01
    assert not log_var.any()
    torch.testing.assert_close(generator.output.alpha(shown), torch.ones(8, 1, 16, 16))  # param_tanh is left out


# --------------------------------------------------------------------------------------------------------- in Keras


@pytest.fixture(scope="module")
def keras(tmp_path_factory):
    os.environ["KERAS_BACKEND"] = "torch"
    os.environ["KERAS_HOME"] = str(tmp_path_factory.mktemp("keras"))  # its default is the home folder
    return pytest.importorskip("keras", reason="Keras is not installed (pip install -e '.[dev]')")


def randomized(model: nn.Module) -> nn.Module:
    """Random weights as large as a trained model's, also biases and moving statistics; in evaluation mode."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, values in chain(model.named_parameters(), model.named_buffers()):
            if values.is_floating_point() and "bias_hh" not in name:
                if "running_var" in name:
                    values.copy_(0.5 + torch.rand(values.shape, generator=rng))
                elif values.ndim == 1:
                    values.add_(0.1 * torch.randn(values.shape, generator=rng))
    return model.eval()


def keras_order(vector: torch.Tensor, shape: tuple[int, int, int] | None) -> torch.Tensor:
    """Reorder rows from (C, H, W) to (H, W, C), the order in which Keras flattens."""
    if shape is None:
        return vector
    return vector.unflatten(0, shape).movedim(0, 2).flatten(0, 2)


def kernel(layer: nn.Module, before=None, after=None) -> list[np.ndarray]:
    """A layer's weights as Keras stores them.

    `before` and `after` are the (C, H, W) of a map that is flattened before the layer, or unflattened after it.
    """
    if isinstance(layer, nn.LSTM):
        return [w.detach().numpy() for w in (layer.weight_ih_l0.T, layer.weight_hh_l0.T, layer.bias_ih_l0)]
    if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
        rows = (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        return [keras_order(w, after).detach().numpy() for w in rows]
    if isinstance(layer, nn.Linear):
        weight = keras_order(keras_order(layer.weight, after).T, before)  # (in, out)
        return [weight.detach().numpy(), keras_order(layer.bias, after).detach().numpy()]
    # Convolutions (out, in, k, k) -> (k, k, in, out); transposed (in, out, k, k) -> (k, k, out, in).
    return [layer.weight.permute(2, 3, 1, 0).detach().numpy(), layer.bias.detach().numpy()]


def channels_last(x: torch.Tensor) -> np.ndarray:
    return x.detach().movedim(1, -1).numpy()


def assert_close(ours: torch.Tensor, keras_output) -> None:
    theirs = torch.as_tensor(np.asarray(keras_output.detach().cpu()))
    torch.testing.assert_close(ours.detach(), theirs, atol=1e-5, rtol=1e-5)


def keras_model(keras, layers, weights):
    """Build a sequential Keras model; `weights` are for the layers that have any, in order."""
    model = keras.Sequential(layers)
    having = [layer for layer in model.layers if layer.weights]
    assert len(having) == len(weights)
    for layer, values in zip(having, weights, strict=True):
        layer.set_weights(values)
    return model


def test_the_lstm_vae_agrees_with_keras(keras):
    model, L = randomized(LstmVae(LstmVaeConfig(n_mfcc=13, latent_dim=16))), keras.layers
    audio = torch.randn(2, 20, 13)
    encoder = [keras.Input((20, 13)), L.LSTM(128, return_sequences=True), L.LSTM(128)]
    heads = {}
    for name in ("z_mean", "z_log_var"):
        weights = [kernel(layer) for layer in (model.encoder, model.summary, getattr(model, name))]
        heads[name] = keras_model(keras, [*encoder, L.Dense(16)], weights)(audio.numpy())
    for ours, theirs in zip(model.encode(audio), heads.values(), strict=True):
        assert_close(ours, theirs)
    layers = [keras.Input((16,)), L.Dense(128), L.RepeatVector(20), L.LSTM(128, return_sequences=True), L.Dense(66)]
    decoder = keras_model(keras, layers, [kernel(layer) for layer in (model.expand, model.decoder, model.to_pose)])
    z = torch.randn(2, 16)
    assert_close(model.decode(audio, z), decoder(z.numpy()))


def test_the_dense_gan_agrees_with_keras(keras):
    config, L = DenseGanConfig(128, 128, "tanh"), keras.layers
    generator, discriminator = randomized(DenseGenerator(config)), randomized(DenseDiscriminator(config))
    up = [L.Conv2DTranspose(c, 3, 2, "same", activation=a) for c, a in ((128, "relu"), (64, "relu"), (3, "tanh"))]
    layers = [keras.Input((66,)), L.Dense(256, "relu"), L.Dense(65536), L.Reshape((16, 16, 256)), *up]
    weights = [kernel(generator.hidden), kernel(generator.expand, after=(256, 16, 16))]
    weights += [kernel(layer) for layer in (generator.up1, generator.up2, generator.up3)]
    poses = torch.rand(2, 66)
    assert_close(generator(poses).movedim(1, -1), keras_model(keras, layers, weights)(poses.numpy()))
    down = chain.from_iterable((L.Conv2D(c, 3, 2, "same"), L.LeakyReLU()) for c in (64, 128))
    weights = [kernel(discriminator.down1), kernel(discriminator.down2)]
    weights += [kernel(discriminator.logit, before=(128, 32, 32))]
    images = 2 * torch.rand(2, 3, 128, 128) - 1
    twin = keras_model(keras, [keras.Input((128, 128, 3)), *down, L.Flatten(), L.Dense(1)], weights)
    assert_close(discriminator(images)[0], twin(channels_last(images)))


@pytest.mark.parametrize("side", DCGAN_SIDES)
def test_the_dcgan_agrees_with_keras(keras, side: int):
    config, L = DcganConfig(side, "tanh", "original", batch_norm=True), keras.layers
    generator, discriminator = randomized(DcganGenerator(config)), randomized(DcganDiscriminator(config))
    grid = (512, GRID, GRID)
    up = chain.from_iterable(
        (L.Conv2DTranspose(c, 4, 2, "same", activation="relu"), L.BatchNormalization()) for c in config.channels
    )
    layers = [
        keras.Input((100,)), L.Dense(32768, "relu"), L.BatchNormalization(), L.Reshape((GRID, GRID, 512)), *up,
        L.Conv2D(3, 4, padding="same", activation="tanh"),
    ]  # fmt: skip
    pairs = chain.from_iterable(zip(generator.up, generator.norms, strict=True))
    weights = [kernel(generator.expand, after=grid), kernel(generator.expand_norm, after=grid)]
    weights += [kernel(layer) for layer in (*pairs, generator.to_image)]
    twin, noise = keras_model(keras, layers, weights), torch.randn(2, 100)
    assert twin.count_params() == parameter_count(generator)
    assert_close(generator(noise).movedim(1, -1), twin(noise.numpy()))
    down = chain.from_iterable(
        (L.Conv2D(c, 4, 2, "same"), L.BatchNormalization(), L.LeakyReLU()) for c in reversed(config.channels)
    )
    pairs = chain.from_iterable(zip(discriminator.down, discriminator.norms, strict=True))
    weights = [*map(kernel, pairs), kernel(discriminator.logit, before=(256, GRID, GRID))]
    twin = keras_model(keras, [keras.Input((side, side, 3)), *down, L.Flatten(), L.Dropout(0.3), L.Dense(1)], weights)
    images = 2 * torch.rand(2, 3, side, side) - 1
    assert twin.count_params() == parameter_count(discriminator)
    assert_close(discriminator(images)[0], twin(channels_last(images)))


def test_the_digits_vae_agrees_with_keras(keras):
    model, L = randomized(ConvVae(ConvVaeConfig(16))), keras.layers
    images, z = torch.rand(2, 1, 28, 28), torch.randn(2, 16)
    down = [L.Conv2D(c, 3, 2, "same", activation="relu") for c in (32, 64)]
    encoder = [keras.Input((28, 28, 1)), *down, L.Flatten(), L.Dense(128, "relu")]
    body = [kernel(model.down1), kernel(model.down2), kernel(model.hidden, before=(64, 7, 7))]
    for ours, head in zip(model.encode(2 * images - 1), (model.z_mean, model.z_log_var), strict=True):
        assert_close(ours, keras_model(keras, [*encoder, L.Dense(16)], [*body, kernel(head)])(channels_last(images)))
    up = [L.Conv2DTranspose(c, 3, 2, "same", activation="relu") for c in (64, 32)]
    paint = L.Conv2DTranspose(1, 3, padding="same", activation="sigmoid")
    weights = [kernel(model.expand, after=(64, 7, 7)), *(kernel(x) for x in (model.up1, model.up2, model.to_image))]
    twin = keras_model(keras, [keras.Input((16,)), L.Dense(3136), L.Reshape((7, 7, 64)), *up, paint], weights)
    assert_close((model.generate(z).movedim(1, -1) + 1) / 2, twin(z.numpy()))


def test_the_digits_gan_agrees_with_keras(keras):
    config, L = DigitsGanConfig("tanh", "original"), keras.layers
    generator, discriminator = randomized(DigitsGenerator(config)), randomized(DigitsDiscriminator(config))

    def leaky():
        return L.LeakyReLU(negative_slope=0.2)

    up = chain.from_iterable((L.Conv2DTranspose(128, 4, 2, "same"), leaky()) for _ in range(2))
    layers = [keras.Input((100,)), L.Dense(6272), leaky(), L.Reshape((7, 7, 128)), *up]
    layers += [L.Conv2D(1, 7, padding="same", activation="sigmoid")]
    weights = [kernel(generator.expand, after=(128, 7, 7))]
    weights += [kernel(layer) for layer in (generator.up1, generator.up2, generator.to_image)]
    noise, images = torch.randn(2, 100), torch.rand(2, 1, 28, 28)
    assert_close((generator(noise).movedim(1, -1) + 1) / 2, keras_model(keras, layers, weights)(noise.numpy()))
    down = chain.from_iterable((L.Conv2D(64, 3, 2, "same"), leaky(), L.Dropout(0.4)) for _ in range(2))
    weights = [kernel(discriminator.down1), kernel(discriminator.down2)]
    weights += [kernel(discriminator.logit, before=(64, 7, 7))]
    twin = keras_model(keras, [keras.Input((28, 28, 1)), *down, L.Flatten(), L.Dense(1)], weights)
    assert_close(discriminator(2 * images - 1)[0], twin(channels_last(images)))


def test_the_vae_gan_agrees_with_keras(keras):
    config, L = VaeGanConfig(128, 128, latent_dim=128, output="tanh"), keras.layers
    generator, critic = randomized(VaeGenerator(config)), randomized(VaeCritic(config))
    images, z, flat = 2 * torch.rand(2, 3, 128, 128) - 1, torch.randn(2, 128), (128, 8, 8)

    def down():
        return chain.from_iterable(
            (L.Conv2D(c, 3, padding="same", activation="relu"), L.MaxPooling2D()) for c in (16, 32, 64, 128)
        )

    def convolutions(body):
        return [kernel(layer) for layer in body if isinstance(layer, nn.Conv2d)]

    heads = (generator.z_mean, generator.z_log_var)
    for ours, head in zip(generator.encode(images), heads, strict=True):
        weights = [*convolutions(generator.encoder), kernel(head, before=flat)]
        twin = keras_model(keras, [keras.Input((128, 128, 3)), *down(), L.Flatten(), L.Dense(128)], weights)
        assert_close(ours, twin(channels_last(images)))
    weights = [*convolutions(critic.body), kernel(critic.score, before=flat)]
    twin = keras_model(keras, [keras.Input((128, 128, 3)), *down(), L.Flatten(), L.Dense(1)], weights)
    assert_close(critic(images)[0], twin(channels_last(images)))
    widths = ((64, "relu"), (32, "relu"), (16, "relu"), (3, "tanh"))
    up = [L.Conv2DTranspose(c, 4, 2, "same", activation=a) for c, a in widths]
    weights = [kernel(generator.expand, after=flat), *(kernel(layer) for layer in generator.up)]
    twin = keras_model(keras, [keras.Input((128,)), L.Dense(8192, "relu"), L.Reshape((8, 8, 128)), *up], weights)
    assert_close(generator(z).movedim(1, -1), twin(z.numpy()))


def test_the_cnn_of_parametric_tanh_agrees_with_keras(keras):
    layer, L = CnnParamTanh(), keras.layers
    nn.init.normal_(layer.alphas.weight, std=0.1)
    x = torch.randn(2, 3, 128, 128)
    layers = [keras.Input((128, 128, 48)), L.Conv2D(2, 3, padding="same", activation="relu"), L.MaxPooling2D(8)]
    layers += [L.Flatten(), L.Dense(256, "softplus")]
    twin = keras_model(keras, layers, [kernel(layer.conv), kernel(layer.alphas, before=(2, 16, 16))])
    assert_close(layer.alpha(x).flatten(1) - FLOOR, twin(channels_last(layer.video(x))))
