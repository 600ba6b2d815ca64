"""Losses of the VAEs of motion: small callables that return named scalars; ``total`` is what is minimised.

Letters: B batch, T frames, D pose dimensions, N latents a sequence, Z latent_dim.
"""

import torch
import torch.nn.functional as F

from dancing.body.skeleton import BONES, LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE
from dancing.training.epochs import Scalars
from dancing.training.variational import kl_to_normal

FEET = (LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE)


class BaselineVaeLoss:
    """The original loss: mean squared error, and the KL term summed over a latent and averaged over the batch."""

    def __init__(self, kl_weight: float) -> None:
        self.kl_weight = kl_weight

    def __call__(
        self, pose: torch.Tensor, target: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, warmup: float
    ) -> Scalars:
        """pose and target (B, T, D), mean and log_var (B, Z); warmup in [0, 1] scales the KL weight."""
        reconstruction = F.mse_loss(pose, target)
        kl = kl_to_normal(mean, log_var).sum(-1).mean()
        return {"total": reconstruction + warmup * self.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}


class MotionLoss:
    """Position, velocity, acceleration, bone lengths, steps and KL with free bits (Kingma et al., 2016, appendix C).

    Differences are measured in units of the target's own, so that a weight of 1 means the same at 24 and 60 frames/s.
    """

    def __init__(
        self,
        mean: torch.Tensor,  # (D,) and
        std: torch.Tensor,  # (D,): of the space "body", to get back to torso lengths for the bones
        kl_weight: float,
        free_bits: float,
        velocity_weight: float,
        acceleration_weight: float,
        bone_weight: float,
        foot_weight: float,
    ) -> None:
        self.mean, self.std = mean, std
        self.kl_weight, self.free_bits = kl_weight, free_bits
        self.velocity_weight, self.acceleration_weight = velocity_weight, acceleration_weight
        self.bone_weight, self.foot_weight = bone_weight, foot_weight

    def bones(self, vectors: torch.Tensor) -> torch.Tensor:
        """Standardised vectors (B, T, D) -> bone lengths (B, T, bones) in torso lengths."""
        body, _ = self._body(vectors)
        start, end = zip(*BONES, strict=True)
        return _length(body[..., start, :] - body[..., end, :])

    def steps(self, vectors: torch.Tensor) -> torch.Tensor:
        """Standardised vectors (B, T, D) -> how far ankles and toes go over the floor, (B, T - 1, 4, 2) L a frame."""
        body, path = self._body(vectors)
        return (body[..., FEET, :] + path).diff(dim=1)

    def _body(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Landmarks (B, T, 33, 2) about mid-hip, and mid-hip's path (B, T, 1, 2), in torso lengths."""
        values = (vectors * self.std + self.mean).unflatten(-1, (34, 2))
        return values[..., :33, :], values[..., 33:, :]

    def __call__(
        self, pose: torch.Tensor, target: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, warmup: float
    ) -> Scalars:
        """pose and target (B, T, D), mean and log_var (B, N, Z); warmup in [0, 1] scales the KL weight."""
        reconstruction = F.mse_loss(pose, target)
        velocity = _relative_error(pose.diff(dim=1), target.diff(dim=1))
        acceleration = _relative_error(pose.diff(n=2, dim=1), target.diff(n=2, dim=1))
        bone = F.l1_loss(self.bones(pose), self.bones(target))
        # A foot stands or steps: not squared, because the mean of the two is a foot that slides, the median is not.
        steps = self.steps(target)
        foot = _length(self.steps(pose) - steps).mean() / _length(steps).mean().clamp_min(1e-6)
        kl = kl_to_normal(mean, log_var).mean(dim=(0, 1))  # (Z,) nats a latent
        total = (
            reconstruction
            + self.velocity_weight * velocity
            + self.acceleration_weight * acceleration
            + self.bone_weight * bone
            + self.foot_weight * foot
            + warmup * self.kl_weight * kl.clamp_min(self.free_bits).sum()
        )
        return {
            "total": total, "reconstruction": reconstruction, "velocity": velocity, "acceleration": acceleration,
            "bone": bone, "foot": foot, "kl": kl.sum(),
        }  # fmt: skip


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """(..., 2) -> (...); where it is 0 it has a gradient too."""
    return vectors.square().sum(-1).add(1e-8).sqrt()


def _relative_error(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (value - target).square().mean() / target.square().mean().clamp_min(1e-6)
