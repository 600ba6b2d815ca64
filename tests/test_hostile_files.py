"""Files that mislead: they take memory, double data, name other places, or lost a piece without a word."""

import gzip
import io
import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
from conftest import dance
from PIL import Image
from test_foreign_files import attribute, clear, values, write_good
from test_sources import halves, section

from dancing.body import mocap
from dancing.clips.dataset import open_dataset
from dancing.clips.extraction import ClipFeatures
from dancing.errors import UserError
from dancing.noise_to_image.inference import NoiseToImage
from dancing.noise_to_image.models import GANS
from dancing.noise_to_image.sources import ImageError, Report, read_idx, read_image, read_images
from dancing.training.checkpoints import open_checkpoint
from dancing.training.registry import Registry

# ------------------------------------------------------------------------------------------------------------ images


def jpeg(**options: object) -> bytes:
    file, pixels = io.BytesIO(), np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "jpeg", quality=90, **options)
    return file.getvalue()


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        lambda whole: whole[: len(whole) // 2],
        lambda whole: whole[: len(whole) // 2] + b"\xff\xd9",
        lambda whole: whole[: len(whole) // 2] + bytes(len(whole) // 2),  # a download into a file of full length
        lambda whole: whole[: len(whole) // 3] + whole[len(whole) * 2 // 3 :],
    ],
    ids=["cut", "cut and ended", "zeros", "hole"],
)
def test_a_jpeg_that_lost_a_piece(tmp_path: Path, damage: Callable[[bytes], bytes], progressive: bool):
    (tmp_path / "x.jpg").write_bytes(damage(jpeg(progressive=progressive)))
    with pytest.raises(ImageError, match="not readable as a picture"):
        read_image(tmp_path / "x.jpg")


def sound_jpegs() -> dict[str, bytes]:
    exif = Image.Exif()
    exif[0x0112] = 1
    opencv = cv2.imencode(".jpg", halves())[1]
    thumbnail = io.BytesIO()
    Image.fromarray(halves()).convert("CMYK").save(thumbnail, "jpeg")
    grey = io.BytesIO()
    Image.fromarray(halves()[..., 0]).save(grey, "jpeg")
    several = io.BytesIO()
    Image.fromarray(halves()).save(several, "mpo", save_all=True, append_images=[Image.fromarray(halves()[::-1])])
    return {
        "progressive": jpeg(progressive=True), "4:4:4": jpeg(subsampling=0), "4:2:0": jpeg(subsampling=2),
        "restart markers": jpeg(restart_marker_blocks=3), "exif": jpeg(exif=exif), "comment": jpeg(comment=b"\xff\xd9"),
        "junk at the end": jpeg() + b"\xff\xd8 and more \xff\xd9 junk", "padded": jpeg() + bytes(500),
        "opencv": opencv.tobytes(), "CMYK": thumbnail.getvalue(), "grey": grey.getvalue(), "MPO": several.getvalue(),
    }  # fmt: skip


@pytest.mark.parametrize("kind", sound_jpegs())
def test_a_sound_jpeg_is_read(tmp_path: Path, kind: str):
    content = sound_jpegs()[kind]
    (tmp_path / "x.jpg").write_bytes(content)
    with Image.open(io.BytesIO(content)) as file:
        np.testing.assert_array_equal(read_image(tmp_path / "x.jpg"), np.asarray(file.convert("RGB")))


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tiff", "webp", "jp2", "tga", "ppm", "avif", "sgi", "pcx"])
def test_half_a_picture_is_refused(tmp_path: Path, suffix: str):
    file, pixels = io.BytesIO(), np.random.default_rng(0).integers(0, 255, (120, 160, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, {"jp2": "jpeg2000"}.get(suffix, suffix))
    (tmp_path / f"x.{suffix}").write_bytes(file.getvalue())
    assert read_image(tmp_path / f"x.{suffix}").shape == pixels.shape
    (tmp_path / f"x.{suffix}").write_bytes(file.getvalue()[: len(file.getvalue()) * 6 // 10])
    with pytest.raises(ImageError):
        read_image(tmp_path / f"x.{suffix}")


def test_no_program_is_run_for_a_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Pillow gives EPS to Ghostscript."""
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {tmp_path / 'ran'}\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    Image.fromarray(halves()).save(tmp_path / "x.eps")
    with pytest.raises(ImageError, match="not a picture of a known format"):
        read_image(tmp_path / "x.eps")
    assert not (tmp_path / "ran").exists()


def test_a_picture_is_used_once_whatever_leads_to_it(tmp_path: Path):
    (tmp_path / "images").mkdir()
    for i in range(10):
        Image.fromarray(halves()).save(tmp_path / f"images/{i}.png")
    (tmp_path / "a link").symlink_to("images")
    (tmp_path / "images/alias.png").symlink_to("3.png")
    report = Report()
    assert len(list(read_images(tmp_path, section(), report))) == 10
    assert report.skipped["a link/3.png"] == "the same file as images/3.png"
    assert len(report.skipped) == 12
    report.skipped["\x1b[2Jevil\n"] = "x"
    assert "\x1b" not in report.summary(99)


# ------------------------------------------------------------------------------------------------------------ arrays


def test_a_small_file_that_unpacks_to_much_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dancing.npz._SMALL", 2**20)
    monkeypatch.setattr("dancing.noise_to_image.sources.PACKED_BYTES", 2**20)
    monkeypatch.setattr(np, "load", None)  # nothing is unpacked
    np.savez_compressed(tmp_path / "x.npz", x_train=np.zeros((3000, 28, 28), np.uint8))
    with pytest.raises(UserError, match=r"times as much as the file: save them without compression"):
        list(read_images(tmp_path / "x.npz", section(), Report()))
    np.savez_compressed(tmp_path / "a.npz", landmarks=np.zeros((9000, 33, 2)), visibility=0, fps=1, width=1, height=1)
    with pytest.raises(UserError, match="times as much as the file"):
        mocap.read(tmp_path / "a.npz")
    content = struct.pack(">HBB3I", 0, 8, 3, 3000, 28, 28) + bytes(3000 * 28 * 28)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(content))
    with pytest.raises(UserError, match=r"it declares 0\.00219"):
        read_idx(tmp_path / "train-images-idx3-ubyte.gz")


def test_shapes_without_end(tmp_path: Path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(struct.pack(">HBB", 0, 8, 255) + bytes([255]) * 1020)
    with pytest.raises(UserError, match="it declares"):
        read_idx(tmp_path / "train-images-idx3-ubyte")
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": (10**99,) * 20})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x_train.npy", header.getvalue())
    with pytest.raises(UserError, match="its arrays take"):
        list(read_images(tmp_path / "x.npz", section(), Report()))


def test_landmarks_are_measured_by_what_they_become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(mocap, "_MAX_BYTES", 2**16)
    poses = np.zeros((300, 33, 2), np.uint8)  # eight times as many bytes once they are float64
    np.savez(tmp_path / "a.npz", landmarks=poses, visibility=np.ones((300, 33), np.uint8), fps=1, width=1, height=1)
    with pytest.raises(UserError, match="at most"):
        mocap.read(tmp_path / "a.npz")


FEATURES = {
    "mfcc": np.zeros((30, 4), "f4"), "onset_strength": np.zeros(30, "f4"), "chroma": np.zeros((30, 12), "f4"),
    "beat_phase": np.zeros((30, 2), "f4"), "bar_phase": np.zeros((30, 6), "f4"), "metre": np.zeros(30, "f4"),
    "beat_nearness": np.zeros(30, "f4"), "beats": np.zeros(3), "tempo": 120.0, "landmarks": dance(30),
    "visibility": np.ones((30, 33), "f4"), "detected": np.ones(30, bool), "segments": np.array([[0, 30]]),
    "width": 64, "height": 64, "fps": 30.0, "thumbnail": np.zeros((0, 0, 3), "u1"), "thumbnail_frame": 0,
    "report": "{}", "mask_size": np.array([8, 4]), "mask_frames": np.arange(0, 30, 2), "mask_ends": np.arange(1, 16),
    "mask_bytes": np.zeros(15, "u1"), "mask_reach": 2,
}  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"chroma": None}, {"report": "{"}, {"fps": 0.0}, {"segments": np.array([[0, 31]])}, {"segments": np.zeros(3)},
        {"mfcc": np.zeros((29, 4), "f4")}, {"landmarks": np.zeros((30, 32, 2), "f4")},
        {"visibility": np.array([{}] * 30)}, {"metre": np.array(["x"] * 30)}, {"mask_bytes": np.zeros(9, "u1")},
        {"mask_frames": np.arange(16, 31)}, {"mask_size": np.array([8.0, 4.0])}, {"mask_reach": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_feature_file_of_unknown_origin(tmp_path: Path, change: dict[str, object]):
    np.savez(tmp_path / "a.npz", **FEATURES)
    assert ClipFeatures.load(tmp_path / "a.npz").fps == 30
    np.savez(tmp_path / "a.npz", **{key: value for key, value in (FEATURES | change).items() if value is not None})
    with pytest.raises(UserError, match=r"a\.npz: not a file of the stage extract_features"):
        ClipFeatures.load(tmp_path / "a.npz")


# ----------------------------------------------------------------------------------------------------------- datasets


def packed(path: Path) -> None:
    with clear(path, "a/frames") as file:
        file["a"].create_dataset("frames", data=np.zeros((40, 16, 16, 3), np.uint8), compression="gzip")


def sparse(path: Path) -> None:
    """One chunk of two: HDF5 would read zeros for the other."""
    with clear(path, "a/frames") as file:
        stored = file["a"].create_dataset("frames", (40, 16, 16, 3), np.uint8, chunks=(39, 16, 16, 3))
        stored[:39] = 1


def twice(path: Path) -> None:
    with clear(path, "b/frames") as file:
        file["b/frames"] = file["a/frames"]


def piece(name: str, value: object) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        with h5py.File(path, "r+") as file:
            file["a"].attrs[name] = value

    spoil.__name__ = f"{name} is {value}"
    return spoil


def far(path: Path) -> None:
    values("a/pose_landmark_sequences", np.full((40, 33, 2), 1e30, np.float32))(path)


def steady(path: Path) -> None:
    """Audio features that never vary, by which others would be divided."""
    values("normalisation/audio_std", np.zeros(27, np.float32))(path)


def untrained(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        del file["a"]


SPOILS = [
    packed, sparse, twice, untrained, far, steady, attribute("fps", 29.97), attribute("width", np.zeros(2)),
    piece("clip", "../../secret.wav"), piece("clip", "/etc/hostname"), piece("clip", 5), piece("subject", 5),
]  # fmt: skip


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_dataset_that_misleads(tmp_path: Path, spoil: Callable[[Path], None]):
    path = tmp_path / "dataset.h5"
    write_good(path)
    spoil(path)
    with pytest.raises(UserError, match=r"dataset\.h5: .*build_hdf5"):
        open_dataset(path)


# -------------------------------------------------------------------------------------------------------- checkpoints


def circle() -> list:
    inside: list = []
    inside.append(inside)
    return inside


def doubling() -> list:
    inside = [1.0]
    for _ in range(60):
        inside = [inside, inside]
    return inside


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (circle(), "the same values twice"),
        (doubling(), "the same values twice"),
        (torch.zeros(1).expand(10**12), "more than it holds"),
        (torch.zeros(3, device="meta"), "more than it holds"),
        (torch.zeros(3).to_sparse(), "more than it holds"),
        ([float("inf")], "audio_mean holds NaN or infinity"),
    ],
)
def test_a_few_bytes_that_stand_for_many(tmp_path: Path, value: object, reason: str):
    torch.save({"audio_mean": value}, tmp_path / "x.pt")
    with pytest.raises(UserError, match=reason), open_checkpoint(tmp_path / "x.pt", "train_vae"):
        pass


def test_a_packed_checkpoint_is_refused_unread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    torch.save({"weights": torch.zeros(1000)}, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as plain, zipfile.ZipFile(tmp_path / "y.pt", "w", 8) as smaller:
        for name in plain.namelist():
            smaller.writestr(name, plain.read(name))
    monkeypatch.setattr(torch, "load", None)
    with pytest.raises(UserError, match="it is compressed"), open_checkpoint(tmp_path / "y.pt", "train_vae"):
        pass


@pytest.mark.parametrize("noise", [10**9, 8000, 99, -1, 0])
def test_a_network_of_another_size_takes_no_memory(tmp_path: Path, noise: int, monkeypatch: pytest.MonkeyPatch):
    plain = {"model": "dcgan", "height": 64, "output": "tanh", "discriminator": "original", "batch_norm": True}
    generator, _ = GANS.build(GANS.from_dict(plain))
    checkpoint = {"config": plain, "generator": generator.state_dict()}
    torch.save(checkpoint, tmp_path / "x.pt")
    assert NoiseToImage.load(tmp_path / "x.pt", "train_gan").size == 100
    torch.save(checkpoint | {"config": plain | {"noise": noise}}, tmp_path / "x.pt")
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", None)  # the network is not built
    with pytest.raises(UserError, match=r"x\.pt: of another version, or broken .*(noise|expected)"):
        NoiseToImage.load(tmp_path / "x.pt", "train_gan")


def test_layers_without_end(tmp_path: Path):
    from dancing.music_to_pose.models import MODELS

    assert isinstance(MODELS, Registry)
    plain = {"model": "flow", "latent_dim": 4, "beat_columns": 10, "hidden": 8, "layers": 8000, "latents_per_beat": 2}
    with pytest.raises(ValueError, match="8000 layers"):
        MODELS.restore(plain | {"fps": 30}, {"x": torch.zeros(1)})
