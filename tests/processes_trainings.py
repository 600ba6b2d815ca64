"""Trains the models of test_processes.py, in each of the processes that torchrun started: `FILE DATASET OUT`."""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import torch
import yaml
from conftest import smoke_params
from recipes import train_motion, train_pose_gan

from dancing.clips.dataset import open_dataset
from dancing.params import parse_params
from dancing.training.processes import join_processes


def main(dataset_file: Path, out: Path) -> None:
    """Write the losses by epoch and the digests of the weights."""
    torch.set_num_threads(1)
    join_processes(1)
    values = yaml.safe_load(smoke_params())
    for section in ("vae", "prior", "gan"):
        values[section]["steps_per_epoch"] = 1
    params = parse_params(values)
    wgan = params.gan.model_copy(update={"loss": "wgan_gp"})
    with open_dataset(dataset_file) as dataset:
        motion = train_motion(dataset, params, out / "motion", out / "resume")
        lstm = params.model_copy(update={"vae": params.vae.model_copy(update={"model": "lstm"})})
        histories = {
            "motion": motion.vae,
            "flow": motion.prior,
            "lstm": train_motion(dataset, lstm, out / "lstm", out / "resume").vae,
            "skeleton": train_pose_gan(dataset, params.gan, out / "skeleton", out / "resume"),
            "wgan_gp": train_pose_gan(dataset, wgan, out / "wgan_gp", out / "resume"),
        }
    name = f"losses_{torch.distributed.get_rank() if torch.distributed.is_initialized() else 0}.json"
    (out / name).write_text(json.dumps(histories), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
