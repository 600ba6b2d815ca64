"""Memory over time: many short clips through the pipeline, and an hour of music through render.

    python -m benchmarks.soak --out docs/soak.png

The project's files are copied to a temporary folder, with the smallest params. Clips and song are drawn and composed
there. Then each stage runs alone. Its memory, with that of the processes it starts, is measured twice a second.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import yaml

from benchmarks.common import command, write_record
from dancing.errors import exit_on_user_error

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("extract_features", "build_hdf5", "train_vae", "train_gan", "evaluate", "render")
INTERVAL = 0.5  # s
SONG = 180  # s of music that are composed; a longer song repeats them


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
        _make_project(project, options.clips, options.minutes)
        print(f"$ {command('soak')}\n{os.cpu_count()} cores; memory in MB\n")
        print("| stage | time, s | second quarter | last quarter | peak |\n| --- | --- | --- | --- | --- |", flush=True)
        for stage in STAGES:
            curves[stage] = _memory([sys.executable, "-m", f"stages.{stage}"], project)
            print("| " + " | ".join([stage, *(f"{value:.0f}" for value in _summary(curves[stage]).values())]) + " |")
    _plot(options.out, curves)
    rows = {stage: {key: round(value) for key, value in _summary(curve).items()} for stage, curve in curves.items()}
    what = "Memory over time: short clips through the pipeline, and a long song through render"
    values = {"clips": options.clips, "minutes": options.minutes, "rows": rows}
    write_record(options.json, "soak", what, "cpu", values)


def _make_project(project: Path, clips: int, minutes: float) -> None:
    """Copy the code, draw the clips, compose the song, and write the smallest params."""
    from dancing.media.sound import write_audio
    from dancing.presets import overlay_preset
    from data.demo import make
    from data.demo.music import SAMPLE_RATE, compose

    for folder in ("src", "stages"):
        shutil.copytree(ROOT / folder, project / folder)
    make.main(["clips", "--count", str(clips), "--seconds", "2", "2", "--seed", "1", "--out", str(project / "made")])
    sound = compose(120, SONG, np.random.default_rng(0)).sound
    seconds = round(60 * minutes)
    repeated = np.concatenate([sound] * -(-seconds // SONG))[: seconds * SAMPLE_RATE]
    write_audio(project / "song.mp3", repeated, SAMPLE_RATE)
    smallest = (ROOT / "presets/dance/smoke.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(overlay_preset((ROOT / "params.yaml").read_text(encoding="utf-8"), smallest))
    values["data"]["clips"], values["render"]["song"], values["render"]["seconds"] = "made/clips", "song.mp3", None
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def _memory(run: Sequence[str], folder: Path) -> np.ndarray:
    """Run a command; its time (s) and the resident memory of its processes (MB), (n, 2)."""
    start, rows = time.monotonic(), []
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    process = psutil.Popen(run, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        rows.append((time.monotonic() - start, _resident(process)))
        time.sleep(INTERVAL)
    if process.returncode:
        sys.exit(f"{' '.join(run)} ended with status {process.returncode}")
    return np.array(rows)


def _resident(process: psutil.Process) -> float:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:  # it has ended in between
        pass
    return total / 1e6


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
