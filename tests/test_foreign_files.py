"""Datasets and checkpoints that somebody else wrote, broke or forged: refused by name, and nothing is run or read."""

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from conftest import make_piece, nobody
from recipes import train_motion, train_pose_gan

from dancing.clips.dataset import open_dataset, write_dataset
from dancing.errors import UserError
from dancing.music_to_pose.inference import MusicToPose
from dancing.noise_to_image.dataset import open_images
from dancing.pose_to_image.inference import PoseToImage

PARTS = {"a": "train", "b": "val", "c": "test"}


def clear(path: Path, name: str) -> h5py.File:
    file = h5py.File(path, "r+")
    del file[name]
    return file


def soft_link(path: Path) -> None:
    with clear(path, "a/chroma") as file:
        file["a/chroma"] = h5py.SoftLink("/b/chroma")


def external_link(path: Path) -> None:
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["x"] = np.zeros((40, 12), np.float32)
    with clear(path, "a/chroma") as file:
        file["a/chroma"] = h5py.ExternalLink("other.h5", "/x")


def external_storage(path: Path) -> None:
    """The data of another file of this machine as the dancer's frames."""
    path.with_name("secret").write_bytes(bytes(40 * 16 * 16 * 3))
    with clear(path, "a/frames") as file:
        file["a"].create_dataset(
            "frames", (40, 16, 16, 3), np.uint8, external=[(str(path.with_name("secret")), 0, 40 * 16 * 16 * 3)]
        )


def virtual(path: Path) -> None:
    layout = h5py.VirtualLayout((40, 12), np.float32)
    layout[:] = h5py.VirtualSource(str(path), "b/chroma", (40, 12))
    with clear(path, "a/chroma") as file:
        file["a"].create_virtual_dataset("chroma", layout)


def endless(path: Path) -> None:
    with clear(path, "a/chroma") as file:
        file["a"].create_dataset("chroma", (10**12, 12), np.float32, chunks=(1000, 12))


def circle(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["a/a"] = file["a"]


def attribute(name: str, value: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file.attrs[name] = value

    spoil.__name__ = f"{name} is {value}"
    return spoil


def values(name: str, array: np.ndarray) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with clear(path, name) as file:
            file[name] = array

    spoil.__name__ = f"{name} is {array.dtype} {array.shape}"
    return spoil


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


SPOILS = [
    soft_link, external_link, external_storage, virtual, endless, circle, cut,
    attribute("fps", 0), attribute("fps", -30), attribute("fps", 10**9), attribute("fps", "fast"),
    attribute("width", 0), attribute("n_mfcc", 5), attribute("version", 99),
    values("a/pose_landmark_sequences", np.zeros((40, 32, 2), np.float32)),
    values("a/pose_landmark_sequences", np.full((40, 33, 2), np.nan, np.float32)),
    values("a/pose_visibility", np.zeros((40, 33), np.int32)),
    values("a/chroma", np.zeros((40, 11), np.float32)),
    values("a/chroma", np.zeros((40, 12, 2), np.float32)),
    values("a/frames", np.zeros((40, 8, 8, 3), np.uint8)),
    values("a/frames", np.zeros((40, 16, 16, 3), np.float32)),
    values("a/masks", np.zeros((40, 16, 8), np.uint8)),
    values("a/masks", np.zeros((39, 16, 16), np.uint8)),
    values("normalisation/audio_mean", np.zeros(3, np.float32)),
    values("normalisation/audio_std", np.full(27, np.nan, np.float32)),
    values("a", np.zeros(3)),
]  # fmt: skip


def write_good(path: Path) -> None:
    attributes = {"fps": 30, "width": 16, "height": 16, "fit": "crop", "n_mfcc": 4}
    frames = np.zeros((40, 16, 16, 3), np.uint8)
    write_dataset(path, attributes, [(make_piece(name, split, 40, 0), nobody(frames)) for name, split in PARTS.items()])


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_dataset_of_unknown_origin(tmp_path: Path, spoil: Callable[[Path], None]):
    path = tmp_path / "dataset.h5"
    write_good(path)
    open_dataset(path).close()
    spoil(path)
    with pytest.raises(UserError, match=r"dataset\.h5: .*build_hdf5"):
        open_dataset(path)


@pytest.mark.parametrize(("shape", "dtype"), [((4, 8, 8, 3), "u1"), ((4, 16, 16, 3), "f4"), ((0, 16, 16, 3), "u1")])
def test_images_of_unknown_origin(tmp_path: Path, shape: tuple[int, ...], dtype: str):
    with h5py.File(tmp_path / "dataset.h5", "w") as file:
        file.attrs.update({"format": "dancing-images", "version": 1, "height": 16, "width": 16, "channels": 3})
        for split in ("train", "val", "test"):
            file[f"{split}/pictures"] = np.zeros(shape, dtype)
    with pytest.raises(UserError, match=r"dataset\.h5: train has"):
        open_images(tmp_path / "dataset.h5")


class Hostile:
    """Runs a command where it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_a_hostile_checkpoint_runs_nothing(tmp_path: Path, save: Callable):
    save({"pose_space": Hostile(f"touch {tmp_path / 'ran'}")}, tmp_path / "best.pt")
    with pytest.raises(UserError, match=r"best\.pt: .*run the stage train_vae again") as raised:
        MusicToPose.load(tmp_path / "best.pt")
    assert not (tmp_path / "ran").exists()
    assert "weights_only" not in str(raised.value)  # torch advises to switch the protection off


def change(checkpoint: dict, key: str, value: object) -> dict:
    """A copy with one entry changed; "a.b" is b in a; None removes it."""
    first, _, rest = key.partition(".")
    copy = dict(checkpoint)
    if rest:
        copy[first] = change(copy[first], rest, value)
    elif value is None:
        del copy[first]
    else:
        copy[first] = value
    return copy


VAE_FAULTS = {
    "pose_space": None, "fps": 0, "n_mfcc": -1, "window": 0, "audio_mean": [0.0], "audio_std": [0.0] * 27, "config": {},
    "config.model": "lstm", "config.hidden": 10**9, "pose_space.torso": 0.0, "pose_space.mean": [0.0], "state": {},
    "pose_space.std": [float("nan")] * 68,
}  # fmt: skip


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """models/vae/best.pt and models/gan/best.pt of a training of two steps."""
    import yaml
    from conftest import smoke_params

    from dancing.params import parse_params

    folder = tmp_path_factory.mktemp("models")
    values = yaml.safe_load(smoke_params())
    for section in ("vae", "prior", "gan"):
        values[section] |= {"epochs": 1, "steps_per_epoch": 2, "batch_size": 2}
    values["vae"] |= {"kl_warmup": 0, "baseline": False, "window": 16}
    values["gan"] |= {"baseline": False}
    params = parse_params(values)
    attributes = {"fps": 30, "width": 40, "height": 64, "fit": "crop", "n_mfcc": 4}
    pieces = [make_piece(name, split, 64, 0) for name, split in PARTS.items()]
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 255, (64, 64, 40, 3), dtype=np.uint8)
    write_dataset(folder / "dataset.h5", attributes, [(piece, nobody(frames)) for piece in pieces])
    with open_dataset(folder / "dataset.h5") as dataset:
        train_motion(dataset, params, folder / "vae", folder / "resume")
        train_pose_gan(dataset, params.gan, folder / "gan", folder / "resume")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("key", VAE_FAULTS)
def test_a_broken_vae(checkpoints: Path, tmp_path: Path, key: str):
    good = torch.load(checkpoints / "vae/best.pt", weights_only=True)
    torch.save(change(good, key, VAE_FAULTS[key]), tmp_path / "best.pt")
    with pytest.raises(UserError, match=r"best\.pt: .*run the stage train_vae again"):
        MusicToPose.load(tmp_path / "best.pt")


@pytest.mark.slow
def test_weights_that_are_not_numbers(checkpoints: Path, tmp_path: Path):
    for stage, load in (("vae", MusicToPose.load), ("gan", PoseToImage.load)):
        good = torch.load(checkpoints / stage / "best.pt", weights_only=True)
        tensors = good["state" if stage == "vae" else "generator"].values()
        weights = next(tensor for tensor in tensors if tensor.is_floating_point())
        weights[(0,) * weights.ndim] = torch.nan
        torch.save(good, tmp_path / "best.pt")
        with pytest.raises(UserError, match="holds NaN or infinity"):
            load(tmp_path / "best.pt")
        shutil.copy(checkpoints / ("gan" if stage == "vae" else "vae") / "best.pt", tmp_path / "best.pt")
        with pytest.raises(UserError, match=r"best\.pt: "):  # of the other model
            load(tmp_path / "best.pt")
