"""Checkpoints are written whole and read safely; resume states are forgotten on success alone."""

import os
from pathlib import Path

import pytest
import torch
from recipes import KilledError

from dancing.errors import UserError
from dancing.music_to_pose.inference import MusicToPose
from dancing.pose_to_image.inference import PoseToImage
from dancing.training.checkpoints import ResumeState, ResumeStates, open_checkpoint, save_checkpoint


def test_the_same_checkpoint_is_the_same_bytes(tmp_path: Path, monkeypatch):
    for number, name in enumerate(("a", "b")):
        monkeypatch.setattr(os, "getpid", lambda number=number: number)
        save_checkpoint(tmp_path / name / "x.pt", {"weights": torch.ones(3), "epoch": 1})
    assert (tmp_path / "a/x.pt").read_bytes() == (tmp_path / "b/x.pt").read_bytes()


def test_missing_and_broken_checkpoints_are_reported(tmp_path: Path):
    with pytest.raises(UserError, match="the stage train_vae makes it"):
        MusicToPose.load(tmp_path / "none.pt")
    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="run the stage train_gan again"):
        PoseToImage.load(tmp_path / "bad.pt")


@pytest.mark.parametrize("error", [KeyError, TypeError, AttributeError, RuntimeError])
def test_a_checkpoint_of_another_version_is_reported(tmp_path: Path, error: type[Exception]):
    save_checkpoint(tmp_path / "old.pt", {"epoch": 1})
    with (
        pytest.raises(UserError, match=r"old\.pt: of another version, or broken .*run the stage train_gan again"),
        open_checkpoint(tmp_path / "old.pt", "train_gan"),
    ):
        raise error("placement")


def test_a_resume_state_belongs_to_its_params(tmp_path: Path):
    resume = ResumeStates(tmp_path)
    resume.state("train_vae", {"lr": 1}).save({"epoch": 3})
    assert resume.state("train_vae", {"lr": 1}).load() == {"epoch": 3}
    assert ResumeStates(tmp_path).state("train_vae", {"lr": 1}).load() == {"epoch": 3}  # as in the next run
    assert resume.state("train_vae", {"lr": 2}).load() is None
    assert resume.state("train_gan", {"lr": 1}).load() is None


def test_a_broken_resume_state_means_a_fresh_start(tmp_path: Path, capsys):
    resume = ResumeState(tmp_path / "x.pt")
    resume.path.write_bytes(b"half a file")
    assert resume.load() is None
    assert "unreadable" in capsys.readouterr().err


def test_resume_states_are_forgotten_on_success(tmp_path: Path):
    ResumeStates(tmp_path).state("of another training").save({"epoch": 7})
    (other,) = tmp_path.iterdir()
    with ResumeStates(tmp_path) as resume:
        for name in ("train_vae", "prior"):
            resume.state(name).save({"epoch": 1})
        resume.state("not saved")
        assert len(list(tmp_path.iterdir())) == 3
    assert list(tmp_path.iterdir()) == [other]


@pytest.mark.parametrize("error", [KilledError, KeyboardInterrupt, SystemExit])
def test_resume_states_are_kept_on_an_exception(tmp_path: Path, error: type[BaseException]):
    def interrupted() -> None:
        with ResumeStates(tmp_path) as resume:
            resume.state("train_vae").save({"epoch": 1})
            raise error

    with pytest.raises(error):
        interrupted()
    with ResumeStates(tmp_path) as resume:
        assert resume.state("train_vae").load() == {"epoch": 1}
    assert not list(tmp_path.iterdir())
