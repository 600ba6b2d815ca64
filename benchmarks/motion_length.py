"""Time and memory of generating a dance and of reading its song, by the song's length.

    python -m benchmarks.motion_length --out docs/motion_length.png

Each length is measured in a fresh process. Time is the median wall time of three runs. Memory is the growth of the
process's peak, on the CPU, after it has loaded the model and generated a first short dance (or read the song's start).
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import stages  # noqa: F401
from benchmarks.common import alone, command, peak, write_record
from dancing.errors import exit_on_user_error

if TYPE_CHECKING:
    from dancing.music_to_pose.inference import MusicToPose

LENGTHS = (10, 30, 60, 180, 600, 1800)  # s
READ = 180  # s, the longest song that is also composed and read
BPM = 120
RUNS = 3
WARM_UP = 2  # s of music that are processed before the measurement


def main() -> None:
    """Measure, print a table, write the plot, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.motion_length", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the plot, .png")
    parser.add_argument("--model", type=Path, default=Path("models/vae/best.pt"), help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/motion_length.json")
    options = parser.parse_args()
    device = alone(_device, options.model)
    print(f"$ {command('motion_length')}")
    print(f"{os.cpu_count()} cores, {device}; {BPM} BPM, median of {RUNS}\n")
    print("| song, s | dance, s | memory, MB | reading, s | memory, MB |\n| --- | --- | --- | --- | --- |")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        song = Path(folder) / "song.wav"
        for length in LENGTHS:
            row = [float(length), *alone(_dance, options.model, length), np.nan, np.nan]
            if length <= READ:
                alone(_compose, song, length)
                row[3:] = alone(_read, options.model, song)
            rows.append(row)
            print("| " + " | ".join("-" if np.isnan(value) else f"{value:.4g}" for value in row) + " |", flush=True)
    _plot(options.out, np.array(rows))
    keys = ("dance_s", "dance_mb", "reading_s", "reading_mb")
    values = {
        f"{length:g}": {key: round(value, 3) for key, value in zip(keys, row, strict=True) if not np.isnan(value)}
        for length, *row in rows
    }
    what = "Time and memory of generating a dance and of reading its song, over the song's length"
    write_record(options.json, "motion_length", what, device, {"rows": values})


def _load(model: Path) -> "MusicToPose":
    from dancing.music_to_pose.inference import MusicToPose

    return MusicToPose.load(model)


def _device(model: Path) -> str:
    return str(_load(model).device)


def _dance(model: Path, seconds: int) -> tuple[float, float]:
    pose_model = _load(model)
    pose_model.generate(_features(pose_model, WARM_UP), 0, 1.0)
    audio = _features(pose_model, seconds)
    return _measure(lambda: pose_model.generate(audio, 0, 1.0))


def _read(model: Path, song: Path) -> tuple[float, float]:
    from dancing.media.song import read_song

    pose_model = _load(model)
    read_song(song, pose_model.fps, pose_model.n_mfcc, WARM_UP)
    return _measure(lambda: read_song(song, pose_model.fps, pose_model.n_mfcc, None))


def _compose(path: Path, seconds: int) -> None:
    from dancing.media.sound import write_audio
    from data.demo.music import SAMPLE_RATE, compose

    write_audio(path, compose(BPM, seconds, np.random.default_rng(0)).sound, SAMPLE_RATE)


def _features(pose_model: "MusicToPose", seconds: int) -> np.ndarray:
    """Return audio features (T, F): random with the training part's mean and deviation, and a steady beat."""
    from dancing.clips.dataset import BEAT_COLUMNS

    beats = np.arange(seconds * pose_model.fps) / pose_model.fps * BPM / 60
    angles = [2 * np.pi * beats / period for period in (1, 2, 3, 4)]  # of the beat, and of bars of 2, 3 and 4 beats
    phases = [part for angle in angles for part in (np.sin(angle), np.cos(angle))]
    nearness = np.exp(-abs(beats - beats.round()) * 60 / BPM / 0.1)
    rhythm = np.stack([*phases, np.full_like(beats, -0.5), nearness], axis=1)
    mean, std = pose_model.audio_mean, pose_model.audio_std
    timbre = np.random.default_rng(0).normal(mean, std, (len(beats), len(mean)))
    return np.concatenate([timbre[:, :-BEAT_COLUMNS], rhythm], axis=1).astype(np.float32)


def _measure(job: Callable[[], object]) -> tuple[float, float]:
    """Return the median time of a job, s, and by how much the peak memory grew, MB."""
    before, times = peak(), []
    for _ in range(RUNS):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return statistics.median(times), peak() - before


def _plot(path: Path, rows: np.ndarray) -> None:
    from matplotlib.figure import Figure

    from dancing.render.plots import save_figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for number, title in enumerate(("wall time, s", "growth of memory, MB")):
        axes = figure.add_subplot(1, 2, number + 1)
        axes.loglog(rows[:, 0], rows[:, 1 + number], "o-", label="the dance")
        axes.loglog(rows[:, 0], rows[:, 3 + number], "s--", label="reading the song")
        axes.set_xticks(rows[:, 0], [f"{length:g}" for length in rows[:, 0]])
        axes.set_xlabel("song, s")
        axes.set_title(title, fontsize=10)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False, loc="lower right")
    save_figure(path, figure)


if __name__ == "__main__":
    exit_on_user_error(main)
