"""Operations and memory of a GAN step with the presets for GPUs, on a CPU.

    python -m benchmarks.gpu_presets --json benchmarks/results/gpu_presets.json

Steps are taken at full size on the CPU, on a few clips of data/dataset.h5 with enlarged images. Floating-point
operations are counted by torch.utils.flop_counter, forwards and backwards, without the R1 penalty of every 8th step,
which it can't count. Memory is the growth of a fresh process's peak: weights, gradients, Adam's moments and
activations, as they would be on a GPU, where images may be kept as well. benchmarks.gpu_training measures on a GPU.
"""

import argparse
import os
import tempfile
from pathlib import Path

import stages  # noqa: F401
from benchmarks.common import alone, command, peak, write_record
from benchmarks.rendering import write_resized
from benchmarks.small_project import ROOT
from dancing.errors import exit_on_user_error
from dancing.params import Params, load_params
from dancing.presets import overlay_preset

PRESETS = ("gpu_256", "gpu")
STEPS = (1, 3)  # of two trainings, whose difference is what a step takes without the validation


def main() -> None:
    """Measure, print a table, and write a record if one is asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_presets", description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", type=Path, default=Path("data/dataset.h5"), help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/gpu_presets.json")
    options = parser.parse_args()
    print(f"$ {command('gpu_presets')}\n{os.cpu_count()} cores\n")
    print("| preset | operations a step, 10^9 | memory, GB | steps |")
    print("| --- | --- | --- | --- |")
    rows = {}
    for preset in PRESETS:
        with tempfile.TemporaryDirectory() as folder:
            operations, megabytes, steps = alone(_step, preset, options.dataset, Path(folder))
        row = {
            "gflop": round(operations / 1e9, 1),
            "memory_gb": round(megabytes / 1e3, 2),
            "steps": steps,
        }
        print("| " + " | ".join([preset, *map(str, row.values())]) + " |", flush=True)
        rows[preset] = row
    what = "Operations and memory of a GAN step with the presets for GPUs"
    write_record(options.json, "gpu_presets", what, "cpu", {"rows": rows})


def preset_params(preset: str, folder: Path) -> Params:
    """Return the project's params with a preset laid over them, by a params.yaml in the folder."""
    text = (ROOT / f"presets/dance/{preset}.yaml").read_text(encoding="utf-8")
    path = folder / "params.yaml"
    path.write_text(overlay_preset((ROOT / "params.yaml").read_text(encoding="utf-8"), text), encoding="utf-8")
    params = load_params(path)
    assert isinstance(params, Params)
    return params


def _step(preset: str, data: Path, folder: Path) -> tuple[int, float, int]:
    """Return the operations of a step, the memory that it takes (MB), and the number of steps of the training."""
    from torch.utils.flop_counter import FlopCounterMode

    from dancing.clips.dataset import open_dataset
    from dancing.pose_to_image.task import build_task
    from dancing.training.checkpoints import ResumeState
    from dancing.training.compute import Compute
    from dancing.training.device import pick_device
    from dancing.training.gan_loop import train_gan

    params = preset_params(preset, folder)
    write_resized(data, folder, params.data.height, params.data.width)
    before, operations = peak(), []
    for steps in STEPS:
        gan = params.gan.model_copy(update={"epochs": 1, "steps_per_epoch": steps, "r1_weight": 0.0})
        with open_dataset(folder / "dataset.h5") as dataset, FlopCounterMode(display=False) as counter:
            task = build_task(dataset, gan, Compute(pick_device()))
            train_gan(task, gan, folder, ResumeState(folder / f"{steps}.pt"))
        operations.append(counter.get_total_flops())
    a_step = (operations[1] - operations[0]) // (STEPS[1] - STEPS[0])
    return a_step, peak() - before, params.gan.epochs * params.gan.steps_per_epoch


if __name__ == "__main__":
    exit_on_user_error(main)
