"""Table cells for metrics of frames, with a bootstrap over blocks of neighbouring frames. NumPy alone.

Neighbouring frames are similar, so the bootstrap resamples blocks of at most 30 of them (1 s at 30 frames/s), each from
one clip. With few clips the interval holds for those clips only.

Letters: N frames.
"""

from collections.abc import Mapping, Sequence
from typing import TypedDict

import numpy as np

from dancing.metrics.bootstrap import interval

BLOCK = 30  # frames


class Cell(TypedDict):
    """One value of a table."""

    mean: float | None  # None without any value: NaN is no valid JSON
    n: int  # how many songs, frames or images have a value
    ci95: list[float] | None  # bootstrap 95 % interval [low, high]; None for too few units


Row = dict[str, Cell]  # by name of the metric
Clips = Sequence[int | str] | np.ndarray  # (N,) an identifier of each frame's clip
Tallies = dict[str, tuple[np.ndarray, np.ndarray]]  # name -> totals and counts, (N,) each: the mean is sum over sum


def clip_numbers(clips: Clips | None, frames: int) -> np.ndarray:
    """Number the clips from 0.

    Args:
        clips: (N,) identifier of each frame's clip; None: all frames are of one clip.
        frames: N.

    Returns:
        (N,) int.

    Raises:
        ValueError: where the number of identifiers is not `frames`.
    """
    if clips is None:
        return np.zeros(frames, dtype=int)
    if len(clips) != frames:
        raise ValueError(f"clips: expected one for each of {frames} frames, got {len(clips)}")
    return np.unique(np.asarray(clips), return_inverse=True)[1]


def cells(tallies: Tallies, names: Sequence[str], clips: Clips, seed: int) -> Row:
    """Make a cell of each tally. A resampled block is weighted by its counts.

    Args:
        tallies: totals and counts of each frame, by metric.
        names: the metrics wanted, in the order of the row.
        clips: (N,) identifier of each frame's clip; the frames of a clip are consecutive.
        seed: of the bootstrap.

    Raises:
        ValueError: where the number of clips is not that of the frames.
    """
    clip = clip_numbers(clips, len(next(iter(tallies.values()))[0]))
    blocks = block_numbers(clip, BLOCK)
    row: Row = {}
    for name in names:
        totals, counts = tallies[name]
        mean = float(totals.sum() / counts.sum()) if counts.any() else None
        by_block = np.bincount(blocks, totals), np.bincount(blocks, counts)
        row[name] = {"mean": mean, "n": int((counts > 0).sum()), "ci95": interval(*by_block, seed)}
    return row


def block_numbers(clip: np.ndarray, block: int) -> np.ndarray:
    """Divide consecutive frames of each clip into blocks.

    Args:
        clip: (N,) number of each frame's clip.
        block: largest number of frames in a block.

    Returns:
        (N,) number of each frame's block, from 0.
    """
    begins = np.diff(clip, prepend=-1) != 0
    since = np.arange(len(clip)) - np.maximum.accumulate(np.where(begins, np.arange(len(clip)), 0))
    return np.cumsum(since % block == 0) - 1


def means(rows: Mapping[str, Row], metrics: Sequence[str], digits: int = 4) -> dict[str, dict[str, float]]:
    """Return the rounded means of some metrics, for `dvc metrics`.

    Args:
        rows: the table.
        metrics: the metrics wanted. A row without one of them, or with None as its mean, is returned without it.
        digits: after the decimal point.
    """
    return {
        name: {key: round(mean, digits) for key in metrics if key in row and (mean := row[key]["mean"]) is not None}
        for name, row in rows.items()
    }
