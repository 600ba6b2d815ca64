"""Frames a second of the image_model alone and of a whole rendering, and memory over the length of the video.

    python -m benchmarks.rendering

The generator is that of params.yaml after one step of training on a few clips of data/dataset.h5: it is as fast as a
trained one. A rendering is generating, drawing the skeleton, enlarging both to render.height, and encoding with sound.
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
from dancing.media.song import SOUND_RATE

if TYPE_CHECKING:
    from dancing.pose_to_image.inference import PoseToImage

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
    print("| picture, px | generator | rendering | memory, {} s | {} s | ratio |".format(*SECONDS))
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
    from dancing.training.device import pick_device

    return str(pick_device())


def _train(data: Path, folder: Path, height: int, width: int) -> None:
    """A dataset with pictures of this size and a image_model of such, both in the folder."""
    import cv2

    from dancing.clips.dataset import open_dataset, write_dataset
    from dancing.h5 import SPLITS
    from dancing.params import load_dance_params
    from dancing.pose_to_image.task import build_task
    from dancing.training.checkpoints import ResumeState
    from dancing.training.device import pick_device
    from dancing.training.gan_loop import train_gan

    with open_dataset(data) as source:
        parts = [source.with_pictures().split(split)[0] for split in SPLITS]
        attributes = {
            "fps": source.fps, "width": width, "height": height, "fit": "letterbox", "n_mfcc": source.n_mfcc
        }  # fmt: skip
        frames = ((cv2.resize(source.frame(piece, k), (width, height)) for k in range(len(piece))) for piece in parts)
        write_dataset(folder / "dataset.h5", attributes, zip(parts, frames, strict=True))
    with open_dataset(folder / "dataset.h5") as dataset:
        gan = load_dance_params().gan.model_copy(update={"epochs": 1, "steps_per_epoch": 1})
        train_gan(build_task(dataset, gan, pick_device()), gan, folder, ResumeState(folder / "resume.pt"))


def _load(folder: Path, seconds: int) -> tuple["PoseToImage", np.ndarray, int]:
    """The image_model, real poses for so many seconds (T, 33, 2), and their frames a second."""
    from dancing.clips.dataset import open_dataset
    from dancing.pose_to_image.inference import PoseToImage

    with open_dataset(folder / "dataset.h5") as dataset:
        poses = dataset.split("test")[0].landmarks
        return PoseToImage.load(folder / "best.pt"), np.resize(poses, (seconds * dataset.fps, 33, 2)), dataset.fps


def _rendering(folder: Path, seconds: int) -> tuple[Callable[[], None], Callable[[], None], int]:
    """Painting so much video, rendering it, and its number of frames."""
    from dancing.media.video import VideoWriter
    from dancing.params import load_dance_params
    from dancing.render import panels

    render = load_dance_params().render
    image_model, poses, fps = _load(folder, seconds)
    height, width = render.height, round(image_model.width * render.height / image_model.height / 2) * 2
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (seconds * SOUND_RATE, 2)).astype(np.float32)

    def paint() -> None:
        for _ in image_model.render(poses):
            pass

    def film() -> None:
        shown = {
            "skeleton": panels.skeletons(poses, height, width),
            "ours": panels.generated(poses, image_model, height, width),
        }
        with VideoWriter(
            folder / "dance.mp4", fps, 2 * width, height, noise, SOUND_RATE, render.quality
        ) as video:  # fmt: skip
            for picture in panels.side_by_side(shown):
                video.write(picture)

    return paint, film, len(poses)


def _speeds(folder: Path) -> list[float]:
    """Frames/s of the image_model and of a rendering."""
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
