"""What the benchmarks share: jobs in processes of their own, and how much memory those took.

A process counts as its own peak what the one that started it has in memory. So that one stays small, and torch, librosa
and matplotlib are imported by the jobs.
"""

import multiprocessing
import resource
import shlex
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any


def alone(job: Callable[..., Any], *arguments: object) -> Any:
    """The job's result, in a fresh process."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(job, *arguments).result()


def peak() -> float:
    """This process's peak of memory (on the CPU) so far, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def command(name: str) -> str:
    """What was typed to run benchmarks.NAME."""
    return shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])
