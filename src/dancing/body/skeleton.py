"""The skeleton: MediaPipe's 33 landmarks, bones, mirroring, pose vectors for models, placement, heatmaps.

Letters: T frames, D pose dimensions, B batch, L limbs, J joints, H x W image size in pixels.
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

#: For every landmark, the index of its counterpart on the other side of the body.
MIRROR = tuple(
    LANDMARKS.index(name.replace("left", "\0").replace("right", "left").replace("\0", "right")) for name in LANDMARKS
)

#: Bones, as pairs of landmarks: the VAE's bone loss compares their lengths, and skeletons are drawn with them.
BONES = (
    (LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP), (LEFT_SHOULDER, LEFT_HIP), (RIGHT_SHOULDER, RIGHT_HIP),
    (LEFT_SHOULDER, LEFT_ELBOW), (LEFT_ELBOW, LEFT_WRIST), (LEFT_WRIST, LEFT_INDEX),
    (RIGHT_SHOULDER, RIGHT_ELBOW), (RIGHT_ELBOW, RIGHT_WRIST), (RIGHT_WRIST, RIGHT_INDEX),
    (LEFT_HIP, LEFT_KNEE), (LEFT_KNEE, LEFT_ANKLE), (LEFT_HEEL, LEFT_TOE), (LEFT_ANKLE, LEFT_HEEL),
    (RIGHT_HIP, RIGHT_KNEE), (RIGHT_KNEE, RIGHT_ANKLE), (RIGHT_HEEL, RIGHT_TOE), (RIGHT_ANKLE, RIGHT_HEEL),
    (LEFT_EAR, RIGHT_EAR), (NOSE, LEFT_EAR), (NOSE, RIGHT_EAR),
)  # fmt: skip

#: For every bone, the index of its counterpart on the other side of the body.
BONE_TWINS = tuple(
    next(k for k, ends in enumerate(BONES) if set(ends) == {MIRROR[start], MIRROR[end]}) for start, end in BONES
)

#: Limbs drawn as heatmaps. Each end is the mean of one or two landmarks, because neck and spine have no landmarks.
LIMBS: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    *(((a,), (b,)) for a, b in BONES),
    ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_EAR, RIGHT_EAR)),
    ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP)),
)

#: Joints drawn as heatmaps, each at the mean of its landmarks: details of face, hands and feet that limbs don't show.
JOINT_MAPS: tuple[tuple[int, ...], ...] = (
    (NOSE,), (LEFT_EYE,), (RIGHT_EYE,), (MOUTH_LEFT, MOUTH_RIGHT), (LEFT_WRIST,), (RIGHT_WRIST,),
    (LEFT_PINKY, LEFT_INDEX, LEFT_THUMB), (RIGHT_PINKY, RIGHT_INDEX, RIGHT_THUMB), (LEFT_TOE,), (RIGHT_TOE,),
)  # fmt: skip


def mirrored(landmarks: np.ndarray) -> np.ndarray:
    """Mirror landmarks (..., 33, 2) in [0, 1]: x becomes 1 - x, and left and right landmarks are swapped."""
    mirror = landmarks[..., MIRROR, :].copy()
    mirror[..., 0] = 1.0 - mirror[..., 0]
    return mirror


def torso_and_root(pixels: np.ndarray) -> tuple[float, np.ndarray]:
    """Torso length and path of the root (mid-hip).

    Args:
        pixels: (T, 33, 2) landmarks in px.

    Returns:
        Median distance from mid-hip to mid-shoulder in px, and the mid-hip (T, 2) in px.
    """
    root = pixels[:, [LEFT_HIP, RIGHT_HIP]].mean(axis=1)
    neck = pixels[:, [LEFT_SHOULDER, RIGHT_SHOULDER]].mean(axis=1)
    torso = float(np.median(np.linalg.norm(neck - root, axis=-1)))
    return max(torso, 1e-3), root


PoseKind = Literal["picture", "body"]


@dataclass(frozen=True)
class PoseSpace:
    """Pose vectors for the motion models: conversion from landmarks and back.

    Kind "picture" (the original model): the 33 landmarks as fractions of the image, D = 66.
    Kind "body": the 33 landmarks relative to mid-hip, then the path of the root relative to its median position, both
    in torso lengths of the clip, D = 68. It does not depend on camera, distance or aspect ratio.
    Both kinds are standardised by the mean and std of the training part.
    """

    kind: PoseKind
    width: int  # px, of the image
    height: int  # px
    torso: float  # px, median over the training clips; generated bodies are scaled to it
    home: tuple[float, float]  # px, median position of the root in the training clips
    mean: np.ndarray = field(repr=False)  # (D,)
    std: np.ndarray = field(repr=False)  # (D,)

    @classmethod
    def fit(cls, kind: PoseKind, clips: Sequence[np.ndarray], width: int, height: int) -> "PoseSpace":
        """Compute the statistics from training clips.

        Args:
            kind: which pose vectors.
            clips: (T, 33, 2) landmarks each, in [0, 1] of the image.
            width: of the image in px.
            height: of the image in px.
        """
        size = np.array([width, height], dtype=np.float32)
        scales, roots = zip(*(torso_and_root(clip * size) for clip in clips), strict=True)
        home = np.median(np.concatenate(roots), axis=0)
        position = (float(home[0]), float(home[1]))
        raw = cls(kind, width, height, float(np.median(scales)), position, np.zeros(1), np.ones(1))
        vectors = np.concatenate([raw.encode(clip) for clip in clips])
        # Without the minimum, the noise of dimensions that hardly vary (mid-hip is always 0) would get unit variance.
        std = np.maximum(vectors.std(axis=0), 0.02 if kind == "body" else 0.005)
        return cls(kind, width, height, raw.torso, raw.home, vectors.mean(axis=0), std)

    @property
    def dim(self) -> int:
        """D, the length of a pose vector."""
        return len(self.mean)

    def encode(self, landmarks: np.ndarray) -> np.ndarray:
        """Convert the landmarks of one clip, (T, 33, 2) in [0, 1], to standardised vectors (T, D) float32."""
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
        """Convert standardised vectors (T, D) to landmarks (T, 33, 2) float32 in [0, 1] of the image.

        Kind "body" gets the median torso length and root position of the training clips.
        """
        vectors = vectors * self.std + self.mean
        if self.kind == "picture":
            return vectors.reshape(-1, 33, 2).astype(np.float32)
        body, path = vectors[:, :66].reshape(-1, 33, 2), vectors[:, None, 66:]
        pixels = (body + path) * self.torso + np.array(self.home)
        return (pixels / [self.width, self.height]).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return {
            "kind": self.kind, "width": self.width, "height": self.height, "torso": self.torso,
            "home": list(self.home), "mean": self.mean.tolist(), "std": self.std.tolist(),
        }  # fmt: skip

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "PoseSpace":
        """Restore what `to_dict` returned."""
        arrays = {"mean": np.array(plain["mean"]), "std": np.array(plain["std"])}
        return cls(**{**plain, **arrays, "home": tuple(plain["home"])})


#: Landmarks that touch the floor.
_FEET = (LEFT_ANKLE, RIGHT_ANKLE, LEFT_HEEL, RIGHT_HEEL, LEFT_TOE, RIGHT_TOE)
#: Share of the frames in which the lower foot is above the floor line: in jumps, and on steps away from the camera.
_ABOVE_GROUND = 0.9


@dataclass(frozen=True)
class Placement:
    """Position and size of a subject in the image, so that dances of others can be moved and scaled to it."""

    torso: float  # px, median distance from mid-hip to mid-shoulder
    place: float  # px, median x of the root (mid-hip)
    ground: float  # px, y of the floor line: the lower foot is above it in 9 of 10 frames
    width: int  # px, of the image
    height: int  # px

    @classmethod
    def of(cls, clips: Sequence[np.ndarray], width: int, height: int) -> "Placement":
        """Measure the placement in clips of one subject and one camera.

        Args:
            clips: (T, 33, 2) landmarks each, in [0, 1] of the image.
            width: of the image in px.
            height: of the image in px.
        """
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
        """Move and scale a whole dance to the size, floor line and median position of the subject.

        The proportions of the dancer and the path relative to its median do not change.

        Args:
            landmarks: (T, 33, 2) in [0, 1] of an image of the same size.

        Returns:
            (T, 33, 2) float32 in [0, 1] of the image.
        """
        own = Placement.of([landmarks], self.width, self.height)
        size = np.array([self.width, self.height])
        moved = (landmarks * size - [own.place, own.ground]) * (self.torso / own.torso) + [self.place, self.ground]
        return (moved / size).astype(np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> "Placement":
        """Restore what `to_dict` returned."""
        return cls(**plain)


def _constant(values: tuple[float, ...], like: torch.Tensor) -> torch.Tensor:
    """Return values as a tensor of the type and on the device of another, without waiting for a GPU."""
    tensor = torch.tensor(values, dtype=like.dtype)
    return tensor.pin_memory().to(like.device, non_blocking=True) if like.is_cuda else tensor.to(like.device)


def _centre(points: torch.Tensor, landmarks: tuple[int, ...]) -> torch.Tensor:
    """Return the mean of some landmarks: points (B, 33, 2) -> (B, 2). A list as an index would be copied to a GPU."""
    return torch.stack([points[:, landmark] for landmark in landmarks], dim=1).mean(dim=1)


def joint_heatmaps(landmarks: torch.Tensor, height: int, width: int, radius: float) -> torch.Tensor:
    """Draw every joint of `JOINT_MAPS` as a Gaussian, on the device of the landmarks and differentiably.

    Args:
        landmarks: (B, 33, 2) in [0, 1].
        height: H, px.
        width: W, px.
        radius: standard deviation of the Gaussian, px.

    Returns:
        (B, J, H, W): exp(-d^2 / (2 radius^2)), where d is the distance from the centre of the pixel to the joint.
    """
    points = landmarks * _constant((width, height), landmarks)  # (B, 33, 2) px
    centre = torch.stack([_centre(points, joint) for joint in JOINT_MAPS], dim=1)  # (B, J, 2)
    x = torch.arange(width, device=points.device, dtype=points.dtype) + 0.5
    y = torch.arange(height, device=points.device, dtype=points.dtype) + 0.5
    across, down = (
        ((steps - centre[..., axis, None]).square() * (-0.5 / radius**2)).clamp_min(-20).exp()
        for axis, steps in enumerate((x, y))
    )  # (B, J, W), (B, J, H): a Gaussian is the product of a row and a column
    return down[..., :, None] * across[..., None, :]


def limb_heatmaps(landmarks: torch.Tensor, height: int, width: int, thickness: float) -> torch.Tensor:
    """Draw every limb of `LIMBS` as a line with a Gaussian profile, on the device of the landmarks and differentiably.

    Args:
        landmarks: (B, 33, 2) in [0, 1].
        height: H, px.
        width: W, px.
        thickness: standard deviation of the profile, px.

    Returns:
        (B, L, H, W): exp(-d^2 / (2 thickness^2)), where d is the distance from the centre of the pixel to the limb.
    """
    unit = _constant((width, height), landmarks) * (0.5**0.5 / thickness)  # scaled so that the profile is exp(-d^2)
    points = landmarks * unit  # (B, 33, 2)
    start, end = (torch.stack([_centre(points, limb[side]) for limb in LIMBS], dim=1) for side in (0, 1))  # (B, L, 2)
    length = (end - start).square().sum(-1, keepdim=True).add(1e-12).sqrt()  # (B, L, 1)
    # A limb of length 0 has no direction: any unit vector will do.
    along = torch.where(length > 1e-3, (end - start) / length, _constant((1.0, 0.0), unit))
    x = (torch.arange(width, device=unit.device, dtype=unit.dtype) + 0.5) * unit[0] / width
    y = (torch.arange(height, device=unit.device, dtype=unit.dtype) + 0.5) * unit[1] / height
    dx, dy = (x - start[..., :1])[..., None, :], (y - start[..., 1:])[..., :, None]  # (B, L, 1, W), (B, L, H, 1)
    cosine, sine = along[..., None].split(1, dim=-2)  # (B, L, 1, 1)
    # Coordinates along and across the limb. Each is an outer sum over rows and columns (B, L, H, W).
    across = dy * cosine - dx * sine
    lengthways = dx * cosine + dy * sine
    beyond = lengthways - lengthways.clamp(torch.zeros_like(length[..., None]), length[..., None])
    # The exponent is limited, because denormal numbers are slow; exp(-20) = 2e-9 is invisible.
    return torch.addcmul(across.square(), beyond, beyond).clamp_max(20).neg().exp()
