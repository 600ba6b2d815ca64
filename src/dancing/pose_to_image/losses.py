"""Losses that compare a generated image with the real one. Letters: B batch, H x W image."""

import torch

from dancing.training.processes import batch_mean

SSIM_WINDOW, SSIM_SIGMA = 11, 1.5  # px
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # the paper's constants for images in [0, 1]: no division by 0


def ssim_loss(fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Return 1 - SSIM, averaged over all positions at which the window is inside the image, a scalar.

    Wang et al., Image Quality Assessment: From Error Visibility to Structural Similarity, IEEE TIP 2004, with its
    window and constants. As a loss: Zhao et al., Loss Functions for Image Restoration with Neural Networks, IEEE TCI
    2017. It weighs low contrasts as much as high ones, such as folds of dark clothes and shadows on the floor.

    Args:
        fake: (B, 3, H, W) in [-1, 1], at least 11 x 11 px.
        real: (B, 3, H, W) in [-1, 1].
    """
    fake, real = fake / 2 + 0.5, real / 2 + 0.5  # SSIM expects brightness from 0
    rows, columns = (_windows(size, fake) for size in fake.shape[-2:])
    moments = torch.stack([fake, real, fake * fake, real * real, fake * real])
    x, y, xx, yy, xy = rows @ moments @ columns.T
    means, variances, covariance = x * x + y * y, xx - x * x + yy - y * y, xy - x * y
    similarity = (2 * x * y + SSIM_C1) * (2 * covariance + SSIM_C2)
    return 1 - (similarity / ((means + SSIM_C1) * (variances + SSIM_C2))).mean()


def _windows(size: int, like: torch.Tensor) -> torch.Tensor:
    """Return SSIM's Gaussian window at all its positions along `size` px, (size - 10, size).

    A product with this matrix takes a tenth of the time of a convolution with one channel.
    """
    positions = torch.arange(size, device=like.device)
    offsets = (positions[None] - positions[: size - SSIM_WINDOW + 1, None] - SSIM_WINDOW // 2).to(like.dtype)
    windows = torch.exp(-offsets.square() / (2 * SSIM_SIGMA**2)) * (offsets.abs() <= SSIM_WINDOW // 2)
    return windows / windows.sum(dim=1, keepdim=True)


def weighted_l1(fake: torch.Tensor, real: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the weighted mean absolute difference of images (B, 3, H, W), a scalar; `weight` is (B, 1, H, W)."""
    return ((fake - real).abs() * weight).mean() / batch_mean(weight.mean())
