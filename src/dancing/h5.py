"""Shared by all HDF5 datasets of this project: the names of the parts, and opening a file with checks."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import h5py

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
        return read(file)
    except KeyError as error:
        file.close()
        raise DatasetError(f"{path}: incomplete ({error.args[0]}); run build_hdf5 again") from None
    except DatasetError:
        file.close()
        raise
