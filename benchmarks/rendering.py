"""Frames a second of the painter alone and of a whole rendering, and memory over the length of the video.

    python -m benchmarks.rendering

The painter is that of params.yaml after one step of training on a few clips of data/dataset.h5: it is as fast as a good
one. A rendering is painting, drawing the skeleton, enlarging both to render.height, and encoding them with sound.
Speeds are the median of three; memory is how much a fresh process's peak (on the CPU) grew over what it was with the
model loaded, and poses and sound in memory.
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
    from dancing.inference import Painter

SIZES = ((128, 72), (256, 144))  # px, height and width
SECONDS = (10, 120)  # of video, for memory
TIMED, RUNS = 5, 3  # s of video, for speed


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rendering", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, default=Path("data/dataset.h5"), help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/rendering.json")
    options = parser.parse_args()
    data, device, rows = options.dataset, alone(_device), {}
    print(f"$ {command('rendering')}")
    print(f"{os.cpu_count()} cores, {device}; frames/s, median of {RUNS}; memory in MB\n")
    print("| picture, px | painter | rendering | memory, {} s | {} s | ratio |".format(*SECONDS))
    print("| --- | --- | --- | --- | --- | --- |")
    for height, width in SIZES:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            alone(_train, data, folder, height, width)
            speeds = alone(_speeds, folder)
            short, long = (alone(_memory, folder, seconds) for seconds in SECONDS)
        row = [f"{height} x {width}", *(f"{speed:.1f}" for speed in speeds), f"{short:.0f}", f"{long:.0f}"]
        print("| " + " | ".join([*row, f"{long / short:.2f}"]) + " |", flush=True)
        figures = {
            "generator_fps": speeds[0],
            "rendering_fps": speeds[1],
            "memory_mb_10s": short,
            "memory_mb_120s": long,
        }
        rows[f"{height}x{width}"] = {key: round(value, 1) for key, value in figures.items()}
    what = "Frames/s of the generator alone and of a whole rendering, and memory over the length of the video"
    write_record(options.json, "rendering", what, device, {"rows": rows})


def _device() -> str:
    from dancing.training.common import pick_device

    return str(pick_device())


def _train(data: Path, folder: Path, height: int, width: int) -> None:
    """A dataset with pictures of this size and a painter of such, both in the folder."""
    import cv2

    from dancing.hdf5 import SPLITS, open_dataset, write_dataset
    from dancing.params import load_dance_params
    from dancing.training.gan import train_gan

    with open_dataset(data) as source:
        parts = [source.with_pictures().split(split)[0] for split in SPLITS]
        attributes = {
            "fps": source.fps, "width": width, "height": height, "fit": "letterbox", "n_mfcc": source.n_mfcc
        }  # fmt: skip
        frames = ((cv2.resize(source.frame(piece, k), (width, height)) for k in range(len(piece))) for piece in parts)
        write_dataset(folder / "dataset.h5", attributes, zip(parts, frames, strict=True))
    with open_dataset(folder / "dataset.h5") as dataset:
        gan = load_dance_params().gan.model_copy(update={"epochs": 1, "steps_per_epoch": 1})
        train_gan(dataset, gan, folder, folder)


def _load(folder: Path, seconds: int) -> tuple["Painter", np.ndarray, int]:
    """The painter, real poses for so many seconds (T, 33, 2), and their frames a second."""
    from dancing.hdf5 import open_dataset
    from dancing.inference import Painter

    with open_dataset(folder / "dataset.h5") as dataset:
        poses = dataset.split("test")[0].landmarks
        return Painter.load(folder / "best.pt"), np.resize(poses, (seconds * dataset.fps, 33, 2)), dataset.fps


def _rendering(folder: Path, seconds: int) -> tuple[Callable[[], None], Callable[[], None], int]:
    """Painting so much video, rendering it, and its number of frames."""
    from dancing import rendering
    from dancing.params import load_dance_params
    from dancing.video import VideoWriter

    render = load_dance_params().render
    painter, poses, fps = _load(folder, seconds)
    height, width = render.height, round(painter.width * render.height / painter.height / 2) * 2
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (seconds * rendering.SOUND_RATE, 2)).astype(np.float32)

    def paint() -> None:
        for _ in painter.paint(poses):
            pass

    def film() -> None:
        panels = {
            "skeleton": rendering.skeletons(poses, height, width),
            "ours": rendering.paintings(poses, painter, height, width),
        }
        with VideoWriter(
            folder / "dance.mp4", fps, 2 * width, height, noise, rendering.SOUND_RATE, render.quality
        ) as video:  # fmt: skip
            for picture in rendering.side_by_side(panels):
                video.write(picture)

    return paint, film, len(poses)


def _speeds(folder: Path) -> list[float]:
    """Frames/s of the painter and of a rendering."""
    *jobs, frames = _rendering(folder, TIMED)
    return [frames / statistics.median(_time(job) for _ in range(RUNS)) for job in jobs]


def _time(job: Callable[[], None]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _memory(folder: Path, seconds: int) -> float:
    """MB by which the peak grows in a rendering."""
    _, film, _ = _rendering(folder, seconds)
    before = peak()
    film()
    return peak() - before


if __name__ == "__main__":
    exit_on_user_error(main)
