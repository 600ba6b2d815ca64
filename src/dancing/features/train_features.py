"""Training of the feature network: it learns to predict how strongly images were degraded.

Letters: B batch, H x W pixels, K = 4 degradations.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from dancing.body.skeleton import limb_heatmaps
from dancing.features.feature_net import FeatureNet
from dancing.media.pixels import from_uint8
from dancing.training.device import make_rng
from dancing.training.optimization import cosine_lr

BATCH, LR = 8, 2e-3
#: Images (B, 3, H, W) in [-1, 1], strengths (B,) in [0, 1], rng -> degraded images.
Degradation = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def train_features(
    images: np.ndarray,
    landmarks: np.ndarray | None,
    steps: int,
    seed: int,
    device: torch.device,
) -> tuple[FeatureNet, list[float]]:
    """Train a network to predict the strengths of four degradations.

    Patches of other images, warping, blur and noise are typical faults of generated images. Learning quality from
    images with synthetic degradations is after Liu et al., RankIQA, ICCV 2017.

    Args:
        images: (N, H, W, 3) uint8 of the training part, a few hundred from different times; H and W multiples of 8.
        landmarks: (N, 33, 2) in [0, 1], the poses in them: only the person counts; None: the whole image counts.
        steps: batches of 8.
        seed: of weights, order and degradations.
        device: to train on.

    Returns:
        The network, frozen and in evaluation mode, and the loss of every step.
    """
    torch.manual_seed(seed)
    net = FeatureNet()
    head = nn.Linear(net.pooled_size, len(DEGRADATIONS))
    net, head = net.to(device), head.to(device)
    optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=LR)
    rng, losses = make_rng(seed), []
    for step in range(steps):
        cosine_lr(optimiser, LR, step, steps)
        rows = torch.randint(len(images), (BATCH,), generator=rng).numpy()
        clean = scaled(images[rows]).to(device)
        poses = None if landmarks is None else torch.from_numpy(landmarks[rows]).to(device)
        degraded, strengths = degrade(clean, rng)
        where = torch.ones_like(clean[:, :1]) if poses is None else person(poses, *clean.shape[-2:])
        loss = F.l1_loss(head(net.pooled(degraded, where)), strengths)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return net.eval().requires_grad_(False), torch.stack(losses).tolist()


def scaled(images: np.ndarray) -> torch.Tensor:
    """Convert images to the network's input: (B, H, W, 3) uint8 -> (B, 3, H, W) float in [-1, 1]."""
    return from_uint8(images)


def person(landmarks: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Soft mask of the person: limbs as strokes whose width is a twelfth of the image's height.

    The background is the same in real and generated images, and would hide the differences between them.

    Args:
        landmarks: (B, 33, 2) in [0, 1].
        height: px.
        width: px.

    Returns:
        (B, 1, H, W) in (0, 1].
    """
    return limb_heatmaps(landmarks, height, width, thickness=height / 24).amax(dim=1, keepdim=True)


# ------------------------------------------------------------------------------------------------------ degradations


def degrade(images: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply each degradation to a random half of the images, with random strengths.

    Args:
        images: (B, 3, H, W) in [-1, 1].
        rng: of choices and strengths.

    Returns:
        The degraded images, and the strengths (B, K) in [0, 1]; a sixteenth of the images is not degraded at all.
    """
    strengths = torch.rand(len(images), len(DEGRADATIONS), generator=rng)
    strengths *= torch.rand(strengths.shape, generator=rng) < 0.5
    strengths = strengths.to(images.device)
    for degradation, strength in zip(DEGRADATIONS, strengths.unbind(dim=1), strict=True):
        images = degradation(images, strength, rng)
    return images, strengths


def mix(images: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Replace random patches by those of another image of the batch: up to a quarter of the image."""
    height, width = images.shape[-2:]
    coarse = torch.rand(len(images), 1, height // 8, width // 8, generator=rng).to(images.device)
    patches = F.interpolate(coarse, (height, width)) < strength.view(-1, 1, 1, 1) / 4
    return torch.where(patches, images.roll(1, dims=0), images)


def melt(images: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Warp images by a smooth random displacement field, with a standard deviation of up to H / 40."""
    height, width = images.shape[-2:]
    coarse = torch.randn(len(images), 2, max(height // 12, 2), max(width // 12, 2), generator=rng)
    field = F.interpolate(coarse.to(images.device), (height, width), mode="bicubic", align_corners=False)
    dx, dy = (field * strength.view(-1, 1, 1, 1) * height / 40).unbind(dim=1)  # (B, H, W) px
    x = (torch.arange(width, device=field.device) + 0.5 + dx) * (2 / width) - 1
    y = (torch.arange(height, device=field.device)[:, None] + 0.5 + dy) * (2 / height) - 1
    return F.grid_sample(images, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False)


def blur(images: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Blur images by a Gaussian with a standard deviation of up to H / 60."""
    sigma = strength * images.shape[-2] / 60
    reach = max(1, round(3 * float(sigma.max())))
    offsets = torch.arange(-reach, reach + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)  # (3B, 2 reach + 1)
    x = images.flatten(0, 1)[None]  # (1, 3B, H, W): a grouped convolution gives every image its own kernel
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), kernel[:, None, :, None], groups=len(kernel))
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernel[:, None, None], groups=len(kernel))
    return x[0].unflatten(0, (-1, 3))


def noise(images: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Add white noise with a standard deviation of up to a tenth of the range."""
    grain = torch.randn(images.shape, generator=rng).to(images.device)
    return (images + 0.2 * strength.view(-1, 1, 1, 1) * grain).clamp(-1, 1)


#: In the order in which they are applied. Noise is last, because blur would remove it.
DEGRADATIONS: tuple[Degradation, ...] = (mix, melt, blur, noise)
