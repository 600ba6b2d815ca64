"""Batches of poses, images and masks. Letters: B batch, H x W image, S camera set-ups."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from dancing.clips.dataset import Dataset, Piece
from dancing.errors import UserError
from dancing.h5 import Split
from dancing.media.pixels import from_uint8, mask_from_uint8
from dancing.pose_to_image.background import Backgrounds
from dancing.pose_to_image.person_crops import PersonCrops
from dancing.training.transfer import resident, send


@dataclass(frozen=True)
class PoseBatch:
    """Images with their poses, masks and backgrounds, or crops of them.

    Attributes:
        landmarks: (B, 33, 2), in fractions of the image or crop.
        images: (B, 3, H, W) in [-1, 1].
        masks: (B, 1, H, W) in [0, 1], 1 where the dancer is, 0.5 where that is uncertain.
        background: (B, 3, H, W) in [-1, 1], the scenes without the dancer.
        coordinates: (B, 2, H, W) in [-1, 1], each pixel's position in the whole image: `PersonCrops.coordinates`.
    """

    landmarks: torch.Tensor
    images: torch.Tensor
    masks: torch.Tensor
    background: torch.Tensor
    coordinates: torch.Tensor


class PoseImages:
    """Poses, images and masks of a split, numbered through.

    Images and masks are kept on a GPU if they fit there; otherwise they are read from the file when a batch asks for
    them.

    Args:
        dataset: open, and all its pieces have images.
        split: part of the dataset.
        backgrounds: of its clips.
        device: that batches are moved to.

    Raises:
        UserError: the split has no piece.

    Attributes:
        scenes: (S, 3, H, W), the backgrounds on the device.
        index: each row's piece, and the frame in that piece.
        images: (N, H, W, 3) uint8, all on the device; None: they are read from the file.
        masks: (N, H, W) uint8, likewise.
    """

    def __init__(self, dataset: Dataset, split: Split, backgrounds: Backgrounds, device: torch.device) -> None:
        self.dataset, self.backgrounds, self.device = dataset, backgrounds, device
        self.scenes = backgrounds.images.to(device)
        self.index: list[tuple[Piece, int]] = [(piece, i) for piece in dataset.split(split) for i in range(len(piece))]
        if not self.index:
            raise UserError(
                f"{dataset.path}: no pictures in the {split} part; give more or longer videos, or train without "
                "pictures (gan.model: none)"
            )
        pieces, pixels = dataset.split(split), len(self.index) * dataset.height * dataset.width
        self.images = resident((dataset.frames(piece) for piece in pieces), 3 * pixels, device)
        self.masks = resident((dataset.masks(piece) for piece in pieces), pixels, device)

    def __len__(self) -> int:
        return len(self.index)

    def batch(self, rows: list[int], crops: PersonCrops | None = None) -> PoseBatch:
        """Return the images, masks and poses of these rows, cut to `crops` if there are any."""
        crops = crops or PersonCrops.whole(len(rows), self.dataset.height, self.dataset.width)
        chosen = [self.index[row] for row in rows]
        return PoseBatch(
            landmarks=send(crops.landmarks(torch.from_numpy(self.landmarks(rows))), self.device),
            images=from_uint8(self._crops(rows, crops, self.images, self.dataset.frame)),
            masks=mask_from_uint8(self._crops(rows, crops, self.masks, self.dataset.mask)),
            background=crops.crop(torch.stack([self.scenes[self.backgrounds.of(piece)] for piece, _ in chosen])),
            coordinates=send(crops.coordinates(), self.device),
        )

    def _crops(
        self, rows: list[int], crops: PersonCrops, kept: torch.Tensor | None, read: Callable[[Piece, int], np.ndarray]
    ) -> torch.Tensor:
        """The crops of these rows' images or masks, (B, h, w, ...) uint8 on the device."""
        places = list(zip(rows, crops.slices(), strict=True))
        if kept is not None:
            return torch.stack([kept[row, down, across] for row, (down, across) in places])
        return send(np.stack([read(*self.index[row])[down, across] for row, (down, across) in places]), self.device)

    def landmarks(self, rows: list[int]) -> np.ndarray:
        """Return the landmarks of these rows, (B, 33, 2), in fractions of the image."""
        return np.stack([piece.landmarks[i] for piece, i in (self.index[row] for row in rows)])

    def evenly_spaced(self, count: int) -> list[int]:
        """Return at most `count` rows, evenly spaced over the split; the same ones in every call."""
        return [int(row) for row in np.linspace(0, len(self) - 1, min(count, len(self)))]
