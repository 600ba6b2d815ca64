"""Images and poses changed alike, so that a GAN learns more from few of them. Letters: B batch, H x W image."""

import torch
import torch.nn.functional as F

from dancing.body.skeleton import LEFT_HIP, LEFT_SHOULDER, MIRROR, RIGHT_HIP, RIGHT_SHOULDER
from dancing.pose_to_image.batches import PoseBatch

JITTER = 0.01  # torso lengths, noise on landmarks: those of a motion model are never quite right
JITTER_SHARE = 0.25  # of the batches that get it
ZOOM_SHARE, MAX_ZOOM = 0.1, 0.06  # share of the batches that are zoomed, and the largest change of scale
MAX_SHIFT = 0.04  # of the image, how far these are moved at most


def mirror(batch: PoseBatch) -> PoseBatch:
    """Mirror images and poses, left and right of the body swapped."""
    landmarks = batch.landmarks
    return PoseBatch(
        landmarks[:, list(MIRROR)] * landmarks.new_tensor([-1, 1]) + landmarks.new_tensor([1, 0]),
        batch.images.flip(-1),
        batch.background.flip(-1),
        batch.coordinates.flip(-1) * batch.coordinates.new_tensor([-1, 1])[:, None, None],
    )


def zoom(batch: PoseBatch, scale: float, shift: tuple[float, float]) -> PoseBatch:
    """Scale images and poses about the centre, then move them by `shift` (x, y) of the image's size.

    What comes in from outside repeats the edge.
    """
    offset = batch.landmarks.new_tensor(shift)
    # Where in the old image each new pixel lies, in grid_sample's [-1, 1].
    inverse = torch.eye(2, 3, device=offset.device) / scale
    inverse[:, 2] = -2 * offset / scale
    images = torch.cat([batch.images, batch.background], dim=1)
    grid = F.affine_grid(inverse.expand(len(images), 2, 3), list(images.shape), align_corners=False)
    zoomed = F.grid_sample(images, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)
    new, background = zoomed.split(3, dim=1)
    return PoseBatch((batch.landmarks - 0.5) * scale + 0.5 + offset, new, background, batch.coordinates)


def augment(batch: PoseBatch, flip: bool, rng: torch.Generator) -> PoseBatch:
    """Sometimes `mirror` (if `flip`), sometimes `zoom` the batch."""
    coin, zooms, size, x, y = (2 * torch.rand(5, generator=rng) - 1).tolist()
    if flip and coin > 0:
        batch = mirror(batch)
    if abs(zooms) < ZOOM_SHARE:
        batch = zoom(batch, (1 + MAX_ZOOM) ** size, (MAX_SHIFT * x, MAX_SHIFT * y))
    return batch


def jitter(landmarks: torch.Tensor, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
    """Add noise to poses (B, 33, 2), such as a motion model's poses have."""
    size = landmarks.new_tensor([width, height])
    pixels = landmarks * size
    neck, hips = (pixels[:, [a, b]].mean(1) for a, b in ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP)))
    torso = (neck - hips).square().sum(-1).sqrt()  # (B,) px
    noise = JITTER * torch.randn(landmarks.shape, generator=rng)
    return landmarks + noise.to(landmarks) * torso[:, None, None] / size
