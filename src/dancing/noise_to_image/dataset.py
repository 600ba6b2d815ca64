"""The dataset.h5 of image systems: schema, writer and reader.

The schema::

    /               attributes: format, version, height, width, channels, fit
    /SPLIT/pictures (N, height, width, channels) uint8, for SPLIT train, val and test
    /SPLIT/labels   (N,) int16, if the source has labels

Nothing here imports OpenCV or Pillow: a machine that only trains need not have them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from dancing.files import atomic_write, ensure_space
from dancing.h5 import SPLITS, DatasetError, Split, open_h5, whole_number

FORMAT, VERSION = "dancing-images", 1
CHUNK = 2**16  # bytes that are read at once: a few small images, or one large one
BUFFERED = 64  # images that are gathered before they are written


class LabelledImage(Protocol):
    """An image as `write_images` takes it, such as `sources.SourceImage`."""

    @property
    def split(self) -> Split:
        """The part that it belongs to."""
        ...

    @property
    def pixels(self) -> np.ndarray:
        """(height, width, channels) uint8."""
        ...

    @property
    def label(self) -> int | None:
        """Its class; None if the source has no labels."""
        ...


def write_images(path: Path, attributes: Mapping[str, int | str], images: Iterable[LabelledImage]) -> None:
    """Write the file atomically. The same input gives the same bytes.

    Args:
        path: of the file; missing folders are made.
        attributes: "height", "width", "channels" and "fit".
        images: of all parts, in any order; only a few are in memory at a time.

    Raises:
        DatasetError: a part has no image, or only some of its images have labels.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, **attributes})
        size = tuple(int(attributes[key]) for key in ("height", "width", "channels"))
        parts = {split: _Part(file, split, size) for split in SPLITS}
        for image in images:
            parts[image.split].add(image.pixels, image.label)
        for split, part in parts.items():
            if not part.finish():
                raise DatasetError(f"{path}: no picture in the {split} part; give more, or raise data.{split}")


class _Part:
    """A part of the file that images are appended to."""

    def __init__(self, file: h5py.File, split: Split, size: tuple[int, ...]) -> None:
        self.split, self.group = split, file.create_group(split)
        rows = max(1, CHUNK // int(np.prod(size)))
        self.images = self.group.create_dataset(
            "pictures", (0, *size), np.uint8, maxshape=(None, *size), chunks=(rows, *size)
        )
        self.pixels, self.labels = list[np.ndarray](), list[int]()
        self.labelled: bool | None = None

    def add(self, pixels: np.ndarray, label: int | None) -> None:
        if self.labelled not in (None, label is not None):
            raise DatasetError(f"{self.split}: some pictures have labels and some have none")
        self.labelled = label is not None
        self.pixels.append(pixels)
        if label is not None:
            self.labels.append(label)
        if len(self.pixels) == BUFFERED:
            self._flush()

    def _flush(self) -> None:
        if self.pixels:
            ensure_space(Path(self.group.file.filename).parent, sum(image.nbytes for image in self.pixels))
            count = len(self.images)
            self.images.resize(count + len(self.pixels), axis=0)
            self.images[count:] = np.stack(self.pixels)
            self.pixels.clear()

    def finish(self) -> int:
        """Write what is left, and return the number of images."""
        self._flush()
        if self.labelled:
            self.group.create_dataset("labels", data=np.array(self.labels, dtype=np.int16))
        return len(self.images)


@dataclass(frozen=True)
class ImageDataset:
    """An open dataset.h5, a context manager. Labels are in memory; images are read on request.

    Attributes:
        path: of the file.
        height: of the images, px.
        width: of the images, px.
        channels: 1 for grey, 3 for RGB.
        labels: of each part, (N,) int16; empty if the source has no labels.
    """

    path: Path
    height: int
    width: int
    channels: int
    labels: dict[Split, np.ndarray]
    _file: h5py.File = field(repr=False)

    def count(self, split: Split) -> int:
        """Return N, the number of images of a part."""
        return len(self.stored(split))

    def summary(self) -> dict[str, Any]:
        """The number of images of each part, and their size."""
        size = {"height": self.height, "width": self.width, "channels": self.channels}
        return {"images": {split: self.count(split) for split in SPLITS}, **size}

    def stored(self, split: Split) -> h5py.Dataset:
        """Return the images of a part, (N, height, width, channels) uint8, which are read from the file when sliced."""
        return self._file[split]["pictures"]

    def evenly_spaced(self, split: Split, count: int) -> np.ndarray:
        """Return at most `count` images, evenly spaced over a part: the same ones in every call.

        Shape (n, height, width, channels), uint8.
        """
        total = self.count(split)
        rows = np.linspace(0, total - 1, min(count, total)).astype(int)
        return np.stack([self.stored(split)[int(row)] for row in rows])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> "ImageDataset":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_images(path: Path) -> ImageDataset:
    """Open and check a file.

    Raises:
        DatasetError: there is no such file, or it is broken; the message says what is wrong and where.
    """

    def read(file: h5py.File) -> ImageDataset:
        limits = {"height": 2**16, "width": 2**16, "channels": 3}
        size = {key: whole_number(file.attrs, key, most) for key, most in limits.items()}
        labels: dict[Split, np.ndarray] = {}
        for split in SPLITS:
            group = file[split]
            stored = group["pictures"]
            if stored.shape[1:] != tuple(size.values()) or stored.dtype != np.uint8 or not len(stored):
                expected = ("N", *size.values())
                raise DatasetError(f"{split} has {stored.dtype} of {stored.shape}, expected uint8 of {expected}")
            if "labels" in group:
                labels[split] = group["labels"][:]
                if labels[split].shape != stored.shape[:1] or labels[split].dtype.kind not in "iu":
                    raise DatasetError(f"{path}: {split} mixes lengths; run build_hdf5 again")
        return ImageDataset(path, **size, labels=labels, _file=file)

    return open_h5(path, FORMAT, VERSION, read)
