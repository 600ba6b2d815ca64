"""The device that models run on, and random numbers that do not depend on it."""

import hashlib

import torch


def pick_device() -> torch.device:
    """Return CUDA if there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def make_rng(seed: int, *path: int) -> torch.Generator:
    """Return a random generator for one purpose, such as one epoch.

    It is on the CPU, so that all devices use the same numbers.

    Args:
        seed: of the run.
        *path: numbers that identify the purpose, such as the epoch. The same (seed, *path) gives the same random
            numbers, whatever ran before.
    """
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
