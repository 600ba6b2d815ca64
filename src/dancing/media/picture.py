"""Decoded pictures as people are meant to see them: upright, with square pixels, in the colours of a screen.

The colours of all results are BT.709 with full range, as of an ordinary screen. Letters: H x W size in pixels.
"""

from __future__ import annotations

from functools import cache
from typing import cast

import av
import cv2
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

#: Luminance in cd/m2 that becomes white on the screen: HDR reference white (ITU-R BT.2408-7, table 1).
REFERENCE_WHITE = 203.0
_PEAK = 1000.0  # cd/m2, of the nominal display of HLG (ITU-R BT.2100-2, table 5)
_SCREEN_GAMMA = 2.4  # ITU-R BT.1886
#: Linear RGB of BT.2020 primaries -> BT.709 primaries (ITU-R BT.2087-0, from BT.2020 to BT.709 by inversion).
_BT2020_TO_BT709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_HD_HEIGHT, _HD_WIDTH = 576, 1024  # a larger picture whose colours are not labelled is BT.709, as players assume
_LEVELS = 2**16
_WIDEST_PIXEL = 8.0  # width by height; a file that states more extreme pixels is wrong


def rgb(picture: av.VideoFrame, pixel_aspect: float) -> np.ndarray:
    """Convert a decoded picture, and apply its display matrix.

    Args:
        picture: a decoded picture.
        pixel_aspect: width of a pixel relative to its height.

    Returns:
        (H, W, 3) uint8 RGB, read-only.
    """
    plausible = 1 / _WIDEST_PIXEL <= pixel_aspect <= _WIDEST_PIXEL
    width = max(1, round(picture.width * (pixel_aspect if plausible else 1)))
    array = np.ascontiguousarray(_oriented(_screen_colours(picture, width), _display_matrix(picture)))
    array.flags.writeable = False
    return array


def is_hdr(picture: av.VideoFrame) -> bool:
    """Whether the picture has the transfer function PQ or HLG."""
    return picture.color_trc in (ColorTrc.SMPTE2084, ColorTrc.ARIB_STD_B67)


def _screen_colours(picture: av.VideoFrame, width: int) -> np.ndarray:
    """(height, width, 3) uint8 RGB in BT.709."""
    wide = picture.color_primaries == ColorPrimaries.BT2020
    form = "rgb48le" if wide or is_hdr(picture) else "rgb24"
    converted = picture.reformat(
        width=width, format=form, src_colorspace=_matrix(picture), src_color_range=_range(picture), threads=1
    ).to_ndarray()
    if form == "rgb24":
        return converted
    linear = _to_linear(int(picture.color_trc))[converted]  # 1 is the screen's white
    if wide:
        linear = cv2.transform(linear, _BT2020_TO_BT709)
    return _to_screen()[(linear.clip(0, 1) * (_LEVELS - 1)).astype(np.uint16)]


def _matrix(picture: av.VideoFrame) -> Colorspace:
    """The matrix between YCbCr and RGB; for a picture without a label, by its size."""
    known = {
        1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601, 7: Colorspace.SMPTE240M
    }  # fmt: skip
    label = int(picture.colorspace)
    if label in known:
        return known[label]
    if label in (9, 10):
        return Colorspace.BT2020
    large = picture.height > _HD_HEIGHT or picture.width > _HD_WIDTH
    return Colorspace.ITU709 if large else Colorspace.ITU601


def _range(picture: av.VideoFrame) -> ColorRange:
    full = picture.color_range == ColorRange.JPEG or picture.format.name.startswith("yuvj")
    return ColorRange.JPEG if full else ColorRange.MPEG


@cache
def _to_linear(transfer: int) -> np.ndarray:
    """Light of each of 65536 signal levels, float32; 1 is the screen's white. Brighter light is above 1.

    PQ: ITU-R BT.2100-2, table 4. HLG: table 5, with the display's gamma of 1.2, applied to each channel alone.
    """
    signal = np.linspace(0, 1, _LEVELS)
    if transfer == ColorTrc.SMPTE2084:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = signal ** (1 / m2)
        light = 10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1) / REFERENCE_WHITE
    elif transfer == ColorTrc.ARIB_STD_B67:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
        light = _PEAK * scene**1.2 / REFERENCE_WHITE
    else:
        light = signal**_SCREEN_GAMMA
    return light.astype(np.float32)


@cache
def _to_screen() -> np.ndarray:
    """The signal, uint8, of each of 65536 levels of light from black to the screen's white."""
    return np.round(255 * np.linspace(0, 1, _LEVELS) ** (1 / _SCREEN_GAMMA)).astype(np.uint8)


def _display_matrix(picture: av.VideoFrame) -> np.ndarray:
    """The linear part (2, 2) of the display matrix: (x, y) @ matrix is where a pixel is shown; y grows downwards."""
    side_data = picture.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return np.eye(2)
    values = np.frombuffer(cast(bytes, side_data), np.int32).astype(np.float64).reshape(3, 3)
    return values[:2, :2] / 2**16


def _oriented(pixels: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn and mirror an image (H, W, 3) as a display matrix says, like ffplay: an odd angle keeps the size."""
    scale = np.hypot(*matrix)
    if not (np.isfinite(scale).all() and scale.all()):
        return pixels  # a broken matrix
    unit = matrix / scale
    nearest = np.round(unit)
    if abs(np.linalg.det(nearest)) != 1 or np.abs(unit - nearest).max() > np.sin(np.radians(1)):
        return _rotated(pixels, unit)
    if nearest[0, 0] == 0:  # x and y change places
        pixels = pixels.swapaxes(0, 1)
    across, down = nearest.sum(axis=0)  # 1 or -1: the directions of x and y on the screen
    return pixels[:: int(down), :: int(across)]


def _rotated(pixels: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """Turn around the centre, with black where nothing is."""
    height, width = pixels.shape[:2]
    centre = np.array([width - 1, height - 1]) / 2
    shift = centre - centre @ unit
    return cv2.warpAffine(pixels, np.column_stack([unit.T, shift]), (width, height), flags=cv2.INTER_LINEAR)
