"""Masks of the person in the frames of a clip, compressed. Letters: T frames, m masks, H x W frame, h x w mask.

A mask is uint8: 255 where the person is, 0 elsewhere, and about 128 (`UNKNOWN`) where that is uncertain.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

UNKNOWN = 128
SIDE = 512  # px, the longest side of a mask; the detector's own masks have 256
_LEVELS = 15  # steps from 0 to 255, which take half of the space
_ZLIB_LEVEL = 4


@dataclass(frozen=True)
class MaskTrack:
    """The masks of a clip. Only frames in which a person was searched for and found have one of their own.

    Attributes:
        mask_size: (2,) int64, h and w.
        mask_frames: (m,) int64, the frame of each mask, ascending.
        mask_ends: (m,) int64, where each mask ends in `mask_bytes`.
        mask_bytes: (n,) uint8, the masks one after another, each compressed by zlib.
        mask_reach: frames; masks that are farther apart say nothing of the frames between.
    """

    mask_size: np.ndarray
    mask_frames: np.ndarray
    mask_ends: np.ndarray
    mask_bytes: np.ndarray
    mask_reach: int

    @classmethod
    def none(cls) -> "MaskTrack":
        """The track of a clip without pictures."""
        nothing = np.zeros(0, np.int64)
        return cls(np.zeros(2, np.int64), nothing, nothing, np.zeros(0, np.uint8), 1)

    def check(self, frames: int) -> None:
        """Raise ValueError where the arrays don't belong together, or to a clip of so many frames."""
        numbers = (self.mask_size, self.mask_frames, self.mask_ends)
        if any(values.dtype.kind != "i" or values.ndim != 1 for values in numbers) or self.mask_bytes.dtype != np.uint8:
            raise ValueError("its masks are no whole numbers")
        if len(self.mask_size) != 2 or len(self.mask_frames) != len(self.mask_ends) or self.mask_reach < 1:
            raise ValueError("its masks differ in number")
        if (self.mask_size < 0).any() or (self.mask_size > SIDE).any():
            raise ValueError(f"its masks have {self.mask_size.tolist()} px, expected at most {SIDE}")
        for values, last in ((self.mask_frames, frames - 1), (self.mask_ends, self.mask_bytes.size)):
            if len(values) and not (values[0] >= 0 and values[-1] <= last and (np.diff(values) > 0).all()):
                raise ValueError("its masks are not in order")

    def between(self, start: int, stop: int) -> Iterator[np.ndarray]:
        """Yield the mask (h, w) uint8 of each frame from start to stop, the last excluded.

        A frame between two masks gets their weighted mean, which is uncertain where they differ.

        Raises:
            ValueError: a mask is broken.
        """
        held: dict[int, np.ndarray] = {}
        for frame in range(start, stop):
            after = int(np.searchsorted(self.mask_frames, frame))
            before = after if after < len(self.mask_frames) and self.mask_frames[after] == frame else after - 1
            held = {k: held[k] if k in held else self._mask(k) for k in {before, after} if self._exists(k)}
            if before == after:
                yield held[before]
            elif len(held) < 2 or self.mask_frames[after] - self.mask_frames[before] > self.mask_reach:
                yield np.full(tuple(np.maximum(self.mask_size, 1)), UNKNOWN, np.uint8)
            else:
                first, last = self.mask_frames[[before, after]]
                share = (frame - first) / (last - first)
                mean = held[before] * np.float32(1 - share) + held[after] * np.float32(share)
                yield np.round(mean).astype(np.uint8)

    def _exists(self, number: int) -> bool:
        return 0 <= number < len(self.mask_frames)

    def _mask(self, number: int) -> np.ndarray:
        start = self.mask_ends[number - 1] if number else 0
        size = int(self.mask_size.prod())
        try:
            # Little more than a mask is unpacked, whatever a foreign file would unpack to.
            packed = self.mask_bytes[start : self.mask_ends[number]].tobytes()
            values = zlib.decompressobj().decompress(packed, size + 1)
        except zlib.error as error:
            raise ValueError(f"mask {number} is broken ({error})") from None
        if len(values) != size:
            raise ValueError(f"mask {number} is broken (it has not {size} pixels)")
        return np.frombuffer(values, np.uint8).reshape(self.mask_size)


class MaskRecorder:
    """Compresses the masks of a clip as a detector finds them."""

    def __init__(self) -> None:
        self._size = np.zeros(2, np.int64)
        self._masks: list[bytes] = []

    def add(self, mask: np.ndarray | None) -> None:
        """Add the next frame's mask, (H, W) float32 in [0, 1]; None: nobody was found."""
        if mask is None:
            self._masks.append(b"")
            return
        scale = min(SIDE / max(mask.shape), 1)
        height, width = (max(round(side * scale), 1) for side in mask.shape)
        small = mask if scale == 1 else cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)
        self._size = np.array([height, width], np.int64)
        levels = np.round(_LEVELS * small.clip(0, 1)).astype(np.uint8) * np.uint8(255 // _LEVELS)
        self._masks.append(zlib.compress(levels.tobytes(), _ZLIB_LEVEL))

    def track(self, frames: np.ndarray, right: np.ndarray, reach: int) -> MaskTrack:
        """Return the masks added so far.

        Args:
            frames: (n,) int, the number of the frame of each that was added, ascending.
            right: (n,) bool, whether the one found is the dancer; other masks are left out.
            reach: see `MaskTrack`.
        """
        kept = [k for k, mask in enumerate(self._masks) if mask and right[k]]
        masks = [self._masks[k] for k in kept]
        return MaskTrack(
            mask_size=self._size,
            mask_frames=np.asarray(frames, np.int64)[kept],
            mask_ends=np.cumsum([len(mask) for mask in masks], dtype=np.int64),
            mask_bytes=np.frombuffer(b"".join(masks), np.uint8),
            mask_reach=reach,
        )
