"""Pictures in, one at a time: folders of files (videos' frames too), or arrays such as MNIST's.

A source is a folder, searched through; a video; an .npz with x_train (N, H, W) or (N, H, W, 3) uint8, and y_train,
x_test, y_test where there are any; or a folder with MNIST's idx files, gzipped or not. A file that can't serve is
reported, with the reason, and the others go on.
"""

import gzip
import random
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import joblib
import numpy as np
from PIL import Image, ImageOps

from dancing.errors import UserError
from dancing.h5 import Split
from dancing.media.framing import Framing
from dancing.media.video import VIDEO_SUFFIXES, MediaError, probe, read_frames
from dancing.params import ImageData

#: A picture that would have to be made larger than this many times is left out: it would be a blur.
ENLARGED = 4
#: Time left out between two parts of a video, s, so that neighbouring frames don't leak.
GUARD = 1.0
BATCH = 256  # files read at once, by all cores: no more are in memory
#: MNIST's names for pictures and labels of its two parts; some copies have a dot for the second dash.
IDX = {"train": ("train-images", "train-labels"), "test": ("t10k-images", "t10k-labels")}


class PictureError(UserError):
    """A file that can't be read as a picture; the message says why, not which."""


@dataclass(frozen=True)
class Picture:
    split: Split
    pixels: np.ndarray  # (height, width, channels) uint8
    label: int | None


@dataclass
class Report:
    """What was done with a source's files."""

    used: int = 0
    skipped: dict[str, str] = field(default_factory=dict)  # file, relative to the source -> why

    def summary(self, shown: int = 10) -> str:
        """A line for people, the first few skipped files named."""
        lines = [f"{self.used} pictures, {len(self.skipped)} files skipped"]
        lines += [f"  skipped {name}: {reason}" for name, reason in list(self.skipped.items())[:shown]]
        more = len(self.skipped) - shown
        return "\n".join([*lines, f"  and {more} more: all are in the report"] if more > 0 else lines)


def read_images(source: Path, data: ImageData, report: Report) -> Iterator[Picture]:
    """All pictures of a source as section data wants them. `report` is filled on the way.

    Raises UserError where there is no such source, or it is none of the kinds above.
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


def read_picture(path: Path) -> np.ndarray:
    """A picture of any format that Pillow or OpenCV reads, (H, W, 3) uint8 RGB.

    Turned as its EXIF data say, grey spread over three colours, 16 bits scaled to 8, what is transparent over black.
    Raises PictureError.
    """
    try:
        with Image.open(path) as file:
            return _rgb(ImageOps.exif_transpose(file))
    except (OSError, ValueError, SyntaxError, struct.error, Image.DecompressionBombError) as error:
        pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if pixels is None:
            reason = str(error).replace(str(path), "it") or type(error).__name__
            raise PictureError(f"not readable as a picture ({reason})") from None
        return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def _rgb(image: Image.Image) -> np.ndarray:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would clip
        grey = (np.asarray(image).clip(0, 65535) / 257).round().astype(np.uint8)
        return np.repeat(grey[..., None], 3, axis=-1)
    if image.mode == "F":
        raise ValueError("floating-point pixels")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def framed(pixels: np.ndarray, data: ImageData) -> np.ndarray:
    """(H, W, 3) uint8 -> (data.height, data.width, data.channels) uint8. Raises PictureError for one too small."""
    height, width = pixels.shape[:2]
    framing = Framing(width, height, data.width, data.height, data.fit)
    if framing.scale > ENLARGED:
        raise PictureError(f"{width} x {height} px are too few for {data.width} x {data.height}")
    scaled = framing.picture(np.ascontiguousarray(pixels))
    return scaled if data.channels == 3 else cv2.cvtColor(scaled, cv2.COLOR_RGB2GRAY)[..., None]


def shuffled_splits(count: int, val: float, test: float, seed: int) -> list[Split]:
    """A part for each of so many pictures, which are no neighbours of one another: exact shares, at random."""
    held, tried = round(count * val), round(count * test)
    shares: dict[Split, int] = {"val": held, "test": tried, "train": count - held - tried}
    parts = [split for split, share in shares.items() for _ in range(share)]
    random.Random(seed).shuffle(parts)
    return parts


# ------------------------------------------------------------------------------------------------------------- files


def _from_files(source: Path, data: ImageData, report: Report) -> Iterator[Picture]:
    inside = sorted(p for p in source.rglob("*") if p.is_file()) if source.is_dir() else [source]
    root = source if source.is_dir() else source.parent
    shown = [p for p in inside if not any(part.startswith(".") for part in p.relative_to(root).parts)]
    videos = [p for p in shown if p.suffix.lower() in VIDEO_SUFFIXES]
    files = [p for p in shown if p.suffix.lower() not in VIDEO_SUFFIXES]
    splits = shuffled_splits(len(files), data.val, data.test, data.seed)
    with joblib.Parallel(n_jobs=-1, prefer="threads") as parallel:
        for first in range(0, len(files), BATCH):
            some = files[first : first + BATCH]
            read = parallel(joblib.delayed(_tried)(path, data) for path in some)
            for path, split, pixels in zip(some, splits[first:], read, strict=False):
                if isinstance(pixels, PictureError):
                    report.skipped[str(path.relative_to(root))] = str(pixels)
                else:
                    report.used += 1
                    yield Picture(split, pixels, None)
    for path in videos:
        try:
            for picture in _from_video(path, data):
                report.used += 1
                yield picture
        except (MediaError, PictureError) as error:
            report.skipped[str(path.relative_to(root))] = str(error)


def _tried(path: Path, data: ImageData) -> np.ndarray | PictureError:
    try:
        return framed(read_picture(path), data)
    except PictureError as error:
        return error


def _from_video(path: Path, data: ImageData) -> Iterator[Picture]:
    """Its frames, data.fps a second; the parts lie one after another, since neighbours are alike."""
    seconds = probe(path).duration
    first_val, first_test = seconds * (1 - data.val - data.test), seconds * (1 - data.test)
    for k, pixels in enumerate(read_frames(path, data.fps)):
        time = k / data.fps
        split: Split = "train" if time < first_val else "val" if time < first_test else "test"
        begins = {"train": 0.0, "val": first_val, "test": first_test}[split]
        if split == "train" or time - begins >= min(GUARD, seconds / 20):
            yield Picture(split, framed(pixels, data), None)


# ------------------------------------------------------------------------------------------------------------ arrays

#: Part -> pictures (N, H, W) or (N, H, W, 3) uint8, and labels (N,) where there are any.
_Arrays = dict[str, tuple[np.ndarray, np.ndarray | None]]


def _from_arrays(arrays: _Arrays, source: Path, data: ImageData, report: Report) -> Iterator[Picture]:
    for part, (pictures, labels) in arrays.items():
        if pictures.ndim not in (3, 4) or pictures.dtype != np.uint8 or pictures.shape[3:] not in ((), (1,), (3,)):
            raise UserError(
                f"data.images: {source}: the {part} part has {pictures.dtype} of shape {pictures.shape}; expected "
                "uint8 of (N, height, width) or (N, height, width, 3)"
            )
        if labels is not None and (labels.shape != pictures.shape[:1] or labels.dtype.kind not in "iu"):
            raise UserError(
                f"data.images: {source}: the {part} part has {len(pictures)} pictures beside labels {labels.dtype} of "
                f"shape {labels.shape}; expected a whole number each"
            )
        if part == "test":
            splits: Sequence[Split] = ["test"] * len(pictures)
        else:
            splits = shuffled_splits(len(pictures), data.val, 0.0 if "test" in arrays else data.test, data.seed)
        for i, split in enumerate(splits):
            pixels = np.broadcast_to(pictures[i].reshape(*pictures.shape[1:3], -1), (*pictures.shape[1:3], 3))
            report.used += 1
            yield Picture(split, framed(pixels, data), None if labels is None else int(labels[i]))


def _npz(source: Path) -> _Arrays:
    try:
        with np.load(source) as file:
            if "x_train" not in file:
                raise UserError(f"data.images: {source}: expected x_train in it, found {', '.join(file) or 'nothing'}")
            return {
                part: (file[f"x_{part}"], file.get(f"y_{part}")) for part in ("train", "test") if f"x_{part}" in file
            }
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"data.images: {source}: not readable as .npz ({error})") from None


def _idx(source: Path) -> _Arrays:
    arrays: _Arrays = {}
    for part, (pictures, labels) in IDX.items():
        if path := _idx_file(source, pictures):
            beside = _idx_file(source, labels)
            arrays[part] = read_idx(path), None if beside is None else read_idx(beside)
    return arrays


def _idx_file(folder: Path, name: str) -> Path | None:
    found = sorted(p for p in folder.iterdir() if p.name.startswith(name) and "idx" in p.name)
    return found[0] if found else None


def read_idx(path: Path) -> np.ndarray:
    """An array of bytes in MNIST's own format: two zeros, 8, the number of dimensions, each as 32 bits, then the bytes.

    Raises UserError.
    """
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        zeros, kind, dims = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dims}I", content, 4)
        if zeros != 0 or kind != 8:
            raise ValueError("its first bytes are not an idx file's of unsigned bytes")
        return np.frombuffer(content, np.uint8, offset=4 + 4 * dims).reshape(shape)
    except (OSError, EOFError, ValueError, struct.error) as error:
        raise UserError(f"data.images: {path}: not readable as an idx file ({error})") from None
