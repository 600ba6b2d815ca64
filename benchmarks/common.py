"""Shared code of the benchmarks: jobs in fresh processes, their peak memory, and records of the results.

The peak of a process includes the memory of the process that started it. So the latter stays small: it does not import
torch, librosa or matplotlib; the jobs do.
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
from typing import ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def alone(job: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """Run a job in a fresh process and return its result.

    Args:
        job: a function of a module, not a local one.
        *args: of the job; they must be picklable.
        **kwargs: of the job; they must be picklable.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_with_end, job, *args, **kwargs).result()  # type: ignore[arg-type]


def _with_end(job: Callable[Parameters, Result], *args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
    """Run a job, and end the processes that joblib keeps: this one would wait for them, and they for work."""
    try:
        return job(*args, **kwargs)
    finally:
        if loky := sys.modules.get("joblib.externals.loky"):
            loky.get_reusable_executor().shutdown()


def peak() -> float:
    """Return the largest CPU memory that this process has used so far, MB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def command(name: str) -> str:
    """Return the command line that benchmarks.NAME was run with."""
    return shlex.join(["python", "-m", f"benchmarks.{name}", *sys.argv[1:]])


def write_record(path: Path | None, name: str, what: str, device: str, values: Mapping[str, object]) -> None:
    """Write the results of benchmarks.NAME as a JSON record, which `python -m docgen.fill` makes tables from.

    Args:
        path: usually benchmarks/results/NAME.json; None: nothing is written.
        name: of the benchmark.
        what: was measured, in a few words.
        device: cpu, cuda or mps.
        values: plain values, with the keys that docgen/results.py looks up.
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
