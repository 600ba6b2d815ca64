"""Crops around the person. To generate only these, over a given background, takes a third of the work.

Letters: B images, C channels, H x W image, h x w crop, N landmarks.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

MIN_SIDE = 32  # px, of a crop


@dataclass(frozen=True)
class PersonCrops:
    """Boxes of one size, one in each of B images.

    They are kept on the CPU, so that cropping does not wait for a GPU.

    Attributes:
        corners: left and top of each box, px.
        height: of all boxes, px: h.
        width: of all boxes, px: w.
        image_size: H, W.
    """

    corners: list[tuple[int, int]]
    height: int
    width: int
    image_size: tuple[int, int]

    @classmethod
    def around(cls, landmarks: np.ndarray, height: int, width: int, margin: int, step: int) -> "PersonCrops":
        """Return the smallest boxes of one size that contain all landmarks with a margin.

        Args:
            landmarks: (B, N, 2), in fractions of the images.
            height: of the images, px.
            width: of the images, px.
            margin: around the landmarks, px; cut off at the image's edges.
            step: the boxes' sides are multiples of it, px, or as long as the image's.
        """
        size = np.array([width, height])
        low = np.clip(landmarks.min(axis=1) * size - margin, 0, size - 1)  # (B, 2)
        high = np.clip(landmarks.max(axis=1) * size + margin, 1, size)
        needed = np.maximum(np.ceil((high - low).max(axis=0)), MIN_SIDE)  # (2,)
        box = np.minimum(np.ceil(needed / step) * step, size).astype(int)
        corners = np.clip(np.round((low + high - box) / 2), 0, size - box).astype(int)
        return cls([(int(left), int(top)) for left, top in corners], int(box[1]), int(box[0]), (height, width))

    @classmethod
    def whole(cls, count: int, height: int, width: int) -> "PersonCrops":
        """Return boxes that cover `count` whole images of this size, px."""
        return cls([(0, 0)] * count, height, width, (height, width))

    def some(self, rows: slice) -> "PersonCrops":
        """Return the boxes of these images alone."""
        return replace(self, corners=self.corners[rows])

    def slices(self) -> list[tuple[slice, slice]]:
        """Return each box as slices of rows and columns."""
        return [(slice(top, top + self.height), slice(left, left + self.width)) for left, top in self.corners]

    def crop(self, maps: torch.Tensor) -> torch.Tensor:
        """Return the crops (B, C, h, w) of maps (B or 1, C, H, W)."""
        maps = maps.expand(len(self.corners), -1, -1, -1)
        return torch.stack(
            [image[:, rows, columns] for image, (rows, columns) in zip(maps, self.slices(), strict=True)]
        )

    def paste(self, crops: torch.Tensor, onto: torch.Tensor) -> torch.Tensor:
        """Return copies of images `onto` (B or 1, C, H, W) with crops (B, C, h, w) in the boxes: (B, C, H, W)."""
        images = onto.repeat(len(crops) // len(onto), 1, 1, 1)
        for number, (rows, columns) in enumerate(self.slices()):
            images[number, :, rows, columns] = crops[number]
        return images

    def landmarks(self, landmarks: torch.Tensor) -> torch.Tensor:
        """Convert landmarks (B, 33, 2) from fractions of the images to fractions of the boxes.

        Those outside a box are outside [0, 1].
        """
        height, width = self.image_size
        corners = landmarks.new_tensor(self.corners)[:, None]  # (B, 1, 2)
        return (landmarks * landmarks.new_tensor([width, height]) - corners) / landmarks.new_tensor(
            [self.width, self.height]
        )

    def coordinates(self) -> torch.Tensor:
        """Return the position of each pixel of the boxes in its image, x and y in [-1, 1], (B, 2, h, w)."""
        height, width = self.image_size
        if torch.get_default_device().type == "meta":  # the shapes of a checkpoint are checked
            # What follows would import PyTorch's compiler, which takes a second.
            return torch.empty(len(self.corners), 2, self.height, self.width)
        x, y = torch.linspace(-1, 1, width), torch.linspace(-1, 1, height)
        return self.crop(torch.stack(torch.meshgrid(x, y, indexing="xy"))[None])
