"""How long each stage takes to start, and `dvc repro` to find that nothing has changed.

    python -m benchmarks.starts --json benchmarks/results/starts.json

A start is that of the interpreter and all imports of a run of the stage, whenever they happen: stages import PyTorch
and MLflow only when they need them. Stages and `dvc repro` run in a copy of the project with two short clips and the
smallest params, where all stages have run before. Figures are the median of all rounds.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import yaml

from benchmarks.common import command, write_record
from benchmarks.small_project import ROOT, STAGES, make_project
from dancing.errors import exit_on_user_error

#: Runs a stage, and writes the seconds from the given time to its first line, plus those of its imports, to a file. An
#: import that causes others is timed as a whole, on the main thread; modules that are already loaded cost nothing.
TIMED_STAGE = """
import time
started = time.time() - float(__import__("sys").argv[2])
import _frozen_importlib as machinery
import runpy, sys, threading
find_and_load, spent, depth, stage, out = machinery._find_and_load, [started], [0], sys.argv[1], sys.argv[3]
def timed(name, import_):
    if threading.current_thread() is not threading.main_thread():
        return find_and_load(name, import_)
    depth[0] += 1
    start = time.perf_counter()
    try:
        return find_and_load(name, import_)
    finally:
        depth[0] -= 1
        if not depth[0]:
            spent.append(time.perf_counter() - start)
machinery._find_and_load = timed
sys.argv = [stage]
try:
    runpy.run_module(f"stages.{stage}", run_name="__main__")
finally:
    open(out, "w").write(str(sum(spent)))
"""


def main() -> None:
    """Measure, print a table, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.starts", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/starts.json")
    options = parser.parse_args()
    times: dict[str, list[float]] = {stage: [] for stage in ("check_params", *STAGES)}
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        _make_dvc_project(project)
        repro = [sys.executable, "-m", "dvc", "repro"]
        _time(repro, project)
        repros = [_time(repro, project) for _ in range(options.rounds)]
        for _ in range(options.rounds):
            for stage, seconds in times.items():
                seconds.append(_start(stage, project))
    times["dvc_repro"] = repros
    rows = {name: {"seconds": round(statistics.median(seconds), 2)} for name, seconds in times.items()}
    print(f"$ {command('starts')}\n{os.cpu_count()} cores; s, median of {options.rounds}\n")
    for name, row in rows.items():
        print(f"{name}: {row['seconds']}")
    slowest = max(row["seconds"] for name, row in rows.items() if name != "dvc_repro")
    values = {"rows": rows, "slowest_start_s": slowest}
    write_record(options.json, "starts", "Starts of the stages, and a dvc repro without changes", "cpu", values)


def _make_dvc_project(project: Path) -> None:
    make_project(project, clips=2, seconds=5)
    shutil.copy(ROOT / "dvc.yaml", project)
    (project / "data").mkdir()
    (project / "made" / "clips").rename(project / "data" / "raw")
    values = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    values["data"]["clips"] = "data/raw"
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    for run in (["git", "init", "-q"], [sys.executable, "-m", "dvc", "init", "-q"]):
        subprocess.run(run, cwd=project, check=True)


def _start(stage: str, project: Path) -> float:
    """Run a stage in the project, and return how long its start took, s."""
    out = project / "start.txt"
    _time([sys.executable, "-c", TIMED_STAGE, stage, str(time.time()), str(out)], project)
    return float(out.read_text(encoding="utf-8"))


def _time(run: Sequence[str], folder: Path) -> float:
    """Run a command of this environment in a folder, and return its time, s."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    subprocess.run(run, cwd=folder, env=os.environ | {"PATH": path}, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    exit_on_user_error(main)
