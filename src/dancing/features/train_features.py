"""Training of the own feature network: it learns to tell how images were degraded.

Letters: B batch, H x W image, K = 4 degradations.
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
Degradation = Callable[[torch.Tensor, torch.Tensor, torch.Generator], torch.Tensor]


def train_features(
    pictures: np.ndarray,
    landmarks: np.ndarray | None,
    steps: int,
    seed: int,
    device: torch.device,
) -> tuple[FeatureNet, list[float]]:
    """Train a network for `steps` batches. Returns it ready for use, and the loss of every step.

    It learns how strongly the person was mixed with others, warped, blurred and made noisy, which are the faults of
    generated images: quality learnt from images that one degrades oneself, after Liu et al., RankIQA, ICCV 2017.

    Args:
        pictures: (N, H, W, 3) uint8 of the training part, a few hundred of different moments; H and W multiples of 8.
        landmarks: (N, 33, 2) in [0, 1], the poses in them; None: there are none, and the whole picture counts.
        steps: batches of 8.
        seed: of weights, order and degradations.
    """
    torch.manual_seed(seed)
    net = FeatureNet()
    head = nn.Linear(net.pooled_size, len(DEGRADATIONS))
    net, head = net.to(device), head.to(device)
    optimiser = torch.optim.Adam([*net.parameters(), *head.parameters()], lr=LR)
    rng, losses = make_rng(seed), []
    for step in range(steps):
        cosine_lr(optimiser, LR, step, steps)
        rows = torch.randint(len(pictures), (BATCH,), generator=rng).numpy()
        seen = scaled(pictures[rows]).to(device)
        poses = None if landmarks is None else torch.from_numpy(landmarks[rows]).to(device)
        degraded, strengths = degrade(seen, rng)
        where = torch.ones_like(seen[:, :1]) if poses is None else person(poses, *seen.shape[-2:])
        loss = F.l1_loss(head(net.pooled(degraded, where)), strengths)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        losses.append(loss.detach())
    return net.eval().requires_grad_(False), torch.stack(losses).tolist()


def scaled(pictures: np.ndarray) -> torch.Tensor:
    """(B, H, W, 3) uint8 -> (B, 3, H, W) in [-1, 1], as the network wants them."""
    return from_uint8(pictures)


def person(landmarks: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Where the person is, (B, 1, H, W) in (0, 1]: landmarks (B, 33, 2) as strokes a twelfth of the picture thick.

    The room is the same in all pictures, real and made, and would hide in what they differ.
    """
    return limb_heatmaps(landmarks, height, width, thickness=height / 24).amax(dim=1, keepdim=True)


# ------------------------------------------------------------------------------------------------- spoiling pictures


def degrade(pictures: torch.Tensor, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Spoil pictures (B, 3, H, W) in [-1, 1] -> the same, and how strongly in each way, (B, K) in [0, 1].

    Half of the pictures are spoilt in each way, each as strongly as chance will have it; a sixteenth in none.
    """
    strengths = torch.rand(len(pictures), len(DEGRADATIONS), generator=rng)
    strengths *= torch.rand(strengths.shape, generator=rng) < 0.5
    strengths = strengths.to(pictures.device)
    for way, strength in zip(DEGRADATIONS, strengths.unbind(dim=1), strict=True):
        pictures = way(pictures, strength, rng)
    return pictures, strengths


def mix(pictures: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Patches of another picture of the batch, over up to a quarter of the picture. strength: (B,) in [0, 1]."""
    height, width = pictures.shape[-2:]
    coarse = torch.rand(len(pictures), 1, height // 8, width // 8, generator=rng).to(pictures.device)
    patches = F.interpolate(coarse, (height, width)) < strength.view(-1, 1, 1, 1) / 4
    return torch.where(patches, pictures.roll(1, dims=0), pictures)


def melt(pictures: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Shapes that run: a smooth random field moves every pixel, by a fortieth of the height or so."""
    height, width = pictures.shape[-2:]
    coarse = torch.randn(len(pictures), 2, max(height // 12, 2), max(width // 12, 2), generator=rng)
    field = F.interpolate(coarse.to(pictures.device), (height, width), mode="bicubic", align_corners=False)
    dx, dy = (field * strength.view(-1, 1, 1, 1) * height / 40).unbind(dim=1)  # (B, H, W) px
    x = (torch.arange(width, device=field.device) + 0.5 + dx) * (2 / width) - 1
    y = (torch.arange(height, device=field.device)[:, None] + 0.5 + dy) * (2 / height) - 1
    return F.grid_sample(pictures, torch.stack([x, y], dim=-1), padding_mode="border", align_corners=False)


def blur(pictures: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Gaussian, of a standard deviation of up to a sixtieth of the height."""
    sigma = strength * pictures.shape[-2] / 60
    reach = max(1, round(3 * float(sigma.max())))
    offsets = torch.arange(-reach, reach + 1, device=sigma.device)
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)  # (3B, 2 reach + 1)
    x = pictures.flatten(0, 1)[None]  # (1, 3B, H, W): every picture is a group with a kernel of its own
    x = F.conv2d(F.pad(x, (0, 0, reach, reach), mode="replicate"), kernel[:, None, :, None], groups=len(kernel))
    x = F.conv2d(F.pad(x, (reach, reach, 0, 0), mode="replicate"), kernel[:, None, None], groups=len(kernel))
    return x[0].unflatten(0, (-1, 3))


def noise(pictures: torch.Tensor, strength: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """White, of a standard deviation of up to a tenth of the range."""
    grain = torch.randn(pictures.shape, generator=rng).to(pictures.device)
    return (pictures + 0.2 * strength.view(-1, 1, 1, 1) * grain).clamp(-1, 1)


#: In the order in which they are done: noise over a blur is seen, noise under it is not.
DEGRADATIONS: tuple[Degradation, ...] = (mix, melt, blur, noise)
