"""Where models run, and random numbers that are the same wherever that is."""

import hashlib

import torch


def pick_device() -> torch.device:
    """Return CUDA if there is one, else Apple's MPS, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def make_rng(seed: int, *path: int) -> torch.Generator:
    """Return a CPU generator for one purpose: the same (seed, *path) gives the same numbers, whatever ran before.

    On the CPU also where a model is not, so that every device is given the same numbers.
    """
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))
