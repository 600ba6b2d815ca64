"""Draw the background of the demo: a room, the same in all clips, and the shadow of the dancer on its floor."""

import cv2
import numpy as np

from data.demo.camera import Camera
from data.demo.paint import Colour, hull, mix, polygon

WALL_TOP: Colour = (188, 214, 219)
WALL_BOTTOM: Colour = (216, 231, 230)
SUN: Colour = (228, 239, 235)
SKIRTING: Colour = (246, 246, 240)
SKIRTING_EDGE: Colour = (196, 205, 202)
FLOOR_FAR: Colour = (206, 170, 134)
FLOOR_NEAR: Colour = (226, 191, 152)
SEAM: Colour = (190, 152, 117)

BACK_WALL = -1.7  # m, z of the wall
SHADOW = 0.42  # darkness of the shadow under a foot on the floor, from 0 to 1
_COARSE = 8  # the shadow is blurred, so it is computed at a size reduced by this factor


def draw_room(camera: Camera) -> np.ndarray:
    """Draw wall, skirting board and floorboards, (H, W, 3) uint8 RGB."""
    width, height, unit = camera.width, camera.height, camera.unit
    corner = float(camera.project(np.array([0, 0, BACK_WALL]))[1])
    down = np.arange(height)[:, None, None]
    wall = WALL_TOP + np.clip(down / corner, 0, 1) * np.subtract(WALL_BOTTOM, WALL_TOP)
    floor = FLOOR_FAR + np.clip((down - corner) / (height - corner), 0, 1) * np.subtract(FLOOR_NEAR, FLOOR_FAR)
    picture = np.ascontiguousarray(np.broadcast_to(np.rint(np.where(down < corner, wall, floor)), (height, width, 3)))
    picture = picture.astype(np.uint8)

    sun = np.array([0.60 * width, 0.36 * height])
    polygon(picture, sun + 0.215 * height * _round(96), SUN)
    _draw_boards(picture, camera, corner)
    for top, bottom, colour in ((15, 0, SKIRTING), (15, 13, SKIRTING_EDGE), (1.2, 0, SKIRTING_EDGE)):
        picture[round(corner - top * unit) : round(corner - bottom * unit)] = colour
    return picture


def _round(points: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], axis=-1)


def _draw_boards(picture: np.ndarray, camera: Camera, corner: float) -> None:
    """Draw the seams between floorboards, which run towards the camera, and the joints at their ends."""
    near = 1.2
    for board, x in enumerate(np.arange(-2.0, 2.01, 0.25)):
        seam = camera.project(
            np.array([[x - 0.004, 0, BACK_WALL], [x + 0.004, 0, BACK_WALL], [x + 0.004, 0, near], [x - 0.004, 0, near]])
        )
        polygon(picture, seam, SEAM)
        z = BACK_WALL + (0.5 + 0.83 * board) % 1.9
        joint = camera.project(np.array([[x, 0, z], [x + 0.25, 0, z], [x + 0.25, 0, z + 0.02], [x, 0, z + 0.02]]))
        polygon(picture, joint, mix(SEAM, FLOOR_FAR, 0.3))


def draw_shadow(picture: np.ndarray, camera: Camera, feet: np.ndarray, hips: np.ndarray) -> None:
    """Darken the floor under the dancer, in place.

    Args:
        picture: (H, W, 3) uint8 RGB.
        camera: the camera of the image.
        feet: (n, 3) world positions in m; their shadows are weaker if they are higher.
        hips: (3,) world position in m, the centre of the shadow of the body.
    """
    top = int(camera.project(np.array([0, 0, BACK_WALL]))[1])
    strip = picture[top:]
    height, width = strip.shape[0] // _COARSE + 1, strip.shape[1] // _COARSE + 1
    shade = np.zeros((height, width), np.float32)

    def blot(x: float, z: float, across: float, along: float, darkness: float) -> None:
        ring = np.zeros((40, 3))
        ring[:, [0, 2]] = [x, z] + _round(40) * [across, along]
        points = (camera.project(ring) - [0, top]) / _COARSE
        spot = np.zeros_like(shade)
        hull(spot, points, darkness)  # type: ignore[arg-type]
        np.maximum(shade, spot, out=shade)

    blot(hips[0], hips[2], 0.34, 0.26, 0.4 * SHADOW)
    for x, y, z in feet:
        blot(x, z, 0.10, 0.11, SHADOW * float(np.clip(1 - 2.5 * (y - 0.03), 0.15, 1)))
    soft = cv2.GaussianBlur(shade, (0, 0), 0.012 * camera.height / _COARSE)
    # Elsewhere the picture stays as it is. A margin of one, because the interpolation reaches so far.
    (top, bottom), (left, right) = (_reach(soft.any(axis=axis)) for axis in (1, 0))
    near = soft[top:bottom, left:right]
    wide = cv2.resize(near, None, fx=_COARSE, fy=_COARSE, interpolation=cv2.INTER_LINEAR)
    part = strip[_COARSE * top : _COARSE * bottom, _COARSE * left : _COARSE * right]
    lit = 1 - wide[: part.shape[0], : part.shape[1], None] * np.array([0.9, 1.0, 1.0], np.float32)
    part[:] = (part * lit).astype(np.uint8)


def _reach(dark: np.ndarray) -> tuple[int, int]:
    """First row or column that is dark (n,) bool, and the one after the last, with a margin of one."""
    where = np.flatnonzero(dark)
    return max(int(where[0]) - 1, 0), int(where[-1]) + 2
