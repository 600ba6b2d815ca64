"""Time and memory of a dance, and of reading the song, over the song's length.

    python -m benchmarks.motion_length --out docs/motion_length.png

Every length is measured in a process of its own: the wall time's median of three, and how much the process's peak of
memory (on the CPU) grew over what it was after loading and a first short dance.
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
READ = 180  # s, the longest song that is composed and read
BPM = 120
RUNS = 3


def main() -> None:
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
    dancer = _load(model)
    dancer.generate(_features(dancer, 2), 0, 1.0)
    audio = _features(dancer, seconds)
    return _measure(lambda: dancer.generate(audio, 0, 1.0))


def _read(model: Path, song: Path) -> tuple[float, float]:
    from dancing.media.song import read_song

    dancer = _load(model)
    read_song(song, dancer.fps, dancer.n_mfcc, 2)
    return _measure(lambda: read_song(song, dancer.fps, dancer.n_mfcc, None))


def _compose(path: Path, seconds: int) -> None:
    from dancing.media.video import write_audio
    from data.demo.music import SAMPLE_RATE, compose

    write_audio(path, compose(BPM, seconds, np.random.default_rng(0)).sound, SAMPLE_RATE)


def _features(dancer: "MusicToPose", seconds: int) -> np.ndarray:
    """Sound like that of the training part by its mean and spread, with a steady beat in bars of four; (T, F)."""
    from dancing.clips.dataset import BEAT_COLUMNS

    beats = np.arange(seconds * dancer.fps) / dancer.fps * BPM / 60
    turns = [2 * np.pi * beats / bar for bar in (1, 2, 3, 4)]
    phases = [part for turn in turns for part in (np.sin(turn), np.cos(turn))]
    nearness = np.exp(-abs(beats - beats.round()) * 60 / BPM / 0.1)
    rhythm = np.stack([*phases, np.full_like(beats, -0.5), nearness], axis=1)
    timbre = np.random.default_rng(0).normal(dancer.audio_mean, dancer.audio_std, (len(beats), len(dancer.audio_mean)))
    return np.concatenate([timbre[:, :-BEAT_COLUMNS], rhythm], axis=1).astype(np.float32)


def _measure(job: Callable[[], object]) -> tuple[float, float]:
    """Seconds and MB."""
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
