"""Make the pieces of dataset.h5 from feature files and clips: split them, and read the frames of each row."""

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dancing.clips.dataset import Picture, Pictures, Piece
from dancing.clips.extraction import ClipFeatures
from dancing.clips.song_groups import song_groups
from dancing.errors import UserError
from dancing.files import write_text
from dancing.h5 import Split
from dancing.media.framing import Framing
from dancing.media.video import read_frames
from dancing.params import Data

#: With at least this many songs, `data.split: auto` holds out whole clips.
CLIPS_TO_SPLIT = 5
#: Seconds dropped between two parts of one clip, so that neighbouring frames don't leak; at most 5 % of the segment.
GUARD = 0.5


def subject_of(file: str) -> str:
    """Name of the dancer in a clip.

    Args:
        file: path of the clip relative to data.clips, with "/".

    Returns:
        The name of the first folder in the path, or "" if there is none.
    """
    folder, _, rest = file.partition("/")
    return folder if rest else ""


def split_clips(songs: Sequence[Sequence[str]], data: Data) -> dict[str, Split] | None:
    """Assign whole clips to train, val and test. Clips of one song stay together, so that held-out songs are new.

    Args:
        songs: names of the clips of each song.
        data: split, val, test and seed are used.

    Returns:
        The part of each clip, or None if every clip is to be split in time (see `split_time`).
    """
    if data.split == "time" or (data.split == "auto" and len(songs) < CLIPS_TO_SPLIT) or len(songs) < 3:
        return None
    order = sorted(map(tuple, songs))
    random.Random(data.seed).shuffle(order)
    test = min(max(1, round(data.test * len(order))), len(order) - 2)  # leaves one for each of the other parts
    val = min(max(1, round(data.val * len(order))), len(order) - test - 1)
    return {
        name: "test" if i < test else "val" if i < test + val else "train"
        for i, names in enumerate(order)
        for name in names
    }


def split_time(start: int, stop: int, data: Data, fps: int) -> list[tuple[Split, int, int]]:
    """Split the rows start..stop of a clip in time: training part, guard, validation part, guard, test part.

    Args:
        start: first row.
        stop: row after the last.
        data: the shares val and test are used.
        fps: rows a second.

    Returns:
        Part, first row and row after the last; parts of fewer than two rows are left out.
    """
    total = stop - start
    guard = min(round(GUARD * fps), total // 20)
    test = start + total - round(data.test * total)
    val = test - round(data.val * total)
    parts: list[tuple[Split, int, int]] = [
        ("train", start, val - guard), ("val", val, test - guard), ("test", test, stop)
    ]  # fmt: skip
    return [(split, first, last) for split, first, last in parts if last - first > 1]


def pieces(features: Path, data: Data, fps: int) -> Iterator[tuple[Piece, Pictures | None]]:
    """Yield the pieces of all clips with their pictures. Each clip is decoded once.

    Args:
        features: the folder that the stage extract_features wrote.
        data: where the clips are, the size of the frames and the split.
        fps: rows a second.

    Yields:
        A piece of T rows, and its T pictures, which must be consumed before the next piece. They are None for songs
        with landmark files.

    Raises:
        UserError: report.json is missing, or a clip cannot be read.
    """
    used = [entry for entry in read_report(features) if entry["used"]]
    held_out = split_folder(features, used, data, fps)
    for entry in used:
        name, source, whole_clips = entry["clip"], entry["file"], held_out[_group(entry)]
        clip = ClipFeatures.load(features / f"{name}.npz")
        framing = Framing(clip.width, clip.height, data.width, data.height, data.fit)
        cuts: list[tuple[Split, int, int]] = []
        for start, stop in clip.pose.segments:
            cuts += [(whole_clips[name], start, stop)] if whole_clips else split_time(start, stop, data, fps)
        frames = read_frames(Path(data.clips) / source, fps) if entry["has_frames"] else None
        position = 0
        for number, (split, start, stop) in enumerate(cuts):
            piece = _piece(clip, name if len(cuts) == 1 else f"{name}.{number}", entry, split, start, stop, framing)
            if frames is None:
                yield piece, None
                continue
            rest = islice(frames, start - position, None)
            position = stop
            masks = _masks(clip, features / f"{name}.npz", start, stop)
            yield piece, map(Picture, map(framing.picture, islice(rest, stop - start)), map(framing.mask, masks))


def _masks(clip: ClipFeatures, file: Path, start: int, stop: int) -> Iterator[np.ndarray]:
    try:
        yield from clip.pose.masks.between(start, stop)
    except ValueError as error:
        raise UserError(f"{file}: {error}; delete it and run extract_features again") from None


def split_folder(
    features: Path, used: Sequence[dict[str, Any]], data: Data, fps: int
) -> dict[tuple[str, bool], dict[str, Split] | None]:
    """Split the clips of each group, as `split_clips` does, and print which clips are of the same song.

    The videos of each subject are split separately, and so are its songs with landmarks. Thus every subject that the
    GAN can be trained on is in every part.
    """
    groups: defaultdict[tuple[str, bool], dict[str, np.ndarray]] = defaultdict(dict)
    for entry in sorted(used, key=lambda entry: entry["clip"]):
        groups[_group(entry)][entry["clip"]] = ClipFeatures.load(features / f"{entry['clip']}.npz").audio.chroma
    held_out = {}
    for group, chromas in groups.items():
        songs = song_groups(chromas, fps)
        held_out[group] = split_clips(songs, data)
        for names in songs:
            if len(names) > 1:
                how = "all in one part" if held_out[group] else "split in time, the test part's song is in training"
                print(f"the same song in {', '.join(names)}: {how}")
    return held_out


def _group(entry: dict[str, Any]) -> tuple[str, bool]:
    """The clips with the same subject and kind (video or not), which are split together."""
    return subject_of(entry["file"]), entry["has_frames"]


def write_report(features: Path, reports: list[dict[str, Any]]) -> None:
    """Write report.json into the folder of feature files.

    Args:
        features: the folder that `extraction.extract_folder` wrote the feature files to.
        reports: what it returned.
    """
    write_text(features / "report.json", json.dumps(reports, indent=2) + "\n")


def read_report(features: Path) -> list[dict[str, Any]]:
    """Read what `write_report` wrote.

    Raises:
        UserError: report.json is missing or broken.
    """
    try:
        return json.loads((features / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{features}/report.json: no such file; the stage extract_features makes it") from None
    except ValueError:
        raise UserError(f"{features}/report.json: broken; run extract_features again") from None


def _piece(
    clip: ClipFeatures, name: str, entry: dict[str, Any], split: Split, start: int, stop: int, framing: Framing
) -> Piece:
    """The rows start..stop of a clip, with times relative to their start and landmarks in the frame of the dataset."""
    rows, sound = slice(start, stop), clip.audio
    beats = sound.beats - start / clip.fps
    return Piece(
        name=name,
        split=split,
        clip=entry["file"],
        subject=subject_of(entry["file"]),
        start=start / clip.fps,
        tempo=sound.tempo,
        beats=beats[(beats >= 0) & (beats < (stop - start) / clip.fps)],
        sequences={
            "audio_mfcc_sequences": sound.mfcc[rows],
            "onset_strength": sound.onset_strength[rows],
            "chroma": sound.chroma[rows],
            "beat_phase": sound.beat_phase[rows],
            "bar_phase": sound.bar_phase[rows],
            "metre": sound.metre[rows],
            "beat_nearness": sound.beat_nearness[rows],
        },
        landmarks=framing.landmarks(clip.pose.landmarks[rows]),
        visibility=clip.pose.visibility[rows],
        notes=tuple(entry["notes"]),
    )
