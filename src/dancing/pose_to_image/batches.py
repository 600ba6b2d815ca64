"""Batches of poses and images. Letters: B batch, H x W image, S camera set-ups."""

from dataclasses import dataclass

import numpy as np
import torch

from dancing.clips.dataset import Dataset, Piece
from dancing.errors import UserError
from dancing.h5 import Split
from dancing.media.pixels import from_uint8
from dancing.pose_to_image.background import Backgrounds
from dancing.pose_to_image.person_crops import PersonCrops


@dataclass(frozen=True)
class PoseBatch:
    """Images and the poses in them; or crops of all, with landmarks in [0, 1] of the crop."""

    landmarks: torch.Tensor  # (B, 33, 2) in [0, 1]
    images: torch.Tensor  # (B, 3, H, W) in [-1, 1]
    background: torch.Tensor  # (B, 3, H, W) in [-1, 1], the scenes without the dancer
    coordinates: torch.Tensor  # (B, 2, H, W), where in the whole image this is: `PersonCrops.coordinates`


class PoseImages:
    """Poses and images of a split by one running index; images are read from the file when asked for.

    All pieces of the dataset have images. Raises UserError where there is no piece of the split.
    """

    def __init__(self, dataset: Dataset, split: Split, backgrounds: Backgrounds, device: torch.device) -> None:
        self.dataset, self.backgrounds, self.device = dataset, backgrounds, device
        self.scenes = backgrounds.images.to(device)  # (S, 3, H, W)
        self.index: list[tuple[Piece, int]] = [(piece, i) for piece in dataset.split(split) for i in range(len(piece))]
        if not self.index:
            raise UserError(
                f"{dataset.path}: no pictures in the {split} part; give more or longer videos, or train without "
                "pictures (gan.model: none)"
            )

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: list[int], crops: PersonCrops | None = None) -> PoseBatch:
        """Return the images of these rows, or `crops` of them."""
        crops = crops or PersonCrops.whole(len(rows), self.dataset.height, self.dataset.width)
        chosen = [self.index[row] for row in rows]
        frames = [
            self.dataset.frame(piece, i)[down, across]
            for (piece, i), (down, across) in zip(chosen, crops.slices(), strict=True)
        ]
        return PoseBatch(
            landmarks=crops.landmarks(torch.from_numpy(self.landmarks(rows))).to(self.device),
            images=from_uint8(np.stack(frames)).to(self.device),
            background=crops.crop(self.scenes[[self.backgrounds.of(piece) for piece, _ in chosen]]),
            coordinates=crops.coordinates().to(self.device),
        )

    def landmarks(self, rows: list[int]) -> np.ndarray:
        """Return the landmarks of these rows, (B, 33, 2) in [0, 1]."""
        return np.stack([piece.landmarks[i] for piece, i in (self.index[row] for row in rows)])

    def evenly_spaced(self, count: int) -> list[int]:
        """Return at most `count` rows, evenly spaced over the split: always the same ones."""
        return [int(row) for row in np.linspace(0, len(self) - 1, min(count, len(self)))]
