"""Atomic writes: a file is written completely or not at all. Standard library only."""

import errno
import glob
import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPARE = 2**24  # bytes that stay free on the disk, so that a file can still be closed


@contextmanager
def atomic_write(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file atomically, as a context manager.

    The block writes to a hidden file in the same folder. It is renamed to `path` when the block ends without an
    exception. Otherwise it is removed, and an earlier file at `path` stays as it was.

    Args:
        path: the file to write; its folder must exist.

    Yields:
        The path of the hidden file.
    """
    path = Path(path)
    # With the process, because two may write the same file.
    prefix = f".{path.name}.{platform.node()}-"
    for left in path.parent.glob(f"{glob.escape(prefix)}*.partial"):
        if not _alive(left.name.removeprefix(prefix).removesuffix(".partial")):
            left.unlink(missing_ok=True)  # of a process that was killed
    partial = path.with_name(f"{prefix}{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a text file atomically, in UTF-8.

    Args:
        path: the file to write; missing folders are made.
        text: its content.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        partial.write_text(text, encoding="utf-8")


def ensure_space(folder: str | os.PathLike, needed: int) -> None:
    """Raise OSError (no space left on device) if the disk has no room for so many bytes and `SPARE` more.

    Some libraries crash where the disk is full, HDF5 among them.
    """
    if shutil.disk_usage(folder).free < needed + SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True  # of another user
    except (ValueError, OSError):
        return False
    return True
