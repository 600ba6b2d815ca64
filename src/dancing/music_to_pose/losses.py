"""Losses of the motion VAEs: callables that return named scalars, of which "total" is minimised.

Letters: B batch, T frames, D pose dimensions, N latents a sequence, Z latent_dim.
"""

import torch
import torch.nn.functional as F

from dancing.body.skeleton import BONES, LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE
from dancing.training.processes import Scalars, batch_mean
from dancing.training.variational import kl_to_normal

FEET = (LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE)
MIN_DIVISOR = 1e-6  # of relative errors: a target that stands still has no motion to divide by
MIN_SQUARED_LENGTH = 1e-8  # added before the square root, whose gradient is infinite at 0


class BaselineVaeLoss:
    """The loss of the original VAE: mean squared error, and the KL term summed over a latent's dimensions."""

    def __init__(self, kl_weight: float) -> None:
        self.kl_weight = kl_weight

    def __call__(
        self, pose: torch.Tensor, target: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, warmup: float
    ) -> Scalars:
        """Return "total", "reconstruction" and "kl" (nats a latent), averaged over the batch.

        Args:
            pose: (B, T, D), decoded.
            target: (B, T, D).
            mean: (B, Z), of the posterior.
            log_var: (B, Z), of the posterior.
            warmup: factor of the KL weight, in [0, 1].
        """
        reconstruction = F.mse_loss(pose, target)
        kl = kl_to_normal(mean, log_var).sum(-1).mean()
        return {"total": reconstruction + warmup * self.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}


class MotionLoss:
    """Errors of position, velocity, acceleration, bone lengths and feet, and the KL term with free bits.

    Free bits: Kingma et al., Improved Variational Inference with Inverse Autoregressive Flow, NeurIPS 2016, appendix C.
    Errors of velocity, acceleration and feet are relative to the target's own, so that a weight means the same at any
    frame rate.

    Args:
        mean: (D,), of the pose space "body", to convert poses back to torso lengths.
        std: (D,), of the same.
        kl_weight: of the KL term.
        free_bits: nats of a latent's dimension below which its KL term is constant.
        velocity_weight: of the velocity error.
        acceleration_weight: of the acceleration error.
        bone_weight: of the bone length error.
        foot_weight: of the error of the feet's motion.
    """

    def __init__(
        self,
        mean: torch.Tensor,
        std: torch.Tensor,
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
        """Return the bone lengths of standardised poses (B, T, D), in torso lengths, (B, T, bones)."""
        body, _ = self._body(vectors)
        start, end = zip(*BONES, strict=True)
        return _length(body[..., start, :] - body[..., end, :])

    def steps(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return the motion of ankles and toes in standardised poses (B, T, D), in torso lengths a frame.

        Shape (B, T - 1, 4, 2).
        """
        body, path = self._body(vectors)
        return (body[..., FEET, :] + path).diff(dim=1)

    def _body(self, vectors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return landmarks relative to mid-hip (B, T, 33, 2), and mid-hip (B, T, 1, 2), in torso lengths."""
        values = (vectors * self.std + self.mean).unflatten(-1, (34, 2))
        return values[..., :33, :], values[..., 33:, :]

    def __call__(
        self, pose: torch.Tensor, target: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, warmup: float
    ) -> Scalars:
        """Return "total" and its terms; "kl" is in nats a latent, without free bits.

        Args:
            pose: (B, T, D), decoded.
            target: (B, T, D).
            mean: (B, N, Z), of the posterior.
            log_var: (B, N, Z), of the posterior.
            warmup: factor of the KL weight, in [0, 1].
        """
        reconstruction = F.mse_loss(pose, target)
        velocity = _relative_error(pose.diff(dim=1), target.diff(dim=1))
        acceleration = _relative_error(pose.diff(n=2, dim=1), target.diff(n=2, dim=1))
        bone = F.l1_loss(self.bones(pose), self.bones(target))
        # A foot either stands or steps. The minimum of a squared error is the mean of both, a foot that slides; the
        # minimum of an absolute error is the median, one of the two.
        steps = self.steps(target)
        foot = _length(self.steps(pose) - steps).mean() / batch_mean(_length(steps).mean()).clamp_min(MIN_DIVISOR)
        kl = kl_to_normal(mean, log_var).mean(dim=(0, 1))  # (Z,) nats
        total = (
            reconstruction
            + self.velocity_weight * velocity
            + self.acceleration_weight * acceleration
            + self.bone_weight * bone
            + self.foot_weight * foot
            + warmup * self.kl_weight * torch.where(batch_mean(kl) > self.free_bits, kl, self.free_bits).sum()
        )
        return {
            "total": total, "reconstruction": reconstruction, "velocity": velocity, "acceleration": acceleration,
            "bone": bone, "foot": foot, "kl": kl.sum(),
        }  # fmt: skip


def _length(vectors: torch.Tensor) -> torch.Tensor:
    """Return the lengths (...) of vectors (..., 2), with a finite gradient also at length 0."""
    return vectors.square().sum(-1).add(MIN_SQUARED_LENGTH).sqrt()


def _relative_error(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (value - target).square().mean() / batch_mean(target.square().mean()).clamp_min(MIN_DIVISOR)
