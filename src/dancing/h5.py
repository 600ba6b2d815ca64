"""Shared by all HDF5 datasets of this project: the names of the parts, and opening a file with checks."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import h5py

from dancing.errors import UserError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


_BEST_PACKING = 1100  # deflate packs no better


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
        _check_storage(file, set())
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


def _check_storage(group: h5py.Group, above: set[int]) -> None:
    """Check that everything lies in the file itself, and that nothing is declared larger than it is.

    A file of unknown origin could otherwise have any file of the machine read, or fill the memory.

    Raises:
        DatasetError: a link, external or virtual storage, a group in itself, or a data set without its data.
    """
    address = h5py.h5o.get_info(group.id).addr
    if address in above:
        raise DatasetError(f"{group.name} is inside itself")
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise DatasetError(f"{name} is a link, which is not followed")
        item = group[name]
        if isinstance(item, h5py.Group):
            _check_storage(item, above | {address})
            continue
        if not isinstance(item, h5py.Dataset):
            raise DatasetError(f"{name} is neither a group nor a data set")
        if item.external or item.is_virtual:
            raise DatasetError(f"{name} is stored in other files, which are not read")
        packed = _BEST_PACKING if item.id.get_create_plist().get_nfilters() else 1
        if item.dtype.hasobject or item.nbytes > packed * item.id.get_storage_size():
            raise DatasetError(f"{name} declares {item.shape} of {item.dtype}, more than the file holds")
