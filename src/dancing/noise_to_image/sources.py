"""Readers of images: folders of image files and videos, or arrays such as MNIST's.

A source is one of these: a folder, which is searched with its subfolders; a video; an .npz file with x_train (N, H, W)
or (N, H, W, 3) uint8, and optionally y_train, x_test and y_test; a folder with MNIST's idx files, gzipped or not. A
file that can't be used is reported with the reason, and the others are read. Letters: N images, H x W image.
"""

import gzip
import math
import mmap
import random
import re
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import joblib
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from dancing.errors import UserError
from dancing.files import find_files, printable
from dancing.h5 import Split
from dancing.media.container import MAX_PIXELS, VIDEO_SUFFIXES, MediaError
from dancing.media.framing import Framing
from dancing.media.video import probe, read_frames
from dancing.npz import read_npz
from dancing.params import ImageData

#: Largest factor by which an image is enlarged; a smaller image is skipped, as it would be blurred.
MAX_ENLARGEMENT = 4
#: Time that is left out between two parts of a video, s, but at most a twentieth of the video. Otherwise the frames on
#: both sides of a boundary would be almost the same.
GUARD = 1.0
#: Arrays that declare more bytes are refused: a small packed file can unpack to any size. So are those of a packed idx
#: file that declare more than both of these: bytes, and times the size of the file.
MAX_BYTES = 2**33
PACKED_BYTES, PACKED = 2**28, 20
LARGE = 2**24  # px; only one larger image is decoded at a time, because that takes up to 15 bytes a pixel
BATCH = 256  # files that are read at once by all cores, and the most that are in memory
IDX_UNSIGNED_BYTE = 8  # code of the only data type that is supported
#: MNIST's file names of the images and labels of its two parts. In some copies the second dash is a dot.
IDX = {"train": ("train-images", "train-labels"), "test": ("t10k-images", "t10k-labels")}


Image.init()
#: What Pillow reads by itself: for EPS and WMF it runs other programs.
_FORMATS = [name for name in Image.ID if name not in ("EPS", "WMF")]
_one_large = threading.Lock()


class ImageError(UserError):
    """A file can't be used as an image. The message gives the reason, but not the file."""


@dataclass(frozen=True)
class SourceImage:
    """An image of a source.

    Attributes:
        split: the part that it belongs to.
        pixels: (height, width, channels) uint8, RGB or grey.
        label: its class; None if the source has no labels.
    """

    split: Split
    pixels: np.ndarray
    label: int | None


@dataclass
class Report:
    """Which files of a source were used.

    Attributes:
        used: number of images.
        skipped: files, relative to the source -> reason.
    """

    used: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    def summary(self, shown: int = 10) -> str:
        """Return the report as text, with the first `shown` skipped files, one a line."""
        lines = [f"{self.used} pictures, {len(self.skipped)} files skipped"]
        lines += [f"  skipped {printable(name)}: {reason}" for name, reason in list(self.skipped.items())[:shown]]
        more = len(self.skipped) - shown
        return "\n".join([*lines, f"  and {more} more: all are in the report"] if more > 0 else lines)


def read_images(source: Path, data: ImageData, report: Report) -> Iterator[SourceImage]:
    """Read all images of a source, scaled and split as the section `data` of the params says.

    Args:
        source: a folder or file of one of the kinds above.
        data: the section `data` of the params.
        report: is filled while images are read.

    Yields:
        The images, one at a time.

    Raises:
        UserError: there is no such source, or it is of another kind.
    """
    if not source.exists():
        raise UserError(f"data.images: {source}: no such file or folder")
    if source.suffix.lower() == ".npz":
        yield from _from_arrays(_npz(source), source, data, report)
    elif source.is_dir() and _idx_file(source, IDX["train"][0]):
        yield from _from_arrays(_idx(source), source, data, report)
    elif source.is_dir() or source.suffix.lower() in VIDEO_SUFFIXES:
        yield from _from_files(source, data, report)
    else:
        raise UserError(
            f"data.images: {source}: expected a folder of pictures, a video, an .npz with x_train, or a folder with "
            "MNIST's idx files"
        )


def read_image(path: Path) -> np.ndarray:
    """Read an image of any format that Pillow supports, (H, W, 3) uint8 RGB.

    It is rotated as its EXIF data say. Grey becomes RGB, 16 bits become 8, and transparent pixels are put on black.

    Raises:
        ImageError: the file can't be read whole, or has more than `MAX_PIXELS`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is stricter
            with Image.open(path, formats=_FORMATS) as file:
                pixels = file.width * file.height
                if pixels > MAX_PIXELS:
                    raise Image.DecompressionBombError
                with _one_large if pixels > LARGE else nullcontext():
                    picture = _rgb(ImageOps.exif_transpose(file))
                if file.format in ("JPEG", "MPO"):
                    _check_jpeg(path)
                return picture
    except MemoryError:
        raise
    except Image.DecompressionBombError:
        raise ImageError(f"more than {MAX_PIXELS // 10**6} million pixels: scale it down") from None
    except UnidentifiedImageError:
        advice = ": convert it to JPEG" if path.suffix.lower() in (".heic", ".heif") else ""
        raise ImageError(f"not a picture of a known format{advice}") from None
    except Exception as error:  # broken bytes can make a decoder raise anything
        reason = str(error).replace(str(path), "it") or type(error).__name__
        raise ImageError(f"not readable as a picture ({reason})") from None


#: A marker of a JPEG, except those that stand inside its compressed data.
_MARKER = re.compile(rb"\xff+([^\x00\xff\xd0-\xd7])", re.DOTALL)
_END = b"\xd9"


def _check_jpeg(path: Path) -> None:
    """Raise ValueError where pieces of a JPEG are lost: libjpeg puts grey in their place, and Pillow says nothing."""
    with path.open("rb") as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            at = 2
            while (marker := _MARKER.search(content, at)) and marker[1] != _END:
                at = marker.end() + int.from_bytes(content[marker.end() : marker.end() + 2])
        if marker is None:
            raise ValueError("its end is missing")
        try:
            with av.open(file, "r", format="jpeg_pipe") as container:
                stream = container.streams.video[0]
                stream.codec_context.options = {"err_detect": "explode"}
                next(container.decode(stream))
        except (av.error.InvalidDataError, av.error.EOFError, StopIteration):
            raise ValueError("a part of it is missing or damaged") from None
        except av.error.FFmpegError:
            pass  # a kind that FFmpeg does not decode


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits, which Pillow's conversion would clip to 8
        grey = (np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def fit_image(pixels: np.ndarray, data: ImageData) -> np.ndarray:
    """Fit an image (H, W, 3) uint8 to (data.height, data.width, data.channels) uint8.

    Raises:
        ImageError: it is too small.
    """
    height, width = pixels.shape[:2]
    framing = Framing(width, height, data.width, data.height, data.fit)
    if framing.scale > MAX_ENLARGEMENT:
        raise ImageError(f"{width} x {height} px are too few for {data.width} x {data.height}")
    scaled = framing.picture(np.ascontiguousarray(pixels))
    return scaled if data.channels == 3 else cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY)[..., None]


def shuffled_splits(count: int, val: float, test: float, seed: int) -> list[Split]:
    """Return a random part for each of `count` images that do not depend on one another.

    Args:
        count: number of images.
        val: exact share of the validation part.
        test: exact share of the test part.
        seed: of the order.
    """
    n_val, n_test = round(count * val), round(count * test)
    sizes: dict[Split, int] = {"val": n_val, "test": n_test, "train": count - n_val - n_test}
    parts = [split for split, size in sizes.items() for _ in range(size)]
    random.Random(seed).shuffle(parts)
    return parts


# ------------------------------------------------------------------------------------------------------------- files


def _from_files(source: Path, data: ImageData, report: Report) -> Iterator[SourceImage]:
    root = source if source.is_dir() else source.parent
    inside, refused = find_files(source) if source.is_dir() else ([source], {})
    report.skipped |= refused
    videos = [path for path in inside if path.suffix.lower() in VIDEO_SUFFIXES]
    files = [path for path in inside if path.suffix.lower() not in VIDEO_SUFFIXES]
    splits = shuffled_splits(len(files), data.val, data.test, data.seed)
    with joblib.Parallel(n_jobs=-1, prefer="threads") as parallel:
        for first in range(0, len(files), BATCH):
            paths = files[first : first + BATCH]
            results = parallel(joblib.delayed(_read_framed)(path, data) for path in paths)
            for path, split, pixels in zip(paths, splits[first:], results, strict=False):
                if isinstance(pixels, ImageError):
                    report.skipped[printable(path.relative_to(root))] = str(pixels)
                else:
                    report.used += 1
                    yield SourceImage(split, pixels, None)
    for path in videos:
        try:
            for image in _from_video(path, data):
                report.used += 1
                yield image
        except (MediaError, ImageError) as error:
            report.skipped[printable(path.relative_to(root))] = str(error)


def _read_framed(path: Path, data: ImageData) -> np.ndarray | ImageError:
    """Return the image, or why it can't be used: an exception would end the other threads' work."""
    try:
        return fit_image(read_image(path), data)
    except ImageError as error:
        return error


def _from_video(path: Path, data: ImageData) -> Iterator[SourceImage]:
    """Yield `data.fps` frames a second. Neighbouring frames are alike, so each part is one stretch of the video."""
    seconds = probe(path).duration
    first_val, first_test = seconds * (1 - data.val - data.test), seconds * (1 - data.test)
    for k, pixels in enumerate(read_frames(path, data.fps)):
        time = k / data.fps
        split: Split = "train" if time < first_val else "val" if time < first_test else "test"
        begins = {"train": 0.0, "val": first_val, "test": first_test}[split]
        if split == "train" or time - begins >= min(GUARD, seconds / 20):
            yield SourceImage(split, fit_image(pixels, data), None)


# ------------------------------------------------------------------------------------------------------------ arrays

#: Part -> images (N, H, W) or (N, H, W, 3) uint8, and labels (N,) or None.
_Arrays = dict[str, tuple[np.ndarray, np.ndarray | None]]


def _from_arrays(arrays: _Arrays, source: Path, data: ImageData, report: Report) -> Iterator[SourceImage]:
    for part, (images, labels) in arrays.items():
        if images.ndim not in (3, 4) or images.dtype != np.uint8 or images.shape[3:] not in ((), (1,), (3,)):
            raise UserError(
                f"data.images: {source}: the {part} part has {images.dtype} of shape {images.shape}; expected "
                "uint8 of (N, height, width) or (N, height, width, 3)"
            )
        if labels is not None and (labels.shape != images.shape[:1] or labels.dtype.kind not in "iu"):
            raise UserError(
                f"data.images: {source}: the {part} part has {len(images)} pictures beside labels {labels.dtype} of "
                f"shape {labels.shape}; expected a whole number each"
            )
        if part == "test":
            splits: Sequence[Split] = ["test"] * len(images)
        else:
            splits = shuffled_splits(len(images), data.val, 0.0 if "test" in arrays else data.test, data.seed)
        for i, split in enumerate(splits):
            pixels = np.broadcast_to(images[i].reshape(*images.shape[1:3], -1), (*images.shape[1:3], 3))
            report.used += 1
            yield SourceImage(split, fit_image(pixels, data), None if labels is None else int(labels[i]))


def _npz(source: Path) -> _Arrays:
    try:
        file = read_npz(source, [f"{kind}_{part}" for kind in "xy" for part in ("train", "test")], MAX_BYTES)
    except ValueError as error:
        raise UserError(f"data.images: {source}: {error}") from None
    if "x_train" not in file:
        raise UserError(f"data.images: {source}: expected an array x_train in it")
    return {part: (file[f"x_{part}"], file.get(f"y_{part}")) for part in ("train", "test") if f"x_{part}" in file}


def _idx(source: Path) -> _Arrays:
    arrays: _Arrays = {}
    for part, (images_name, labels_name) in IDX.items():
        if images := _idx_file(source, images_name):
            labels = _idx_file(source, labels_name)
            arrays[part] = read_idx(images), None if labels is None else read_idx(labels)
    return arrays


def _idx_file(folder: Path, name: str) -> Path | None:
    found = sorted(p for p in folder.iterdir() if p.name.startswith(name) and "idx" in p.name)
    return found[0] if found else None


def read_idx(path: Path) -> np.ndarray:
    """Read an array of bytes, uint8, in MNIST's idx format.

    The format: two zero bytes, the data type's code, the number of dimensions, each dimension as 32 bits, the data.

    Raises:
        UserError: the file can't be read.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            zeros, kind, dims = struct.unpack(">HBB", file.read(4))
            shape = struct.unpack(f">{dims}I", file.read(4 * dims))
            if zeros != 0 or kind != IDX_UNSIGNED_BYTE:
                raise ValueError("its first bytes are not an idx file's of unsigned bytes")
            size = min(math.prod(shape), 2**60)  # bytes; 255 dimensions can declare more than a float can hold
            if size > min(MAX_BYTES, max(PACKED_BYTES, PACKED * path.stat().st_size)):
                raise ValueError(f"it declares {size / 2**30:.4g} GiB")
            content = file.read(size + 1)  # no more than it declares, whatever it unpacks to
            return np.frombuffer(content, np.uint8).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error, zlib.error) as error:
        raise UserError(f"data.images: {path}: not readable as an idx file ({error})") from None
