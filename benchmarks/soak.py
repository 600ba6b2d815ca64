"""Memory over time: many short clips through the pipeline, and an hour of music through render.

    python -m benchmarks.soak --out docs/soak.png

The project's files are copied to a temporary folder, with the smallest params. Clips and song are drawn and composed
there. Then each stage runs alone. Its memory, with that of the processes it starts, is measured twice a second.
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.common import command, write_record
from benchmarks.small_project import STAGES, make_project, memory
from dancing.errors import exit_on_user_error


def main() -> None:
    """Run, print a table, write the plot, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the plot, .png")
    parser.add_argument("--clips", type=int, default=200, help="clips of two seconds each (%(default)s)")
    parser.add_argument("--minutes", type=float, default=60, help="length of the song (%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/soak.json")
    options = parser.parse_args()
    curves = {}
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        make_project(project, options.clips, 60 * options.minutes)
        print(f"$ {command('soak')}\n{os.cpu_count()} cores; memory in MB\n")
        print("| stage | time, s | second quarter | last quarter | peak |\n| --- | --- | --- | --- | --- |", flush=True)
        for stage in STAGES:
            curves[stage] = memory([sys.executable, "-m", f"stages.{stage}"], project)
            print("| " + " | ".join([stage, *(f"{value:.0f}" for value in _summary(curves[stage]).values())]) + " |")
    _plot(options.out, curves)
    rows = {stage: {key: round(value) for key, value in _summary(curve).items()} for stage, curve in curves.items()}
    what = "Memory over time: short clips through the pipeline, and a long song through render"
    values = {"clips": options.clips, "minutes": options.minutes, "rows": rows}
    write_record(options.json, "soak", what, "cpu", values)


def _summary(curve: np.ndarray) -> dict[str, float]:
    quarter = max(len(curve) // 4, 1)
    return {
        "seconds": curve[-1, 0],
        "second_quarter_mb": float(np.median(curve[quarter : 2 * quarter + 1, 1])),
        "last_quarter_mb": float(np.median(curve[-quarter:, 1])),
        "peak_mb": curve[:, 1].max(),
    }


def _plot(path: Path, curves: dict[str, np.ndarray]) -> None:
    from matplotlib.figure import Figure

    from dancing.render.plots import save_figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    for number, (stage, curve) in enumerate(curves.items()):
        axes = figure.add_subplot(2, 3, number + 1)
        axes.plot(curve[:, 0] / 60, curve[:, 1])
        axes.set_ylim(0, 1.15 * max(curve[:, 1].max() for curve in curves.values()))
        axes.set_title(stage, fontsize=10)
        axes.set_xlabel("minutes")
        axes.grid(alpha=0.3)
        if number % 3 == 0:
            axes.set_ylabel("memory, MB")
    save_figure(path, figure)


if __name__ == "__main__":
    exit_on_user_error(main)
