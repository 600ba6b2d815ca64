"""Tiny data made on the spot, and the way to real data.

Nothing here imports librosa, MediaPipe or DVC: the training tests run without them.
"""

import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml

from dancing.body.skeleton import LANDMARKS
from dancing.clips.dataset import Dataset, Picture, Piece, open_dataset, write_dataset
from dancing.noise_to_image.dataset import ImageDataset, open_images, write_images
from dancing.params import ImageParams, Params, parse_params
from dancing.presets import overlay_preset, without_preset

with suppress(ImportError):  # the training tests do without it
    from hypothesis import settings

    # Hypothesis's deadline of 200 ms an example fails tests on a busy machine, not on a wrong program.
    settings.register_profile("project", deadline=None)
    settings.load_profile("project")

ROOT = Path(__file__).resolve().parents[1]
#: A person who stands: x, y as fractions of a square picture, for each landmark.
STANDING = {
    "nose": (0.50, 0.16), "eye": (0.51, 0.15), "ear": (0.53, 0.16), "mouth": (0.51, 0.18), "shoulder": (0.57, 0.27),
    "elbow": (0.60, 0.40), "wrist": (0.61, 0.52), "pinky": (0.61, 0.56), "index": (0.61, 0.56), "thumb": (0.60, 0.55),
    "hip": (0.54, 0.52), "knee": (0.54, 0.71), "ankle": (0.54, 0.90), "heel": (0.54, 0.92), "foot": (0.56, 0.94),
}  # fmt: skip


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """A process a core that this process may use: pytest-xdist counts all of the machine, also in a container."""
    from joblib import cpu_count

    return min(cpu_count(), 8)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The pipeline's tests first: they take longest, and with several processes the others run beside them."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda item: not item.path.name.startswith(("test_pipeline", "test_kills")))


def real_data(name: str) -> Path:
    """The file or folder `name` under the folder that DANCING_REAL_DATA names, for a test that also has made data.

    Skips the test where the variable isn't set or there is no such file; nothing else is searched.
    """
    folder = os.environ.get("DANCING_REAL_DATA")
    if not folder:
        pytest.skip(f"needs real data, {name}: set DANCING_REAL_DATA to the folder that holds it")
    path = Path(folder, name)
    if not path.exists():
        pytest.skip(f"needs real data: {path} does not exist")
    return path


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the working tree elsewhere, see `checkout.make_checkout`."""
    from checkout import make_checkout  # imports PyAV

    return make_checkout(tmp_path_factory.mktemp("checkout") / "project")


def smoke_params() -> str:
    """The text of params.yaml with the smoke preset laid over it, in the place of any that is in force there."""
    return overlay_preset(
        without_preset(ROOT, "dance"), (ROOT / "presets/dance/smoke.yaml").read_text(encoding="utf-8")
    )


def standing() -> np.ndarray:
    """(33, 2): the person above, right side mirrored from the left."""
    pose = np.zeros((33, 2), dtype=np.float32)
    for i, name in enumerate(LANDMARKS):
        part = next(part for part in STANDING if part in name)
        x, y = STANDING[part]
        pose[i] = (1 - x if "right" in name else x), y
    return pose


def dance(frames: int, fps: int = 30, bpm: float = 120, phase: float = 0.0) -> np.ndarray:
    """(T, 33, 2): arms and hips that swing twice a second at 120 BPM, slowest on the beat."""
    swing = np.cos(np.pi * (np.arange(frames) / fps * bpm / 60 + phase))[:, None]
    poses = np.repeat(standing()[None], frames, axis=0)
    arms = [i for i, name in enumerate(LANDMARKS) if any(part in name for part in ("wrist", "pinky", "index", "thumb"))]
    arms = [i for i in arms if "foot" not in LANDMARKS[i]]
    poses[:, arms, 0] += 0.08 * swing
    poses[:, arms, 1] -= 0.10 * swing**2
    poses[..., 0] += 0.03 * np.roll(swing, fps // 4, axis=0)
    return poses.astype(np.float32)


def make_piece(name: str, split: str, frames: int, seed: int, n_mfcc: int = 4) -> Piece:
    rng = np.random.default_rng(seed)
    beat = np.arange(frames) / 15
    turns = [2 * np.pi * beat / metre for metre in (1, 2, 3, 4)]
    phase, *bars = (np.stack([np.sin(turn), np.cos(turn)], axis=1).astype(np.float32) for turn in turns)
    return Piece(
        name=name,
        split=split,  # type: ignore[arg-type]
        clip=f"{name}.mp4",
        subject="",
        start=0.0,
        tempo=120.0,
        beats=np.arange(0, frames / 30, 0.5),
        sequences={
            "audio_mfcc_sequences": rng.normal(size=(frames, n_mfcc)).astype(np.float32),
            "onset_strength": rng.random(frames, dtype=np.float32),
            "chroma": rng.random((frames, 12), dtype=np.float32),
            "beat_phase": phase,
            "bar_phase": np.concatenate(bars, axis=1),
            "metre": np.full(frames, -0.5, dtype=np.float32),
            "beat_nearness": rng.random(frames, dtype=np.float32),
        },
        landmarks=dance(frames, phase=seed / 3),
        visibility=np.ones((frames, 33), dtype=np.float32),
    )


def make_pictures(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """(T, H, W, 3) uint8: a grey room, and a bright blob at each landmark."""
    y, x = np.mgrid[:height, :width]
    points = landmarks * [width, height]
    near = np.min(np.hypot(x[None, None] - points[..., :1, None], y[None, None] - points[..., 1:, None]), axis=1)
    light = np.exp(-((near / 2) ** 2))[..., None]
    room = np.stack([x * 100 / width, y * 100 / height, np.full_like(x, 60, dtype=float)], axis=-1)
    return (room * (1 - light) + np.array([250, 200, 90]) * light).astype(np.uint8)


def make_masks(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """(T, H, W) uint8: where `make_pictures` shows more of the blobs than of the room."""
    empty = make_pictures(np.full((1, 33, 2), -9.0), height, width).astype(int)
    return np.where((make_pictures(landmarks, height, width) - empty)[..., 0] > 60, 255, 0).astype(np.uint8)


def filmed(landmarks: np.ndarray, height: int, width: int) -> list[Picture]:
    """The T pictures of a dancer, as `write_dataset` takes them."""
    masks = make_masks(landmarks, height, width)
    return list(map(Picture, make_pictures(landmarks, height, width), masks))


def nobody(images: np.ndarray) -> list[Picture]:
    """Images (T, H, W, 3) in which nobody is, as `write_dataset` takes them."""
    return [Picture(image, np.zeros(image.shape[:2], np.uint8)) for image in images]


@pytest.fixture
def make_dataset(tmp_path: Path) -> Callable[..., Dataset]:
    """A dataset.h5 with a training, a validation and a test piece, opened."""

    def make(frames: int = 64, height: int = 32, width: int = 32, pictures: bool = True) -> Dataset:
        attributes = {"fps": 30, "width": width, "height": height, "fit": "letterbox", "n_mfcc": 4}
        pieces = [make_piece(split, split, frames, seed) for seed, split in enumerate(("train", "val", "test"))]
        path = tmp_path / "dataset.h5"
        shown = ((p, filmed(p.landmarks, height, width) if pictures else None) for p in pieces)
        write_dataset(path, attributes, shown)
        return open_dataset(path)

    return make


@pytest.fixture
def make_params() -> Callable[..., Params]:
    """The smoke preset with changes: make_params({"vae.model": "lstm"})."""

    def make(changes: dict[str, object] | None = None) -> Params:
        values = yaml.safe_load(smoke_params())
        for key, value in (changes or {}).items():
            section, _, name = key.partition(".")
            values[section][name] = value
        return parse_params(values)

    return make


@dataclass(frozen=True)
class LabelledImage:
    """An image as `noise_to_image.dataset.write_images` takes it."""

    split: str
    pixels: np.ndarray
    label: int | None


def image_params(system: str, **changes: object) -> ImageParams:
    """The system's own params, made small, with changes such as gan__loss="hinge"."""
    values = yaml.safe_load((ROOT / f"pipelines/{system}/params.yaml").read_text(encoding="utf-8"))
    small = {"batch_size": 6, "epochs": 2, "steps_per_epoch": 2}
    values["gan"] |= small
    if values["vae"]:
        values["vae"] |= small
    if system == "param_tanh":
        values["data"] |= {"height": 32, "width": 48}
        values["gan"] |= {"latent_dim": 4, "critic_steps": 2}
    values["evaluate"] |= {"samples": 40, "feature_steps": 6}
    values["render"] |= {"seconds": 0.5, "walks": 3, "height": 64}
    for key, value in changes.items():
        part, _, name = key.partition("__")
        values[part][name] = value
    return parse_params(values, "test", ImageParams)


@pytest.fixture
def make_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ImageDataset]:
    """An opened dataset of bright discs at random places; for digits the label says on which side.

    A test that uses it gets a short validation after each epoch.
    """
    monkeypatch.setattr("dancing.noise_to_image.gan_task.FEATURE_STEPS", 2)
    monkeypatch.setattr("dancing.noise_to_image.gan_task.VALIDATION", 16)

    def make(system: str, count: int = 120, labelled: bool | None = None) -> ImageDataset:
        data, rng = image_params(system).data, np.random.default_rng(1)
        labelled = system == "digits" if labelled is None else labelled
        y, x = np.mgrid[: data.height, : data.width]

        def images():
            for i in range(count):
                side = int(rng.integers(2))
                across = (0.25 + 0.5 * side + rng.uniform(-0.05, 0.05)) * data.width
                disc = np.hypot(x - across, y - rng.uniform(0.3, 0.7) * data.height) < data.height / 5
                pixels = np.repeat(np.where(disc, 230, 20)[..., None], data.channels, axis=-1).astype(np.uint8)
                split = ("train", "train", "val", "test")[i % 4]
                yield LabelledImage(split, pixels, side if labelled else None)

        attributes = data.model_dump(include={"height", "width", "channels", "fit"})
        write_images(tmp_path / f"{system}.h5", attributes, images())
        return open_images(tmp_path / f"{system}.h5")

    return make


def clicks(seconds: float, every: float = 0.5) -> np.ndarray:
    sound = np.zeros(round(seconds * 44_100), np.float32)
    for start in np.arange(every, seconds - 0.1, every):
        sound[round(start * 44_100) :][:500] = 0.8 * np.sin(np.arange(500) / 4)
    return sound


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where models are kept that were trained once for all tests here."""
    return tmp_path_factory.mktemp("once")


@pytest.fixture
def models(once: Path, make_dataset, make_params) -> Path:
    """Our models and the original ones."""
    from recipes import train_motion, train_pose_gan

    if not (once / "models").exists():
        ours, originals = make_params(), make_params({"vae.model": "lstm", "gan.model": "dense"})
        for params, vae, gan in ((ours, "vae", "gan"), (originals, "vae/lstm", "gan/dense")):
            train_motion(make_dataset(), params, once / "models" / vae, once / "resume")
            train_pose_gan(make_dataset(), params.gan, once / "models" / gan, once / "resume")
    return once / "models"


@pytest.fixture
def trained(models: Path, tmp_path: Path) -> Path:
    """A folder in which the stage render finds params and models, and a song of three seconds."""
    from dancing.media.sound import write_audio

    shutil.copytree(models, tmp_path / "models")
    (tmp_path / "params.yaml").write_text(smoke_params(), encoding="utf-8")
    write_audio(tmp_path / "song.wav", clicks(3.0), 44_100)
    return tmp_path
