"""Memory of building a dataset from a folder of many images, and of training on it.

    python -m benchmarks.image_memory --pictures 50000

The images are heads of 96 px, drawn by a program, with noise so that no two are alike. The GAN is that of
pipelines/faces, 64 px. Memory is the peak, on the CPU, of a fresh process that does nothing else; it includes PyTorch.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path

import numpy as np

import stages  # noqa: F401
from benchmarks.common import alone, command, peak, write_record
from dancing.errors import exit_on_user_error

PARAMS = Path("pipelines/faces/params.yaml")
HEADS = 200  # different ones
SIDE = 96  # px, of an image
NOISE = 8  # levels, the largest change of a pixel
STEPS = 20  # of training


def main() -> None:
    """Measure, print a table, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.image_memory", description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=50_000, help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/image_memory.json")
    options = parser.parse_args()
    count = options.pictures
    print(f"$ {command('image_memory')}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        alone(_draw, folder / "pictures", count)
        rows = {"build_hdf5": alone(_build, folder), f"train_gan, {STEPS} steps": alone(_train, folder)}
        size = (folder / "dataset.h5").stat().st_size / 1e6
    print(f"{os.cpu_count()} cores; {count} pictures, {size:.0f} MB as pixels\n")
    print("| | peak of memory | time |\n| --- | --- | --- |")
    for row, (megabytes, seconds) in rows.items():
        print(f"| {row} | {megabytes:.0f} MB | {seconds:.0f} s |")
    figures = [{"memory_mb": round(megabytes), "seconds": round(seconds, 1)} for megabytes, seconds in rows.values()]
    what = "Memory of building a dataset from a folder of images, and of training from it"
    values = {"pictures": count, "rows": dict(zip(("build", "train"), figures, strict=True))}
    write_record(options.json, "image_memory", what, "cpu", values)


def _draw(folder: Path, count: int) -> None:
    """Write JPEG files, a thousand in a folder."""
    import cv2

    from data.demo.heads import draw_head

    rng = np.random.default_rng(1)
    heads = [draw_head(SIDE, rng) for _ in range(min(HEADS, count))]
    for i in range(count):
        noise = rng.integers(-NOISE, NOISE + 1, heads[0].shape, dtype=np.int16)
        image = np.clip(heads[i % len(heads)] + noise, 0, 255).astype(np.uint8)
        path = folder / f"{i // 1000:03}" / f"{i:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)


def _build(folder: Path) -> tuple[float, float]:
    """Build the dataset. Returns the peak memory, MB, and the time, s."""
    from dancing.noise_to_image.dataset import write_images
    from dancing.noise_to_image.sources import Report, read_images
    from dancing.params import ImageParams, load_params

    params, start = load_params(PARAMS), time.perf_counter()
    assert isinstance(params, ImageParams)
    attributes = params.data.model_dump(include={"height", "width", "channels", "fit"})
    write_images(folder / "dataset.h5", attributes, read_images(folder / "pictures", params.data, Report()))
    return peak(), time.perf_counter() - start


def _train(folder: Path) -> tuple[float, float]:
    """Train on the dataset. Returns the peak memory, MB, and the time, s."""
    from dancing.noise_to_image.dataset import open_images
    from dancing.noise_to_image.gan_task import build_task
    from dancing.params import ImageParams, load_params
    from dancing.training.checkpoints import ResumeState
    from dancing.training.compute import Compute
    from dancing.training.device import pick_device
    from dancing.training.gan_loop import train_gan

    params, start = load_params(PARAMS), time.perf_counter()
    assert isinstance(params, ImageParams)
    assert params.gan is not None
    with open_images(folder / "dataset.h5") as dataset:
        gan = params.gan.model_copy(update={"epochs": 1, "steps_per_epoch": STEPS})
        task = build_task(dataset, gan, Compute(pick_device()))
        train_gan(task, gan, folder / "gan", ResumeState(folder / "resume.pt"))
    return peak(), time.perf_counter() - start


if __name__ == "__main__":
    exit_on_user_error(main)
