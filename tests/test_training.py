"""Training of the dance's models: they learn, resume after an interruption, and work once they are loaded."""

import ast
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import ROOT, filmed, make_piece
from recipes import KilledError, kill_at, train_motion, train_pose_gan

from dancing.body.skeleton import Placement, PoseSpace
from dancing.clips.dataset import open_dataset, write_dataset
from dancing.errors import UserError
from dancing.music_to_pose.inference import MusicToPose, MusicToPoseModule
from dancing.music_to_pose.task import window_lengths
from dancing.music_to_pose.windows import Windows
from dancing.pose_to_image.inference import PoseToImage
from dancing.training.checkpoints import Checkpoint, open_checkpoint, save_checkpoint
from dancing.training.device import make_rng
from dancing.training.optimization import Ema


def read(path: Path) -> Checkpoint:
    with open_checkpoint(path, "") as checkpoint:
        return checkpoint


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[key], second[key]) for key in first) and first.keys() == second.keys()


@pytest.mark.slow
def test_a_vae_overfits_one_window(make_dataset, make_params, tmp_path: Path):
    changes = {"vae.epochs": 8, "vae.steps_per_epoch": 40, "vae.hidden": 32, "vae.lr": 3e-3, "vae.kl_weight": 0.0}
    history = train_motion(make_dataset(frames=20), make_params(changes), tmp_path / "out", tmp_path / "resume").vae
    assert history[-1]["train_reconstruction"] < 0.1 * history[0]["train_reconstruction"]


@pytest.mark.slow
def test_a_gan_fits_its_training_images(make_dataset, make_params, tmp_path: Path):
    gan = make_params({"gan.epochs": 10, "gan.steps_per_epoch": 10}).gan
    history = train_pose_gan(make_dataset(frames=24), gan, tmp_path / "out", tmp_path / "resume")
    assert history[-1]["train_l1"] < 0.6 * history[0]["train_l1"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "killed"), [("motion", "on_epoch"), ("motion", "on_prior_epoch"), ("lstm", "on_epoch")]
)
def test_vae_resume_equals_uninterrupted(make_dataset, make_params, tmp_path: Path, model: str, killed: str):
    changes = {"vae.model": model, "vae.epochs": 4, "prior.epochs": 4, "vae.lr": 0.05}
    params, dataset = make_params(changes), make_dataset()
    last_loop = "on_epoch" if model == "lstm" else "on_prior_epoch"
    whole = train_motion(dataset, params, tmp_path / "whole", tmp_path / "a")
    with pytest.raises(KilledError):
        train_motion(dataset, params, tmp_path / "parts", tmp_path / "b", **{killed: kill_at(3)})
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    shutil.rmtree(tmp_path / "parts")  # as DVC does before a stage runs again
    assert train_motion(dataset, params, tmp_path / "parts", tmp_path / "b") == whole
    # A stage that fails after its last epoch doesn't train again: no epoch is left to be killed.
    with pytest.raises(KilledError):
        train_motion(dataset, params, tmp_path / "again", tmp_path / "c", **{last_loop: kill_at(4)})
    shutil.rmtree(tmp_path / "again")
    assert train_motion(dataset, params, tmp_path / "again", tmp_path / "c", kill_at(4), kill_at(4)) == whole
    for folder in ("a", "b", "c"):
        assert not list((tmp_path / folder).iterdir())
    for other in ("parts", "again"):
        for name in ("best.pt", "last.pt"):
            first, second = (read(tmp_path / folder / name) for folder in ("whole", other))
            assert same(first["state"], second["state"])
            assert ("prior" in first) == ("prior" in second) == (model == "motion" and name == "best.pt")
            if "prior" in first:
                assert same(first["prior"]["state"], second["prior"]["state"])


def test_a_window_fits_half_of_the_frames(make_params):
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
    history = train_motion(make_dataset(frames=200), make_params(changes), tmp_path / "out", tmp_path / "resume").prior
    assert history[-1]["train_flow"] < 0.7 * history[0]["train_flow"]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["skeleton", "dense"])
def test_gan_resume_equals_uninterrupted(make_dataset, make_params, tmp_path: Path, model: str):
    gan, dataset = make_params({"gan.model": model, "gan.epochs": 3}).gan, make_dataset(frames=16)
    whole = train_pose_gan(dataset, gan, tmp_path / "whole", tmp_path / "a")
    with pytest.raises(KilledError):
        train_pose_gan(dataset, gan, tmp_path / "parts", tmp_path / "b", kill_at(1))
    shutil.copytree(tmp_path / "b", tmp_path / "c")
    shutil.rmtree(tmp_path / "parts")
    assert train_pose_gan(dataset, gan, tmp_path / "parts", tmp_path / "b") == whole
    # A stage that fails after its last epoch doesn't train again: no epoch is left to be killed.
    with pytest.raises(KilledError):
        train_pose_gan(dataset, gan, tmp_path / "again", tmp_path / "c", kill_at(3))
    shutil.rmtree(tmp_path / "again")
    assert train_pose_gan(dataset, gan, tmp_path / "again", tmp_path / "c", kill_at(3)) == whole
    for folder in ("a", "b", "c"):
        assert not list((tmp_path / folder).iterdir())
    for part in ("generator", "discriminator"):
        for name in ("best.pt", "last.pt"):
            for other in ("parts", "again"):
                assert same(*(read(tmp_path / folder / name)[part] for folder in ("whole", other)))


@pytest.mark.slow
def test_the_r1_penalty_keeps_real_and_fake_scores_close(make_dataset, make_params, tmp_path: Path):
    dataset = make_dataset(frames=16)
    changes = {"gan.epochs": 4, "gan.steps_per_epoch": 16, "gan.discriminator_lr": 1e-2}
    gap = {}
    for weight in (0.0, 10.0):
        gan = make_params(changes | {"gan.r1_weight": weight}).gan
        last = train_pose_gan(dataset, gan, tmp_path / f"{weight}", tmp_path / "resume")[-1]
        gap[weight] = abs(last["train_real_score"] - last["train_fake_score"])
    assert gap[10.0] < 0.5 * gap[0.0]


@pytest.mark.slow
@pytest.mark.parametrize("model", ["skeleton", "dense"])
@pytest.mark.parametrize("output", ["tanh", "param_tanh"])
@pytest.mark.parametrize("loss", ["bce", "hinge", "wgan_gp"])
def test_every_loss_works_with_every_output(make_dataset, make_params, tmp_path: Path, model, output, loss):
    critic_steps = 5 if loss == "wgan_gp" else 1
    changes = {"model": model, "output": output, "loss": loss, "critic_steps": critic_steps, "epochs": 1}
    gan = make_params({f"gan.{key}": value for key, value in changes.items()} | {"gan.steps_per_epoch": 1}).gan
    train_pose_gan(make_dataset(frames=12), gan, tmp_path, tmp_path / "resume")
    content = read(tmp_path / "last.pt")
    assert all(torch.isfinite(values).all() for values in content["generator"].values())
    assert ("output.alphas.weight" in content["generator"]) == (output == "param_tanh")


@pytest.mark.slow
def test_early_stopping_keeps_the_best(make_dataset, make_params, tmp_path: Path):
    params = make_params({"vae.epochs": 60, "vae.patience": 2, "vae.lr": 0.05})
    history = train_motion(make_dataset(), params, tmp_path / "out", tmp_path / "resume").vae
    losses = [row["val_total"] for row in history]
    best = int(np.argmin(losses)) + 1
    assert len(history) == best + 2 < 60
    assert read(tmp_path / "out/best.pt")["epoch"] == best
    assert read(tmp_path / "out/last.pt")["epoch"] == len(history)


def test_windows_never_cross_pieces(make_dataset):
    dataset = make_dataset(frames=20)
    space = PoseSpace.fit("picture", [dataset.pieces[0].landmarks], 32, 32)
    windows = Windows(dataset, dataset.pieces, space, 16, torch.device("cpu"))
    assert windows.random_starts.tolist() == [*range(0, 5), *range(20, 25), *range(40, 45)]
    assert windows.tiled_starts.tolist() == [0, 20, 40]
    audio, pose = windows.cut(torch.tensor([21]))
    np.testing.assert_array_equal(audio[0], dataset.audio(dataset.pieces[1])[1:17])
    assert pose.shape == (1, 16, 66)


def test_stretched_windows_stay_in_their_piece(make_dataset):
    dataset = make_dataset(frames=20)
    space = PoseSpace.fit("picture", [dataset.pieces[0].landmarks], 32, 32)
    windows = Windows(dataset, dataset.pieces, space, 18, torch.device("cpu"))
    windows.pose[:] = torch.arange(60.0)[:, None]  # every row holds its own number
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
def test_too_short_clips_are_reported(make_dataset, make_params, tmp_path: Path):
    with pytest.raises(UserError, match="the training part has 7 frames, 8 are needed"):
        train_motion(make_dataset(frames=7), make_params(), tmp_path, tmp_path)


def test_ema_averages_weights_and_copies_buffers():
    model = torch.nn.BatchNorm1d(2)
    ema = Ema(model, decay=0.5)
    model.weight.data += 1.0
    model.running_mean += 3.0
    ema.update(model, step=100)
    torch.testing.assert_close(ema.model.weight.data, torch.full((2,), 1.5))
    torch.testing.assert_close(ema.model.running_mean, torch.full((2,), 3.0))


@pytest.mark.slow
def test_a_dataset_without_images_trains_a_vae_but_no_gan(make_dataset, make_params, tmp_path: Path):
    dataset = make_dataset(pictures=False)
    assert train_motion(dataset, make_params(), tmp_path / "vae", tmp_path / "resume").vae
    with pytest.raises(UserError, match=r"no pictures.*gan\.model: none"):
        train_pose_gan(dataset, make_params().gan, tmp_path / "gan", tmp_path / "resume")


def test_each_path_has_its_own_random_numbers():
    numbers = [torch.rand(3, generator=make_rng(*path)) for path in ((1,), (1, 2), (2, 1), (1,))]
    assert torch.equal(numbers[0], numbers[3])
    assert not torch.equal(numbers[1], numbers[2])


@pytest.mark.slow
@pytest.mark.parametrize(("model", "prior"), [("motion", "flow"), ("motion", "normal"), ("lstm", "flow")])
def test_a_trained_vae_generates_dances_of_any_length(
    make_dataset, make_params, tmp_path: Path, model: str, prior: str
):
    dataset = make_dataset()
    train_motion(dataset, make_params({"vae.model": model, "vae.prior": prior}), tmp_path / "out", tmp_path / "resume")
    music_to_pose = MusicToPose.load(tmp_path / "out/best.pt", guidance=1.5)
    assert (music_to_pose.prior is not None) == (model == "motion" and prior == "flow")
    song = dataset.pieces[0].audio
    for frames in (1, 17, 64):
        assert music_to_pose.generate(song[:frames], 1, 1.0).shape == (frames, 33, 2)
    assert np.array_equal(music_to_pose.generate(song, 1, 1.0), music_to_pose.generate(song, 1, 1.0))
    assert not np.array_equal(music_to_pose.generate(song, 1, 1.0), music_to_pose.generate(song, 2, 1.0))
    assert MusicToPoseModule(music_to_pose)(torch.from_numpy(song)[None]).shape == (1, 64, 33, 2)
    moved = music_to_pose.traversal(song, 1, 1.0, dims=2, values=(-1, 0, 1))
    assert moved.shape == (2, 3, music_to_pose.window if model == "lstm" else len(song), 33, 2)
    assert not np.array_equal(moved[0, 0], moved[0, 2])


@pytest.mark.slow
def test_a_trained_gan_renders_images(make_dataset, make_params, tmp_path: Path):
    dataset = make_dataset(frames=16)
    train_pose_gan(dataset, make_params().gan, tmp_path / "out", tmp_path / "resume")
    images = list(PoseToImage.load(tmp_path / "out/best.pt").render(dataset.pieces[0].landmarks, batch=5))
    assert len(images) == 16
    assert images[0].shape == (32, 32, 3)
    assert images[0].dtype == np.uint8


@pytest.mark.slow
def test_the_gan_is_trained_on_one_subject_of_several(make_params, tmp_path: Path):
    pieces = [
        replace(make_piece(f"{subject}_{split}", split, frames, seed), subject=subject)
        for subject, frames in (("ann", 12), ("ben", 20))
        for seed, split in enumerate(("train", "val", "test"))
    ]
    shrunk = [replace(p, landmarks=p.landmarks * 0.5 + 0.25) if p.subject == "ann" else p for p in pieces]
    attributes = {"fps": 30, "width": 32, "height": 32, "fit": "letterbox", "n_mfcc": 4}
    write_dataset(tmp_path / "d.h5", attributes, ((p, filmed(p.landmarks, 32, 32)) for p in shrunk))
    with open_dataset(tmp_path / "d.h5") as dataset:
        for subject, trained, scale in (("ann", "ann", 0.5), (None, "ben", 1.0)):
            gan = make_params({"gan.subject": subject, "gan.epochs": 1}).gan
            train_pose_gan(dataset, gan, tmp_path / "out", tmp_path / "resume")
            pose_to_image = PoseToImage.load(tmp_path / "out/best.pt")
            assert pose_to_image.subject == trained
            train = next(p for p in dataset.pieces if p.name == f"{trained}_train")
            assert pose_to_image.placement == Placement.of([train.landmarks], 32, 32)
            assert pose_to_image.placement.torso == pytest.approx(scale * 8, abs=0.1)
        with pytest.raises(UserError, match=r"gan\.subject: cleo has no clip"):
            train_pose_gan(dataset, make_params({"gan.subject": "cleo"}).gan, tmp_path / "out", tmp_path / "resume")


@pytest.mark.slow
def test_a_generator_of_another_version_is_reported(make_dataset, make_params, tmp_path: Path):
    train_pose_gan(make_dataset(frames=12), make_params({"gan.epochs": 1}).gan, tmp_path, tmp_path / "resume")
    content = read(tmp_path / "best.pt")
    save_checkpoint(tmp_path / "old.pt", {key: value for key, value in content.items() if key != "placement"})
    with pytest.raises(UserError, match=r"old\.pt: of another version, or broken \('placement'\); run"):
        PoseToImage.load(tmp_path / "old.pt")


def imported_modules(path: Path) -> list[str]:
    """Modules of ours that a file imports, also inside its functions."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    names = {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module}
    return sorted(name for name in names if name.startswith("dancing."))


@pytest.mark.slow
def test_training_needs_neither_librosa_nor_mediapipe_nor_dvc():
    modules = {name for stage in ("train_vae", "train_gan") for name in imported_modules(ROOT / f"stages/{stage}.py")}
    assert {"dancing.music_to_pose.train_prior", "dancing.pose_to_image.task"} <= modules
    code = (
        "import sys\n"
        "for name in ('librosa', 'mediapipe', 'dvc', 'cv2', 'av', 'tqdm'): sys.modules[name] = None\n"
        f"import stages.train_vae, stages.train_gan, {', '.join(sorted(modules))}"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
