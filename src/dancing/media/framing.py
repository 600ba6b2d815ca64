"""Resize images of any shape to one size, and transform their landmarks in the same way."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np


@dataclass(frozen=True)
class Framing:
    """Scale an image of source_width x source_height px and centre it in one of width x height px.

    "letterbox" keeps the whole image and fills the borders with black. "crop" fills the target and cuts off the rest.
    """

    source_width: int
    source_height: int
    width: int
    height: int
    fit: Literal["letterbox", "crop"]

    @property
    def scale(self) -> float:
        """Target pixels a source pixel."""
        across, down = self.width / self.source_width, self.height / self.source_height
        return min(across, down) if self.fit == "letterbox" else max(across, down)

    @property
    def _scaled(self) -> tuple[int, int]:
        """Width and height of the scaled image; a strip keeps a pixel of its shorter side."""
        return max(round(self.source_width * self.scale), 1), max(round(self.source_height * self.scale), 1)

    def picture(self, frame: np.ndarray) -> np.ndarray:
        """Resize an image: (source_height, source_width, 3) uint8 -> (height, width, 3) uint8.

        Averages over areas when it shrinks the image, and interpolates bicubically when it enlarges it.
        """
        across, down = self._scaled
        method = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_CUBIC
        return self._placed(frame if self.scale == 1 else cv2.resize(frame, (across, down), interpolation=method))

    def mask(self, mask: np.ndarray) -> np.ndarray:
        """Resize a mask of the source image: (h, w) uint8, of any size -> (height, width) uint8; 0 in the borders."""
        across, down = self._scaled
        method = cv2.INTER_AREA if mask.shape[0] > down else cv2.INTER_LINEAR
        return self._placed(cv2.resize(mask, (across, down), interpolation=method))

    def _placed(self, scaled: np.ndarray) -> np.ndarray:
        """Centre a scaled image, (down, across, ...), in the target."""
        across, down = self._scaled
        left, top = (self.width - across) // 2, (self.height - down) // 2
        if (left, top, across, down) == (0, 0, self.width, self.height):
            return scaled
        target = np.zeros((self.height, self.width, *scaled.shape[2:]), dtype=np.uint8)
        target[max(top, 0) : top + down, max(left, 0) : left + across] = scaled[
            max(-top, 0) : max(-top, 0) + self.height, max(-left, 0) : max(-left, 0) + self.width
        ]
        return target

    def landmarks(self, landmarks: np.ndarray) -> np.ndarray:
        """Transform landmarks (..., 2): fractions of the source's width and height -> of the target's, float32."""
        across, down = self._scaled
        offset = np.array([(self.width - across) // 2, (self.height - down) // 2])
        pixels = landmarks * np.array([across, down]) + offset
        return (pixels / np.array([self.width, self.height])).astype(np.float32)
