"""Draw flat shapes with smooth edges, in place, on images (H, W, 3) uint8 RGB. Points are (x, y) in pixels."""

import cv2
import numpy as np

Colour = tuple[int, int, int]

_SHIFT = 4  # fractional bits of the fixed-point coordinates for OpenCV
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], axis=-1)  # (20, 2)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """Mix two colours; `share` is the weight of the second one, from 0 to 1."""
    r, g, b = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return r, g, b


def _fixed(points: np.ndarray) -> np.ndarray:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)


def polygon(picture: np.ndarray, points: np.ndarray, colour: Colour) -> None:
    """Fill a polygon with corners (n, 2), which need not be convex."""
    cv2.fillPoly(picture, [_fixed(points)], colour, cv2.LINE_AA, _SHIFT)


def hull(picture: np.ndarray, points: np.ndarray, colour: Colour) -> None:
    """Fill the convex hull of points (n, 2)."""
    cv2.fillConvexPoly(picture, cv2.convexHull(_fixed(points)), colour, cv2.LINE_AA, _SHIFT)


def stroke(picture: np.ndarray, points: np.ndarray, width: float, colour: Colour) -> None:
    """Draw a polyline through points (n, 2), `width` px thick."""
    thickness = max(1, round(width))
    cv2.polylines(picture, [_fixed(points)], False, colour, thickness, cv2.LINE_AA, _SHIFT)


def circles(centres: np.ndarray, radii: np.ndarray | float) -> np.ndarray:
    """Points (n * 20, 2) on n circles with centres (n, 2) and radii (n,), for use with `hull`."""
    return (centres[:, None] + np.reshape(radii, (-1, 1, 1)) * _CIRCLE).reshape(-1, 2)


def ellipse(centre: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """Points (20, 2) on an ellipse: the unit circle, transformed by a (2, 2) matrix and moved to the centre (2,)."""
    return centre + _CIRCLE @ shape.T


def tube(picture: np.ndarray, path: np.ndarray, radii: np.ndarray, colour: Colour) -> None:
    """Draw a tube along a path (n, 2) with radii (n,) in px, and with round ends and joints."""
    for i in range(len(path) - 1):
        hull(picture, circles(path[i : i + 2], radii[i : i + 2]), colour)


def curve(points: np.ndarray, closed: bool = False, pieces: int = 6) -> np.ndarray:
    """Points on a smooth curve through points (n, 2): a Catmull-Rom spline (Catmull and Rom 1974).

    Args:
        points: (n, 2) px.
        closed: whether the curve returns to the first point.
        pieces: number of points of the curve for each interval.

    Returns:
        (m, 2) px.
    """
    before, after = (points[-1:], points[:2]) if closed else (points[:1], points[-1:])
    padded = np.concatenate([before, points, after])
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    u = np.linspace(0, 1, pieces, endpoint=False)[:, None]
    bends = 0.5 * (2 * b + (c - a) * u + (2 * a - 5 * b + 4 * c - d) * u**2 + (3 * b - a - 3 * c + d) * u**3)
    line = bends.reshape(-1, 2)
    return line if closed else np.concatenate([line, points[-1:]])
