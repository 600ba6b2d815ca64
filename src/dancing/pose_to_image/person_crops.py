"""The part of each picture that the dancer is in: painting it alone, and leaving the rest to the background plate,
takes a third of the work.

Letters: B pictures, H x W picture, h x w crop.
"""

from dataclasses import dataclass

import numpy as np
import torch

SMALLEST = 32  # px, of a crop's sides


@dataclass(frozen=True)
class Crops:
    """Boxes of one size, one in each of B pictures. They are known on the host, so that cropping waits for no GPU."""

    corners: list[tuple[int, int]]  # left and top, px
    height: int  # px, of each box
    width: int
    picture: tuple[int, int]  # H, W

    @classmethod
    def around(cls, landmarks: np.ndarray, height: int, width: int, margin: int, step: int) -> "Crops":
        """The smallest boxes with all of landmarks (B, N, 2), in [0, 1] of H x W pictures, and `margin` px beyond.

        Their sides are multiples of `step` px, or the picture's.
        """
        size = np.array([width, height])
        low = np.clip(landmarks.min(axis=1) * size - margin, 0, size - 1)  # (B, 2)
        high = np.clip(landmarks.max(axis=1) * size + margin, 1, size)
        needed = np.maximum(np.ceil((high - low).max(axis=0)), SMALLEST)  # (2,)
        box = np.minimum(np.ceil(needed / step) * step, size).astype(int)
        corners = np.clip(np.round((low + high - box) / 2), 0, size - box).astype(int)
        return cls([(int(left), int(top)) for left, top in corners], int(box[1]), int(box[0]), (height, width))

    @classmethod
    def whole(cls, count: int, height: int, width: int) -> "Crops":
        """Boxes that are the pictures."""
        return cls([(0, 0)] * count, height, width, (height, width))

    def slices(self) -> list[tuple[slice, slice]]:
        """Rows and columns of each box."""
        return [(slice(top, top + self.height), slice(left, left + self.width)) for left, top in self.corners]

    def of(self, maps: torch.Tensor) -> torch.Tensor:
        """What of maps (B or 1, C, H, W) lies in the boxes, (B, C, h, w)."""
        maps = maps.expand(len(self.corners), -1, -1, -1)
        return torch.stack([its[:, rows, columns] for its, (rows, columns) in zip(maps, self.slices(), strict=True)])

    def pasted(self, parts: torch.Tensor, onto: torch.Tensor) -> torch.Tensor:
        """Pictures (B, C, H, W) like `onto`, which may be one for all, with (B, C, h, w) in the boxes."""
        pictures = onto.repeat(len(parts) // len(onto), 1, 1, 1)
        for number, (rows, columns) in enumerate(self.slices()):
            pictures[number, :, rows, columns] = parts[number]
        return pictures

    def landmarks(self, landmarks: torch.Tensor) -> torch.Tensor:
        """(B, 33, 2) in [0, 1] of the pictures -> of the boxes, where those outside lie beyond [0, 1]."""
        height, width = self.picture
        corners = landmarks.new_tensor(self.corners)[:, None]  # (B, 1, 2)
        return (landmarks * landmarks.new_tensor([width, height]) - corners) / landmarks.new_tensor(
            [self.width, self.height]
        )

    def places(self) -> torch.Tensor:
        """Where in its picture each pixel of the boxes lies: x and y in [-1, 1], (B, 2, h, w)."""
        height, width = self.picture
        x, y = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
        return self.of(torch.stack(torch.meshgrid(x, y, indexing="xy"))[None])
