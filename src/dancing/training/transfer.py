"""Copies of training data to the device, which a training step does not wait for."""

from collections.abc import Iterable

import numpy as np
import torch

RESIDENT_SHARE = 0.25  # of a GPU's free memory that the images of a split may take


def send(values: np.ndarray | torch.Tensor, device: torch.device) -> torch.Tensor:
    """Copy values from the CPU to the device. A GPU copies them, from pinned memory, while the CPU goes on."""
    tensor = torch.as_tensor(values)
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def fits(size: int, device: torch.device) -> bool:
    """Return whether data of this size, in bytes, may stay on the device: on a CPU, reading them costs nothing."""
    return device.type == "cuda" and size <= RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]


def resident(images: Iterable[np.ndarray], size: int, device: torch.device) -> torch.Tensor | None:
    """Return images on the device, or None if they don't fit.

    Args:
        images: arrays (n, H, W, C) uint8, which are read one after the other.
        size: of all, in bytes.
        device: that they are moved to.

    Returns:
        (N, H, W, C) uint8.
    """
    if not fits(size, device):
        return None
    return torch.cat([torch.from_numpy(part).to(device) for part in images])
