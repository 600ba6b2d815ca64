"""Losses: small callables that return named scalars. ``total`` is what is minimised.

Letters: B batch, T frames, D pose dimensions, N latents a sequence, Z latent_dim.
"""

from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F

from dancing.body.skeleton import BONES, LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE

Scalars = dict[str, torch.Tensor]

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # px
SSIM_BRIGHT, SSIM_CONTRAST = 0.01**2, 0.03**2  # what keeps its quotients from 0 / 0, for pictures in [0, 1]

FEET = (LEFT_ANKLE, LEFT_TOE, RIGHT_ANKLE, RIGHT_TOE)


def kl_to_normal(mean: torch.Tensor, log_var: torch.Tensor) -> torch.Tensor:
    """KL(N(mean, exp(log_var)) || N(0, 1)) in nats, per element (Kingma and Welling, 2014, appendix B)."""
    return 0.5 * (mean.square() + log_var.exp() - 1.0 - log_var)


class SeedVaeLoss:
    """The seed's: mean squared error and the KL term, summed over the latent's dimensions, averaged over the batch."""

    def __init__(self, kl_weight: float) -> None:
        self.kl_weight = kl_weight

    def __call__(
        self, pose: torch.Tensor, target: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, warmup: float
    ) -> Scalars:
        """pose and target (B, T, D), mean and log_var (B, Z); warmup in [0, 1] scales the KL weight."""
        reconstruction = F.mse_loss(pose, target)
        kl = kl_to_normal(mean, log_var).sum(-1).mean()
        return {"total": reconstruction + warmup * self.kl_weight * kl, "reconstruction": reconstruction, "kl": kl}


class ImageVaeLoss:
    """The negative bound on the likelihood of pictures, in nats: cross-entropy summed over pixels, and the KL term.

    Kingma and Welling, 2014. The seed takes means over pixels and latents, which changes their balance by 784 : 16.
    """

    def __init__(self, kl_weight: float) -> None:
        self.kl_weight = kl_weight

    def parts(
        self, logits: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, pictures: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Of each picture, (B,) each: cross-entropy and KL."""
        entropy = F.binary_cross_entropy_with_logits(logits, (pictures + 1) / 2, reduction="none")
        return entropy.flatten(1).sum(dim=1), kl_to_normal(mean, log_var).sum(dim=1)

    def __call__(
        self, logits: torch.Tensor, mean: torch.Tensor, log_var: torch.Tensor, pictures: torch.Tensor, warmup: float
    ) -> Scalars:
        """logits and pictures in [-1, 1] (B, C, H, W), mean and log_var (B, Z); warmup in [0, 1] scales the KL weight.
        Averaged over the batch."""
        reconstruction, kl = (part.mean() for part in self.parts(logits, mean, log_var, pictures))
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


#: What a discriminator's judges say of a batch: logits, and their layers' outputs.
Judged = list[tuple[torch.Tensor, list[torch.Tensor]]]


class GanLoss:
    """What discriminator and generator minimise, from the judges' logits; the mean over the judges.

    "bce": Goodfellow et al., 2014, the generator's part non-saturating. "hinge": Lim and Ye, 2017. "wgan_gp": Gulrajani
    et al., 2017; its `gradient_penalty` is apart.
    """

    def __init__(self, kind: Literal["bce", "hinge", "wgan_gp"]) -> None:
        self.kind = kind

    def discriminator(self, real: Judged, fake: Judged) -> torch.Tensor:
        return torch.stack([self._apart(r, f) for (r, _), (f, _) in zip(real, fake, strict=True)]).mean()

    def _apart(self, real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
        if self.kind == "hinge":
            return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
        if self.kind == "wgan_gp":
            return fake.mean() - real.mean()
        return F.softplus(-real).mean() + F.softplus(fake).mean()

    def score(self, judged: Judged) -> torch.Tensor:
        """How real pictures look, mean over all judgements: a probability for "bce", else as the judges say it."""
        scores = [score.sigmoid().mean() if self.kind == "bce" else score.mean() for score, _ in judged]
        return torch.stack(scores).mean()

    def generator(self, fake: Judged) -> torch.Tensor:
        scores = [F.softplus(-score).mean() if self.kind == "bce" else -score.mean() for score, _ in fake]
        return torch.stack(scores).mean()


def gradient_penalty(judges: Callable[[torch.Tensor], Judged], pictures: torch.Tensor) -> torch.Tensor:
    """How far from 1 the slope of what the judges say is, squared, at pictures (B, 3, H, W) between real and made."""
    pictures = pictures.detach().requires_grad_()
    scores = torch.stack([score.flatten(1).mean(dim=1) for score, _ in judges(pictures)]).sum()
    (slope,) = torch.autograd.grad(scores, pictures, create_graph=True)
    return (slope.flatten(1).norm(dim=1) - 1).square().mean()


def slope_penalty(judges: Callable[[torch.Tensor], Judged], pictures: torch.Tensor) -> torch.Tensor:
    """The squared slope of what the judges say at real pictures (B, 3, H, W), mean over pictures and a judge's patches.

    R1 of Mescheder et al., Which Training Methods for GANs do actually Converge?, ICML 2018. Without it a judge that
    has learnt the few real pictures by heart grows ever steeper, until its slope says nothing and spoils the pictures.
    """
    pictures = pictures.detach().requires_grad_()
    scores = [score.sum() / score[0].numel() ** 0.5 for score, _ in judges(pictures)]
    (slope,) = torch.autograd.grad(torch.stack(scores).sum(), pictures, create_graph=True)
    return slope.square().sum() / len(pictures)


def feature_matching(real: Judged, fake: Judged) -> torch.Tensor:
    """Mean absolute difference of the judges' layers on real and fake (Wang et al., pix2pixHD, 2018)."""
    layers = [pair for (_, r), (_, f) in zip(real, fake, strict=True) for pair in zip(r, f, strict=True)]
    return torch.stack([F.l1_loss(f, r.detach()) for r, f in layers]).mean()


def perceptual(real: list[torch.Tensor], fake: list[torch.Tensor]) -> torch.Tensor:
    """Absolute difference of a trained network's layers over the real ones' size, mean over layers.

    Johnson et al., 2016; here of our own network, which has learnt to find the landmarks in a picture.
    """
    layers = zip(real, fake, strict=True)
    return torch.stack([F.l1_loss(f, r) / r.abs().mean().clamp_min(1e-6) for r, f in layers]).mean()


def dissimilarity(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """1 - SSIM of pictures (B, 3, H, W) in [-1, 1], H and W at least 11: mean over where the whole window fits.

    Wang et al., IEEE TIP 2004, with its window and constants; as a loss: Zhao et al., Loss Functions for Image
    Restoration, 2017. What is faint counts as much as what is bright: folds of dark clothes, shadows on the floor.
    """
    fake, real = fake / 2 + 0.5, real / 2 + 0.5  # it is made for brightness from 0 up
    down, across = (_windows(size, fake) for size in fake.shape[-2:])
    moments = torch.stack([fake, real, fake * fake, real * real, fake * real])
    x, y, xx, yy, xy = down @ moments @ across.T
    means, variances, covariance = x * x + y * y, xx - x * x + yy - y * y, xy - x * y
    similarity = (2 * x * y + SSIM_BRIGHT) * (2 * covariance + SSIM_CONTRAST)
    return 1 - (similarity / ((means + SSIM_BRIGHT) * (variances + SSIM_CONTRAST))).mean()


def _windows(size: int, like: torch.Tensor) -> torch.Tensor:
    """SSIM's Gaussian window at each of its places along `size` px, (size - 10, size): as a product of matrices a
    convolution of one channel takes a tenth of the time."""
    places = torch.arange(size, device=like.device)
    offsets = (places[None] - places[: size - SSIM_WINDOW + 1, None] - SSIM_WINDOW // 2).to(like.dtype)
    windows = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2)) * (offsets.abs() <= SSIM_WINDOW // 2)
    return windows / windows.sum(dim=1, keepdim=True)


def weighted_l1(fake: torch.Tensor, real: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of pictures (B, 3, H, W), each pixel counting as `weight` (B, 1, H, W) says."""
    return ((fake - real).abs() * weight).mean() / weight.mean()
