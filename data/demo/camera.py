"""The camera: where a point of the world is in the picture."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A level pinhole camera in front of the dancer. Sizes in pixels are for a picture 640 pixels high."""

    width: int
    height: int
    distance: float = 5.0  # m, to the middle of the floor
    above_floor: float = 1.05  # m
    pixels_per_metre: float = 200.0  # in the middle of the floor
    floor: float = 582.0  # px from the top, where the middle of the floor is

    @property
    def unit(self) -> float:
        """Pixels of this picture per pixel of one 640 high."""
        return self.height / 640

    @property
    def horizon(self) -> float:
        """Pixels from the top."""
        return self.unit * (self.floor - self.pixels_per_metre * self.above_floor)

    def scale(self, z: np.ndarray | float) -> np.ndarray | float:
        """Pixels per metre at this distance towards the viewer (m)."""
        return self.unit * self.pixels_per_metre * self.distance / (self.distance - z)

    def project(self, points: np.ndarray) -> np.ndarray:
        """(..., 3) in metres -> (..., 2) in pixels of the picture, x to the right and y down."""
        scale = self.scale(points[..., 2])
        x = self.width / 2 + scale * points[..., 0]
        y = self.horizon - scale * (points[..., 1] - self.above_floor)
        return np.stack([x, y], axis=-1)
