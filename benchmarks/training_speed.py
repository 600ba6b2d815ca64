"""Training steps a second of the models of the original documents: this project's loops, plain PyTorch, and Keras.

    python -m benchmarks.training_speed --json benchmarks/results/training_speed.json

"ours" is the training loop of the stages on a small dataset.h5 of random data, without augmentation, in the precision
that `train.precision: auto` picks for this machine; "ours, 32 bit" is the same in float32, in which all others compute.
"plain" is the least that PyTorch can do with the same modules: forward, loss, backward, Adam, on random data in memory.
Keras trains the same layers on the same random data, on PyTorch and on TensorFlow. Every run is a fresh process on the
CPU; the contenders take turns, and a figure is the median of all rounds. Waiting for data is the share of our steps
that passes while a batch is read. Memory is the peak of a process up to its last step, with its framework and its data.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import stages  # noqa: F401
from benchmarks.common import alone, command, peak, write_record
from dancing.errors import UserError, exit_on_user_error
from dancing.h5 import SPLITS, Split

WARM_UP = 3  # steps that are not counted
FRAMES, MFCC = 150, 13  # in a window of the LSTM-VAE
GAN = {"loss": "bce", "output": "tanh", "critic_steps": 1, "r1_weight": 0.0, "flip": False}
NOISE_GAN = {**GAN, "categories": 0, "discriminator": "original", "augment": False}
#: Where a model's params are, and what the original has in their place.
PARAMS: dict[str, tuple[str, str, dict[str, object]]] = {
    "lstm_vae": ("params.yaml", "vae", {"model": "lstm", "latent_dim": 16, "window": FRAMES, "batch_size": 32}),
    "dense_gan": (
        "params.yaml", "gan", {**GAN, "model": "dense", "lr": 2e-4, "discriminator_lr": 2e-4, "batch_size": 16},
    ),
    "digits_gan": ("pipelines/digits/params.yaml", "gan", {**NOISE_GAN, "batch_size": 128}),
    "faces_gan": ("pipelines/faces/params.yaml", "gan", {**NOISE_GAN, "batch_size": 32}),
    "digits_vae": ("pipelines/digits/params.yaml", "vae", {"batch_size": 128}),
}  # fmt: skip
#: Size of a model's images, (H, W, C).
IMAGES = {"dense_gan": (128, 128, 3), "digits_gan": (28, 28, 1), "faces_gan": (64, 64, 3), "digits_vae": (28, 28, 1)}
#: Models with their titles, and the steps that are timed.
MODELS = {
    "lstm_vae": ("LSTM-VAE, {batch} x 150 frames", 30),
    "dense_gan": ("dense GAN, {batch} x 128 px", 12),
    "digits_gan": ("digits GAN, {batch} x 28 px", 10),
    "faces_gan": ("faces DCGAN, {batch} x 64 px", 10),
    "digits_vae": ("digits VAE, {batch} x 28 px", 60),
}
CONTENDERS = ("ours", "ours_float32", "plain", "keras_torch", "keras_tensorflow")
NEEDED = {"keras_torch": ("keras",), "keras_tensorflow": ("keras", "tensorflow")}
TITLES = {"ours_float32": "ours, 32 bit", "keras_torch": "Keras, torch", "keras_tensorflow": "Keras, TensorFlow"}


@dataclass
class Clock:
    """Times steps: every step calls `tick` once, at the same place."""

    ticks: list[float] = field(default_factory=list)
    reads: list[tuple[float, float]] = field(default_factory=list)
    memory: float = 0.0

    def tick(self) -> None:
        """Note the time and the memory."""
        self.ticks.append(time.perf_counter())
        self.memory = peak()

    def before(self, step: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that ticks and then does what `step` does."""

        @wraps(step)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.tick()
            return step(*args, **kwargs)

        return timed

    def reading(self, read: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does what `read` does and notes how long it took."""

        @wraps(read)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            result = read(*args, **kwargs)
            self.reads.append((start, time.perf_counter() - start))
            return result

        return timed

    def run(self, parameters: int) -> "Run":
        """Return the result of all steps but the first WARM_UP."""
        first, last = self.ticks[WARM_UP], self.ticks[-1]
        waiting = sum(seconds for start, seconds in self.reads if first <= start < last)
        return Run((len(self.ticks) - 1 - WARM_UP) / (last - first), waiting / (last - first), self.memory, parameters)


@dataclass(frozen=True)
class Run:
    """One contender's run.

    Attributes:
        speed: steps a second.
        waiting: share of the time that passed while data were read; 0 where that isn't measured.
        memory: peak of the process, MB.
        parameters: trainable ones.
    """

    speed: float
    waiting: float
    memory: float
    parameters: int


def main() -> None:
    """Measure, print tables, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_speed", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="runs of each contender (%(default)s)")
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS), help="(all)")
    parser.add_argument("--busy", action="store_true", help="measure a second time, beside a busy core")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/training_speed.json")
    options = parser.parse_args()
    load, policy = os.getloadavg()[0], os.environ.get("OMP_WAIT_POLICY", "not set")
    print(f"$ {command('training_speed')}")
    print(f"{os.cpu_count()} cores, cpu; load at the start {load:.1f}; OMP_WAIT_POLICY {policy}")
    contenders = _contenders()
    values: dict[str, object] = {"rounds": options.rounds, "load": round(load, 1), "omp_wait_policy": policy}
    values["rows"] = _rows(options.models, contenders, options.rounds)
    if options.busy:
        print("\nBeside a busy core:")
        with _busy_core():
            values["busy_rows"] = _rows(options.models, contenders, options.rounds)
    what = "Training steps a second of the original models: this project, plain PyTorch, and Keras"
    write_record(options.json, "training_speed", what, "cpu", values)


def _contenders() -> list[str]:
    """Return the contenders whose packages are installed, and say which are left out."""
    found = []
    for contender in CONTENDERS:
        missing = [package for package in NEEDED.get(contender, ()) if find_spec(package) is None]
        if missing:
            print(f"left out: {TITLES[contender]}; {missing[0]} is not installed (pip install -e '.[bench]')")
        else:
            found.append(contender)
    return found


@contextmanager
def _busy_core() -> Iterator[None]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        try:
            yield
        finally:
            process.kill()


def _rows(models: list[str], contenders: list[str], rounds: int) -> dict[str, dict[str, float]]:
    """Measure models and print a table. Returns the figures by model."""
    ratios = [f"ours / {TITLES.get(other, other)}" for other in contenders[1:]]
    columns = ["steps/s", *(TITLES.get(name, name) for name in contenders), *ratios, "waiting", "memory, MB"]
    print(f"\nMedian of {rounds}; memory in the order of the speeds\n")
    print("| " + " | ".join(columns) + " |\n|" + " --- |" * len(columns), flush=True)
    rows = {}
    for model in models:
        title, steps = MODELS[model]
        row = rows[model] = _row(model, contenders, rounds, steps)
        cells = [title.format(batch=PARAMS[model][2]["batch_size"]), *(f"{row[name]:.2f}" for name in contenders)]
        cells += [f"{row[f'ours_per_{other}']:.2f}" for other in contenders[1:]]
        memory = " / ".join(f"{row[f'{name}_memory_mb']:.0f}" for name in contenders)
        print("| " + " | ".join([*cells, f"{row['waiting']:.1%}", memory]) + " |", flush=True)
    return rows


def _row(model: str, contenders: list[str], rounds: int, steps: int) -> dict[str, float]:
    """Measure one model, the contenders in turn. Returns medians, lowest and highest speeds, and ratios of medians."""
    runs: dict[str, list[Run]] = {contender: [] for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            runs[contender].append(alone(measure, contender, model, steps))
            _check_size(model, contender, runs)
    speeds = {contender: [run.speed for run in found] for contender, found in runs.items()}
    row = {contender: statistics.median(found) for contender, found in speeds.items()}
    row |= {f"ours_per_{other}": row["ours"] / row[other] for other in contenders[1:]}
    row |= {f"{contender}_lowest": min(found) for contender, found in speeds.items()}
    row |= {f"{contender}_highest": max(found) for contender, found in speeds.items()}
    row["waiting"] = statistics.median(run.waiting for run in runs["ours"])
    row |= {f"{name}_memory_mb": statistics.median(run.memory for run in found) for name, found in runs.items()}
    return {name: round(value, 1 if name.endswith("_mb") else 4) for name, value in row.items()}


def _check_size(model: str, contender: str, runs: dict[str, list[Run]]) -> None:
    ours, theirs = runs["ours"][0].parameters, runs[contender][-1].parameters
    if ours != theirs:
        raise UserError(f"{model}: {contender} has {theirs} parameters, ours {ours}: they are not the same model")


def measure(contender: str, model: str, steps: int) -> Run:
    """Train a model and time its steps; to be run in a fresh process, as Keras' backend can't be changed in one.

    Args:
        contender: one of CONTENDERS.
        model: a key of MODELS.
        steps: that are counted.
    """
    total = WARM_UP + steps + 1  # one more, as the time from one tick to the next counts
    with tempfile.TemporaryDirectory() as name:
        if contender.startswith("ours"):
            return _ours(Path(name), model, total, contender == "ours_float32")
        if contender == "plain":
            return _plain(model, total)
        os.environ |= {"KERAS_BACKEND": contender.removeprefix("keras_"), "KERAS_TORCH_DEVICE": "cpu"}
        # TensorFlow says that it can't merge LeakyReLU into a convolution. Steps take as long with that switched off.
        os.environ |= {"KERAS_HOME": name, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return _keras(model, total)


def settings_of(model: str, steps: int) -> Any:
    """Return a model's section of the params: the project's, with the original's sizes and without augmentation."""
    from dancing.params import load_params

    path, section, original = PARAMS[model]
    length = {"epochs": 1, "steps_per_epoch": steps} | ({"kl_warmup": 0} if section == "vae" else {})
    return getattr(load_params(path), section).model_copy(update={**original, **length})


# -------------------------------------------------------------------------------------------------------------- ours


def _ours(folder: Path, model: str, steps: int, float32: bool) -> Run:
    from dancing.noise_to_image import gan_task
    from dancing.params import Train
    from dancing.training.checkpoints import ResumeState
    from dancing.training.compute import Compute
    from dancing.training.gan_loop import train_gan
    from dancing.training.vae_loop import train_vae

    gan_task.FEATURE_STEPS = 1  # of a network for the scores after an epoch, which is no part of a step
    settings, clock = settings_of(model, steps), Clock()
    compute = Compute.pick(Train(precision=32 if float32 else "auto", processes=1, compile=False))
    is_vae = model.endswith("vae")
    with _write_dataset(folder / "dataset.h5", model) as dataset:
        task = _task(model, dataset, settings, compute)
        step, read = "losses" if is_vae else "batch", "batch" if model == "dense_gan" else "random"
        setattr(task, step, clock.before(getattr(task, step)))
        setattr(task.train, read, clock.reading(getattr(task.train, read)))
        train: Callable[..., Any] = train_vae if is_vae else train_gan
        train(task, settings, folder, ResumeState(folder / "resume.pt"))
    return clock.run(_parameters(*([task.model] if is_vae else [task.generator, task.discriminator])))


def _task(model: str, dataset: Any, settings: Any, compute: Any) -> Any:
    """Return the task that the stages build."""
    from dancing.music_to_pose import task as music_to_pose
    from dancing.noise_to_image import gan_task
    from dancing.noise_to_image.vae_task import ImageVaeTask
    from dancing.pose_to_image import task as pose_to_image

    builders: dict[str, Callable[..., Any]] = {
        "lstm_vae": music_to_pose.build_task,
        "dense_gan": pose_to_image.build_task,
        "digits_vae": ImageVaeTask,
    }
    return builders.get(model, gan_task.build_task)(dataset, settings, compute)


def _parameters(*networks: Any) -> int:
    return sum(weight.numel() for network in networks for weight in network.parameters() if weight.requires_grad)


@dataclass(frozen=True)
class RandomImage:
    """An image as `noise_to_image.dataset.write_images` takes it."""

    split: Split
    pixels: np.ndarray
    label: None = None


def _write_dataset(path: Path, model: str) -> Any:
    """Write a dataset of random data, and open it."""
    from dancing.clips.dataset import Picture, open_dataset, write_dataset
    from dancing.noise_to_image.dataset import open_images, write_images

    rng = np.random.default_rng(1)
    if model in ("lstm_vae", "dense_gan"):
        height, width, channels = IMAGES["dense_gan"]
        pieces = [_random_piece(split, 2 * FRAMES, rng) for split in SPLITS]
        pictures = [
            [
                Picture(_random_bytes(rng, height, width, channels), _random_bytes(rng, height, width))
                for _ in range(len(piece))
            ]
            for piece in pieces
        ]
        attributes = {"fps": 30, "width": width, "height": height, "fit": "letterbox", "n_mfcc": MFCC}
        write_dataset(path, attributes, zip(pieces, pictures, strict=True))
        return open_dataset(path)
    size = height, width, channels = IMAGES[model]
    images = (RandomImage(SPLITS[max(0, i % 4 - 1)], _random_bytes(rng, *size)) for i in range(1024))
    write_images(path, {"height": height, "width": width, "channels": channels, "fit": "crop"}, images)
    return open_images(path)


def _random_bytes(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(0, 256, shape, dtype=np.uint8)


def _random_piece(split: Split, frames: int, rng: np.random.Generator) -> Any:
    from dancing.clips.dataset import AUDIO_SEQUENCES, Piece
    from dancing.media.downbeats import METRES

    columns = {"audio_mfcc_sequences": MFCC, "chroma": 12, "beat_phase": 2, "bar_phase": 2 * len(METRES)}
    shapes = {name: (frames, columns[name]) if name in columns else (frames,) for name in AUDIO_SEQUENCES}
    return Piece(
        name=split,
        split=split,
        clip=f"{split}.mp4",
        subject="",
        start=0.0,
        tempo=120.0,
        beats=np.arange(0, frames / 30, 0.5),
        sequences={name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()},
        landmarks=rng.random((frames, 33, 2), dtype=np.float32),
        visibility=np.ones((frames, 33), dtype=np.float32),
    )


# --------------------------------------------------------------------------------------------- plain PyTorch, and Keras


def random_data(model: str, count: int, low: float) -> tuple[np.ndarray, ...]:
    """Return what one of the other contenders trains on: input and target, or images alone.

    Args:
        model: a key of MODELS.
        count: samples.
        low: the images, (N, H, W, C), lie in [low, 1].
    """
    rng = np.random.default_rng(1)
    if model == "lstm_vae":
        shapes = (count, FRAMES, MFCC), (count, FRAMES, 66)
        return tuple(rng.standard_normal(shape, dtype=np.float32) for shape in shapes)
    images = low + (1 - low) * rng.random((count, *IMAGES[model]), dtype=np.float32)
    return (rng.random((count, 66), dtype=np.float32), images) if model == "dense_gan" else (images,)


def _plain(model: str, steps: int) -> Run:
    import torch

    from dancing.training.device import pick_device

    settings, clock = settings_of(model, steps), Clock()
    pick_device()  # as many threads as ours
    networks = _networks(model, settings)
    step = (_plain_vae if model.endswith("vae") else _plain_gan)(model, networks, settings)
    arrays = random_data(model, settings.batch_size * steps, -1)
    # Images are (B, C, H, W) with the channels last in memory, as they are in our batches.
    data = [torch.from_numpy(array).movedim(-1, 1) if array.ndim == 4 else torch.from_numpy(array) for array in arrays]
    for _ in range(steps):
        clock.tick()
        rows = torch.randint(len(data[0]), (settings.batch_size,))
        step(*(part[rows] for part in data))
    return clock.run(_parameters(*networks))


def _networks(model: str, settings: Any) -> list[Any]:
    """Return the project's modules, in the memory format that its tasks give them."""
    import torch

    from dancing.music_to_pose.lstm_vae import LstmVae, LstmVaeConfig
    from dancing.noise_to_image import models
    from dancing.pose_to_image.dense_gan import DenseDiscriminator, DenseGanConfig, DenseGenerator
    from dancing.training.compute import Compute

    if model == "lstm_vae":
        return [LstmVae(LstmVaeConfig(MFCC, settings.latent_dim))]
    if model == "dense_gan":
        config = DenseGanConfig(128, 128, "tanh")
        return [DenseGenerator(config), DenseDiscriminator(config)]
    registry = models.VAES if model == "digits_vae" else models.GANS
    values = settings.model_dump(exclude={"model"})
    built = registry.build(registry.config(settings.model, **values, height=IMAGES[model][0], batch_norm=True))
    return [Compute(torch.device("cpu")).place(network) for network in built]


def _plain_vae(model: str, networks: list[Any], settings: Any) -> Callable[..., None]:
    import torch

    from dancing.music_to_pose.losses import BaselineVaeLoss
    from dancing.noise_to_image.losses import ImageVaeLoss

    (vae,), rng = networks, torch.Generator().manual_seed(1)
    loss: Any = (BaselineVaeLoss if model == "lstm_vae" else ImageVaeLoss)(settings.kl_weight)
    optimizer = torch.optim.Adam((w for w in vae.parameters() if w.requires_grad), lr=settings.lr)

    def step(*batch: torch.Tensor) -> None:
        decoded, *posterior = vae(*batch, rng)
        compared = [batch[1], *posterior] if model == "lstm_vae" else [*posterior, batch[0]]
        total = loss(decoded, *compared, 1.0)["total"]
        optimizer.zero_grad()
        total.backward()
        optimizer.step()

    return step


def _plain_gan(model: str, networks: list[Any], settings: Any) -> Callable[..., None]:
    import torch

    from dancing.training.adversarial import GanLoss

    (generator, discriminator), loss = networks, GanLoss(settings.loss)
    rates = settings.lr, settings.discriminator_lr
    betas = (settings.betas[0], settings.betas[1])
    optimizers = [torch.optim.Adam(net.parameters(), lr, betas) for net, lr in zip(networks, rates, strict=True)]

    def step(*batch: torch.Tensor) -> None:
        poses, real = batch if model == "dense_gan" else (torch.randn(len(batch[0]), 100), batch[0])
        fake = generator(poses)
        optimizers[1].zero_grad()
        loss.discriminator(discriminator(real), discriminator(fake.detach())).backward()
        optimizers[1].step()
        optimizers[0].zero_grad()
        loss.generator(discriminator(fake)).backward(inputs=list(generator.parameters()))
        optimizers[0].step()

    return step


def _keras(model: str, steps: int) -> Run:
    import keras

    from benchmarks import keras_models

    settings, clock = settings_of(model, steps), Clock()
    network = keras_models.build(model, settings, FRAMES, MFCC)
    data = random_data(model, settings.batch_size * steps, 0 if model.startswith("digits") else -1)
    target = data[-1] if len(data) > 1 or model == "digits_vae" else None
    tick = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: clock.tick())
    network.fit(data[0], target, batch_size=settings.batch_size, epochs=1, verbose=0, callbacks=[tick])
    return clock.run(keras_models.parameters(network))


if __name__ == "__main__":
    exit_on_user_error(main)
