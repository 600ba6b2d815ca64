"""Steps a second and memory of the presets' GAN trainings on a GPU, and their share of what the GPU can multiply.

    python -m benchmarks.gpu_training --json benchmarks/results/gpu_training.json

Trains on a few clips of data/dataset.h5 with enlarged images. Speed is the median of rounds, between which the
precisions take turns. Operations are counted by torch.utils.flop_counter, forwards and backwards, without the R1
penalty. The GPU's own speed is that of a product of two 8192 x 8192 matrices in bfloat16.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import stages  # noqa: F401
from benchmarks.common import alone, command, write_record
from benchmarks.gpu_presets import PRESETS, preset_params
from benchmarks.rendering import write_resized
from dancing.errors import UserError, exit_on_user_error

PRECISIONS = {"bf16": True, "32": False}
SIDE, PRODUCTS = 8192, 20  # of the matrices; how many products are timed
WARM_UP, COUNTED = 24, 8  # steps; R1 is computed in every 8th


def main() -> None:
    """Measure, print a table, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_training", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, default=Path("data/dataset.h5"), help="(%(default)s)")
    parser.add_argument("--steps", type=int, default=80, help="of a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/gpu_training.json")
    options = parser.parse_args()
    name, tflops = alone(_gpu)
    print(f"$ {command('gpu_training')}\n{name}, {tflops:.0f} * 10^12 operations/s in a bfloat16 matrix product\n")
    rows: dict[str, dict[str, Any]] = {}
    for preset in PRESETS:
        with tempfile.TemporaryDirectory() as folder:
            row = alone(_measure, preset, options.dataset, Path(folder), options.steps, options.rounds)
        row["share_of_peak"] = round(row.pop("tflops") / tflops, 3)
        rows[preset] = row
        print(f"{preset}: {row}", flush=True)
    what = "Steps of the presets for GPUs on a GPU"
    write_record(options.json, "gpu_training", what, name, {"tflops": round(tflops), "rows": rows})


def _gpu() -> tuple[str, float]:
    """Return the GPU's name, and its speed in a matrix product, 10^12 operations/s."""
    import torch

    if not torch.cuda.is_available():
        raise UserError("no CUDA GPU was found; benchmarks.gpu_presets estimates on a CPU")
    a = torch.randn(SIDE, SIDE, device="cuda", dtype=torch.bfloat16)
    for count in (PRODUCTS, PRODUCTS):  # the first round warms up
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(count):
            a @ a
        torch.cuda.synchronize()
        seconds = time.perf_counter() - start
    return torch.cuda.get_device_name(), 2 * SIDE**3 * PRODUCTS / seconds / 1e12


def _measure(preset: str, data: Path, folder: Path, steps: int, rounds: int) -> dict[str, Any]:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from dancing.clips.dataset import open_dataset
    from dancing.pose_to_image.task import build_task
    from dancing.training.compute import Compute
    from dancing.training.device import pick_device
    from dancing.training.gan_loop import _GanTrainer
    from dancing.training.processes import shared_rng

    params = preset_params(preset, folder)
    write_resized(data, folder, params.data.height, params.data.width)
    gan, device, rng = params.gan, pick_device(), shared_rng(1, 1)
    with open_dataset(folder / "dataset.h5") as dataset:
        trainers, seconds = {}, {name: [] for name in PRECISIONS}  # type: dict[str, _GanTrainer], dict[str, list[float]]
        for name, bfloat16 in PRECISIONS.items():
            trainers[name] = _GanTrainer(build_task(dataset, gan, Compute(device, bfloat16)), gan)
        torch.cuda.reset_peak_memory_stats()
        for trainer in trainers.values():
            for _ in range(WARM_UP):
                trainer._step(rng)
        for _ in range(rounds):
            for name, trainer in trainers.items():
                torch.cuda.synchronize()
                start = time.perf_counter()
                for _ in range(steps):
                    trainer._step(rng)
                torch.cuda.synchronize()
                seconds[name].append((time.perf_counter() - start) / steps)
        memory = torch.cuda.max_memory_allocated()
        without_r1 = gan.model_copy(update={"r1_weight": 0.0})
        trainer = _GanTrainer(trainers["bf16"].task, without_r1)
        with FlopCounterMode(display=False) as counter:
            for _ in range(COUNTED):
                trainer._step(rng)
    operations = counter.get_total_flops() / COUNTED
    second = {name: statistics.median(values) for name, values in seconds.items()}
    total = gan.epochs * gan.steps_per_epoch
    return {
        "gflop": round(operations / 1e9, 1),
        "steps_per_s": round(1 / second["bf16"], 1),
        "steps_per_s_32": round(1 / second["32"], 1),
        "images_per_s": round(gan.batch_size / second["bf16"]),
        "memory_gb": round(memory / 1e9, 2),
        "steps": total,
        "minutes": round(total * second["bf16"] / 60, 1),
        "tflops": operations / second["bf16"] / 1e12,
    }


if __name__ == "__main__":
    exit_on_user_error(main)
