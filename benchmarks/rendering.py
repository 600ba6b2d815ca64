"""Frames a second of the image generator, of the encoder and of a whole rendering, and memory by the video's length.

    python -m benchmarks.rendering

The generator is that of params.yaml after one training step on a few clips of data/dataset.h5, which is as fast as a
fully trained one. A whole rendering generates the images, draws the skeletons, enlarges both to render.height, and
encodes them with sound. The encoder alone does all of this but the generating. On a CPU both keep all cores busy, so
that in a whole rendering their times add up. Speeds are the median of three runs. Memory is the growth of a fresh
process's peak, on the CPU, after the model, the poses and the sound have been loaded.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import stages  # noqa: F401
from benchmarks.common import alone, command, peak, write_record
from dancing.errors import exit_on_user_error

if TYPE_CHECKING:
    from dancing.clips.dataset import Pictures, Piece
    from dancing.pose_to_image.inference import PoseToImage

SIZES = ((128, 72), (256, 144))  # px, height and width
SECONDS = (10, 120)  # of video, in which memory is measured
TIMED, RUNS = 5, 3  # s of video, in which speed is measured; how often


def main() -> None:
    """Measure, print a table, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rendering", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, default=Path("data/dataset.h5"), help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/rendering.json")
    options = parser.parse_args()
    data, device, rows = options.dataset, alone(_device), {}
    print(f"$ {command('rendering')}")
    print(f"{os.cpu_count()} cores, {device}; frames/s, median of {RUNS}; memory in MB\n")
    print("| picture, px | generator | encoder | rendering | memory, {} s | {} s | ratio |".format(*SECONDS))
    print("| --- | --- | --- | --- | --- | --- | --- |")
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
            "encoder_fps": speeds[1],
            "rendering_fps": speeds[2],
            "memory_mb_10s": short,
            "memory_mb_120s": long,
        }
        rows[f"{height}x{width}"] = {key: round(value, 1) for key, value in figures.items()} | {
            "over_both": round(speeds[2] * (1 / speeds[0] + 1 / speeds[1]), 2)
        }
    what = "Frames/s of the generator alone and of a whole rendering, and memory over the length of the video"
    write_record(options.json, "rendering", what, device, {"rows": rows})


def _device() -> str:
    from dancing.training.device import pick_device

    return str(pick_device())


def write_resized(data: Path, folder: Path, height: int, width: int) -> None:
    """Write dataset.h5 with a few clips of another dataset, their images resized to this size, to the folder."""
    import cv2

    from dancing.clips.dataset import Picture, open_dataset, write_dataset
    from dancing.h5 import SPLITS

    with open_dataset(data) as source:
        parts = [source.with_frames().split(split)[0] for split in SPLITS]
        attributes = {
            "fps": source.fps, "width": width, "height": height, "fit": "letterbox", "n_mfcc": source.n_mfcc
        }  # fmt: skip

        def pictures(piece: "Piece") -> "Pictures":
            for k in range(len(piece)):
                frame, mask = (cv2.resize(read(piece, k), (width, height)) for read in (source.frame, source.mask))
                yield Picture(frame, mask)

        write_dataset(folder / "dataset.h5", attributes, ((piece, pictures(piece)) for piece in parts))


def _train(data: Path, folder: Path, height: int, width: int) -> None:
    """Write a dataset with images of this size and a generator that was trained on it to the folder."""
    from dancing.clips.dataset import open_dataset
    from dancing.params import load_dance_params
    from dancing.pose_to_image.task import build_task
    from dancing.training.checkpoints import ResumeState
    from dancing.training.compute import Compute
    from dancing.training.device import pick_device
    from dancing.training.gan_loop import train_gan

    write_resized(data, folder, height, width)
    with open_dataset(folder / "dataset.h5") as dataset:
        gan = load_dance_params().gan.model_copy(update={"epochs": 1, "steps_per_epoch": 1})
        train_gan(build_task(dataset, gan, Compute(pick_device())), gan, folder, ResumeState(folder / "resume.pt"))


def _load(folder: Path, seconds: int) -> tuple["PoseToImage", np.ndarray, int]:
    """Return the generator, real poses (T, 33, 2) of this duration, and their frames a second."""
    from dancing.clips.dataset import open_dataset
    from dancing.pose_to_image.inference import PoseToImage

    with open_dataset(folder / "dataset.h5") as dataset:
        poses = dataset.split("test")[0].landmarks
        return PoseToImage.load(folder / "best.pt"), np.resize(poses, (seconds * dataset.fps, 33, 2)), dataset.fps


def _rendering(folder: Path, seconds: int) -> tuple[Callable[[], None], Callable[[], None], Callable[[], None], int]:
    """Return three jobs, to generate a video's images, to encode it and to render all, and the number of frames."""
    from dancing.media.song import SOUND_RATE
    from dancing.media.video_writer import VideoWriter
    from dancing.params import load_dance_params
    from dancing.render import panels

    settings = load_dance_params().render
    image_model, poses, fps = _load(folder, seconds)
    height, width = settings.height, round(image_model.width * settings.height / image_model.height / 2) * 2
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (seconds * SOUND_RATE, 2)).astype(np.float32)

    def generate() -> None:
        for _ in image_model.render(poses):
            pass

    def write_video(images: Iterable[np.ndarray]) -> None:
        columns = {"skeleton": panels.skeletons(poses, height, width), "ours": images}
        path = folder / "dance.mp4"
        with VideoWriter(path, fps, 2 * width, height, noise, SOUND_RATE, settings.quality) as video:
            for frame in panels.side_by_side(columns):
                video.write(frame)

    some = list(image_model.render(poses[:fps]))

    def encode() -> None:
        write_video(panels.enlarged(some[k % len(some)], height, width) for k in range(len(poses)))

    def render_video() -> None:
        write_video(panels.generated(poses, image_model, height, width))

    return generate, encode, render_video, len(poses)


def _speeds(folder: Path) -> list[float]:
    """Return the frames a second of the generator alone, of the encoder alone and of a whole rendering."""
    *jobs, frames = _rendering(folder, TIMED)
    return [frames / statistics.median(_time(job) for _ in range(RUNS)) for job in jobs]


def _time(job: Callable[[], None]) -> float:
    start = time.perf_counter()
    job()
    return time.perf_counter() - start


def _memory(folder: Path, seconds: int) -> float:
    """Return by how much the peak memory grows during a rendering, MB."""
    *_, render_video, _ = _rendering(folder, seconds)
    before = peak()
    render_video()
    return peak() - before


if __name__ == "__main__":
    exit_on_user_error(main)
