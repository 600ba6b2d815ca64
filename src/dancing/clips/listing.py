"""Find the clips in a folder, and give each a name that is safe for files and HDF5 groups."""

from __future__ import annotations

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dancing.files import find_files, printable
from dancing.media.container import AUDIO_SUFFIXES, VIDEO_SUFFIXES

LANDMARK_SUFFIX = ".npz"
_LONGEST_NAME = 100  # bytes; a longer name is shortened, because files and groups add to it
#: Names that would collide with a group of dataset.h5, or with a piece of another clip (NAME.0, NAME.1 and so on).
_RESERVED = re.compile(r"normalisation|.*\.\d+")
_UNSAFE = re.compile(r"[^\w .()&+,=@'\[\]{}-]")


@dataclass(frozen=True)
class Listing:
    """What is in a folder of clips.

    Attributes:
        clips: path of each clip by its name, sorted.
        refused: path, relative to the folder -> why the file can't be used, sorted.
    """

    clips: dict[str, Path]
    refused: dict[str, str]


def list_clips(folder: str | os.PathLike) -> Listing:
    """List the clips in a folder and its subfolders, links included: videos, and songs with landmark files.

    A song without landmarks is a clip too, and so are landmarks without a song, so that the extraction can report what
    is missing. A song or landmark file with the same path as a video, apart from the suffix, belongs to the video. All
    other files are refused with the reason, except hidden ones.

    The name of a clip is its path relative to the folder without the suffix and with "__" for "/". Where that is not
    unique, the suffix is kept. Where it is not safe as the name of a file or a group, it gets a digest of the path.
    """
    folder = Path(folder)
    known = (*VIDEO_SUFFIXES, *AUDIO_SUFFIXES, LANDMARK_SUFFIX)
    files, refused = find_files(folder)
    unknown = f"not a kind of file that is used here ({', '.join(VIDEO_SUFFIXES)})"
    for path in files:
        if path.suffix.lower() not in known:
            refused[printable(path.relative_to(folder))] = unknown
    paths: list[Path] = []
    for suffixes in (VIDEO_SUFFIXES, AUDIO_SUFFIXES, (LANDMARK_SUFFIX,)):
        taken = {path.with_suffix("") for path in paths}
        paths += [path for path in files if path.suffix.lower() in suffixes and path.with_suffix("") not in taken]
    songs = Counter(path.with_suffix("") for path in paths if path.suffix.lower() in AUDIO_SUFFIXES)
    for path in list(paths):
        if songs[path.with_suffix("")] > 1 and path.with_suffix(LANDMARK_SUFFIX).is_file():
            refused[printable(path.relative_to(folder))] = "several songs of this name stand beside its landmarks"
            paths.remove(path)
    inside = [path.relative_to(folder) for path in paths]
    clips = dict(zip(_names(inside), paths, strict=True))
    return Listing(dict(sorted(clips.items())), dict(sorted(refused.items())))


def _names(files: list[Path]) -> Iterator[str]:
    """A name for each path, relative to the folder: without the suffix, else with it, else with a digest."""
    choices = [["__".join(path.parts) for path in (file.with_suffix(""), file)] for file in files]
    used = Counter(choice for pair in choices for choice in pair)
    for file, pair in zip(files, choices, strict=True):
        free = [choice for choice in pair if used[choice] == 1 and _safe(choice)]
        start = _UNSAFE.sub("_", pair[0]).replace(".", "_").encode()[:_LONGEST_NAME].decode(errors="ignore")
        yield free[0] if free else f"{start}-{hashlib.sha256(os.fsencode(file)).hexdigest()[:8]}"


def _safe(name: str) -> bool:
    return not (_UNSAFE.search(name) or _RESERVED.fullmatch(name) or len(name.encode()) > _LONGEST_NAME)
