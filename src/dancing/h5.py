"""What all HDF5 files of ours share: the parts of a split, and opening a file that may be broken."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import h5py

from dancing.errors import UserError

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")


class DatasetError(UserError):
    """The file is missing, is not ours, or breaks the schema; the message names file and group."""


Contents = TypeVar("Contents")


def open_checked(path: Path, form: str, version: int, read: Callable[[h5py.File], Contents]) -> Contents:
    """Open a file of this form and version for `read`, which keeps it open in what it returns.

    Raises:
        DatasetError: the message names what is wrong and where, also for a key that `read` misses; the file is closed
            then.
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
