"""The device that models run on, and random numbers that do not depend on it."""

import hashlib
import os
from functools import cache

import psutil
import torch
from joblib import cpu_count


def pick_device() -> torch.device:
    """Return CUDA if there is one, else Apple's MPS, else the CPU, with as many threads as cores are free.

    CUDA's operations are made deterministic where they can be: the same run gives the same weights, and a resumed one
    those of one that was not interrupted.
    """
    if torch.cuda.is_available():
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it, matrix products vary
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # costs time
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    _use_free_cores()
    return torch.device("cpu")


@cache  # once a process: another number of threads rounds differently
def _use_free_cores() -> None:
    """Set the number of threads to that of the cores which other programs leave free, unless OMP_NUM_THREADS is set.

    Threads that share an operation wait for the slowest of them, busily. Where another program takes a core, all wait
    for most of the time: with one busy core of two, a step of the GAN takes 3 times as long with two threads as with
    one.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return
    # The lowest of a few short looks, so that a moment's work of another program does not count.
    busy = min(psutil.cpu_percent(interval=0.1) for _ in range(3)) / 100
    free = max(1, round((1 - busy) * (psutil.cpu_count() or 1)))
    threads = min(free, cpu_count())  # which knows the limits of containers; torch counts the machine's cores
    if threads < cpu_count():
        print(f"{threads} of {cpu_count()} cores {'is' if threads == 1 else 'are'} free: as many threads are used")
    torch.set_num_threads(threads)


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
