"""Convert images between tensors, for networks, and uint8 arrays, for files. Letters: B batch, C channels, H x W."""

import numpy as np
import torch


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """Convert a tensor (B, C, H, W) in [-1, 1] to an array (B, H, W, C) uint8; values outside are clipped."""
    scaled = ((images + 1) * 127.5).round().clamp(0, 255)
    return scaled.to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()


def from_uint8(images: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Convert images (B, H, W, C) uint8 to a tensor (B, C, H, W) float32 in [-1, 1], on the device of the images."""
    return torch.as_tensor(images).permute(0, 3, 1, 2).float() / 127.5 - 1


def mask_to_uint8(masks: torch.Tensor) -> np.ndarray:
    """Convert masks (B, 1, H, W) in [0, 1] to an array (B, H, W) uint8."""
    return (255 * masks[:, 0]).round().clamp(0, 255).to(torch.uint8).cpu().numpy()


def mask_from_uint8(masks: np.ndarray | torch.Tensor) -> torch.Tensor:
    """Convert masks (B, H, W) uint8 to a tensor (B, 1, H, W) float32 in [0, 1], on the device of the masks."""
    return torch.as_tensor(masks)[:, None].float() / 255
