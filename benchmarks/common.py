"""What the benchmarks share: jobs in processes of their own, and how much memory those took.

A process counts as its own peak what the one that started it has in memory. So that one stays small, and torch, librosa
and matplotlib are imported by the jobs.
"""

import datetime
import json
import multiprocessing
import os
import platform
import resource
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
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


def write_record(path: Path | None, name: str, what: str, device: str, values: Mapping[str, Any]) -> None:
    """Write what benchmarks.NAME measured as a record that `python -m docgen.fill` takes tables from.

    Args:
        path: usually benchmarks/results/NAME.json; None writes nothing.
        what: what was measured, in a few words.
        device: cpu, cuda or mps.
        values: plain values; what the tables of docgen/results.py look up.
    """
    if path is None:
        return
    commit = subprocess.run(["git", "rev-parse", "--short=8", "HEAD"], capture_output=True, text=True, check=False)
    record = {
        "what": what,
        "command": command(name),
        "measured_at": commit.stdout.strip(),
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, {device}",
        "values": values,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
