"""The models of the original documents in Keras, as `benchmarks.training_speed` times them.

The backend is chosen by the environment variable KERAS_BACKEND, so a process imports this module after setting it.
Sizes, losses and optimisers are those of the project's models, layer by layer. A VAE is trained with `compile` and
`fit`, a GAN with a `train_step` of its own. Images are (B, H, W, C), Keras' default.
"""

import math
from itertools import chain
from typing import Any

import keras
from keras import layers, ops

NOISE = 100  # numbers that the generators of digits and faces get
_bce = keras.losses.BinaryCrossentropy(from_logits=True)


class Sampling(layers.Layer):  # type: ignore[misc]
    """Samples the posterior of a VAE, and adds its KL divergence from the prior to the losses."""

    def __init__(self, kl_weight: float) -> None:
        super().__init__()
        self.kl_weight = kl_weight
        self.seed_generator = keras.random.SeedGenerator(1)

    def call(self, mean: Any, log_var: Any) -> Any:
        """Return a sample of N(mean, exp(log_var))."""
        kl = 0.5 * (ops.square(mean) + ops.exp(log_var) - 1 - log_var)
        self.add_loss(self.kl_weight * ops.mean(ops.sum(kl, axis=1)))
        return mean + ops.exp(0.5 * log_var) * keras.random.normal(ops.shape(mean), seed=self.seed_generator)


class Gan(keras.Model):  # type: ignore[misc]
    """A discriminator step on real and generated images, then a generator step on the same generated images.

    The images are generated once a step, as in this project's loop. Data are real images, or poses and real images.

    Args:
        generator: poses or noise to images.
        discriminator: images to logits.
        settings: the section `gan` of the params: learning rates and betas.
    """

    def __init__(self, generator: keras.Model, discriminator: keras.Model, settings: Any) -> None:
        super().__init__()
        self.generator, self.discriminator = generator, discriminator
        beta_1, beta_2 = settings.betas
        self.generator_optimizer = keras.optimizers.Adam(settings.lr, beta_1, beta_2)
        self.discriminator_optimizer = keras.optimizers.Adam(settings.discriminator_lr, beta_1, beta_2)
        self.built = True  # its networks are; it has no `call` from which Keras could build it

    def inputs(self, data: Any) -> tuple[Any, Any]:
        """Return the generator's input and the real images of a batch."""
        first, second, _ = keras.utils.unpack_x_y_sample_weight(data)
        if second is None:
            return keras.random.normal((ops.shape(first)[0], NOISE)), first
        return first, second

    def discriminator_loss(self, real: Any, fake: Any) -> Any:
        """Return the loss of real and generated images."""
        real, fake = (self.discriminator(images, training=True) for images in (real, ops.stop_gradient(fake)))
        return _bce(ops.ones_like(real), real) + _bce(ops.zeros_like(fake), fake)

    def generator_loss(self, fake: Any) -> Any:
        """Return the non-saturating loss of generated images."""
        logits = self.discriminator(fake, training=True)
        return _bce(ops.ones_like(logits), logits)


class TensorFlowGan(Gan):
    """A step with TensorFlow's gradient tapes; `fit` compiles it to a graph."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on a batch, and return the losses."""
        import tensorflow as tf

        generator_input, real = self.inputs(data)
        with tf.GradientTape() as tape:
            fake = self.generator(generator_input, training=True)
        with tf.GradientTape() as discriminator_tape:
            discriminator_loss = self.discriminator_loss(real, fake)
        weights = self.discriminator.trainable_weights
        self.discriminator_optimizer.apply(discriminator_tape.gradient(discriminator_loss, weights), weights)
        with tape:  # goes on where the images were generated
            generator_loss = self.generator_loss(fake)
        weights = self.generator.trainable_weights
        self.generator_optimizer.apply(tape.gradient(generator_loss, weights), weights)
        return {"discriminator": discriminator_loss, "generator": generator_loss}


class TorchGan(Gan):
    """A step with PyTorch's autograd; `fit` runs it eagerly."""

    def train_step(self, data: Any) -> dict[str, Any]:
        """Train on a batch, and return the losses."""
        generator_input, real = self.inputs(data)
        fake = self.generator(generator_input, training=True)
        discriminator_loss = self.discriminator_loss(real, fake)
        self._apply(self.discriminator_optimizer, discriminator_loss, self.discriminator)
        generator_loss = self.generator_loss(fake)
        self._apply(self.generator_optimizer, generator_loss, self.generator)
        return {"discriminator": discriminator_loss, "generator": generator_loss}

    def _apply(self, optimizer: Any, loss: Any, network: keras.Model) -> None:
        import torch

        weights = network.trainable_weights
        gradients = torch.autograd.grad(loss, [weight.value for weight in weights])
        with torch.no_grad():
            optimizer.apply(gradients, weights)


def build(model: str, settings: Any, frames: int, mfcc: int) -> keras.Model:
    """Return a compiled model.

    Args:
        model: a key of `training_speed.MODELS`.
        settings: its section of the params.
        frames: in a window of the LSTM-VAE.
        mfcc: coefficients a frame.
    """
    if model == "lstm_vae":
        return _lstm_vae(settings, frames, mfcc)
    if model == "digits_vae":
        return _digits_vae(settings)
    networks = {"dense_gan": _dense_gan, "digits_gan": _digits_gan, "faces_gan": _faces_gan}[model]()
    gan = (TensorFlowGan if keras.backend.backend() == "tensorflow" else TorchGan)(*networks, settings)
    gan.compile()
    return gan


def parameters(model: keras.Model) -> int:
    """Return the number of trainable weights of all networks of a model."""
    return sum(math.prod(weight.shape) for weight in model.trainable_weights)


def _lstm_vae(settings: Any, frames: int, mfcc: int) -> keras.Model:
    audio = keras.Input((frames, mfcc))
    summary = layers.LSTM(128)(layers.LSTM(128, return_sequences=True)(audio))
    z = Sampling(settings.kl_weight)(
        layers.Dense(settings.latent_dim)(summary), layers.Dense(settings.latent_dim)(summary)
    )
    repeated = layers.RepeatVector(frames)(layers.Dense(128)(z))
    model = keras.Model(audio, layers.Dense(66)(layers.LSTM(128, return_sequences=True)(repeated)))
    model.compile(keras.optimizers.Adam(settings.lr), loss="mse")
    return model


def _digits_vae(settings: Any) -> keras.Model:
    image = x = keras.Input((28, 28, 1))
    for channels in (32, 64):
        x = layers.Conv2D(channels, 3, 2, "same", activation="relu")(x)
    x = layers.Dense(128, "relu")(layers.Flatten()(x))
    z = Sampling(settings.kl_weight)(layers.Dense(settings.latent_dim)(x), layers.Dense(settings.latent_dim)(x))
    x = layers.Reshape((7, 7, 64))(layers.Dense(7 * 7 * 64)(z))
    for channels in (64, 32):
        x = layers.Conv2DTranspose(channels, 3, 2, "same", activation="relu")(x)
    model = keras.Model(image, layers.Conv2DTranspose(1, 3, padding="same")(x))
    model.compile(keras.optimizers.Adam(settings.lr), loss=lambda real, logits: 28 * 28 * _bce(real, logits))
    return model


def _dense_gan() -> tuple[keras.Model, keras.Model]:
    up = [
        layers.Conv2DTranspose(channels, 3, 2, "same", activation=end)
        for channels, end in ((128, "relu"), (64, "relu"), (3, "tanh"))
    ]
    into = [keras.Input((66,)), layers.Dense(256, "relu"), layers.Dense(16 * 16 * 256), layers.Reshape((16, 16, 256))]
    down = chain.from_iterable((layers.Conv2D(channels, 3, 2, "same"), layers.LeakyReLU(0.3)) for channels in (64, 128))
    critic = [keras.Input((128, 128, 3)), *down, layers.Flatten(), layers.Dense(1)]
    return keras.Sequential([*into, *up]), keras.Sequential(critic)


def _digits_gan() -> tuple[keras.Model, keras.Model]:
    def leaky() -> Any:
        return layers.LeakyReLU(0.2)

    up = chain.from_iterable((layers.Conv2DTranspose(128, 4, 2, "same"), leaky()) for _ in range(2))
    into = [keras.Input((NOISE,)), layers.Dense(7 * 7 * 128), leaky(), layers.Reshape((7, 7, 128))]
    paint = layers.Conv2D(1, 7, padding="same", activation="sigmoid")
    down = chain.from_iterable((layers.Conv2D(64, 3, 2, "same"), leaky(), layers.Dropout(0.4)) for _ in range(2))
    critic = [keras.Input((28, 28, 1)), *down, layers.Flatten(), layers.Dense(1)]
    return keras.Sequential([*into, *up, paint]), keras.Sequential(critic)


def _faces_gan() -> tuple[keras.Model, keras.Model]:
    up = chain.from_iterable(
        (layers.Conv2DTranspose(channels, 4, 2, "same", activation="relu"), layers.BatchNormalization())
        for channels in (256, 128, 64)
    )
    into = [keras.Input((NOISE,)), layers.Dense(8 * 8 * 512, "relu"), layers.BatchNormalization()]
    paint = layers.Conv2D(3, 4, padding="same", activation="tanh")
    down = chain.from_iterable(
        (layers.Conv2D(channels, 4, 2, "same"), layers.BatchNormalization(), layers.LeakyReLU(0.3))
        for channels in (64, 128, 256)
    )
    critic = [keras.Input((64, 64, 3)), *down, layers.Flatten(), layers.Dropout(0.3), layers.Dense(1)]
    return keras.Sequential([*into, layers.Reshape((8, 8, 512)), *up, paint]), keras.Sequential(critic)
