"""The camera of the demo: projects world points to pixels."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera in front of the dancer.

    `pixels_per_metre` and `floor` are for an image height of 640 px and are scaled to the actual height.
    """

    width: int  # px, of the image
    height: int  # px, of the image
    distance: float = 5.0  # m, to the world's origin in the middle of the floor
    above_floor: float = 1.05  # m
    pixels_per_metre: float = 200.0  # at the origin
    floor: float = 582.0  # px, y of the origin in the image

    @property
    def unit(self) -> float:
        """Pixels of this image a pixel of an image with a height of 640 px."""
        return self.height / 640

    @property
    def horizon(self) -> float:
        """The y of the horizon in px."""
        return self.unit * (self.floor - self.pixels_per_metre * self.above_floor)

    def scale(self, z: np.ndarray | float) -> np.ndarray | float:
        """Pixels a metre at z (m towards the camera)."""
        return self.unit * self.pixels_per_metre * self.distance / (self.distance - z)

    def project(self, points: np.ndarray) -> np.ndarray:
        """Project points (..., 3) in m to pixels (..., 2), x to the right and y down."""
        scale = self.scale(points[..., 2])
        pixels = np.empty((*points.shape[:-1], 2))  # np.stack would take longer than all the rest
        pixels[..., 0] = self.width / 2 + scale * points[..., 0]
        pixels[..., 1] = self.horizon - scale * (points[..., 1] - self.above_floor)
        return pixels
