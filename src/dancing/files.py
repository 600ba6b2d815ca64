"""Files that are there whole or not at all. Standard library only: the training side uses this."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: str | os.PathLike) -> Iterator[Path]:
    """Gives a hidden file's path beside `path` to write to; it takes its name when the block ends without an exception.

    Otherwise it is removed, and what was at `path` before is still there. The folder must exist.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")  # the process: two may write the same file
    try:
        yield partial
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
