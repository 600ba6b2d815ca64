"""The test part as the painter draws it, beside the real pictures.

Letters: N frames compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from dancing import pose
from dancing.evaluation.common import held_out
from dancing.hdf5 import Dataset
from dancing.inference import Painter
from dancing.metrics import image
from dancing.metrics.table import Row

#: Frames in a run of neighbours that pictures are compared over: flicker needs neighbours, variety needs many runs.
RUN = 10
#: What of a row of pictures says something where there is no real picture to compare with.
REDETECTION = ("detection_rate", "pck_10", "pck_20", "mean_error")


@dataclass(frozen=True)
class ImageResult:
    """Rows of the table of pictures, and the pictures behind them."""

    rows: dict[str, Row]
    real: np.ndarray  # (N, H, W, 3) uint8
    generated: np.ndarray  # (N, H, W, 3) uint8, of the real poses
    danced: np.ndarray  # (N, H, W, 3) uint8, of generated poses


def evaluate_images(
    dataset: Dataset, painter: Painter, dances: Sequence[np.ndarray], frames: int, seed: int
) -> ImageResult:  # fmt: skip
    """Paint at most `frames` test poses, real ones and those of `dances` (one a test piece), and measure."""
    pieces = held_out(dataset)
    runs = _runs([len(piece) for piece in pieces], frames)
    real = np.concatenate([dataset.frames(pieces[i], start, stop) for i, start, stop in runs])
    landmarks = np.concatenate([pieces[i].landmarks[start:stop] for i, start, stop in runs])
    visibility = np.concatenate([pieces[i].visibility[start:stop] for i, start, stop in runs])
    number = [run for run, (_, start, stop) in enumerate(runs) for _ in range(start, stop)]
    danced_landmarks = np.concatenate([dances[i][start:stop] for i, start, stop in runs])
    generated = np.stack(list(painter.paint(landmarks)))
    danced = np.stack(list(painter.paint(danced_landmarks)))

    def row(pictures: np.ndarray, beside: np.ndarray, poses: np.ndarray, seen: np.ndarray) -> Row:
        found, _ = pose.detect_still(pictures)
        return image.summarise_images(_tensor(pictures), _tensor(beside), poses, seen, found, number, seed)

    rows = {
        "ours": row(generated, real, landmarks, visibility),
        "real": _only_redetection(row(real, real, landmarks, visibility)),
        "ours_danced": _only_redetection(row(danced, danced, danced_landmarks, np.ones_like(visibility))),
    }
    return ImageResult(rows, real, generated, danced)


def _runs(lengths: Sequence[int], frames: int) -> list[tuple[int, int, int]]:
    """(piece, start, stop) of runs of `RUN` neighbours, evenly spaced over the pieces, `frames` in all at most."""
    candidates = [(i, s, min(s + RUN, n)) for i, n in enumerate(lengths) for s in range(0, max(n - RUN + 1, 1), RUN)]
    count = max(1, min(frames // RUN, len(candidates)))
    return [candidates[k] for k in np.linspace(0, len(candidates) - 1, count).astype(int)]


def _only_redetection(row: Row) -> Row:
    return {name: row[name] for name in REDETECTION}


def _tensor(pictures: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
