"""Draw images of heads with varied skin, hair, eyes, expression, pose and light.

Images are drawn at four times their size and then reduced, for smooth edges. Coordinates on a face are relative to its
centre, in half widths and half heights of the face, y downwards. Sizes are in heights of the image.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from data.demo.paint import Colour, curve, ellipse, mix, polygon, stroke

SUPERSAMPLING = 4
SKINS: tuple[Colour, ...] = (
    (255, 219, 190), (241, 194, 150), (224, 172, 120), (172, 116, 74), (120, 76, 48), (84, 52, 36),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (34, 26, 24), (70, 45, 30), (120, 78, 44), (188, 142, 80), (228, 196, 132), (158, 66, 38), (196, 194, 192),
)  # fmt: skip
IRISES: tuple[Colour, ...] = ((62, 40, 28), (104, 72, 40), (70, 110, 70), (74, 116, 166), (120, 134, 140))
SHIRTS: tuple[Colour, ...] = (
    (196, 72, 66), (60, 96, 160), (70, 132, 94), (224, 186, 84), (92, 72, 130), (230, 228, 222),
)  # fmt: skip
WALLS: tuple[Colour, ...] = ((196, 212, 224), (226, 214, 196), (178, 198, 180), (214, 190, 196), (150, 156, 170))
WHITE: Colour = (252, 250, 246)
DARK: Colour = (40, 24, 24)
LIPS: Colour = (176, 66, 70)
BLOOD: Colour = (60, 30, 40)  # mixed with the colour of the skin for shadows

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class _Head:
    """An image, and the pose of the face in it."""

    picture: np.ndarray  # (size, size, 3) uint8 RGB
    centre: np.ndarray  # (2,) of the face, relative to the centre of the image
    turn: float  # -1 to 1, to the left or right of the image
    tilt: float  # rad
    wide: float  # half the width of the face
    high: float  # half the height of the face

    @property
    def size(self) -> int:
        """Width and height of the image in px."""
        return self.picture.shape[0]

    def at(self, x: float, y: float) -> np.ndarray:
        """Position in the image (px) of a point on the face."""
        across, down = (x + 0.28 * self.turn * (1 - x * x)) * self.wide, y * self.high
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        return (self.centre + np.array([cos * across - sin * down, sin * across + cos * down]) + 0.5) * self.size

    def oval(self, x: float, y: float, wide: float, high: float, colour: Colour) -> None:
        """Draw an ellipse about a point on the face."""
        cos, sin = np.cos(self.tilt), np.sin(self.tilt)
        shape = np.array([[cos * wide, -sin * high], [sin * wide, cos * high]]) * self.size
        polygon(self.picture, ellipse(self.at(x, y), shape), colour)

    def line(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a smooth line through points on the face."""
        stroke(self.picture, curve(np.array([self.at(x, y) for x, y in points])), width * self.size, colour)

    def shape(self, points: Points, colour: Colour) -> None:
        """Fill a smooth closed curve through points on the face."""
        polygon(self.picture, curve(np.array([self.at(x, y) for x, y in points]), closed=True), colour)

    def even(self, half: Points, colour: Colour) -> None:
        """Fill a symmetric shape, given by its right half from top to bottom."""
        self.shape([*half, *((-x, y) for x, y in reversed(half) if x)], colour)


def draw_heads(count: int, size: int, seed: int | list[int]) -> Iterator[np.ndarray]:
    """Draw heads. The same arguments give the same images.

    Args:
        count: number of images.
        size: width and height in px.
        seed: seed of the random variation.

    Yields:
        (size, size, 3) uint8 RGB.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        yield draw_head(size, rng)


def draw_head(size: int, rng: np.random.Generator) -> np.ndarray:
    """Draw one random head, (size, size, 3) uint8 RGB."""
    large = SUPERSAMPLING * size
    picture = np.full((large, large, 3), _varied(WALLS[rng.integers(len(WALLS))], 16, rng), np.uint8)
    first = rng.integers(len(SKINS) - 1)
    skin = _varied(mix(SKINS[first], SKINS[first + 1], rng.random()), 8, rng)
    hair = _varied(HAIRS[rng.integers(len(HAIRS))], 12, rng)
    head = _Head(
        picture, np.array([rng.uniform(-0.04, 0.04), rng.uniform(-0.03, 0.03)]), rng.uniform(-0.8, 0.8),
        rng.uniform(-0.14, 0.14), rng.uniform(0.235, 0.285), rng.uniform(0.315, 0.365),
    )  # fmt: skip
    length = rng.choice(["none", "short", "long"], p=[0.1, 0.5, 0.4])
    shade = mix(skin, BLOOD, 0.28)
    if length == "long":
        _long_hair(head, mix(hair, (0, 0, 0), 0.25), rng)
    _shoulders(head, skin, _varied(SHIRTS[rng.integers(len(SHIRTS))], 14, rng))
    for side in (-1, 1):  # ears
        head.oval(side * 1.02, 0.05, 0.035, 0.06, shade)
    head.even([(0, -1), (0.72, -0.75), (0.99, -0.1), (0.86, 0.5), (0.45, 0.93), (0, 1.02)], skin)
    for side in (-1, 1):  # cheeks
        head.oval(side * 0.52, 0.34, 0.055, 0.04, mix(skin, (226, 96, 96), rng.uniform(0.06, 0.3)))
    _eyes(head, skin, hair, rng)
    head.line([(0.02, -0.08), (0.12, 0.2), (0.1, 0.3), (-0.06, 0.31)], 0.012, shade)  # nose
    _mouth(head, skin, rng)
    if rng.random() < 0.2:
        _beard(head, mix(hair, skin, 0.25))
    if length != "none":
        _fringe(head, hair, rng)
    if rng.random() < 0.15:
        _glasses(head)
    return _lit(cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA), rng)


def _varied(colour: Colour, by: int, rng: np.random.Generator) -> Colour:
    r, g, b = (int(np.clip(c + rng.integers(-by, by + 1), 0, 255)) for c in colour)
    return r, g, b


def _shoulders(head: _Head, skin: Colour, shirt: Colour) -> None:
    size = head.size
    x, neck, collar = (0.5 + head.centre[0]) * size, 0.10 * size, (0.5 + head.centre[1] + 0.86 * head.high) * size
    throat = [(x - neck, collar - 0.1 * size), (x + neck, collar - 0.1 * size), (x + neck, size), (x - neck, size)]
    polygon(head.picture, np.array(throat), mix(skin, BLOOD, 0.34))
    left = [(x - 0.46 * size, size * 1.02), (x - 0.34 * size, collar + 0.09 * size), (x - neck, collar + 0.03 * size)]
    right = [(2 * x - px, py) for px, py in reversed(left)]
    polygon(head.picture, np.array([*left, (x, collar + 0.1 * size), *right]), shirt)


def _long_hair(head: _Head, hair: Colour, rng: np.random.Generator) -> None:
    low, out = rng.uniform(0.8, 1.35), rng.uniform(1.12, 1.35)
    head.even([(0, -1.22), (0.9, -0.95), (out, 0), (out, low), (0.5, low + 0.1)], hair)


def _fringe(head: _Head, hair: Colour, rng: np.random.Generator) -> None:
    part, low, side = rng.uniform(-0.5, 0.5), rng.uniform(-0.62, -0.4), rng.uniform(-0.35, 0.1)
    right = [(0.0, -1.2), (0.8, -0.98), (1.06, -0.35), (1.0, side), (0.84, -0.42)]
    edge = [(part + 0.3, low), (part, low - 0.16), (part - 0.4, low)]
    head.shape([*right, *edge, *((-x, y) for x, y in reversed(right[1:]))], hair)
    light = mix(hair, (255, 240, 220), 0.22)
    head.line([(part - 0.5, -0.95), (part - 0.2, -1.02), (part + 0.2, -1.0)], 0.016, light)


def _eyes(head: _Head, skin: Colour, hair: Colour, rng: np.random.Generator) -> None:
    iris, opening = IRISES[rng.integers(len(IRISES))], rng.uniform(0.016, 0.03)
    look, brow = rng.uniform(-0.05, 0.05), rng.uniform(-0.07, 0.05)
    closed = rng.random() < 0.05
    for side in (-1, 1):
        x = 0.42 * side
        if closed:
            head.line([(x - 0.16, -0.1), (x, -0.06), (x + 0.16, -0.1)], 0.012, DARK)
        else:
            head.oval(x, -0.1, 0.046, opening, WHITE)
            head.oval(x + look, -0.1, min(0.024, opening), min(0.024, opening), iris)
            head.oval(x + look, -0.1, 0.010, min(0.010, opening), DARK)
            lid = [(x - 0.17, -0.1), (x, -0.1 - opening / head.high), (x + 0.17, -0.1)]
            head.line(lid, 0.008, mix(DARK, skin, 0.2))
        above = [(x - 0.19, -0.27 - brow * side), (x, -0.32), (x + 0.19, -0.27 + brow * side)]
        head.line(above, 0.016, mix(hair, DARK, 0.35))


def _mouth(head: _Head, skin: Colour, rng: np.random.Generator) -> None:
    smile, wide, lips = rng.uniform(-0.05, 0.13), rng.uniform(0.24, 0.36), mix(LIPS, skin, rng.uniform(0.1, 0.6))
    corners, middle = 0.58 - smile / 2, 0.58 + smile
    if rng.random() < 0.35 and smile > 0.02:  # laughing
        head.even([(0, corners + 0.04), (wide, corners), (0.6 * wide, middle + 0.08)], mix(DARK, LIPS, 0.3))
        head.even([(0, corners + 0.05), (0.8 * wide, corners + 0.02), (0, corners + 0.1)], WHITE)
    head.line([(-wide, corners), (0, middle), (wide, corners)], 0.018, lips)


def _beard(head: _Head, colour: Colour) -> None:
    head.line([(-0.88, 0.3), (-0.6, 0.82), (0, 0.98), (0.6, 0.82), (0.88, 0.3)], 0.05, colour)
    head.line([(-0.3, 0.46), (0, 0.42), (0.3, 0.46)], 0.024, colour)


def _glasses(head: _Head) -> None:
    for side in (-1, 1):
        rim = ellipse(head.at(0.42 * side, -0.08), np.diag([0.075, 0.06]) * head.size)
        stroke(head.picture, np.concatenate([rim, rim[:1]]), 0.010 * head.size, DARK)
    head.line([(-0.14, -0.1), (0, -0.13), (0.14, -0.1)], 0.010, DARK)


def _lit(picture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Apply a random lighting: direction, brightness and colour temperature."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] / picture.shape[0] - 0.5
    angle, depth = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.5)
    light = rng.uniform(0.82, 1.1) * (1 + depth * (np.cos(angle) * x + np.sin(angle) * y))
    warmth = 1 + rng.uniform(-0.06, 0.06) * np.array([1.0, 0.0, -1.0])
    return (picture * light[..., None] * warmth).clip(0, 255).astype(np.uint8)
