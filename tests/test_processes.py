"""Training in several processes: the losses of one process, and files by the first alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT

from dancing.training.device import make_rng
from dancing.training.processes import own_count, own_rows, rand, randint, randn, shared_rng

GANS = {"skeleton", "wgan_gp"}
TRAININGS = ROOT / "tests/processes_trainings.py"


def test_one_process_draws_what_torch_draws():
    for rng in (shared_rng(1, 2), make_rng(1, 2)):
        same = make_rng(1, 2)
        assert torch.equal(randn((3, 4), rng), torch.randn(3, 4, generator=same))
        assert torch.equal(rand((5,), rng), torch.rand(5, generator=same))
        assert torch.equal(randint(9, 6, rng), torch.randint(9, (6,), generator=same))
        assert (own_rows(7, rng), own_count(7, rng)) == (slice(0, 7), 7)


def train(dataset: Path, out: Path, processes: int) -> list[dict]:
    """The losses by model and epoch, of each process."""
    out.mkdir()
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    run = [sys.executable, *(torchrun if processes > 1 else []), str(TRAININGS), str(dataset), str(out)]
    env = os.environ | {"PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "OMP_NUM_THREADS": "1"}
    result = subprocess.run(run, env=env, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return [json.loads(file.read_text()) for file in sorted(out.glob("losses_*.json"))]


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(make_dataset, tmp_path: Path):
    with make_dataset() as dataset:
        file = dataset.path
    (one,), (first, second) = train(file, tmp_path / "one", 1), train(file, tmp_path / "two", 2)
    assert first == second
    for model, history in one.items():
        for epoch, row in enumerate(history):
            for name, loss in row.items():
                if model in GANS and (epoch or name == "train_generator"):
                    continue  # after Adam's first updates, which divide by the gradient and so magnify rounding
                tolerance = 0.05 if model in GANS and name == "val_l1" else 1e-4
                assert first[model][epoch][name] == pytest.approx(loss, rel=tolerance, abs=1e-6), (model, epoch, name)


@pytest.mark.slow
def test_a_batch_that_cannot_be_divided_is_told(make_dataset, tmp_path: Path):
    with make_dataset() as dataset:
        file = dataset.path
    with pytest.raises(AssertionError, match="a batch of 4 can't be divided among 3 processes"):
        train(file, tmp_path / "three", 3)
