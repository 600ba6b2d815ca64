"""The epoch runner: history, best and last checkpoint, early stopping, resuming, and a loss that is not finite."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from recipes import KilledError, kill_at

from dancing.errors import UserError
from dancing.training.checkpoints import Checkpoint, ResumeState, open_checkpoint
from dancing.training.epochs import Epoch, EpochRunner, Means


class FakeTrainer:
    """A trainer with given losses: `train` has the losses of each step of each epoch, `val` one loss an epoch."""

    def __init__(self, val: Sequence[float], train: Sequence[Sequence[float]] | None = None) -> None:
        self.val, self.train = val, train or [[1.0, 1.0]] * len(val)
        self.rows_per_epoch = 1
        self.weight = torch.zeros(1)  # the number of epochs that it was trained for

    def train_epoch(self, epoch: int) -> Means:
        means = Means()
        for loss in self.train[epoch - 1]:
            means.add({"good": torch.tensor(0.5), "total": torch.tensor(loss)})
        self.weight += 1
        return means

    def validate(self) -> dict[str, float]:
        return {"val_total": self.val[int(self.weight) - 1]}

    def samples(self) -> dict:
        return {"weight": self.weight.numpy()}

    def checkpoint(self) -> Checkpoint:
        return {"weight": self.weight}

    def state_dict(self) -> Checkpoint:
        return {"weight": self.weight}

    def load_state_dict(self, state: Checkpoint) -> None:
        self.weight = state["weight"]


def runner(folder: Path, epochs: int, **options) -> EpochRunner:
    settings = {"out": folder / "out", "best_by": "val_total"} | options
    return EpochRunner("test", epochs, ResumeState(folder / "resume.pt"), ("val_total",), **settings)


def saved(folder: Path, name: str) -> tuple[int, float]:
    """Epoch and weight in a checkpoint of `folder`/out."""
    with open_checkpoint(folder / "out" / name, "") as checkpoint:
        return checkpoint["epoch"], float(checkpoint["weight"])


def test_best_is_the_least_loss_and_last_the_last_epoch(tmp_path: Path):
    told: list[Epoch] = []
    trained = runner(tmp_path, 4, on_epoch=told.append).run(FakeTrainer([3.0, 1.0, 1.0, 2.0]))
    assert [(epoch.number, epoch.losses["val_total"]) for epoch in told] == [(1, 3.0), (2, 1.0), (3, 1.0), (4, 2.0)]
    assert trained.history == [{"epoch": epoch.number, **epoch.losses} for epoch in told]
    assert trained.history[0] == {"epoch": 1, "train_good": 0.5, "train_total": 1.0, "val_total": 3.0}
    assert saved(tmp_path, "best.pt") == (2, 2.0)  # the first of two equals, with its own weights
    assert saved(tmp_path, "last.pt") == (4, 4.0)
    assert (trained.best["epoch"], float(trained.best["weight"])) == (2, 2.0)
    assert float(told[-1].samples()["weight"]) == 4.0


def test_without_a_criterion_the_last_epoch_is_the_best(tmp_path: Path):
    trained = runner(tmp_path, 3, best_by=None).run(FakeTrainer([1.0, 2.0, 3.0]))
    assert trained.best["epoch"] == 3
    assert saved(tmp_path, "best.pt") == saved(tmp_path, "last.pt") == (3, 3.0)


def test_without_a_folder_no_checkpoint_is_written(tmp_path: Path):
    trained = runner(tmp_path, 2, out=None).run(FakeTrainer([2.0, 1.0]))
    assert trained.best["epoch"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["resume.pt"]


@pytest.mark.parametrize("patience", [1, 2, None])
def test_training_stops_after_patience_epochs_without_a_better_one(tmp_path: Path, patience: int | None):
    trainer = FakeTrainer([5.0, 3.0, 4.0, 3.0, 4.0, 1.0])
    trained = runner(tmp_path, 6, patience=patience).run(trainer)
    epochs, best = (6, 6) if patience is None else (2 + patience, 2)
    assert len(trained.history) == trainer.weight == epochs
    assert saved(tmp_path, "best.pt") == (best, best)
    assert saved(tmp_path, "last.pt") == (epochs, epochs)


def test_a_resumed_training_goes_on_after_the_last_finished_epoch(tmp_path: Path):
    val = [5.0, 3.0, 4.0, 4.0, 1.0]
    whole = runner(tmp_path / "whole", 5, patience=2).run(FakeTrainer(val))
    parts = tmp_path / "parts"
    with pytest.raises(KilledError):
        runner(parts, 5, patience=2, on_epoch=kill_at(3)).run(FakeTrainer(val))
    shutil.rmtree(parts / "out")  # as DVC does before a stage runs again
    told: list[Epoch] = []
    trained = runner(parts, 5, patience=2, on_epoch=told.append).run(FakeTrainer(val))
    assert [epoch.number for epoch in told] == [4]  # then its patience is used up, as in the whole training
    assert trained == whole
    for name in ("best.pt", "last.pt"):
        assert saved(parts, name) == saved(tmp_path / "whole", name)


def test_a_finished_training_is_not_repeated(tmp_path: Path):
    trained = runner(tmp_path, 3).run(FakeTrainer([3.0, 1.0, 2.0]))
    shutil.rmtree(tmp_path / "out")
    assert runner(tmp_path, 3, on_epoch=kill_at(3)).run(FakeTrainer([0.0, 0.0, 0.0])) == trained
    assert saved(tmp_path, "best.pt") == (2, 2.0)
    assert saved(tmp_path, "last.pt") == (3, 3.0)


def test_means_of_an_epoch():
    means = Means()
    for value in (1.0, 2.0):
        means.add({"good": torch.tensor(0.5), "total": torch.tensor(value)})
    assert means.result("train_") == {"train_good": 0.5, "train_total": 1.5}
    assert means.first_not_finite() is None


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_divergence_names_the_step_and_the_last_good_checkpoint(tmp_path: Path, broken: float):
    steps = [[1.0] * 4] * 6 + [[1.0, 2.0, broken, float("nan")]]
    message = rf"step 27 \(epoch 7\): total is not finite.*the last good checkpoint is {tmp_path}/out/best\.pt"
    with pytest.raises(UserError, match=message):
        runner(tmp_path, 9).run(FakeTrainer([1.0] * 7, steps))
    assert saved(tmp_path, "best.pt") == (1, 1.0)
    assert saved(tmp_path, "last.pt") == (6, 6.0)


def test_divergence_in_validation_names_the_epoch(tmp_path: Path):
    with pytest.raises(UserError, match="in epoch 7: val_total is not finite"):
        runner(tmp_path, 9).run(FakeTrainer([1.0] * 6 + [float("nan")]))


def test_divergence_without_a_good_checkpoint_names_none(tmp_path: Path):
    with pytest.raises(UserError, match=r"step 1 \(epoch 1\): total is not finite; lower lr$"):
        runner(tmp_path, 9).run(FakeTrainer([1.0], [[float("nan")]]))


def test_progress_is_told_in_lines_where_no_bar_can_be_shown(tmp_path: Path, monkeypatch, capsys):
    runner(tmp_path / "soon", 2).run(FakeTrainer([3.0, 2.0]))
    assert capsys.readouterr().out == ""  # a line every half minute at most
    monkeypatch.setattr("dancing.training.epochs.LINE_S", -1.0)
    runner(tmp_path / "lines", 2).run(FakeTrainer([3.0, 2.0]))
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["test: 1 of 2 epochs, at most 0 s left", "test: 2 of 2 epochs, at most 0 s left"]
