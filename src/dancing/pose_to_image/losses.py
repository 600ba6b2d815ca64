"""Losses that compare a generated image with the real one. Letters: B batch, H x W image."""

import torch

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # px
SSIM_BRIGHT, SSIM_CONTRAST = 0.01**2, 0.03**2  # what keeps its quotients from 0 / 0, for images in [0, 1]


def ssim_loss(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
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
    convolution of one channel takes a tenth of the time.
    """
    places = torch.arange(size, device=like.device)
    offsets = (places[None] - places[: size - SSIM_WINDOW + 1, None] - SSIM_WINDOW // 2).to(like.dtype)
    windows = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2)) * (offsets.abs() <= SSIM_WINDOW // 2)
    return windows / windows.sum(dim=1, keepdim=True)


def weighted_l1(fake: torch.Tensor, real: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean absolute difference of pictures (B, 3, H, W), each pixel counting as `weight` (B, 1, H, W) says."""
    return ((fake - real).abs() * weight).mean() / weight.mean()
