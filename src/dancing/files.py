"""Atomic writes: a file is written completely or not at all. Standard library only."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
    # With the pid, because two processes may write the same file.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
