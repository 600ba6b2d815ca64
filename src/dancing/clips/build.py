"""From feature files and clips to the pieces of dataset.h5: what is held out, which pictures belong to which rows."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from dancing.clips.dataset import Piece
from dancing.clips.extraction import ClipFeatures
from dancing.errors import UserError
from dancing.h5 import Split
from dancing.media.framing import Framing
from dancing.media.video import read_frames
from dancing.params import Data

#: From this many clips up, `data.split: auto` holds out whole clips.
CLIPS_TO_SPLIT = 5
#: Time left out between two parts of one clip, s, so that neighbouring frames don't leak; at most 5 % of the run.
GUARD = 0.5


def subject_of(file: str) -> str:
    """Who dances in a clip, by its path below data.clips with "/": the first folder's name, "" where it is in none."""
    folder, _, rest = file.partition("/")
    return folder if rest else ""


def split_clips(names: Sequence[str], data: Data) -> dict[str, Split] | None:
    """Which part each clip belongs to, or None where every clip is cut in time."""
    if data.split == "time" or (data.split == "auto" and len(names) < CLIPS_TO_SPLIT) or len(names) < 3:
        return None
    order = sorted(names)
    random.Random(data.seed).shuffle(order)
    test = min(max(1, round(data.test * len(order))), len(order) - 2)  # one is left for each of the other parts
    val = min(max(1, round(data.val * len(order))), len(order) - test - 1)
    return {name: "test" if i < test else "val" if i < test + val else "train" for i, name in enumerate(order)}


def split_time(start: int, stop: int, data: Data, fps: int) -> list[tuple[Split, int, int]]:
    """Cut the rows start..stop into a training part, then validation, then test, with a guard between."""
    total = stop - start
    guard = min(round(GUARD * fps), total // 20)
    test = start + total - round(data.test * total)
    val = test - round(data.val * total)
    parts: list[tuple[Split, int, int]] = [
        ("train", start, val - guard), ("val", val, test - guard), ("test", test, stop)
    ]  # fmt: skip
    return [(split, first, last) for split, first, last in parts if last - first > 1]


def pieces(features: Path, data: Data, fps: int) -> Iterator[tuple[Piece, Iterable[np.ndarray] | None]]:
    """Every piece with its pictures, brought to data.width x data.height, or None. Each clip is decoded once.

    `features` is the folder that extract_features wrote.
    """
    used = [entry for entry in read_report(features) if entry["used"]]
    # Each subject's videos are split as if there were nothing else, and so are its songs with landmarks: whichever
    # subject the GAN learns is in every part.
    groups: defaultdict[tuple[str, bool], list[str]] = defaultdict(list)
    for entry in used:
        groups[_group(entry)].append(entry["clip"])
    held_out = {group: split_clips(names, data) for group, names in groups.items()}
    for entry in used:
        name, source, whole = entry["clip"], entry["file"], held_out[_group(entry)]
        clip = ClipFeatures.load(features / f"{name}.npz")
        framing = Framing(clip.width, clip.height, data.width, data.height, data.fit)
        cuts: list[tuple[Split, int, int]] = []
        for start, stop in clip.pose.segments:
            cuts += [(whole[name], start, stop)] if whole else split_time(start, stop, data, fps)
        pictures = read_frames(Path(data.clips) / source, fps) if entry["has_pictures"] else None
        position = 0
        for number, (split, start, stop) in enumerate(cuts):
            piece = _piece(clip, name if len(cuts) == 1 else f"{name}.{number}", source, split, start, stop, framing)
            if pictures is None:
                yield piece, None
                continue
            rest = islice(pictures, start - position, None)
            position = stop
            yield piece, map(framing.picture, islice(rest, stop - start))


def _group(entry: dict[str, Any]) -> tuple[str, bool]:
    return subject_of(entry["file"]), entry["has_pictures"]


def write_report(features: Path, reports: list[dict[str, Any]]) -> None:
    """Keep what extract_features says of every clip beside the feature files."""
    (features / "report.json").write_text(json.dumps(reports, indent=2) + "\n", encoding="utf-8")


def read_report(features: Path) -> list[dict[str, Any]]:
    """What `write_report` kept. Raises UserError where it is missing."""
    try:
        return json.loads((features / "report.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{features}/report.json: no such file; the stage extract_features makes it") from None


def _piece(
    clip: ClipFeatures, name: str, source: str, split: Split, start: int, stop: int, framing: Framing
) -> Piece:  # fmt: skip
    rows, sound = slice(start, stop), clip.audio
    beats = sound.beats - start / clip.fps
    return Piece(
        name=name,
        split=split,
        clip=source,
        subject=subject_of(source),
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
    )
