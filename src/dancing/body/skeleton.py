"""The body: MediaPipe's 33 landmarks, their bones, mirrored bodies, spaces that models learn in, and limb heatmaps.

Letters: T frames, D pose dimensions, B batch, L limbs, H x W picture size in pixels.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch

LANDMARKS = (
    "nose", "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_pinky", "right_pinky", "left_index", "right_index",
    "left_thumb", "right_thumb", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
(
    NOSE, _, LEFT_EYE, _, _, RIGHT_EYE, _, LEFT_EAR, RIGHT_EAR, MOUTH_LEFT, MOUTH_RIGHT,
    LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_ELBOW, RIGHT_ELBOW, LEFT_WRIST, RIGHT_WRIST, LEFT_PINKY, RIGHT_PINKY,
    LEFT_INDEX, RIGHT_INDEX, LEFT_THUMB, RIGHT_THUMB, LEFT_HIP, RIGHT_HIP, LEFT_KNEE, RIGHT_KNEE,
    LEFT_ANKLE, RIGHT_ANKLE, LEFT_HEEL, RIGHT_HEEL, LEFT_TOE, RIGHT_TOE,
) = range(33)  # fmt: skip

#: For every landmark its twin on the other side of the body.
MIRROR = tuple(
    LANDMARKS.index(name.replace("left", "\0").replace("right", "left").replace("\0", "right")) for name in LANDMARKS
)

#: Bones whose length a pose must keep (drawn too): pairs of landmarks.
BONES = (
    (LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP), (LEFT_SHOULDER, LEFT_HIP), (RIGHT_SHOULDER, RIGHT_HIP),
    (LEFT_SHOULDER, LEFT_ELBOW), (LEFT_ELBOW, LEFT_WRIST), (LEFT_WRIST, LEFT_INDEX),
    (RIGHT_SHOULDER, RIGHT_ELBOW), (RIGHT_ELBOW, RIGHT_WRIST), (RIGHT_WRIST, RIGHT_INDEX),
    (LEFT_HIP, LEFT_KNEE), (LEFT_KNEE, LEFT_ANKLE), (LEFT_HEEL, LEFT_TOE), (LEFT_ANKLE, LEFT_HEEL),
    (RIGHT_HIP, RIGHT_KNEE), (RIGHT_KNEE, RIGHT_ANKLE), (RIGHT_HEEL, RIGHT_TOE), (RIGHT_ANKLE, RIGHT_HEEL),
    (LEFT_EAR, RIGHT_EAR), (NOSE, LEFT_EAR), (NOSE, RIGHT_EAR),
)  # fmt: skip

#: For every bone its twin on the other side of the body.
BONE_TWINS = tuple(
    next(k for k, ends in enumerate(BONES) if set(ends) == {MIRROR[start], MIRROR[end]}) for start, end in BONES
)

#: Limbs drawn as heatmaps: each end is the mean of one or two landmarks, so that the neck and the spine have ends too.
LIMBS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    *(((a,), (b,)) for a, b in BONES),
    ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_EAR, RIGHT_EAR)),
    ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP)),
)

#: Joints drawn as heatmaps, each at the mean of its landmarks: what strokes leave out of face, hands and feet.
JOINT_MAPS: tuple[tuple[int, ...], ...] = (
    (NOSE,), (LEFT_EYE,), (RIGHT_EYE,), (MOUTH_LEFT, MOUTH_RIGHT), (LEFT_WRIST,), (RIGHT_WRIST,),
    (LEFT_PINKY, LEFT_INDEX, LEFT_THUMB), (RIGHT_PINKY, RIGHT_INDEX, RIGHT_THUMB), (LEFT_TOE,), (RIGHT_TOE,),
)  # fmt: skip


def mirrored(landmarks: np.ndarray) -> np.ndarray:
    """The dance seen in a mirror: x turned round, left and right swapped. (..., 33, 2) -> the same, in [0, 1]."""
    twin = landmarks[..., MIRROR, :].copy()
    twin[..., 0] = 1.0 - twin[..., 0]
    return twin


def torso_and_root(pixels: np.ndarray) -> tuple[float, np.ndarray]:
    """Median length from mid-hip to mid-shoulder (px) and the mid-hip's path (T, 2), of landmarks (T, 33, 2) in px."""
    root = pixels[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1)
    neck = pixels[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1)
    torso = float(np.median(np.linalg.norm(neck - root, axis=-1)))
    return max(torso, 1e-3), root


PoseKind = Literal["picture", "body"]


@dataclass(frozen=True)
class PoseSpace:
    """The numbers that a VAE learns, and the way there and back.

    kind "picture" (the seed's): the 33 landmarks as fractions of the picture, D = 66.
    kind "body": 33 landmarks relative to mid-hip, then the root's path relative to its median place, all in torso
    lengths of the clip, D = 68; free of camera, distance and aspect ratio.
    Either is standardised by mean and std of the training part, so D-vectors are about N(0, 1).
    """

    kind: PoseKind
    width: int
    height: int
    torso: float  # px, median over the training clips; what generated bodies are scaled to
    home: tuple[float, float]  # px, median place of the root in the training clips
    mean: np.ndarray = field(repr=False)  # (D,)
    std: np.ndarray = field(repr=False)  # (D,)

    @classmethod
    def fit(cls, kind: PoseKind, clips: Sequence[np.ndarray], width: int, height: int) -> "PoseSpace":
        """Take the statistics of training clips, each (T, 33, 2) in [0, 1] of a width x height picture."""
        size = np.array([width, height], dtype=np.float32)
        scales, roots = zip(*(torso_and_root(clip * size) for clip in clips), strict=True)
        home = np.median(np.concatenate(roots), axis=0)
        place = (float(home[0]), float(home[1]))
        raw = cls(kind, width, height, float(np.median(scales)), place, np.zeros(1), np.ones(1))
        vectors = np.concatenate([raw.encode(clip) for clip in clips])
        # Dimensions that hardly move (mid-hip is 0 by definition) would blow noise up to unit variance.
        std = np.maximum(vectors.std(axis=0), 0.02 if kind == "body" else 0.005)
        return cls(kind, width, height, raw.torso, raw.home, vectors.mean(axis=0), std)

    @property
    def dim(self) -> int:
        return len(self.mean)

    def encode(self, landmarks: np.ndarray) -> np.ndarray:
        """One clip's landmarks (T, 33, 2) in [0, 1] -> standardised vectors (T, D) float32."""
        if self.kind == "picture":
            vectors = landmarks.reshape(len(landmarks), -1)
        else:
            pixels = landmarks * np.array([self.width, self.height], dtype=np.float32)
            torso, root = torso_and_root(pixels)
            body = (pixels - root[:, None]) / torso  # (T, 33, 2)
            path = (root - np.median(root, axis=0)) / torso  # (T, 2)
            vectors = np.concatenate([body.reshape(len(body), -1), path], axis=1)
        return ((vectors - self.mean) / self.std).astype(np.float32)

    def decode(self, vectors: np.ndarray) -> np.ndarray:
        """Standardised vectors (T, D) -> landmarks (T, 33, 2) in [0, 1], at the training clips' size and place."""
        vectors = vectors * self.std + self.mean
        if self.kind == "picture":
            return vectors.reshape(-1, 33, 2).astype(np.float32)
        body, path = vectors[:, :66].reshape(-1, 33, 2), vectors[:, None, 66:]
        pixels = (body + path) * self.torso + np.array(self.home)
        return (pixels / [self.width, self.height]).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        return {
            "kind": self.kind, "width": self.width, "height": self.height, "torso": self.torso,
            "home": list(self.home), "mean": self.mean.tolist(), "std": self.std.tolist(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "PoseSpace":
        arrays = {"mean": np.array(plain["mean"]), "std": np.array(plain["std"])}
        return cls(**{**plain, **arrays, "home": tuple(plain["home"])})


#: What touches the floor, and the share of the time in which the lower foot is above the floor line: jumps, and steps
#: to the back of the room.
_FEET = (LEFT_ANKLE, RIGHT_ANKLE, LEFT_HEEL, RIGHT_HEEL, LEFT_TOE, RIGHT_TOE)
_ABOVE_GROUND = 0.9


@dataclass(frozen=True)
class Placement:
    """Where and how large a subject stands in the picture, to fit others' dances to: T frames, sizes in px."""

    torso: float  # median length from mid-hip to mid-shoulder
    place: float  # median x of the root, mid-hip
    ground: float  # y of the floor line: nine tenths of the time the lower foot is above it
    width: int  # of the picture
    height: int

    @classmethod
    def of(cls, clips: Sequence[np.ndarray], width: int, height: int) -> "Placement":
        """Return the placement in clips of one subject and one camera, each (T, 33, 2) in [0, 1] of the image."""
        size = np.array([width, height], dtype=np.float32)
        scales, roots = zip(*(torso_and_root(clip * size) for clip in clips), strict=True)
        lower = np.concatenate([clip[:, _FEET, 1].max(axis=1) for clip in clips]) * height  # (T,)
        return cls(
            torso=float(np.median(scales)),
            place=float(np.median(np.concatenate(roots)[:, 0])),
            ground=float(np.quantile(lower, _ABOVE_GROUND)),
            width=width,
            height=height,
        )

    def fit(self, landmarks: np.ndarray) -> np.ndarray:
        """A whole dance (T, 33, 2) in [0, 1] of the same picture, made as large as the subject, on its floor, about its
        place; float32. The dance's path and proportions stay its own."""
        own = Placement.of([landmarks], self.width, self.height)
        size = np.array([self.width, self.height])
        moved = (landmarks * size - [own.place, own.ground]) * (self.torso / own.torso) + [self.place, self.ground]
        return (moved / size).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Placement":
        return cls(**plain)


def joint_heatmaps(landmarks: torch.Tensor, height: int, width: int, radius: float) -> torch.Tensor:
    """Draw every joint of `JOINT_MAPS` as a soft dot (B, J, H, W), as `limb_heatmaps` draws strokes."""
    points = landmarks * landmarks.new_tensor([width, height])  # (B, 33, 2) px
    centre = torch.stack([points[:, list(joint)].mean(dim=1) for joint in JOINT_MAPS], dim=1)  # (B, J, 2)
    x = torch.arange(width, device=points.device, dtype=points.dtype) + 0.5
    y = torch.arange(height, device=points.device, dtype=points.dtype) + 0.5
    across, down = (
        ((steps - centre[..., axis, None]).square() * (-0.5 / radius**2)).clamp_min(-20).exp()
        for axis, steps in enumerate((x, y))
    )  # (B, J, W), (B, J, H): a dot is the product of its row and its column
    return down[..., :, None] * across[..., None, :]


def limb_heatmaps(landmarks: torch.Tensor, height: int, width: int, thickness: float) -> torch.Tensor:
    """Draw every limb as a soft stroke, on the landmarks' device and differentiably.

    landmarks (B, 33, 2) in [0, 1]; thickness is the stroke's standard deviation in px.
    Returns (B, L, H, W): exp(-d^2 / (2 thickness^2)), d the distance from the pixel's centre to the limb's segment.
    """
    unit = landmarks.new_tensor([width, height]) * (0.5**0.5 / thickness)  # in which exp(-d^2) is the stroke
    points = landmarks * unit  # (B, 33, 2)
    start, end = (
        torch.stack([points[:, list(limb[side])].mean(dim=1) for limb in LIMBS], dim=1) for side in (0, 1)
    )  # (B, L, 2)
    length = (end - start).square().sum(-1, keepdim=True).add(1e-12).sqrt()  # (B, L, 1)
    along = torch.where(length > 1e-3, (end - start) / length, unit.new_tensor([1.0, 0.0]))  # a point has no direction
    x = (torch.arange(width, device=unit.device, dtype=unit.dtype) + 0.5) * unit[0] / width
    y = (torch.arange(height, device=unit.device, dtype=unit.dtype) + 0.5) * unit[1] / height
    dx, dy = (x - start[..., :1])[..., None, :], (y - start[..., 1:])[..., :, None]  # (B, L, 1, W), (B, L, H, 1)
    cosine, sine = along[..., None].split(1, dim=-2)  # (B, L, 1, 1)
    # Turned so that the limb lies along one axis, both coordinates are outer sums over rows and columns (B, L, H, W).
    beside = dy * cosine - dx * sine
    lengthways = dx * cosine + dy * sine
    beyond = lengthways - lengthways.clamp(torch.zeros_like(length[..., None]), length[..., None])
    # Far off the exponent is cut: below 2e-9 nothing is seen, and numbers too small to be normal are slow.
    return torch.addcmul(beside.square(), beyond, beyond).clamp_max(20).neg().exp()
