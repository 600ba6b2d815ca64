"""Pictures in: any format, nested, turned, transparent, broken; arrays; videos. And the file that they go into."""

import gzip
import resource
import struct
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dancing.errors import UserError
from dancing.h5 import SPLITS
from dancing.media.video_writer import VideoWriter
from dancing.noise_to_image.dataset import open_images, write_images
from dancing.noise_to_image.sources import (
    ImageError,
    Report,
    fit_image,
    read_idx,
    read_image,
    read_images,
    shuffled_splits,
)
from dancing.params import ImageData, ImageParams, load_params

RED, GREEN, BLUE = (220, 30, 30), (30, 200, 60), (40, 60, 210)


def section(**changes: object) -> ImageData:
    params = load_params(ROOT / "pipelines/faces/params.yaml")
    assert isinstance(params, ImageParams)
    values = params.data.model_dump() | {"height": 32, "width": 32, "images": "x", "val": 0.2, "test": 0.2} | changes
    return ImageData.model_validate(values)


def halves(height: int = 40, width: int = 60) -> np.ndarray:
    """Red above, blue below."""
    picture = np.zeros((height, width, 3), np.uint8)
    picture[: height // 2], picture[height // 2 :] = RED, BLUE
    return picture


def near(pixel: np.ndarray, colour: tuple[int, ...]) -> bool:
    return bool(np.abs(pixel.astype(int) - colour).max() < 30)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tiff", "webp", "gif", "ppm"])
def test_formats(tmp_path: Path, suffix: str):
    Image.fromarray(halves()).save(tmp_path / f"x.{suffix}")
    picture = read_image(tmp_path / f"x.{suffix}")
    assert picture.shape == (40, 60, 3)
    assert near(picture[5, 30], RED)
    assert near(picture[35, 30], BLUE)


def test_a_turned_picture_is_upright(tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    Image.fromarray(halves()).save(tmp_path / "x.jpg", exif=exif)
    picture = read_image(tmp_path / "x.jpg")
    assert picture.shape == (60, 40, 3)
    assert near(picture[30, 35], RED)  # what lay above lies right


def test_what_is_transparent_is_over_black(tmp_path: Path):
    picture = np.dstack([halves(), np.full((40, 60), 255, np.uint8)])
    picture[:, :30, 3] = 0
    Image.fromarray(picture).save(tmp_path / "x.png")
    shown = read_image(tmp_path / "x.png")
    assert near(shown[5, 10], (0, 0, 0))
    assert near(shown[5, 50], RED)


def test_grey_in_8_and_16_bits_and_two_levels(tmp_path: Path):
    ramp = np.linspace(0, 255, 60).astype(np.uint8)[None].repeat(40, axis=0)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "16.png")
    np.testing.assert_array_equal(read_image(tmp_path / "8.png"), np.repeat(ramp[..., None], 3, -1))
    np.testing.assert_array_equal(read_image(tmp_path / "16.png"), np.repeat(ramp[..., None], 3, -1))
    Image.fromarray(ramp > 127).save(tmp_path / "1.png")
    assert set(read_image(tmp_path / "1.png").flatten()) == {0, 255}


def test_colours_become_grey_and_shapes_one_size():
    grey = fit_image(halves(), section(channels=1))
    assert grey.shape == (32, 32, 1)
    assert grey[2, 16, 0] == pytest.approx(0.299 * RED[0] + 0.587 * RED[1] + 0.114 * RED[2], abs=2)
    letterboxed = fit_image(halves(), section(fit="letterbox"))
    assert near(letterboxed[1, 16], (0, 0, 0))
    with pytest.raises(ImageError, match="7 x 40 px are too few for 32 x 32"):
        fit_image(np.zeros((40, 7, 3), np.uint8), section())


def test_a_folder_goes_on_past_what_is_broken(tmp_path: Path):
    source = tmp_path / "pictures"
    (source / "deep/deeper").mkdir(parents=True)
    (source / ".hidden").mkdir()
    for i in range(20):
        Image.fromarray(halves()).save(source / ("deep/deeper" if i % 2 else "") / f"{i}.png")
    Image.fromarray(halves()).save(source / ".hidden/no.png")
    Image.fromarray(halves(3, 3)).save(source / "tiny.png")
    (source / "notes.txt").write_text("not a picture")
    (source / "empty.jpg").touch()
    whole = (source / "0.png").read_bytes()
    (source / "half.png").write_bytes(whole[: len(whole) // 2])
    Image.effect_noise((200, 200), 80).save(source / "half.jpg")
    whole = (source / "half.jpg").read_bytes()
    (source / "half.jpg").write_bytes(whole[: len(whole) // 2])  # OpenCV read it, with a grey rest
    (source / "film.heic").write_bytes(b"ftypheic")
    (source / "gone.png").symlink_to(source / "nowhere")
    (source / "loop").symlink_to(source)
    report = Report()
    pictures = list(read_images(source, section(), report))
    assert report.used == len(pictures) == 20
    assert set(report.skipped) == {
        "tiny.png", "notes.txt", "empty.jpg", "half.png", "half.jpg", "film.heic", "gone.png"
    }  # fmt: skip
    assert "too few" in report.skipped["tiny.png"]
    assert "not a picture" in report.skipped["notes.txt"]
    assert "truncated" in report.skipped["half.jpg"]
    assert "convert it to JPEG" in report.skipped["film.heic"]
    assert "20 pictures, 7 files skipped" in report.summary()
    assert report.summary(shown=1).endswith("and 6 more: all are in the report")
    assert {picture.split for picture in pictures} == set(SPLITS)


@settings(deadline=None, max_examples=60)
@given(st.binary(max_size=200), st.integers(0, 400), st.sampled_from(["png", "jpg", "webp", "gif"]))
def test_wild_bytes_are_read_or_refused(tmp_path_factory: pytest.TempPathFactory, noise: bytes, at: int, suffix: str):
    path = tmp_path_factory.mktemp("wild") / f"x.{suffix}"
    Image.fromarray(halves()).save(path)
    content = path.read_bytes()
    path.write_bytes(content[:at] + noise + content[at + len(noise) :])
    try:
        assert read_image(path).dtype == np.uint8
    except ImageError as error:
        assert str(path) not in str(error)


@given(st.integers(0, 300), st.floats(0.01, 0.4), st.floats(0.01, 0.4), st.integers(0, 9))
def test_parts_are_exact_shares_in_any_order(count: int, val: float, test: float, seed: int):
    splits = shuffled_splits(count, val, test, seed)
    assert len(splits) == count
    assert splits.count("val") == round(count * val)
    assert splits.count("test") == round(count * test)
    assert splits == shuffled_splits(count, val, test, seed)


@pytest.mark.slow
def test_a_videos_parts_lie_one_after_another(tmp_path: Path):
    with VideoWriter(tmp_path / "x.mp4", 10, 64, 64) as video:
        for k in range(100):
            video.write(np.full((64, 64, 3), 2 * k, np.uint8))
    report = Report()
    pictures = list(read_images(tmp_path / "x.mp4", section(fps=5.0), report))
    light = {split: [p.pixels.mean() for p in pictures if p.split == split] for split in SPLITS}
    assert max(light["train"]) < min(light["val"]) < max(light["val"]) < min(light["test"])
    assert min(light["test"]) - max(light["val"]) > 8  # half a second apart at least
    assert len(list(read_images(tmp_path, section(fps=5.0), Report()))) == len(pictures)  # a folder that holds it


def test_arrays_and_idx_files_are_the_same(tmp_path: Path):
    rng = np.random.default_rng(1)
    x, y = rng.integers(0, 256, (30, 8, 8), dtype=np.uint8), rng.integers(0, 10, 30, dtype=np.uint8)
    np.savez(tmp_path / "digits.npz", x_train=x[:20], y_train=y[:20], x_test=x[20:], y_test=y[20:])
    folder = tmp_path / "idx"
    folder.mkdir()
    for name, values, packed in (
        ("train-images-idx3-ubyte", x[:20], False), ("train-labels-idx1-ubyte.gz", y[:20], True),
        ("t10k-images-idx3-ubyte.gz", x[20:], True), ("t10k-labels.idx1-ubyte", y[20:], False),
    ):  # fmt: skip
        content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()
        (folder / name).write_bytes(gzip.compress(content) if packed else content)
    data, found = section(height=28, width=28, channels=1), []
    for source in (tmp_path / "digits.npz", folder):
        pictures = list(read_images(source, data, Report()))
        assert [p.split for p in pictures].count("test") == 10
        assert [p.split for p in pictures].count("val") == 4
        assert [p.label for p in pictures] == y.tolist()
        found.append(np.stack([p.pixels for p in pictures]))
    np.testing.assert_array_equal(*found)


def test_sources_that_cannot_serve_are_told(tmp_path: Path):
    def refused(path: Path, reason: str) -> None:
        with pytest.raises(UserError, match=reason):
            list(read_images(path, section(), Report()))

    refused(tmp_path / "none", "no such file or folder")
    (tmp_path / "x.csv").touch()
    refused(tmp_path / "x.csv", "expected a folder of pictures")
    (tmp_path / "broken.npz").write_bytes(b"PK")
    refused(tmp_path / "broken.npz", "not an .npz file")
    np.savez(tmp_path / "other.npz", pictures=np.zeros(3))
    refused(tmp_path / "other.npz", "expected an array x_train")
    np.savez(tmp_path / "float.npz", x_train=np.zeros((3, 8, 8)))
    refused(tmp_path / "float.npz", "float64 of shape")
    np.savez(tmp_path / "labels.npz", x_train=np.zeros((3, 8, 8), np.uint8), y_train=np.zeros(2, np.uint8))
    refused(tmp_path / "labels.npz", "3 pictures beside labels")
    np.savez(tmp_path / "pickle.npz", x_train=np.array([{}], dtype=object))
    refused(tmp_path / "pickle.npz", "Python objects")  # nothing is unpickled
    (tmp_path / "train-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03\0")
    with pytest.raises(UserError, match="not readable as an idx file"):
        read_idx(tmp_path / "train-images-idx3-ubyte")


def peak_mb(action) -> float:
    """How many MB more the process has ever used after the action."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    action()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024


def test_bombs_are_refused_before_they_are_unpacked(tmp_path: Path):
    """A 109 kB PNG took 5.3 GB, a 4 MB npz 8.4 GB."""

    def png(width: int, height: int) -> bytes:
        def chunk(kind: bytes, data: bytes) -> bytes:
            return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

        head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(10**6)))

    (tmp_path / "bomb.png").write_bytes(png(30_000, 30_000))

    def decode():
        with pytest.raises(ImageError, match="more than 67 million pixels"):
            read_image(tmp_path / "bomb.png")

    assert peak_mb(decode) < 100
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (100000, 400, 400), }".ljust(117) + b"\n"
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(10**6))

    def unpack():
        with pytest.raises(UserError, match=r"its arrays take 14\.9 GiB"):
            list(read_images(tmp_path / "bomb.npz", section(), Report()))

    assert peak_mb(unpack) < 100
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(b"\0\0\x08\x03" + struct.pack(">III", 2**20, 2**10, 2**10))

    def inflate():
        with pytest.raises(UserError, match="it declares 1024 GiB"):
            read_idx(tmp_path / "train-images-idx3-ubyte.gz")

    assert peak_mb(inflate) < 100


def test_a_strip_keeps_a_pixel():
    """3000 x 20 px in a letterbox of 64 x 64 had a height of 0.4 px."""
    assert fit_image(np.full((2, 3000, 3), 200, np.uint8), section(fit="letterbox")).max() > 0


ATTRIBUTES = {"height": 32, "width": 32, "channels": 3, "fit": "crop"}


def some_pictures(tmp_path: Path, count: int) -> Path:
    source = tmp_path / f"pictures {count}"
    source.mkdir()
    for i in range(count):
        Image.fromarray(np.full((32, 32, 3), i, np.uint8)).save(source / f"{i:03d}.png")
    return source


def test_what_is_written_is_read_and_the_same_bytes(tmp_path: Path):
    source = some_pictures(tmp_path, 150)
    for name in ("a.h5", "b.h5"):
        write_images(tmp_path / name, ATTRIBUTES, read_images(source, section(), Report()))
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with open_images(tmp_path / "a.h5") as dataset:
        assert {split: dataset.count(split) for split in SPLITS} == {"train": 90, "val": 30, "test": 30}
        seen = np.concatenate([dataset.stored(split)[:, 0, 0, 0] for split in SPLITS])
        assert sorted(seen) == list(range(150))
        assert not dataset.labels
        assert dataset.evenly_spaced("train", 12).shape == (12, 32, 32, 3)
        assert len(dataset.evenly_spaced("val", 1000)) == 30


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path):
    def torn():
        yield from read_images(some_pictures(tmp_path, 10), section(), Report())
        raise RuntimeError("lights out")

    with pytest.raises(RuntimeError):
        write_images(tmp_path / "x.h5", ATTRIBUTES, torn())
    assert not list(tmp_path.glob("*x.h5*"))
    with pytest.raises(UserError, match="no picture in the val part"):
        write_images(tmp_path / "x.h5", ATTRIBUTES, read_images(some_pictures(tmp_path, 1), section(), Report()))


def test_files_that_are_not_ours_are_told(tmp_path: Path):
    with pytest.raises(UserError, match="no such file; the stage build_hdf5"):
        open_images(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(UserError, match="not readable as HDF5"):
        open_images(tmp_path / "text.h5")
