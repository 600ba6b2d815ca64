"""From feature files and clips to the pieces of dataset.h5: what is held out, which pictures belong to which rows."""

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from dancing.extraction import ClipFeatures
from dancing.framing import Framing
from dancing.hdf5 import Piece, Split
from dancing.params import Data
from dancing.video import read_frames

#: From this many clips up, `data.split: auto` holds out whole clips.
CLIPS_TO_SPLIT = 5
#: Time left out between two parts of one clip, s, so that neighbouring frames don't leak; at most 5 % of the run.
GUARD = 0.5


def split_clips(names: Sequence[str], data: Data) -> dict[str, Split] | None:
    """Which part each clip belongs to, or None where every clip is cut in time."""
    if data.split == "time" or (data.split == "auto" and len(names) < CLIPS_TO_SPLIT) or len(names) < 3:
        return None
    order = sorted(names)
    random.Random(data.seed).shuffle(order)
    test = max(1, round(data.test * len(order)))
    val = max(1, round(data.val * len(order)))
    parts: list[Split] = ["test"] * test + ["val"] * val + ["train"] * (len(order) - test - val)
    return dict(zip(order, parts, strict=True))


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


def pieces(clips: Sequence[ClipFeatures], data: Data, fps: int) -> Iterator[tuple[Piece, Iterable[np.ndarray]]]:
    """Every piece with its pictures, brought to data.width x data.height. Each clip is decoded once."""
    whole = split_clips([clip.name for clip in clips], data)
    for clip in clips:
        framing = Framing(clip.width, clip.height, data.width, data.height, data.fit)
        cuts: list[tuple[Split, int, int]] = []
        for start, stop in clip.segments:
            cuts += [(whole[clip.name], start, stop)] if whole else split_time(start, stop, data, fps)
        pictures, position = read_frames(Path(data.clips) / clip.source, fps), 0
        for number, (split, start, stop) in enumerate(cuts):
            name = clip.name if len(cuts) == 1 else f"{clip.name}.{number}"
            skipped = islice(pictures, start - position, None)
            position = stop
            yield (
                _piece(clip, name, split, start, stop, framing, fps),
                map(framing.picture, islice(skipped, stop - start)),
            )


def _piece(clip: ClipFeatures, name: str, split: Split, start: int, stop: int, framing: Framing, fps: int) -> Piece:
    rows = slice(start, stop)
    beats = clip.beats - start / fps
    return Piece(
        name=name,
        split=split,
        clip=clip.source,
        start=start / fps,
        tempo=clip.tempo,
        beats=beats[(beats >= 0) & (beats < (stop - start) / fps)],
        sequences={
            "audio_mfcc_sequences": clip.mfcc[rows],
            "onset_strength": clip.onset_strength[rows],
            "chroma": clip.chroma[rows],
            "beat_phase": clip.beat_phase[rows],
            "beat_nearness": clip.beat_nearness[rows],
        },
        landmarks=framing.landmarks(clip.landmarks[rows]),
        visibility=clip.visibility[rows],
    )
