"""Draw the dancer as flat shapes in two tones, sorted by depth, with light from the upper left.

Frames are drawn at twice their size and then reduced, for smooth edges. Lengths are in metres until they are projected.
"""

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from data.demo.body import SIDES, Body
from data.demo.camera import Camera
from data.demo.paint import Colour, circles, curve, ellipse, hull, mix, polygon, stroke, tube
from data.demo.room import draw_room, draw_shadow

SKIN: Colour = (232, 172, 132)
SKIN_SHADE: Colour = (203, 138, 102)
SHIRT: Colour = (238, 106, 84)
SHIRT_SHADE: Colour = (206, 78, 70)
STRIPE: Colour = (253, 232, 202)
STRIPE_SHADE: Colour = (228, 198, 168)
TROUSERS: Colour = (58, 74, 118)
TROUSERS_SHADE: Colour = (43, 54, 92)
HAIR: Colour = (70, 45, 42)
HAIR_SHADE: Colour = (54, 34, 36)
HAIR_LIGHT: Colour = (97, 65, 56)
SHOE: Colour = (250, 248, 242)
SHOE_SHADE: Colour = (214, 216, 216)
SOLE: Colour = (236, 178, 72)
BAND: Colour = (44, 140, 140)
EYE: Colour = (52, 36, 36)
WHITE: Colour = (255, 253, 248)
LIPS: Colour = (158, 62, 60)
BLUSH: Colour = (236, 152, 120)

SUPERSAMPLING = 2
LIGHT = np.array([-0.22, -0.17])  # offset of the lit part of a limb (x, y), as a share of the limb's radius
LIT = 0.72  # radius of the lit part, as a share of the limb's radius: it then touches the edge of the limb

#: Cross-sections of the shirt from hem to neck: height above the hips along the spine, half width, half depth, in m.
_SHIRT = np.array(
    [
        (-0.05, 0.168, 0.118),
        (0.04, 0.160, 0.116),
        (0.17, 0.139, 0.102),
        (0.30, 0.150, 0.110),
        (0.40, 0.164, 0.115),
        (0.475, 0.172, 0.095),
        (0.522, 0.118, 0.070),
        (0.548, 0.062, 0.055),
    ]
)

#: Share of the shirt's width that is lit, from hem to neck.
_SHIRT_LIT = np.array([0.62, 0.62, 0.63, 0.66, 0.71, 0.86, 0.84, 0.70])


def draw_frames(body: Body, width: int, height: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Draw the frames of a dance.

    Args:
        body: joints in all frames.
        width: of the frames in px.
        height: of the frames in px.
        seed: determines when the dancer blinks.

    Yields:
        (height, width, 3) uint8 RGB, one for each frame of the body.
    """
    camera = Camera(SUPERSAMPLING * width, SUPERSAMPLING * height)
    room = draw_room(camera)
    frames = len(body.head)
    blinks = np.random.default_rng(seed).random(frames // 5 + 1) < 0.045
    for t in range(frames):
        picture = room.copy()
        _Frame(picture, camera, body, t).draw(bool(blinks[t // 5]))
        yield cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)


class _Frame:
    """Draws the dancer at frame t into an image. Points are (3,) in m in world axes; those in px are named so."""

    def __init__(self, picture: np.ndarray, camera: Camera, body: Body, t: int) -> None:
        self.picture, self.camera = picture, camera
        self.at = {name: path[t] for name, path in body.joints.items()}  # name -> (3,)
        self.pelvis, self.chest, self.head = body.pelvis[t], body.chest[t], body.head[t]
        self.thumbs = {side: body.thumbs[side][t] for side, _ in SIDES}
        self.hand_open = {side: float(body.hand_open[side][t]) for side, _ in SIDES}

    def draw(self, blinking: bool) -> None:
        """Draw all parts of the body from back to front."""
        feet = np.stack([self.at[f"{side}_{part}"] for side, _ in SIDES for part in ("ball", "heel")])
        draw_shadow(self.picture, self.camera, feet, self.at["hips"])
        middle = float(self.at["shoulders"][2])
        parts: list[tuple[float, Callable[[], None]]] = [
            (middle - 0.5, self.draw_pelvis),
            (middle, self.draw_shirt),
            (middle + 0.02, lambda: self.draw_head(blinking)),
        ]
        for side, s in SIDES:
            parts += [(self._leg_depth(side, middle), lambda side=side, s=s: self.draw_leg(side, s))]  # type: ignore[misc]
            parts += [(self._arm_depth(side, middle), lambda side=side, s=s: self.draw_arm(side, s))]  # type: ignore[misc]
        for _, draw in sorted(parts, key=lambda part: part[0]):
            draw()

    def _raised(self, side: str) -> float:
        """How far a thigh is raised in front of the shirt, from 0 to 1."""
        return float(np.clip((self.at[f"{side}_knee"][1] - self.at["hips"][1] + 0.22) / 0.16, 0, 1))

    def _leg_depth(self, side: str, middle: float) -> float:
        """Depth of a leg for sorting: behind the shirt, except if the thigh is raised."""
        if self._raised(side):
            return middle + 0.01
        return middle - 0.4 + 0.1 * float(self.at[f"{side}_knee"][2] - middle)

    def _arm_depth(self, side: str, middle: float) -> float:
        elbow, wrist = self.at[f"{side}_elbow"], self.at[f"{side}_wrist"]
        return float(max(0.5 * (elbow[2] + wrist[2]), wrist[2] - 0.05)) + 0.10 - 0.02 * (elbow[2] < middle)

    # -------------------------------------------------------------------------------------------------- projecting

    def pixels(self, *points: np.ndarray) -> np.ndarray:
        """Project n points to px, (n, 2)."""
        return self.camera.project(np.stack(points))

    def limb(self, points: list[np.ndarray], radii: list[float], colour: Colour, shade: Colour) -> None:
        """Draw a tube in two tones through points; radii in m."""
        path = self.pixels(*points)
        thick = np.array(radii) * self.camera.scale(np.stack(points)[:, 2])
        tube(self.picture, path, thick, shade)
        tube(self.picture, path + thick[:, None] * LIGHT, LIT * thick, colour)

    def blob(self, centres: list[np.ndarray], radii: list[float], colour: Colour) -> None:
        """Draw the convex hull of balls; radii in m."""
        points = np.stack(centres)
        hull(
            self.picture,
            circles(self.camera.project(points), np.array(radii) * self.camera.scale(points[:, 2])),
            colour,
        )

    # -------------------------------------------------------------------------------------------------------- legs

    def draw_pelvis(self) -> None:
        left, right = self.at["left_hip"], self.at["right_hip"]
        self.blob([left, right, self.at["waist"]], [0.078, 0.078, 0.10], TROUSERS_SHADE)

    def draw_leg(self, side: str, s: int) -> None:
        hip, knee, ankle = (self.at[f"{side}_{joint}"] for joint in ("hip", "knee", "ankle"))
        self.draw_shoe(side)
        far = float(np.clip((self.at["hips"][2] - knee[2]) / 0.25, 0, 1))
        lit = mix(TROUSERS, TROUSERS_SHADE, 0.5 * far + (0.12 if s > 0 else 0))
        shade = mix(TROUSERS_SHADE, (30, 36, 66), 0.4 * far)
        cuff = ankle + 0.09 * (knee - ankle)
        thigh = hip + 0.24 * self._raised(side) * (knee - hip)  # the shirt covers the top of the thigh
        self.limb([thigh, knee, cuff], [0.080, 0.061, 0.049], lit, shade)

    def draw_shoe(self, side: str) -> None:
        heel, ankle, ball, toe = (self.at[f"{side}_{part}"] for part in ("heel", "ankle", "ball", "foot_index"))
        shin = self.at[f"{side}_knee"] - ankle
        self.blob([ankle + 0.13 * shin, ankle], [0.034, 0.034], SKIN_SHADE)
        down = np.array([0, -0.008, 0])
        self.blob([heel + down, ball + down, toe + down], [0.034, 0.043, 0.034], SOLE)
        up = np.array([0, 0.012, 0])
        self.blob([heel + up, ball + up, toe + up, ankle], [0.034, 0.042, 0.033, 0.042], SHOE_SHADE)
        lit = 0.01 * np.array([-1, 1, 0])
        self.blob([ball + up + lit, toe + up + lit, ankle + lit], [0.030, 0.022, 0.029], SHOE)

    # ------------------------------------------------------------------------------------------------------- trunk

    def draw_shirt(self) -> None:
        left, right = self._shirt_edges()
        polygon(self.picture, self._outline(left, right, 1.0), SHIRT_SHADE)
        polygon(self.picture, self._outline(left, right, _SHIRT_LIT), SHIRT)
        chest = slice(3, 5)
        for across, colour in ((1.0, STRIPE_SHADE), (_SHIRT_LIT[3:5].mean(), STRIPE)):
            polygon(self.picture, self._stripe(left[chest], right[chest], across), colour)
        for side, _ in SIDES:
            self.blob([self.at[f"{side}_shoulder"] + [0, -0.012, 0]], [0.050], SHIRT)
        up, out, forward = self.chest[:, 1], self.chest[:, 0], self.chest[:, 2]
        collar = self.at["shoulders"] + 0.045 * up + 0.035 * forward
        scale = self.camera.scale(collar[2])
        shape = np.stack([0.068 * out[:2], 0.040 * (up + 0.3 * forward)[:2]], axis=1) * scale * [[1], [-1]]
        centre = self.pixels(collar)[0]
        hull(self.picture, ellipse(centre, shape), STRIPE_SHADE)
        hull(self.picture, ellipse(centre - [0, 0.012 * scale], 0.86 * shape), SKIN_SHADE)

    def _shirt_edges(self) -> tuple[np.ndarray, np.ndarray]:
        """Edges of the shirt on the left and right of the image, from hem to neck, (8, 2) px each."""
        hips, waist, shoulders = self.at["hips"], self.at["waist"], self.at["shoulders"]
        heights = _SHIRT[:, 0]
        low, high = np.linalg.norm(waist - hips), np.linalg.norm(shoulders - waist)
        # Weight of the chest in the orientation of a cross-section, the rest is the pelvis's.
        share = np.clip((heights - 0.6 * low) / (0.9 * low), 0, 1)[:, None]
        spine = np.where(
            (heights < low)[:, None],
            hips + heights[:, None] * self.pelvis[:, 1],
            waist + (heights - low)[:, None] * self.chest[:, 1],
        )
        out = (1 - share) * self.pelvis[:, 0] + share * self.chest[:, 0]
        forward = (1 - share) * self.pelvis[:, 2] + share * self.chest[:, 2]
        across = np.gradient(self.camera.project(spine), axis=0) @ np.array([[0.0, 1.0], [-1.0, 0.0]])
        across /= np.linalg.norm(across, axis=1, keepdims=True)  # to the right of the image if the spine points up
        flip = across * [1, -1]  # in the world's axes, y up
        half = np.hypot(_SHIRT[:, 1] * (out[:, :2] * flip).sum(1), _SHIRT[:, 2] * (forward[:, :2] * flip).sum(1))
        middle, reach = self.camera.project(spine), (half * self.camera.scale(spine[:, 2]))[:, None] * across
        return (middle - reach, middle + reach) if high > 0 else (middle, middle)

    def _outline(self, left: np.ndarray, right: np.ndarray, share: np.ndarray | float) -> np.ndarray:
        """Outline in px from the left edge of the shirt to a share of its width, with a rounded hem."""
        edges = curve(left), curve(left + np.reshape(share, (-1, 1)) * (right - left))
        sag = self.camera.unit * np.array([0, 4.0])
        hem = curve(np.stack([edges[1][0], 0.5 * (edges[0][0] + edges[1][0]) + sag, edges[0][0]]))
        return np.concatenate([edges[0], edges[1][::-1], hem])

    def _stripe(self, left: np.ndarray, right: np.ndarray, across: float) -> np.ndarray:
        """Outline in px of the stripe around the chest. Its nearest part is the lowest."""
        turn = float(self.chest[0, 2])
        nearest = 0.5 + 0.3 * turn
        sag = self.camera.unit * np.array([0, 5.0])
        share = np.linspace(0, across, 9)[:, None]
        bend = sag * (1 - ((share - nearest) / max(nearest, 1 - nearest)) ** 2)
        lower, upper = ((left[i] + share * (right[i] - left[i])) + bend for i in (0, 1))
        middle = 0.55
        return np.concatenate([lower, (lower + middle * (upper - lower))[::-1]])

    # -------------------------------------------------------------------------------------------------------- arms

    def draw_arm(self, side: str, s: int) -> None:
        shoulder, elbow, wrist = (self.at[f"{side}_{joint}"] for joint in ("shoulder", "elbow", "wrist"))
        far = float(np.clip((self.at["shoulders"][2] - 0.5 * (elbow + wrist)[2]) / 0.25, 0, 1))
        lit, shade = mix(SKIN, SKIN_SHADE, 0.6 * far), mix(SKIN_SHADE, (150, 96, 76), 0.4 * far)
        self.draw_hand(side, lit, shade)
        self.limb([shoulder, elbow, wrist], [0.045, 0.039, 0.026], lit, shade)
        if s > 0:
            self.limb(
                [wrist - 0.030 * _unit(wrist - elbow), wrist - 0.006 * _unit(wrist - elbow)],
                [0.033, 0.032],
                BAND,
                mix(BAND, EYE, 0.25),
            )
        self.draw_sleeve(shoulder, elbow, mix(SHIRT, SHIRT_SHADE, 0.5 * far + 0.25 * (s > 0)))

    def draw_sleeve(self, shoulder: np.ndarray, elbow: np.ndarray, cloth: Colour) -> None:
        """Draw a short sleeve with a hem, and without an edge between sleeve and shirt."""
        down = elbow - shoulder
        self.limb([shoulder + 0.50 * down, shoulder + 0.56 * down], [0.054, 0.055], STRIPE, STRIPE_SHADE)
        points = np.stack([shoulder, shoulder + 0.45 * down])
        path, radii = self.camera.project(points), np.array([0.050, 0.054]) * self.camera.scale(points[:, 2])
        tube(self.picture, path, radii, SHIRT_SHADE)
        tube(
            self.picture, path + np.array([[0.3], [1.0]]) * radii[:, None] * LIGHT, np.array([0.93, LIT]) * radii, cloth
        )

    def draw_hand(self, side: str, lit: Colour, shade: Colour) -> None:
        wrist, along, thumb = (
            self.at[f"{side}_wrist"],
            self.at[f"{side}_hand"] - self.at[f"{side}_wrist"],
            self.thumbs[side],
        )
        index, pinky = self.at[f"{side}_index"], self.at[f"{side}_pinky"]
        stretched = float(np.clip(self.hand_open[side], 0, 1))
        length = 0.022 + 0.055 * stretched
        for share in (0.0, 0.33, 0.67, 1.0):
            knuckle = pinky + share * (index - pinky)
            fan = 0.28 * stretched * (share - 0.45)
            tip = knuckle + length * (1.08 - 1.1 * (share - 0.6) ** 2) * _unit(along + fan * thumb)
            self.limb([knuckle, tip], [0.0118, 0.0098], lit, shade)
        base, tip = wrist + 0.03 * along + 0.018 * thumb, self.at[f"{side}_thumb"]
        self.limb([base, tip, tip + 0.022 * _unit(along + 0.3 * thumb)], [0.015, 0.0125, 0.0105], lit, shade)
        self.blob([wrist, index, pinky, wrist + 0.03 * along + 0.016 * thumb], [0.024, 0.015, 0.014, 0.016], shade)
        inside = 0.004 * np.array([-1, 1, 0])
        self.blob([wrist + inside, index + inside, pinky + inside], [0.018, 0.011, 0.010], lit)

    # -------------------------------------------------------------------------------------------------------- head

    def draw_head(self, blinking: bool) -> None:
        """Draw the hair, then the face over it, up to the hairline."""
        hull(self.picture, self.ball(_HAIR_CENTRE, _HAIR_RADII), HAIR_SHADE)
        neck = self.at["shoulders"] + 0.035 * self.chest[:, 1]
        self.limb([neck, self.at["skull"]], [0.050, 0.047], mix(SKIN, SKIN_SHADE, 0.75), mix(SKIN_SHADE, EYE, 0.12))
        light = LIGHT * 0.06 * self.camera.scale(self.at["head"][2])
        hair = self.ball(_HAIR_CENTRE, _HAIR_RADII)
        hull(self.picture, hair.mean(axis=0) + 0.92 * (hair - hair.mean(axis=0)) + light, HAIR)
        turned = {side: s * float(self.head[2, 0]) for side, s in SIDES}  # above 0: the ear is on the near side
        for side, _ in SIDES:
            if turned[side] <= 0.1:
                self.draw_ear(side)
        face = self.on_head(*_FACE)
        hull(self.picture, face, SKIN_SHADE)
        hull(self.picture, face.mean(axis=0) + 0.93 * (face - face.mean(axis=0)) + light, SKIN)
        self.draw_face(blinking)
        for side, _ in SIDES:
            if turned[side] > 0.1:
                self.draw_ear(side)
        hull(self.picture, self.ball((-0.018, 0.114, 0.044), (0.070, 0.036, 0.054)), HAIR)
        hull(self.picture, self.ball((-0.034, 0.126, 0.052), (0.038, 0.013, 0.030)), HAIR_LIGHT)

    def on_head(self, *places: tuple[float, float, float]) -> np.ndarray:
        """Project n places in the axes of the head to px, (n, 2)."""
        return self.camera.project(self.at["head"] + np.array(places) @ self.head.T)

    def ball(self, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        """Outline of an ellipsoid in the axes of the head, (20, 2) px."""
        half_axes = (self.head * radii)[:2]  # in the image plane, y up
        shape = np.linalg.cholesky(half_axes @ half_axes.T) * self.camera.scale(self.at["head"][2])
        return ellipse(self.on_head(centre)[0], shape * [[1], [-1]])

    def draw_ear(self, side: str) -> None:
        s = 1 if side == "left" else -1
        hull(self.picture, self.ball((s * 0.077, -0.004, -0.002), (0.012, 0.027, 0.018)), SKIN_SHADE)
        hull(self.picture, self.ball((s * 0.079, -0.003, 0.0), (0.008, 0.019, 0.012)), mix(SKIN, SKIN_SHADE, 0.4))

    def draw_face(self, blinking: bool) -> None:
        scale = float(self.camera.scale(self.at["head"][2]))
        for s in (1, -1):
            hull(self.picture, self.ball((s * 0.043, -0.030, 0.072), (0.015, 0.010, 0.006)), BLUSH)
            if blinking:
                lid = self.on_head((s * 0.020, 0.018, 0.090), (s * 0.032, 0.013, 0.088), (s * 0.044, 0.018, 0.080))
                stroke(self.picture, curve(lid), 0.006 * scale, EYE)
            else:
                hull(self.picture, self.ball((s * 0.032, 0.019, 0.082), (0.0135, 0.0105, 0.005)), WHITE)
                hull(self.picture, self.ball((s * 0.031, 0.019, 0.087), (0.0075, 0.0088, 0.003)), EYE)
                lid = self.on_head((s * 0.017, 0.024, 0.090), (s * 0.032, 0.031, 0.088), (s * 0.047, 0.024, 0.078))
                stroke(self.picture, curve(lid), 0.005 * scale, EYE)
            brow = self.on_head((s * 0.016, 0.043, 0.092), (s * 0.034, 0.050, 0.087), (s * 0.052, 0.043, 0.072))
            stroke(self.picture, curve(brow), 0.0085 * scale, HAIR)
        nose = self.on_head((0.005, 0.012, 0.098), (0.013, -0.020, 0.106), (0.0, -0.028, 0.108))
        stroke(self.picture, curve(nose), 0.006 * scale, SKIN_SHADE)
        upper = [(-0.027, -0.052, 0.084), (0.0, -0.058, 0.094), (0.027, -0.052, 0.084)]
        lower = [(0.016, -0.069, 0.089), (0.0, -0.073, 0.092), (-0.016, -0.069, 0.089)]
        polygon(self.picture, curve(self.on_head(*upper, *lower), closed=True), LIPS)
        teeth = [(0.020, -0.058, 0.088), (0.0, -0.063, 0.094), (-0.020, -0.058, 0.088)]
        polygon(self.picture, self.on_head((-0.021, -0.054, 0.087), upper[1], (0.021, -0.054, 0.087), *teeth), WHITE)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / np.linalg.norm(vector)


def _face_points() -> np.ndarray:
    """Points on the surface of skull and jaw that the hair does not cover, (n, 3) in the axes of the head."""
    polar, around = np.meshgrid(np.linspace(0, np.pi, 17), np.linspace(0, 2 * np.pi, 32, endpoint=False))
    ball = np.stack([np.sin(polar) * np.cos(around), np.cos(polar), np.sin(polar) * np.sin(around)], axis=-1)
    skull, jaw = (
        ([0, 0.028, -0.002] + ball * [0.076, 0.094, 0.094]),
        ([0, -0.058, 0.028] + ball * [0.056, 0.060, 0.060]),
    )
    surface = np.concatenate([skull, jaw]).reshape(-1, 3)
    return surface[surface @ _HAIRLINE < 0]


_HAIR_CENTRE, _HAIR_RADII = (0, 0.038, -0.014), (0.086, 0.100, 0.098)
_HAIRLINE = np.array(
    [0.30, 1.0, -0.84]
)  # normal of a plane through the centre of the head; it rises to the front and to the right
_FACE = _face_points()
