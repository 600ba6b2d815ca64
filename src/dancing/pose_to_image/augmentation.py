"""Pictures and poses changed alike, so that a GAN learns more from few of them.

Letters: B batch, P heatmaps, H x W picture.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from dancing.body.skeleton import LEFT_HIP, LEFT_SHOULDER, MIRROR, RIGHT_HIP, RIGHT_SHOULDER
from dancing.pose_to_image.batches import Batch

NOISE = 0.01  # torso lengths, of landmarks: a motion model's are never quite right
NOISY = 0.25  # share of the batches that get it
ZOOMED, ZOOM = 0.1, 0.06  # share of the batches seen from nearer or farther, and by how much at most
SHIFT = 0.04  # of the picture, how far these are moved at most


def mirrored(batch: Batch) -> Batch:
    """Seen in a mirror, left and right of the body swapped."""

    def swapped(landmarks: torch.Tensor) -> torch.Tensor:
        return landmarks[:, list(MIRROR)] * landmarks.new_tensor([-1, 1]) + landmarks.new_tensor([1, 0])

    return Batch(
        swapped(batch.landmarks), batch.pictures.flip(-1), swapped(batch.before), batch.previous.flip(-1),
        batch.plate.flip(-1), batch.place.flip(-1) * batch.place.new_tensor([-1, 1])[:, None, None],
    )  # fmt: skip


def zoomed(batch: Batch, scale: float, shift: tuple[float, float]) -> Batch:
    """Seen from `scale` times nearer, then moved by `shift` (x, y) of the picture's size; edges go on outwards."""
    offset = batch.landmarks.new_tensor(shift)

    def placed(landmarks: torch.Tensor) -> torch.Tensor:
        return (landmarks - 0.5) * scale + 0.5 + offset

    # Where in the old picture each new pixel lies, in grid_sample's [-1, 1].
    back = torch.eye(2, 3, device=offset.device) / scale
    back[:, 2] = -2 * offset / scale
    pictures = torch.cat([batch.pictures, batch.previous, batch.plate], dim=1)
    grid = F.affine_grid(back.expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False)
    seen = F.grid_sample(pictures, grid, mode="bicubic", padding_mode="border", align_corners=False).clamp(-1, 1)
    new, previous, plate = seen.split(3, dim=1)
    return Batch(placed(batch.landmarks), new, placed(batch.before), previous, plate, batch.place)


def varied(batch: Batch, flip: bool, rng: torch.Generator) -> Batch:
    """Sometimes `mirrored` (if `flip`), sometimes `zoomed`."""
    coin, zoom, size, x, y = (2 * torch.rand(5, generator=rng) - 1).tolist()
    if flip and coin > 0:
        batch = mirrored(batch)
    if abs(zoom) < ZOOMED:
        batch = zoomed(batch, (1 + ZOOM) ** size, (SHIFT * x, SHIFT * y))
    return batch


def disturbed(landmarks: torch.Tensor, height: int, width: int, rng: torch.Generator) -> torch.Tensor:
    """Poses (B, 33, 2) as a motion model might give them for the true ones: with noise on every landmark."""
    size = landmarks.new_tensor([width, height])
    pixels = landmarks * size
    neck, hips = (pixels[:, [a, b]].mean(1) for a, b in ((LEFT_SHOULDER, RIGHT_SHOULDER), (LEFT_HIP, RIGHT_HIP)))
    torso = (neck - hips).square().sum(-1).sqrt()  # (B,) px
    noise = NOISE * torch.randn(landmarks.shape, generator=rng)
    return landmarks + noise.to(landmarks) * torso[:, None, None] / size


@dataclass(frozen=True)
class Disguise:
    """One differentiable change of colours, place and view, for all that a discriminator sees in a step.

    Real and made pictures and the poses beside them are changed alike: it can't learn the few real ones by heart
    (Zhao et al., DiffAugment, NeurIPS 2020).
    """

    brightness: float  # added
    saturation: float  # factor of the distance from grey
    contrast: float  # factor of the distance from the picture's mean
    shift: tuple[int, int]  # px, to the right and down
    hole: tuple[int, int, int, int] | None  # left, top, right, bottom, px: hidden

    @classmethod
    def random(cls, height: int, width: int, rng: torch.Generator) -> "Disguise":
        colours, hides, *amounts = (2 * torch.rand(9, generator=rng) - 1).tolist()
        if colours < 0:
            amounts[:3] = 0, 0, 0
        brightness, saturation, contrast, x, y, left, top = amounts
        left, top = round((left + 1) / 3 * width), round((top + 1) / 3 * height)
        hole = (left, top, left + width // 3, top + height // 3) if hides > 0.4 else None
        shift = round(x * width / 8), round(y * height / 8)
        return cls(0.3 * brightness, 1 + 0.5 * saturation, 1 + 0.3 * contrast, shift, hole)

    def pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """(B, 3, H, W) -> the same shape."""
        grey = pictures.mean(dim=1, keepdim=True)
        pictures = torch.lerp(grey, pictures, self.saturation)
        mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
        return self.maps(torch.lerp(mean, pictures, self.contrast) + self.brightness)

    def maps(self, maps: torch.Tensor) -> torch.Tensor:
        """Anything (B, C, H, W) that lies over the pictures."""
        (x, y), (height, width) = self.shift, maps.shape[-2:]
        maps = F.pad(maps, (x, -x, y, -y))  # where it is negative, cut off
        if self.hole:
            left, top, right, bottom = self.hole
            mask = maps.new_ones(height, width)
            mask[top:bottom, left:right] = 0
            maps = maps * mask
        return maps
