"""Batches of poses and pictures for the loops that learn to draw. Letters: B batch, H x W picture, S camera set-ups."""

from dataclasses import dataclass

import numpy as np
import torch

from dancing.errors import UserError
from dancing.hdf5 import Dataset, Piece, Split
from dancing.training.plates import Plates


@dataclass(frozen=True)
class Batch:
    """Pictures, the pictures before them, and what they show."""

    landmarks: torch.Tensor  # (B, 33, 2) in [0, 1]
    pictures: torch.Tensor  # (B, 3, H, W) in [-1, 1], as all pictures here
    before: torch.Tensor  # (B, 33, 2), the poses one frame earlier
    previous: torch.Tensor  # (B, 3, H, W), their pictures
    plate: torch.Tensor  # (B, 3, H, W), the scenes without the dancer


class Pictures:
    """Poses and pictures of a split by one running index; pictures are read from the file when asked for.

    All pieces of the dataset have pictures. Raises UserError where there is no piece of the split.
    """

    def __init__(self, dataset: Dataset, split: Split, plates: Plates, device: torch.device) -> None:
        self.dataset, self.plates, self.device = dataset, plates, device
        self.scenes = plates.pictures.to(device)  # (S, 3, H, W)
        self.index: list[tuple[Piece, int]] = [(piece, i) for piece in dataset.split(split) for i in range(len(piece))]
        if not self.index:
            raise UserError(
                f"{dataset.path}: no pictures in the {split} part; give more or longer videos, or train without "
                "pictures (gan.model: none)"
            )

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: list[int]) -> Batch:
        """The pictures of these rows; before a piece's first one there is that one itself."""
        chosen = [self.index[row] for row in rows]
        runs = [self.dataset.frames(piece, max(i - 1, 0), i + 1) for piece, i in chosen]  # 1 or 2 pictures each
        poses = [piece.landmarks[max(i - 1, 0) : i + 1] for piece, i in chosen]
        setups = [self.plates.of(piece) for piece, _ in chosen]
        return Batch(
            landmarks=self._poses([run[-1] for run in poses]),
            pictures=self._pictures([run[-1] for run in runs]),
            before=self._poses([run[0] for run in poses]),
            previous=self._pictures([run[0] for run in runs]),
            plate=self.scenes[setups],
        )

    def _poses(self, poses: list[np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(np.stack(poses)).to(self.device)

    def _pictures(self, pictures: list[np.ndarray]) -> torch.Tensor:
        stack = torch.from_numpy(np.stack(pictures)).to(self.device)
        return stack.permute(0, 3, 1, 2).float() / 127.5 - 1

    def spread(self, count: int) -> list[int]:
        """At most `count` rows, evenly spaced over the split: always the same ones."""
        return [int(row) for row in np.linspace(0, len(self) - 1, min(count, len(self)))]


def to_uint8(pictures: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) in [-1, 1] -> (B, H, W, 3) uint8 on the CPU."""
    scaled = ((pictures + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
