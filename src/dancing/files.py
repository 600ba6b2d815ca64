"""Files: written completely or not at all, and found in folders of any kind. Standard library only."""

import errno
import glob
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SPARE = 2**24  # bytes that stay free on the disk, so that a file can still be closed
_ATTEMPT = 2**26  # bytes


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
    """Raise OSError if the disk, a quota or a limit has no room for so many bytes and `SPARE` more.

    Some libraries crash where a file can't be written, HDF5 among them.
    """
    if shutil.disk_usage(folder).free < needed + SPARE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), os.fspath(folder))
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with tempfile.TemporaryFile(dir=os.fspath(folder)) as file:
            try:  # Only an attempt shows a quota. No more than a part: some file systems write what they allocate.
                os.posix_fallocate(file.fileno(), 0, min(needed, _ATTEMPT) + SPARE)
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                    raise OSError(error.errno, os.strerror(error.errno), os.fspath(folder)) from None


def _alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except PermissionError:
        return True  # of another user
    except (ValueError, OSError):
        return False
    return True


def find_files(folder: str | os.PathLike) -> tuple[list[Path], dict[str, str]]:
    """Find the files in a folder and its subfolders, links included, except hidden ones.

    A file that is reached in several ways is found once, if possible at its own place: otherwise it could be in the
    training and in the test part.

    Returns:
        The files that may be read, sorted; and why others can't be: path, relative to the folder and `printable` ->
        reason.
    """
    folder = Path(folder)
    beginning = os.path.realpath(folder)
    found: dict[str, Path] = {}  # by the place without links
    refused: dict[str, str] = {}
    places = {path: os.path.realpath(path) for path in _walk(folder, frozenset())}
    at_home = {path: place == os.path.join(beginning, path.relative_to(folder)) for path, place in places.items()}
    for path in sorted(places, key=lambda path: (not at_home[path], path)):
        reason = _fault(path)
        if not reason and places[path] in found:
            reason = f"the same file as {printable(found[places[path]].relative_to(folder))}"
        if reason:
            refused[printable(path.relative_to(folder))] = reason
        else:
            found[places[path]] = path
    return sorted(found.values()), dict(sorted(refused.items()))


def _walk(folder: Path, above: frozenset[str]) -> Iterator[Path]:
    """All entries that are no folders, and folders that can't be read. Links lead into no folder that is above them."""
    real = os.path.realpath(folder)
    if real in above:
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        yield folder
        return
    for entry in entries:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(folder / entry.name, above | {real})
        else:
            yield folder / entry.name


def _fault(path: Path) -> str:
    """Why an entry can't be read, without opening it; "" if it is a file that may be read."""
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8: rename it"
    if path.is_dir():
        return "a folder that can't be read: check its permissions"
    if not path.exists():
        return "a link to nothing"
    if not path.is_file():
        return "no regular file"
    return "" if os.access(path, os.R_OK) else "can't be read: check its permissions"


def printable(path: str | os.PathLike) -> str:
    """A path as text, whatever bytes are in it, without what a terminal would act on."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(letter if letter.isprintable() else repr(letter)[1:-1] for letter in text)
