"""Cells of a table of pictures, and the clips and blocks that a bootstrap goes by. NumPy alone.

A cell is {"mean", "n": frames that have a value, "ci95": bootstrap 95 % interval over blocks, [low, high]}.
Neighbouring frames are alike, so the bootstrap draws blocks of at most 30 of them (1 s at 30 frames/s), none across two
clips; with few clips the interval is for those clips, not for others. mean is None without any value, ci95 for fewer
than two blocks.

Letters: N frames.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from dancing.metrics.bootstrap import interval

BLOCK = 30  # frames

Row = dict[str, dict]  # metric -> {"mean", "n", "ci95"}
Clips = Sequence[int | str] | np.ndarray  # (N,) any names of the frames' clips
Tallies = dict[str, tuple[np.ndarray, np.ndarray]]  # name -> totals and counts, (N,) each: the mean is sum over sum


def clip_numbers(clips: Clips | None, frames: int) -> np.ndarray:
    """Any names of the frames' clips -> (N,) whole numbers from 0."""
    if clips is None:
        return np.zeros(frames, dtype=int)
    if len(clips) != frames:
        raise ValueError(f"clips: expected one for each of {frames} frames, got {len(clips)}")
    return np.unique(np.asarray(clips), return_inverse=True)[1]


def cells(tallies: Tallies, names: Sequence[str], clips: Clips, seed: int) -> Row:
    """Totals over counts: a bootstrapped block of frames keeps its weight."""
    clip = clip_numbers(clips, len(next(iter(tallies.values()))[0]))
    blocks = block_numbers(clip, BLOCK)
    row = {}
    for name in names:
        totals, counts = tallies[name]
        mean = float(totals.sum() / counts.sum()) if counts.any() else None
        by_block = np.bincount(blocks, totals), np.bincount(blocks, counts)
        row[name] = {"mean": mean, "n": int((counts > 0).sum()), "ci95": interval(*by_block, seed)}
    return row


def block_numbers(clip: np.ndarray, block: int) -> np.ndarray:
    """(N,) which block of at most `block` neighbouring frames of one clip a frame is of, from 0."""
    begins = np.diff(clip, prepend=-1) != 0
    since = np.arange(len(clip)) - np.maximum.accumulate(np.where(begins, np.arange(len(clip)), 0))
    return np.cumsum(since % block == 0) - 1


def means(rows: Mapping[str, Row], metrics: Sequence[str], digits: int = 4) -> dict[str, dict[str, float]]:
    """The means of these metrics alone, rounded, for `dvc metrics`; a row without such a value goes without it."""
    return {
        name: {key: round(row[key]["mean"], digits) for key in metrics if key in row and row[key]["mean"] is not None}
        for name, row in rows.items()
    }
