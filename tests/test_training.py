"""The loops: they learn, go on where they were killed, stop early, keep what they should."""

import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import make_pictures, make_piece

from dancing.body.skeleton import PoseSpace
from dancing.clips.dataset import open_dataset, write_dataset
from dancing.errors import UserError
from dancing.music_to_pose.inference import MusicToPose, MusicToPoseModule, PoseToImage
from dancing.music_to_pose.task import window_lengths
from dancing.music_to_pose.windows import Windows
from dancing.training.common import CrashState, Ema, Means, check_finite, generator, load_checkpoint, save_checkpoint
from dancing.training.gan import train_gan
from dancing.training.vae import train_vae


class KilledError(Exception):
    pass


def learn(dataset, params, out: Path, crash: Path, **listeners):
    return train_vae(dataset, params.vae, params.prior, out, crash, **listeners)


def kill_at(epoch: int):
    def on_epoch(done):
        if done.number == epoch:
            raise KilledError

    return on_epoch


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first) and first.keys() == second.keys()


@pytest.mark.slow
def test_one_batch_is_learnt_by_heart(make_dataset, make_params, tmp_path: Path):
    changes = {"vae.epochs": 8, "vae.steps_per_epoch": 40, "vae.hidden": 32, "vae.lr": 3e-3, "vae.kl_weight": 0.0}
    history = learn(make_dataset(frames=20), make_params(changes), tmp_path / "out", tmp_path / "crash").vae
    assert history[-1]["train_reconstruction"] < 0.1 * history[0]["train_reconstruction"]


@pytest.mark.slow
def test_a_gan_learns_its_pictures(make_dataset, make_params, tmp_path: Path):
    gan = make_params({"gan.epochs": 10, "gan.steps_per_epoch": 10}).gan
    history = train_gan(make_dataset(frames=24), gan, tmp_path / "out", tmp_path / "crash").gan
    assert history[-1]["train_l1"] < 0.6 * history[0]["train_l1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "killed"), [("motion", "on_epoch"), ("motion", "on_prior_epoch"), ("lstm", "on_epoch")]
)
def test_vae_resume_equals_uninterrupted(make_dataset, make_params, tmp_path: Path, model: str, killed: str):
    changes = {"vae.model": model, "vae.epochs": 4, "prior.epochs": 4, "vae.lr": 0.05}
    params, dataset = make_params(changes), make_dataset()
    whole = learn(dataset, params, tmp_path / "whole", tmp_path / "a")
    with pytest.raises(KilledError):
        learn(dataset, params, tmp_path / "parts", tmp_path / "b", **{killed: kill_at(3)})
    shutil.rmtree(tmp_path / "parts")  # as DVC does before a stage runs again
    parts = learn(dataset, params, tmp_path / "parts", tmp_path / "b")
    assert parts == whole
    for name in ("best.pt", "last.pt"):
        first, second = (load_checkpoint(tmp_path / d / name, "") for d in ("whole", "parts"))
        assert same(first["state"], second["state"])
        assert ("prior" in first) == ("prior" in second) == (model == "motion" and name == "best.pt")
        if "prior" in first:
            assert same(first["prior"]["state"], second["prior"]["state"])
    again = learn(dataset, params, tmp_path / "again", tmp_path / "b", on_epoch=kill_at(4), on_prior_epoch=kill_at(4))
    assert again == whole  # until it is settled, a finished training is done at once
    assert same(*(load_checkpoint(tmp_path / d / "best.pt", "")["state"] for d in ("whole", "again")))
    parts.settled()
    assert not list((tmp_path / "b").iterdir())


def test_the_same_checkpoint_is_the_same_bytes(tmp_path: Path, monkeypatch):
    for number, name in enumerate(("a", "b")):
        monkeypatch.setattr(os, "getpid", lambda number=number: number)
        save_checkpoint(tmp_path / name / "x.pt", {"weights": torch.ones(3), "epoch": 1})
    assert (tmp_path / "a/x.pt").read_bytes() == (tmp_path / "b/x.pt").read_bytes()


def test_windows_fit_half_of_the_dances(make_params):
    def lengths(train, val):
        parts = {"train": [range(n) for n in train], "val": [range(n) for n in val]}
        dataset = SimpleNamespace(path="d.h5", split=parts.get)
        return window_lengths(dataset, make_params({"vae.window": 128}).vae)

    assert lengths([100] * 11 + [150], [300]) == (100, 128)
    assert lengths([500, 30], [40]) == (128, 40)
    with pytest.raises(UserError, match="the validation part has 2 frames, 3 are needed"):
        lengths([100], [2])


@pytest.mark.slow
def test_a_flow_learns_its_latents(make_dataset, make_params, tmp_path: Path):
    changes = {"vae.epochs": 4, "prior.epochs": 10, "prior.steps_per_epoch": 20, "prior.hidden": 32, "prior.lr": 3e-3}
    history = learn(make_dataset(frames=200), make_params(changes), tmp_path / "out", tmp_path / "crash").prior
    assert history[-1]["train_flow"] < 0.7 * history[0]["train_flow"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["skeleton", "dense"])
def test_gan_resume_equals_uninterrupted(make_dataset, make_params, tmp_path: Path, model: str):
    gan, dataset = make_params({"gan.model": model, "gan.epochs": 3}).gan, make_dataset(frames=16)
    whole = train_gan(dataset, gan, tmp_path / "whole", tmp_path / "a")
    with pytest.raises(KilledError):
        train_gan(dataset, gan, tmp_path / "parts", tmp_path / "b", kill_at(1))
    shutil.rmtree(tmp_path / "parts")
    parts = train_gan(dataset, gan, tmp_path / "parts", tmp_path / "b")
    assert parts == whole
    # Until it is settled, a finished training is done at once.
    assert train_gan(dataset, gan, tmp_path / "again", tmp_path / "b", kill_at(3)) == whole
    parts.settled()
    assert not list((tmp_path / "b").iterdir())
    for part in ("generator", "discriminator"):
        for name in ("best.pt", "last.pt"):
            for other in ("parts", "again"):
                assert same(*(load_checkpoint(tmp_path / d / name, "")[part] for d in ("whole", other)))


@pytest.mark.slow
def test_the_slope_penalty_keeps_the_discriminator_flat(make_dataset, make_params, tmp_path: Path):
    dataset, changes = (
        make_dataset(frames=16),
        {"gan.epochs": 4, "gan.steps_per_epoch": 16, "gan.discriminator_lr": 1e-2},
    )
    apart = {}
    for weight in (0.0, 10.0):
        gan = make_params(changes | {"gan.r1_weight": weight}).gan
        last = train_gan(dataset, gan, tmp_path / f"{weight}", tmp_path / "crash").gan[-1]
        apart[weight] = abs(last["train_real_score"] - last["train_fake_score"])
    assert apart[10.0] < 0.5 * apart[0.0]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["skeleton", "dense"])
@pytest.mark.parametrize("output", ["tanh", "param_tanh"])
@pytest.mark.parametrize("loss", ["bce", "hinge", "wgan_gp"])
def test_every_loss_goes_with_every_output(make_dataset, make_params, tmp_path: Path, model, output, loss):
    critic_steps = 5 if loss == "wgan_gp" else 1
    changes = {"model": model, "output": output, "loss": loss, "critic_steps": critic_steps, "epochs": 1}
    gan = make_params({f"gan.{key}": value for key, value in changes.items()} | {"gan.steps_per_epoch": 1}).gan
    train_gan(make_dataset(frames=12), gan, tmp_path, tmp_path / "crash")
    content = load_checkpoint(tmp_path / "last.pt", "train_gan")
    assert all(torch.isfinite(values).all() for values in content["generator"].values())
    assert ("output.alphas.weight" in content["generator"]) == (output == "param_tanh")


def test_other_params_do_not_take_over_a_crash_state(tmp_path: Path):
    CrashState(tmp_path, "train_vae", {"lr": 1}).save({"epoch": 3})
    assert CrashState(tmp_path, "train_vae", {"lr": 1}).load() == {"epoch": 3}
    assert CrashState(tmp_path, "train_vae", {"lr": 2}).load() is None


def test_a_broken_crash_state_means_a_fresh_start(tmp_path: Path, capsys):
    crash = CrashState(tmp_path, "x")
    crash.path.write_bytes(b"half a file")
    assert crash.load() is None
    assert "unreadable" in capsys.readouterr().err


@pytest.mark.slow
def test_early_stopping_keeps_the_best(make_dataset, make_params, tmp_path: Path):
    params = make_params({"vae.epochs": 60, "vae.patience": 2, "vae.lr": 0.05})
    history = learn(make_dataset(), params, tmp_path / "out", tmp_path / "crash").vae
    losses = [row["val_total"] for row in history]
    best = int(np.argmin(losses)) + 1
    assert len(history) == best + 2 < 60
    assert load_checkpoint(tmp_path / "out/best.pt", "")["epoch"] == best
    assert load_checkpoint(tmp_path / "out/last.pt", "")["epoch"] == len(history)


def test_windows_never_cross_pieces(make_dataset):
    dataset = make_dataset(frames=20)
    space = PoseSpace.fit("picture", [dataset.pieces[0].landmarks], 32, 32)
    windows = Windows(dataset, dataset.pieces, space, 16, torch.device("cpu"))
    assert windows.random_starts.tolist() == [*range(0, 5), *range(20, 25), *range(40, 45)]
    assert windows.tiled_starts.tolist() == [0, 20, 40]
    audio, pose = windows.cut(torch.tensor([21]))
    np.testing.assert_array_equal(audio[0], dataset.audio(dataset.pieces[1])[1:17])
    assert pose.shape == (1, 16, 66)


def test_stretched_windows_keep_to_their_piece(make_dataset):
    dataset = make_dataset(frames=20)
    space = PoseSpace.fit("picture", [dataset.pieces[0].landmarks], 32, 32)
    windows = Windows(dataset, dataset.pieces, space, 18, torch.device("cpu"))
    windows.pose[:] = torch.arange(60.0)[:, None]  # every row says which it is
    _, pose = windows.random(64, torch.Generator().manual_seed(1), stretch=0.3)
    first, last = pose[:, 0, 0], pose[:, -1, 0]
    assert (first // 20 == last // 20).all()
    paces = (last - first) / 17
    assert paces.max() <= 19 / 17 + 1e-6
    assert 1 / 1.3 - 1e-6 <= paces.min() < 0.9
    whole = windows.whole(pace=2.0)
    assert [len(pose[0]) for _, pose in whole] == [10, 10, 10]
    torch.testing.assert_close(whole[1][1][0, :, 0], torch.arange(20.0, 40, 2))


@pytest.mark.slow
def test_too_short_clips_are_told(make_dataset, make_params, tmp_path: Path):
    with pytest.raises(UserError, match="the training part has 7 frames, 8 are needed"):
        learn(make_dataset(frames=7), make_params(), tmp_path, tmp_path)


def test_the_average_follows_and_copies_buffers():
    model = torch.nn.BatchNorm1d(2)
    ema = Ema(model, decay=0.5)
    model.weight.data += 1.0
    model.running_mean += 3.0
    ema.update(model, step=100)
    torch.testing.assert_close(ema.model.weight.data, torch.full((2,), 1.5))
    torch.testing.assert_close(ema.model.running_mean, torch.full((2,), 3.0))


@pytest.mark.slow
def test_a_dance_without_pictures_trains_a_dancer_and_no_painter(make_dataset, make_params, tmp_path: Path):
    dataset = make_dataset(pictures=False)
    assert learn(dataset, make_params(), tmp_path / "vae", tmp_path / "crash").vae
    with pytest.raises(UserError, match=r"no pictures.*gan\.model: none"):
        train_gan(dataset, make_params().gan, tmp_path / "gan", tmp_path / "crash")


def test_divergence_is_told_with_its_step_and_the_last_good_checkpoint(tmp_path: Path):
    (tmp_path / "best.pt").touch()
    means = Means()
    for value in (1.0, 2.0, float("inf"), float("nan")):
        means.add({"good": torch.tensor(0.5), "total": torch.tensor(value)})
    with pytest.raises(UserError, match=r"step 27 \(epoch 7\): total is not finite.*best\.pt"):
        check_finite(means, means.result("train_"), 7, tmp_path / "best.pt")
    means.steps = means.steps[:2]
    assert means.result("train_") == {"train_good": 0.5, "train_total": 1.5}
    with pytest.raises(UserError, match="in epoch 7: val_total is not finite"):
        check_finite(means, {"val_total": float("nan")}, 7, tmp_path / "best.pt")
    check_finite(means, {"val_total": 1.0}, 7, tmp_path / "best.pt")


def test_seeds_name_their_purpose():
    numbers = [torch.rand(3, generator=generator(*path)) for path in ((1,), (1, 2), (2, 1), (1,))]
    assert torch.equal(numbers[0], numbers[3])
    assert not torch.equal(numbers[1], numbers[2])


@pytest.mark.slow
@pytest.mark.parametrize(("model", "prior"), [("motion", "flow"), ("motion", "normal"), ("lstm", "flow")])
def test_a_trained_dancer_dances_any_length(make_dataset, make_params, tmp_path: Path, model: str, prior: str):
    dataset = make_dataset()
    learn(dataset, make_params({"vae.model": model, "vae.prior": prior}), tmp_path / "out", tmp_path / "crash")
    dancer = MusicToPose.load(tmp_path / "out/best.pt", guidance=1.5)
    assert (dancer.prior is not None) == (model == "motion" and prior == "flow")
    song = dataset.pieces[0].audio
    for frames in (1, 17, 64):
        assert dancer.generate(song[:frames], 1, 1.0).shape == (frames, 33, 2)
    assert np.array_equal(dancer.generate(song, 1, 1.0), dancer.generate(song, 1, 1.0))
    assert not np.array_equal(dancer.generate(song, 1, 1.0), dancer.generate(song, 2, 1.0))
    assert MusicToPoseModule(dancer)(torch.from_numpy(song)[None]).shape == (1, 64, 33, 2)
    moved = dancer.traversal(song, 1, 1.0, dims=2, values=(-1, 0, 1))
    assert moved.shape == (2, 3, dancer.window if model == "lstm" else len(song), 33, 2)
    assert not np.array_equal(moved[0, 0], moved[0, 2])


@pytest.mark.slow
def test_a_trained_painter_paints(make_dataset, make_params, tmp_path: Path):
    dataset = make_dataset(frames=16)
    train_gan(dataset, make_params().gan, tmp_path / "out", tmp_path / "crash")
    pictures = list(PoseToImage.load(tmp_path / "out/best.pt").paint(dataset.pieces[0].landmarks, chunk=5))
    assert len(pictures) == 16
    assert pictures[0].shape == (32, 32, 3)
    assert pictures[0].dtype == np.uint8


@pytest.mark.slow
def test_the_gan_learns_one_subject_of_several(make_params, tmp_path: Path):
    pieces = [
        replace(make_piece(f"{subject}_{split}", split, frames, seed), subject=subject)
        for subject, frames in (("ann", 12), ("ben", 20))
        for seed, split in enumerate(("train", "val", "test"))
    ]
    shrunk = [replace(p, landmarks=p.landmarks * 0.5 + 0.25) if p.subject == "ann" else p for p in pieces]
    attributes = {"fps": 30, "width": 32, "height": 32, "fit": "letterbox", "n_mfcc": 4}
    write_dataset(tmp_path / "d.h5", attributes, ((p, make_pictures(p.landmarks, 32, 32)) for p in shrunk))
    with open_dataset(tmp_path / "d.h5") as dataset:
        for wanted, learnt, scale in (("ann", "ann", 0.5), (None, "ben", 1.0)):
            gan = make_params({"gan.subject": wanted, "gan.epochs": 1}).gan
            train_gan(dataset, gan, tmp_path / "out", tmp_path / "crash")
            image_model = PoseToImage.load(tmp_path / "out/best.pt")
            assert image_model.subject == learnt
            train = next(p for p in dataset.pieces if p.name == f"{learnt}_train")
            assert image_model.figure == Placement.of([train.landmarks], 32, 32)
            assert image_model.figure.torso == pytest.approx(scale * 8, abs=0.1)
        with pytest.raises(UserError, match=r"gan\.subject: cleo has no clip"):
            train_gan(dataset, make_params({"gan.subject": "cleo"}).gan, tmp_path / "out", tmp_path / "crash")


@pytest.mark.slow
def test_a_painter_of_another_version_is_told(make_dataset, make_params, tmp_path: Path):
    train_gan(make_dataset(frames=12), make_params({"gan.epochs": 1}).gan, tmp_path, tmp_path / "crash")
    content = load_checkpoint(tmp_path / "best.pt", "train_gan")
    save_checkpoint(tmp_path / "old.pt", {key: value for key, value in content.items() if key != "figure"})
    with pytest.raises(UserError, match=r"old\.pt: of another version \('figure'\); run the stage train_gan again"):
        PoseToImage.load(tmp_path / "old.pt")


def test_checkpoints_that_are_missing_or_broken_are_told(tmp_path: Path):
    with pytest.raises(UserError, match="the stage train_vae makes it"):
        MusicToPose.load(tmp_path / "none.pt")
    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(UserError, match="run the stage train_gan again"):
        PoseToImage.load(tmp_path / "bad.pt")


@pytest.mark.slow
def test_training_needs_neither_librosa_nor_mediapipe_nor_dvc():
    import subprocess

    code = (
        "import sys\n"
        "for name in ('librosa', 'mediapipe', 'dvc', 'cv2', 'av', 'joblib', 'tqdm'): sys.modules[name] = None\n"
        "import stages.train_vae, stages.train_gan"
    )
    root = Path(__file__).resolve().parents[1]
    result = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
