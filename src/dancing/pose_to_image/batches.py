"""Batches of poses and pictures for the loops that learn to draw. Letters: B batch, H x W picture, S camera set-ups."""

from dataclasses import dataclass

import numpy as np
import torch

from dancing.clips.dataset import Dataset, Piece, Split
from dancing.errors import UserError
from dancing.pose_to_image.background import Plates
from dancing.pose_to_image.person_crops import Crops


@dataclass(frozen=True)
class Batch:
    """Pictures, the pictures before them, and what they show; or crops of all, with landmarks in [0, 1] of the crop."""

    landmarks: torch.Tensor  # (B, 33, 2) in [0, 1]
    pictures: torch.Tensor  # (B, 3, H, W) in [-1, 1], as all pictures here
    before: torch.Tensor  # (B, 33, 2), the poses one frame earlier
    previous: torch.Tensor  # (B, 3, H, W), their pictures
    plate: torch.Tensor  # (B, 3, H, W), the scenes without the dancer
    place: torch.Tensor  # (B, 2, H, W), where in the whole picture this is, as `Crops.places` says


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

    def batch(self, rows: list[int], crops: Crops | None = None) -> Batch:
        """The pictures of these rows, or `crops` of them; before a piece's first one there is that one itself."""
        crops = crops or Crops.whole(len(rows), self.dataset.height, self.dataset.width)
        chosen = [self.index[row] for row in rows]
        runs = [self.dataset.frames(piece, max(i - 1, 0), i + 1) for piece, i in chosen]  # 1 or 2 pictures each
        runs = [run[:, down, across] for run, (down, across) in zip(runs, crops.slices(), strict=True)]
        poses = self.poses(rows)
        return Batch(
            landmarks=crops.landmarks(torch.from_numpy(poses[:, 1])).to(self.device),
            pictures=self._pictures([run[-1] for run in runs]),
            before=crops.landmarks(torch.from_numpy(poses[:, 0])).to(self.device),
            previous=self._pictures([run[0] for run in runs]),
            plate=crops.of(self.scenes[[self.plates.of(piece) for piece, _ in chosen]]),
            place=crops.places().to(self.device),
        )

    def poses(self, rows: list[int]) -> np.ndarray:
        """The landmarks before and of these rows, (B, 2, 33, 2) in [0, 1]."""
        chosen = [self.index[row] for row in rows]
        return np.stack([piece.landmarks[[max(i - 1, 0), i]] for piece, i in chosen])

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
