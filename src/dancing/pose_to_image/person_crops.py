"""PersonCrops around the person: generating these alone, over a given background, takes a third of the work.

Letters: B images, C channels, H x W image, h x w crop.
"""

from dataclasses import dataclass

import numpy as np
import torch

SMALLEST = 32  # px, of a crop's sides


@dataclass(frozen=True)
class PersonCrops:
    """Boxes of one size, one in each of B images. They are known on the host, so that cropping waits for no GPU."""

    corners: list[tuple[int, int]]  # left and top, px
    height: int  # px, of each box
    width: int
    image_size: tuple[int, int]  # H, W

    @classmethod
    def around(cls, landmarks: np.ndarray, height: int, width: int, margin: int, step: int) -> "PersonCrops":
        """Return the smallest boxes that hold all of the landmarks and `margin` px beyond.

        Args:
            landmarks: (B, N, 2) in [0, 1] of the images.
            height: of the images, px.
            width: of the images, px.
            margin: px.
            step: the boxes' sides are multiples of it, or the image's own.
        """
        size = np.array([width, height])
        low = np.clip(landmarks.min(axis=1) * size - margin, 0, size - 1)  # (B, 2)
        high = np.clip(landmarks.max(axis=1) * size + margin, 1, size)
        needed = np.maximum(np.ceil((high - low).max(axis=0)), SMALLEST)  # (2,)
        box = np.minimum(np.ceil(needed / step) * step, size).astype(int)
        corners = np.clip(np.round((low + high - box) / 2), 0, size - box).astype(int)
        return cls([(int(left), int(top)) for left, top in corners], int(box[1]), int(box[0]), (height, width))

    @classmethod
    def whole(cls, count: int, height: int, width: int) -> "PersonCrops":
        """Return boxes that are the images."""
        return cls([(0, 0)] * count, height, width, (height, width))

    def slices(self) -> list[tuple[slice, slice]]:
        """Return the rows and columns of each box."""
        return [(slice(top, top + self.height), slice(left, left + self.width)) for left, top in self.corners]

    def crop(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the parts (B, C, h, w) of maps (B or 1, C, H, W) that lie in the boxes."""
        maps = maps.expand(len(self.corners), -1, -1, -1)
        return torch.stack([one[:, rows, columns] for one, (rows, columns) in zip(maps, self.slices(), strict=True)])

    def paste(self, parts: torch.Tensor, onto: torch.Tensor) -> torch.Tensor:
        """Return images (B, C, H, W) like `onto`, which may be one for all, with (B, C, h, w) in the boxes."""
        images = onto.repeat(len(parts) // len(onto), 1, 1, 1)
        for number, (rows, columns) in enumerate(self.slices()):
            images[number, :, rows, columns] = parts[number]
        return images

    def landmarks(self, landmarks: torch.Tensor) -> torch.Tensor:
        """Return landmarks (B, 33, 2) in [0, 1] of the images as fractions of the boxes, beyond [0, 1] outside."""
        height, width = self.image_size
        corners = landmarks.new_tensor(self.corners)[:, None]  # (B, 1, 2)
        return (landmarks * landmarks.new_tensor([width, height]) - corners) / landmarks.new_tensor(
            [self.width, self.height]
        )

    def coordinates(self) -> torch.Tensor:
        """Return where in its image each pixel of the boxes lies: x and y in [-1, 1], (B, 2, h, w)."""
        height, width = self.image_size
        x, y = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
        return self.crop(torch.stack(torch.meshgrid(x, y, indexing="xy"))[None])
