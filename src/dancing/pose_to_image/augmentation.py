"""Data augmentation that changes images and poses alike. Letters: B batch, H x W image."""

from dataclasses import replace

import torch
import torch.nn.functional as F

from dancing.body.skeleton import LEFT_HIP, LEFT_SHOULDER, MIRROR, RIGHT_HIP, RIGHT_SHOULDER
from dancing.pose_to_image.batches import PoseBatch
from dancing.training.diffaugment import DiffAugment
from dancing.training.processes import randn
from dancing.training.transfer import send

JITTER = 0.01  # torso lengths, standard deviation of noise on landmarks: generated poses are never exact
JITTER_SHARE = 0.25  # of the batches, that get this noise
ZOOM_SHARE = 0.1  # of the batches, that are zoomed and shifted
MAX_ZOOM = 0.06  # largest relative change of scale
MAX_SHIFT = 0.04  # largest shift, of the image's size


def mirror(batch: PoseBatch) -> PoseBatch:
    """Return the batch flipped horizontally, with the body's left and right landmarks swapped."""
    landmarks, device = batch.landmarks, batch.landmarks.device
    swapped = landmarks[:, send(torch.tensor(MIRROR), device)]
    sign = send(torch.tensor([-1.0, 1.0]), device)
    return PoseBatch(
        swapped * sign + send(torch.tensor([1.0, 0.0]), device),
        batch.images.flip(-1),
        batch.masks.flip(-1),
        batch.background.flip(-1),
        batch.coordinates.flip(-1) * sign[:, None, None],
    )


def zoom(batch: PoseBatch, scale: float, shift: tuple[float, float]) -> PoseBatch:
    """Return the batch scaled about the image's centre and then shifted; edges are repeated.

    Args:
        batch: landmarks, images, masks and backgrounds are changed, coordinates are not.
        scale: above 1 enlarges.
        shift: to the right and down, in fractions of the image's size.
    """
    # From new to old positions, in grid_sample's coordinates in [-1, 1].
    offset = torch.tensor(shift)
    inverse = torch.eye(2, 3) / scale
    inverse[:, 2] = -2 * offset / scale
    offset, inverse = (send(values, batch.landmarks.device) for values in (offset, inverse))
    images = torch.cat([batch.images, batch.background, 2 * batch.masks - 1], dim=1)
    grid = F.affine_grid(inverse.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    zoomed = F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)
    new, background, masks = zoomed.split([3, 3, 1], dim=1)
    landmarks = (batch.landmarks - 0.5) * scale + 0.5 + offset
    return PoseBatch(landmarks, new, (masks + 1) / 2, background, batch.coordinates)


def augment(batch: PoseBatch, flip: bool, rng: torch.Generator) -> PoseBatch:
    """Return the batch, at random mirrored (only if `flip`) and at random zoomed; `rng` is on the CPU."""
    coin, zooms, size, x, y = (2 * torch.rand(5, generator=rng) - 1).tolist()
    if flip and coin > 0:
        batch = mirror(batch)
    if abs(zooms) < ZOOM_SHARE:
        batch = zoom(batch, (1 + MAX_ZOOM) ** size, (MAX_SHIFT * x, MAX_SHIFT * y))
    return batch


def enlarged(augmentation: DiffAugment, factor: int) -> DiffAugment:
    """Return the same change for images that are larger by a whole factor."""
    x, y = augmentation.shift
    hole = augmentation.hole
    if hole:
        left, top, right, bottom = hole
        hole = factor * left, factor * top, factor * right, factor * bottom
    return replace(augmentation, shift=(factor * x, factor * y), hole=hole)


def jitter(landmarks: torch.Tensor, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
    """Return landmarks with noise in proportion to the torso's length, to resemble generated poses.

    Args:
        landmarks: (B, 33, 2) in [0, 1].
        height: of the image, px.
        width: of the image, px.
        rng: on the CPU.
    """
    size = send(torch.tensor([width, height], dtype=landmarks.dtype), landmarks.device)
    pixels = landmarks * size
    neck, hips = (
        (pixels[:, a] + pixels[:, b]) / 2 for a, b in ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP))
    )
    torso = (neck - hips).square().sum(-1).sqrt()  # (B,) px
    noise = JITTER * randn(landmarks.shape, rng)
    return landmarks + send(noise, landmarks.device) * torso[:, None, None] / size
