"""dataset.h5 of the systems that draw pictures from numbers alone. Schema, writer, reader. ::

    /               attributes: format, version, height, width, channels, fit
    /SPLIT/pictures (N, height, width, channels) uint8, for SPLIT train, val and test
    /SPLIT/labels   (N,) int16, where the source has any

As with a dance's file: no OpenCV or Pillow here, a bare training machine reads it.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from dancing.files import written_whole
from dancing.h5 import SPLITS, DatasetError, Split, open_checked

FORMAT, VERSION = "dancing-images", 1
CHUNK = 2**16  # bytes: a few pictures are read at once, or one large one
BUFFERED = 64  # pictures gathered before they are written


class LabelledPicture(Protocol):
    """What `write_images` takes, as `images.Picture`."""

    @property
    def split(self) -> Split: ...
    @property
    def pixels(self) -> np.ndarray: ...
    @property
    def label(self) -> int | None: ...


def write_images(path: Path, attributes: dict[str, Any], pictures: Iterable[LabelledPicture]) -> None:
    """Write the file whole or not at all, a few pictures in memory at a time; the same input gives the same bytes.

    `attributes` are height, width, channels and fit. Raises DatasetError where a part would be empty, or only some
    pictures have labels.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial, h5py.File(partial, "w", libver="latest") as file:
        file.attrs.update({"format": FORMAT, "version": VERSION, **attributes})
        size = tuple(int(attributes[key]) for key in ("height", "width", "channels"))
        parts = {split: _Part(file, split, size) for split in SPLITS}
        for picture in pictures:
            parts[picture.split].add(picture.pixels, picture.label)
        for split, part in parts.items():
            if not part.finish():
                raise DatasetError(f"{path}: no picture in the {split} part; give more, or raise data.{split}")


class _Part:
    """A split that grows."""

    def __init__(self, file: h5py.File, split: Split, size: tuple[int, ...]) -> None:
        self.split, self.group = split, file.create_group(split)
        rows, growing = max(1, CHUNK // int(np.prod(size))), (None, *size)
        self.pictures = self.group.create_dataset(
            "pictures", (0, *size), np.uint8, maxshape=growing, chunks=(rows, *size)
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
            count = len(self.pictures)
            self.pictures.resize(count + len(self.pixels), axis=0)
            self.pictures[count:] = np.stack(self.pixels)
            self.pixels.clear()

    def finish(self) -> int:
        """Number of pictures."""
        self._flush()
        if self.labelled:
            self.group.create_dataset("labels", data=np.array(self.labels, dtype=np.int16))
        return len(self.pictures)


@dataclass(frozen=True)
class ImageDataset:
    """An open file. Labels are in memory; pictures are read when asked for."""

    path: Path
    height: int
    width: int
    channels: int
    labels: dict[Split, np.ndarray]  # (N,); none of it where the source had none
    _file: h5py.File = field(repr=False)

    def count(self, split: Split) -> int:
        return len(self._file[split]["pictures"])

    def stored(self, split: Split) -> Any:
        """What is sliced like an array (N, height, width, channels) uint8 and read from the file."""
        return self._file[split]["pictures"]

    def evenly_spaced(self, split: Split, count: int) -> np.ndarray:
        """At most `count` pictures of a split, evenly spaced, (n, height, width, channels) uint8: always the same."""
        total = self.count(split)
        rows = np.linspace(0, total - 1, min(count, total)).astype(int)
        return np.stack([self.stored(split)[int(row)] for row in rows])

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "ImageDataset":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_images(path: Path) -> ImageDataset:
    """Open and check a file. Raises DatasetError naming what is wrong and where."""

    def read(file: h5py.File) -> ImageDataset:
        size = {key: int(file.attrs[key]) for key in ("height", "width", "channels")}
        labels: dict[Split, np.ndarray] = {}
        for split in SPLITS:
            group = file[split]
            if group["pictures"].shape[1:] != tuple(size.values()):
                raise DatasetError(f"{path}: {split} has pictures of another size; run build_hdf5 again")
            if "labels" in group:
                labels[split] = group["labels"][:]
                if len(labels[split]) != len(group["pictures"]):
                    raise DatasetError(f"{path}: {split} mixes lengths; run build_hdf5 again")
        return ImageDataset(path, **size, labels=labels, _file=file)

    return open_checked(path, FORMAT, VERSION, read)
