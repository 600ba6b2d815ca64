"""Read .npz files of unknown origin: no pickles, and no more memory than they may take."""

import math
import os
import zipfile
from collections.abc import Sequence

import numpy as np
from numpy.lib import format as npy

#: Arrays may take this many bytes whatever the size of the file, and this many times the size of the file: real data
#: pack no better, and what a bomb unpacks to is a thousand times as large.
_SMALL, _PACKED = 2**28, 20
_ENDLESS = 2**60  # bytes, which are written as a float in messages: shapes can declare more than a float can hold


def read_npz(path: str | os.PathLike, keys: Sequence[str], limit: int, widened: int = 1) -> dict[str, np.ndarray]:
    """Read arrays of an .npz file.

    A few megabytes can unpack to any size, so the size is taken from each array's header before the array is read.

    Args:
        path: the file.
        keys: names of the arrays; those that are not in the file are left out.
        limit: most bytes that all of them may take.
        widened: bytes that a value takes at least in the caller's memory, counted towards `limit`.

    Raises:
        ValueError: the file is missing or is no .npz file of plain arrays, or its arrays are larger than `limit`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            inside = [key for key in keys if f"{key}.npy" in archive.namelist()]
            declared = [_declared(archive, f"{key}.npy") for key in inside]
        size = min(sum(values * itemsize for values, itemsize in declared), _ENDLESS)
        if sum(values * max(itemsize, widened) for values, itemsize in declared) > limit:
            raise ValueError(f"its arrays take {size / 2**30:.1f} GiB, at most {limit / 2**30:.1f} are allowed")
        if size > max(_SMALL, _PACKED * os.path.getsize(path)):
            raise ValueError(
                f"its arrays take {size / 2**30:.1f} GiB, {size // os.path.getsize(path)} times as much as the file: "
                "save them without compression if that is right"
            )
        with np.load(path, allow_pickle=False) as file:  # a pickle could run any code
            return {key: file[key] for key in inside}
    except ValueError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds for broken files
        raise ValueError(f"not an .npz file of plain arrays ({type(error).__name__}: {error})") from None


def _declared(archive: zipfile.ZipFile, name: str) -> tuple[int, int]:
    """Number of values and bytes a value."""
    with archive.open(name) as member:
        version = npy.read_magic(member)  # type: ignore[no-untyped-call]
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = reader(member)  # type: ignore[no-untyped-call]
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which are not read")
    if min(shape, default=0) < 0:
        raise ValueError(f"{name} has the shape {shape}")
    return math.prod(shape), dtype.itemsize
