"""How time and memory grow with the number of clips and with the length of the song.

    python -m benchmarks.growth --out docs/growth.png --json benchmarks/results/growth.json

Clips of two seconds go through extract_features and build_hdf5; a song of growing length goes through render, with the
smallest networks. Each stage runs alone, from its start to its end; memory is the peak of all its processes.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from benchmarks.common import command, write_record
from benchmarks.small_project import make_project, memory
from dancing.errors import exit_on_user_error

OVER_CLIPS, OVER_SONG = ("extract_features", "build_hdf5"), "render"
TRAINED_ON = 4  # clips, for the song


def main() -> None:
    """Measure, print a table, write the plot, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the plot, .png")
    parser.add_argument("--clips", type=int, nargs="+", default=[1, 4, 16, 64], help="how many (%(default)s)")
    parser.add_argument("--song", type=int, nargs="+", default=[30, 60, 120, 240], help="lengths, s (%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/growth.json")
    options = parser.parse_args()
    print(f"$ {command('growth')}\n{os.cpu_count()} cores\n")
    print("| stage | size | time, s | peak of memory, MB |\n| --- | --- | --- | --- |", flush=True)
    rows: dict[str, list[tuple[int, float, float]]] = {name: [] for name in (*OVER_CLIPS, OVER_SONG)}
    with tempfile.TemporaryDirectory() as name:
        project = Path(name) / "project"
        project.mkdir()
        make_project(project, max(*options.clips, TRAINED_ON), max(options.song))
        everything = sorted((project / "made" / "clips").iterdir())
        for count in options.clips:
            _choose(project, everything[:count])
            for stage in OVER_CLIPS:
                rows[stage].append((count, *_run(stage, project)))
        _choose(project, everything[:TRAINED_ON])
        for stage in (*OVER_CLIPS, "train_vae", "train_gan"):
            memory(_command(stage), project)
        for seconds in options.song:
            _cut_song(project, seconds)
            rows[OVER_SONG].append((seconds, *_run(OVER_SONG, project)))
    _plot(options.out, rows)
    values = {
        stage: {
            "sizes": [size for size, _, _ in measured],
            "seconds": [round(seconds, 1) for _, seconds, _ in measured],
            "peak_mb": [round(megabytes) for _, _, megabytes in measured],
            "each_s": round(_slope(measured), 3),
        }
        for stage, measured in rows.items()
    }
    write_record(
        options.json, "growth", "Time and memory over the number of clips and the song's length", "cpu", values
    )


def _command(stage: str) -> list[str]:
    return [sys.executable, "-m", f"stages.{stage}"]


def _run(stage: str, project: Path) -> tuple[float, float]:
    """Run a stage without what an earlier run has cached; its time (s), and the peak of its memory (MB)."""
    shutil.rmtree(project / ".cache", ignore_errors=True)
    curve = memory(_command(stage), project)
    seconds, megabytes = float(curve[-1, 0]), float(curve[:, 1].max())
    print(f"| {stage} | {_size(stage, project)} | {seconds:.1f} | {megabytes:.0f} |", flush=True)
    return seconds, megabytes


def _size(stage: str, project: Path) -> str:
    if stage == OVER_SONG:
        return f"{_values(project)['render']['seconds']} s"
    return f"{len(list((project / 'some').iterdir()))} clips"


def _values(project: Path) -> dict:
    return yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))


def _write(project: Path, values: dict) -> None:
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def _choose(project: Path, clips: Sequence[Path]) -> None:
    """Make these clips the project's."""
    some = project / "some"
    shutil.rmtree(some, ignore_errors=True)
    some.mkdir()
    for clip in clips:
        shutil.copy(clip, some)
    values = _values(project)
    values["data"]["clips"] = "some"
    _write(project, values)


def _cut_song(project: Path, seconds: int) -> None:
    values = _values(project)
    values["render"]["seconds"] = seconds
    _write(project, values)


def _slope(measured: Sequence[tuple[int, float, float]]) -> float:
    """Seconds for each further clip or second of the song, from the smallest size to the largest."""
    (first, start, _), (last, end, _) = measured[0], measured[-1]
    return (end - start) / (last - first)


def _plot(path: Path, rows: dict[str, list[tuple[int, float, float]]]) -> None:
    from matplotlib.figure import Figure

    from dancing.render.plots import save_figure

    figure = Figure(figsize=(9, 4.6), layout="constrained")
    for column, (stage, measured) in enumerate(rows.items()):
        sizes, seconds, megabytes = np.array(measured).T
        for row, (values, label) in enumerate(((seconds, "time, s"), (megabytes, "peak of memory, MB"))):
            axes = figure.add_subplot(2, len(rows), row * len(rows) + column + 1)
            axes.plot(sizes, values, marker="o")
            axes.set_ylim(0, 1.15 * max(values))
            axes.set_xlim(0)
            axes.grid(alpha=0.3)
            if row == 0:
                axes.set_title(stage, fontsize=10)
            else:
                axes.set_xlabel("seconds of song" if stage == OVER_SONG else "clips")
            if column == 0:
                axes.set_ylabel(label)
    save_figure(path, figure)


if __name__ == "__main__":
    exit_on_user_error(main)
