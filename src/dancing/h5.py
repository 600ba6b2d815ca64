"""Shared by all HDF5 datasets of this project: the names of the parts, and opening a file with checks."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, TypeVar

import h5py
import numpy as np

from dancing.errors import UserError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class DatasetError(UserError):
    """A dataset is missing, has another format, or violates the schema; the message names the file and group."""


Contents = TypeVar("Contents")


def open_h5(path: Path, form: str, version: int, read: Callable[[h5py.File], Contents]) -> Contents:
    """Open an HDF5 file, check its format and version, and read it.

    Args:
        path: the file.
        form: expected value of the attribute "format".
        version: expected value of the attribute "version".
        read: function from the open file to its contents, which own the file and have to close it.

    Returns:
        What `read` returned.

    Raises:
        DatasetError: the file is missing or broken, has another format or version, or lacks a key that `read` needs. If
            `read` fails with this error or a missing key, the file is closed.
    """
    try:
        file = h5py.File(path, "r")
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file; the stage build_hdf5 makes it") from None
    except OSError as error:
        raise DatasetError(f"{path}: not readable as HDF5 ({error}); delete it and run build_hdf5 again") from None
    try:
        if file.attrs.get("format") != form or file.attrs.get("version") != version:
            raise DatasetError(f"{path}: not a {form} file of version {version}; run build_hdf5 again")
        file_size, root = path.stat().st_size, h5py.h5o.get_info(file.id).addr
        if _check_storage(file, {root}, file_size) > file_size:
            raise DatasetError("more is declared than the file holds")
        return read(file)
    except KeyError as error:
        file.close()
        raise DatasetError(f"{path}: incomplete ({error.args[0]}); run build_hdf5 again") from None
    except DatasetError as error:
        file.close()
        named = str(error).startswith(str(path))
        raise error if named else DatasetError(f"{path}: {error}; run build_hdf5 again") from None
    except (TypeError, ValueError, AttributeError, IndexError, OSError, OverflowError, RuntimeError) as error:
        file.close()  # whatever is wrong in a file that somebody else wrote
        raise DatasetError(f"{path}: broken, or of another make ({error}); run build_hdf5 again") from None


def whole_number(attributes: h5py.AttributeManager, key: str, most: int) -> int:
    """Return an attribute.

    Raises:
        DatasetError: it is no whole number from 1 to `most`.
    """
    value = attributes[key]
    if not isinstance(value, np.integer) or not 1 <= value <= most:
        raise DatasetError(f"{key} is {value}, expected a whole number from 1 to {most}")
    return int(value)


def _check_storage(group: h5py.Group, seen: set[int], file_size: int) -> int:
    """Check that everything lies in the file itself, once and as it is, and that nothing is declared larger than it is.

    A file of unknown origin could otherwise have any file of the machine read, or fill the memory.

    Returns:
        Bytes that all data sets of the group take.

    Raises:
        DatasetError: a link, external or virtual storage, an object with two names, or a data set that is packed or
            lacks data.
    """
    size = 0
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DatasetError(f"{name} is a link, which is not followed")
        item = group[name]
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:  # a circle, or one data set that fills the memory many times
            raise DatasetError(f"{item.name} is in the file under two names")
        seen.add(address)
        if isinstance(item, h5py.Group):
            size += _check_storage(item, seen, file_size)
            continue
        if not isinstance(item, h5py.Dataset):
            raise DatasetError(f"{name} is neither a group nor a data set")
        if item.external or item.is_virtual:
            raise DatasetError(f"{name} is stored in other files, which are not read")
        if item.id.get_create_plist().get_nfilters():  # it could unpack to any size; build_hdf5 packs nothing
            raise DatasetError(f"{name} is compressed")
        if item.dtype.hasobject or item.nbytes > min(item.id.get_storage_size(), file_size):
            raise DatasetError(f"{name} declares {item.shape} of {item.dtype}, more than the file holds")
        if item.chunks:
            _check_chunks(item, file_size)
        size += item.nbytes
    return size


def _check_chunks(stored: h5py.Dataset, file_size: int) -> None:
    """Raise DatasetError where a chunk is missing, which would be read as zeros, or lies outside the file."""
    inside = 0

    def count(chunk: Any) -> None:
        nonlocal inside
        inside += chunk.byte_offset + chunk.size <= file_size

    stored.id.chunk_iter(count)
    if inside != math.prod(-(-rows // step) for rows, step in zip(stored.shape, stored.chunks, strict=True)):
        raise DatasetError(f"{stored.name} lacks some of its rows")
