"""Pictures from numbers alone: the games and the VAE learn, go on where they were killed; what they are measured by."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from dancing import evaluation
from dancing.evaluation import sample_sheets as sheets
from dancing.features.feature_distance import FeatureDistance, diversity
from dancing.media.video import probe, write_audio
from dancing.metrics.classes import FrechetReference, accuracy_row, class_row, classifier_score
from dancing.music_to_pose.inference import NoiseToImageModule, load_models
from dancing.noise_to_image.batches import Images
from dancing.noise_to_image.dataset import ImageDataset, open_images, write_images
from dancing.noise_to_image.gan_task import SETTLING, NoiseGame
from dancing.noise_to_image.noise import APART, draw_noise
from dancing.params import ImageParams, parse_params
from dancing.render import latent_walk
from dancing.training.common import generator, load_checkpoint
from dancing.training.gan import _Trainer, train_gan
from dancing.training.losses import ImageVaeLoss
from dancing.training.vae import train_vae

CPU = torch.device("cpu")
SYSTEMS = ("digits", "faces", "param_tanh")


@dataclass(frozen=True)
class Shown:
    split: str
    pixels: np.ndarray
    label: int | None


def params(system: str, **changes: object) -> ImageParams:
    """The system's own, as small as it goes; changes as gan__loss="hinge"."""
    values = yaml.safe_load((ROOT / f"pipelines/{system}/params.yaml").read_text(encoding="utf-8"))
    small = {"batch_size": 6, "epochs": 2, "steps_per_epoch": 2}
    values["gan"] |= small
    if "vae" in values:
        values["vae"] |= small
    if system == "param_tanh":
        values["data"] |= {"height": 32, "width": 48}
        values["gan"] |= {"latent_dim": 4, "critic_steps": 2}
    values["evaluate"] |= {"samples": 40, "feature_steps": 6}
    values["render"] |= {"seconds": 0.5, "walks": 3, "height": 64}
    for key, value in changes.items():
        part, _, name = key.partition("__")
        values[part][name] = value
    return parse_params(values, "test", ImageParams)


@pytest.fixture
def make_images(tmp_path: Path) -> Callable[[str], ImageDataset]:
    """Bright discs at random places; for digits the label says on which side."""

    def make(system: str, count: int = 120, labelled: bool | None = None) -> ImageDataset:
        data, rng = params(system).data, np.random.default_rng(1)
        labelled = system == "digits" if labelled is None else labelled
        y, x = np.mgrid[: data.height, : data.width]

        def pictures():
            for i in range(count):
                side = int(rng.integers(2))
                across = (0.25 + 0.5 * side + rng.uniform(-0.05, 0.05)) * data.width
                disc = np.hypot(x - across, y - rng.uniform(0.3, 0.7) * data.height) < data.height / 5
                pixels = np.repeat(np.where(disc, 230, 20)[..., None], data.channels, axis=-1).astype(np.uint8)
                split = ("train", "train", "val", "test")[i % 4]
                yield Shown(split, pixels, side if labelled else None)

        attributes = data.model_dump(include={"height", "width", "channels", "fit"})
        write_images(tmp_path / f"{system}.h5", attributes, pictures())
        return open_images(tmp_path / f"{system}.h5")

    return make


@pytest.fixture(autouse=True)
def _short_sighted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dancing.noise_to_image.gan_task.FEATURE_STEPS", 2)
    monkeypatch.setattr("dancing.noise_to_image.gan_task.VALIDATION", 16)


class KilledError(Exception):
    pass


def killed(epoch) -> None:
    if epoch.number == 1:
        raise KilledError


def weights(path: Path, *names: str) -> list[torch.Tensor]:
    content = load_checkpoint(path, "")
    return [values for name in names for values in content[name].values()]


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_gan_resume_equals_uninterrupted(make_images, tmp_path: Path, system: str):
    gan, dataset = params(system).gan, make_images(system)
    whole = train_gan(dataset, gan, tmp_path / "whole", tmp_path / "a")
    with pytest.raises(KilledError):
        train_gan(dataset, gan, tmp_path / "parts", tmp_path / "b", killed)
    shutil.rmtree(tmp_path / "parts")
    parts = train_gan(dataset, gan, tmp_path / "parts", tmp_path / "b")
    assert parts == whole
    first, second = (weights(tmp_path / d / "best.pt", "generator", "discriminator") for d in ("whole", "parts"))
    assert all(map(torch.equal, first, second))
    assert {"train_real_score", "train_fake_score", "val_diversity", "val_critic_gap"} <= set(whole.gan[-1])
    assert ("val_feature_mmd_ratio" in whole.gan[-1]) == (system != "digits")


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("loss", ["bce", "hinge", "wgan_gp"])
@pytest.mark.parametrize("output", ["tanh", "param_tanh"])
def test_every_loss_goes_with_every_output(make_images, tmp_path: Path, system: str, loss: str, output: str):
    changes = {"loss": loss, "output": output, "epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "augment": True}
    gan = params(system, gan__flip=True, **{f"gan__{key}": value for key, value in changes.items()}).gan
    train_gan(make_images(system, 16), gan, tmp_path / "out", tmp_path / "crash")
    assert all(values.isfinite().all() for values in weights(tmp_path / "out/last.pt", "generator"))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["bce", "wgan_gp"])
@pytest.mark.parametrize("system", ["digits", "faces"])
def test_either_discriminator_can_play(make_images, tmp_path: Path, system: str, loss: str):
    dataset, sizes = make_images(system, 16), {}
    for kind in ("deep", "table"):
        changes = {"loss": loss, "discriminator": kind, "r1_weight": 0.1, "epochs": 1, "batch_size": 2}
        gan = params(system, **{f"gan__{key}": value for key, value in changes.items()}).gan
        train_gan(dataset, gan, tmp_path / kind, tmp_path / "crash")
        played = weights(tmp_path / kind / "last.pt", "discriminator")
        assert all(values.isfinite().all() for values in played)
        sizes[kind] = sum(values.numel() for values in played)
    assert sizes["deep"] != sizes["table"]


def test_learning_rates_fall_beside_our_discriminator_alone(make_images):
    rates, dataset = {}, make_images("digits", 16)
    for kind in ("deep", "table"):
        gan = params("digits", gan__discriminator=kind, gan__lr=1e-3, gan__batch_size=2).gan  # four steps in all
        trainer = _Trainer(NoiseGame(dataset, gan, CPU), gan, CPU)
        for _ in range(3):
            trainer.step(generator(1))
        rates[kind] = trainer.player_optimiser.param_groups[0]["lr"]
    assert rates == {"deep": pytest.approx(0.5e-3), "table": 1e-3}  # the third step's: half-way down


@pytest.mark.slow
def test_a_critic_with_a_gradient_penalty_has_no_batch_norm(make_images, tmp_path: Path):
    for loss, normalised in (("bce", True), ("wgan_gp", False)):
        gan = params("faces", gan__loss=loss, gan__epochs=1, gan__discriminator="table").gan
        train_gan(make_images("faces", 24), gan, tmp_path / loss, tmp_path / "crash")
        kept = load_checkpoint(tmp_path / loss / "last.pt", "")["discriminator"]
        assert ("norms.0.running_mean" in kept) == normalised


@pytest.mark.slow
def test_a_vae_in_a_game_draws_its_pictures_again(make_images, tmp_path: Path):
    changes = {"epochs": 1, "steps_per_epoch": 60, "batch_size": 16, "critic_steps": 1, "lr": 2e-3, "ema": 0.9}
    gan = params("param_tanh", **{f"gan__{key}": value for key, value in changes.items()}).gan
    dataset = make_images("param_tanh")
    train_gan(dataset, gan, tmp_path / "gan", tmp_path / "crash")
    sampler = load_models(tmp_path / "none", tmp_path / "gan")["gan"]
    real = dataset.spread("test", 30)
    sides = [np.sign(shown[:, :, :24].mean((1, 2, 3)) - shown[:, :, 24:].mean((1, 2, 3))) for shown in
             (real, sampler.draw(sampler.encode(real)))]  # fmt: skip
    assert (sides[0] == sides[1]).mean() > 0.9  # held-out discs lie where they lie


@pytest.mark.slow
def test_averaged_weights_are_used_with_statistics_of_their_own(make_images):
    """A batch norm's running statistics lag by a hundred steps: without new ones the first pictures are grey."""
    game = NoiseGame(make_images("faces", 24), params("faces", gan__batch_size=32).gan, CPU)
    noise = game.fixed[:64]
    with torch.no_grad():
        expected = game.player.train()(noise)
        player = copy.deepcopy(game.player).eval()
        for norm in (player.spread_norm, *player.norms):
            norm.reset_running_stats()
        off = float((player(noise) - expected).square().mean())
        game.settle(player)
        near = float((player(noise) - expected).square().mean())
    assert near < 0.5 * off
    assert not player.training
    assert [norm.momentum for norm in player.norms] == [norm.momentum for norm in game.player.norms]


@pytest.mark.slow
def test_what_is_kept_has_statistics_of_its_own(make_images, tmp_path: Path):
    train_gan(make_images("faces", 24), params("faces").gan, tmp_path / "gan", tmp_path / "crash")
    for name in ("best", "last"):
        kept = load_checkpoint(tmp_path / f"gan/{name}.pt", "")["generator"]
        assert kept["norms.0.num_batches_tracked"] == SETTLING  # of these weights; four training steps saw four


@pytest.mark.slow
def test_the_vae_learns_and_goes_on_where_it_was_killed(make_images, tmp_path: Path):
    vae = params("digits", vae__epochs=3, vae__steps_per_epoch=80, vae__batch_size=16, vae__lr=4e-3).vae
    dataset = make_images("digits")
    whole = train_vae(dataset, vae, None, tmp_path / "whole", tmp_path / "a")
    assert whole.vae[-1]["val_total"] < 0.5 * 784 * np.log(2)  # half of what knowing nothing costs
    with pytest.raises(KilledError):
        train_vae(dataset, vae, None, tmp_path / "parts", tmp_path / "b", killed)
    assert train_vae(dataset, vae, None, tmp_path / "parts", tmp_path / "b") == whole
    assert all(map(torch.equal, *(weights(tmp_path / d / "best.pt", "state") for d in ("whole", "parts"))))


def test_a_bound_by_hand():
    logits, pictures = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    mean, log_var = torch.full((2, 4), 2.0), torch.zeros(2, 4)
    losses = ImageVaeLoss(0.5)(logits, mean, log_var, pictures, warmup=0.5)
    assert float(losses["reconstruction"]) == pytest.approx(9 * np.log(2), rel=1e-5)
    assert float(losses["kl"]) == pytest.approx(4 * 2.0)
    assert float(losses["total"]) == pytest.approx(9 * np.log(2) + 0.25 * 8, rel=1e-5)


def test_pictures_are_read_alike_from_memory_and_file(make_images, monkeypatch: pytest.MonkeyPatch):
    dataset = make_images("faces", 24)
    inside = Images(dataset, "train", CPU)
    monkeypatch.setattr("dancing.noise_to_image.batches.IN_MEMORY", 0)
    outside = Images(dataset, "train", CPU)
    assert isinstance(inside.stored, np.ndarray)
    assert not isinstance(outside.stored, np.ndarray)
    torch.testing.assert_close(inside.batch([3, 0, 3]), outside.batch([3, 0, 3]))
    assert inside.batch([0]).shape == (1, 3, 64, 64)
    assert inside.spread(5).shape[0] == 5


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_every_row_stands_where_it_should(make_images, tmp_path: Path, system: str):
    wanted, dataset = params(system), make_images(system, 200)
    train_gan(dataset, wanted.gan, tmp_path / "gan", tmp_path / "crash")
    if wanted.vae:
        train_vae(dataset, wanted.vae, None, tmp_path / "vae", tmp_path / "crash")
    samplers = load_models(tmp_path / "vae", tmp_path / "gan")
    result = evaluation.evaluate_generated(dataset, samplers, 40, 60 if system == "digits" else 20, 1)
    rows = result.rows
    assert {"real", "train", "mean_picture", "gan"} <= set(rows)
    assert rows["real"]["diversity"]["mean"] == 1
    assert rows["mean_picture"]["diversity"]["mean"] == 0
    if system == "digits":
        assert {"vae", "vae_again"} <= set(rows)
        assert rows["real"]["accuracy"]["mean"] > 0.95  # left from right is easy
        assert rows["real"]["classifier_score"]["mean"] > 1.7
        assert rows["mean_picture"]["classifier_score"]["mean"] == pytest.approx(1, abs=1e-6)
        assert rows["vae"]["nats"]["n"] == dataset.count("test")
        assert "accuracy" not in rows["gan"]
    else:
        assert rows["real"]["coverage"]["mean"] > rows["mean_picture"]["coverage"]["mean"]
        assert abs(rows["real"]["feature_mmd_ratio"]["mean"]) < abs(rows["mean_picture"]["feature_mmd_ratio"]["mean"])
    gap = evaluation.critic_gap(dataset, tmp_path / "gan/best.pt", 40, 1)
    assert np.isfinite(gap["mean"])
    sheets.save_samples(tmp_path, result, samplers)
    sheets.save_interpolation(tmp_path / "ways.png", samplers["gan"], 1)
    assert (tmp_path / "gan.png").exists()
    for name, sampler in samplers.items():
        if sampler.encodes:
            sheets.save_traversal(tmp_path / f"{name}_traversal.png", sampler, dataset, 1)
            assert (tmp_path / f"{name}_again.png").exists()
    assert sheets.save_alphas(tmp_path / "alphas.png", samplers["gan"], 1) == (system == "param_tanh")


@pytest.mark.slow
@pytest.mark.parametrize(("system", "labelled", "column"), [("digits", False, None), ("faces", True, "coverage")])
def test_labels_are_no_matter_of_the_system(make_images, tmp_path: Path, system: str, labelled: bool, column: str):
    dataset = make_images(system, 60, labelled)
    train_gan(dataset, params(system, gan__epochs=1).gan, tmp_path / "gan", tmp_path / "crash")
    samplers = load_models(tmp_path / "none", tmp_path / "gan")
    row = evaluation.evaluate_generated(dataset, samplers, 20, 4, 1).rows["gan"]
    assert "classifier_score" not in row
    assert ("coverage" in row) == (column == "coverage")
    assert row["diversity"]["mean"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_sampler_is_its_module_and_its_seed(make_images, tmp_path: Path, system: str):
    train_gan(make_images(system, 24), params(system, gan__epochs=1).gan, tmp_path / "gan", tmp_path / "crash")
    sampler = load_models(tmp_path, tmp_path / "gan")["gan"]
    noise = sampler.noise(70, 3)
    np.testing.assert_array_equal(noise, sampler.noise(70, 3))
    pictures = sampler.draw(noise)
    assert pictures.dtype == np.uint8
    module = NoiseToImageModule(sampler)(torch.from_numpy(noise))
    np.testing.assert_allclose((module.detach().permute(0, 2, 3, 1).numpy() + 1) * 127.5, pictures, atol=0.51)


@given(count=st.integers(1, 40), size=st.integers(1, 60), share=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_noise_says_one_category_and_is_normal_beside(count: int, size: int, share: float, seed: int):
    categories = round(share * size)
    noise = draw_noise(count, size, categories, generator(seed))
    said, beside = noise[:, :categories], noise[:, categories:]
    assert set(said.unique().tolist()) <= {0.0, APART}
    assert (said == APART).sum(dim=1).tolist() == [min(categories, 1)] * count
    torch.testing.assert_close(beside, torch.randn(count, size, generator=generator(seed))[:, categories:])


@pytest.mark.slow
def test_a_generator_is_asked_for_what_it_was_trained_on(make_images, tmp_path: Path):
    """Training, checkpoint and sampler agree on the categories; every one of them comes."""
    dataset = make_images("digits", 24)
    for categories in (0, 3):
        gan = params("digits", gan__categories=categories, gan__epochs=1).gan
        train_gan(dataset, gan, tmp_path / str(categories), tmp_path / "crash").settled()
        noise = load_models(tmp_path, tmp_path / str(categories))["gan"].noise(100, 1)
        assert ((noise == APART).sum(axis=0) > 0).sum() == categories
        assert (NoiseGame(dataset, gan, CPU).fixed == APART).any().item() == (categories > 0)


# ------------------------------------------------------------------------------------------------------- metrics


def test_the_classifier_score_by_hand():
    sure, every = np.eye(4).repeat(5, axis=0), np.ones(20)
    assert classifier_score(sure, every) == pytest.approx(4)
    assert classifier_score(np.full((20, 4), 0.25), every) == pytest.approx(1)
    assert classifier_score(sure, np.r_[np.ones(10), np.zeros(10)]) == pytest.approx(2)  # two classes of the four
    row = class_row(np.eye(4)[[0, 0, 0, 1]], seed=1)
    assert (row["rarest_class"]["mean"], row["commonest_class"]["mean"]) == (0, 0.75)
    assert accuracy_row(np.eye(4), np.array([0, 1, 2, 0]), 1)["accuracy"]["mean"] == 0.75


def test_the_frechet_ratio_is_one_between_alike_and_grows():
    rng = np.random.default_rng(0)
    reference = FrechetReference.of(rng.normal(size=(2000, 4)), 500, 1)
    alike, other = (reference.row(rng.normal(m, size=(500, 4)), 1)["frechet_ratio"]["mean"] for m in (0, 1))
    assert 0.2 < alike < 5
    assert other > 50
    assert reference.row(rng.normal(size=(20, 4)), 1)["frechet"]["mean"] is None  # too few


def test_diversity_is_the_distance_of_two():
    a, b = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert diversity(torch.cat([a, b])) == pytest.approx(1)
    assert diversity(torch.cat([a, a, a])) == 0


@pytest.mark.slow
def test_likeness_tells_noise_from_pictures(make_images):
    dataset = make_images("faces", 240)
    likeness = FeatureDistance.learnt(dataset.spread("train", 200), None, None, steps=20, seed=1, device=CPU)
    real, noise = dataset.spread("test", 60), np.random.default_rng(1).integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)
    ratios = [likeness.row(shown, None, None)["feature_mmd_ratio"]["mean"] for shown in (noise, real)]
    assert ratios[0] > 3 * abs(ratios[1])


# --------------------------------------------------------------------------------------------------------- walks


def test_a_walk_keeps_its_length_and_stops_where_it_should():
    rng = np.random.default_rng(1)
    stops, times = rng.normal(size=(4, 2, 50)), np.array([0.0, 1.0, 2.5, 3.0])
    for pulse in (True, False):
        way = latent_walk.walk(stops, times, np.array([0.0, 1.0, 2.5, 3.0, 9.0, -1.0]), pulse)
        np.testing.assert_allclose(way[:4], stops, atol=1e-9)
        np.testing.assert_allclose(way[4:], stops[[3, 0]], atol=1e-9)
        at = np.linspace(0, 3, 200)
        way = latent_walk.walk(stops, times, at, pulse)
        lengths = np.linalg.norm(way, axis=-1)
        assert lengths.min() > 0.95 * np.linalg.norm(stops, axis=-1).min()  # a straight line would pass at 0.7
        steps = np.linalg.norm(np.diff(way, axis=0), axis=-1).mean(axis=1)
        assert (steps[0] > 2 * steps[30]) == pulse  # off at once on the beat, or slowly


@pytest.mark.slow
def test_a_film_ends_where_it_began_and_has_the_songs_length(make_images, tmp_path: Path):
    wanted = params("faces", gan__epochs=1)
    train_gan(make_images("faces", 24), wanted.gan, tmp_path / "gan", tmp_path / "crash")
    samplers = load_models(tmp_path, tmp_path / "gan")
    stills = latent_walk.write_walk(tmp_path / "silent.mp4", samplers, wanted.render)
    info = probe(tmp_path / "silent.mp4")
    assert (info.has_audio, info.width, info.height) == (False, 192, 64)
    assert info.duration == pytest.approx(0.5, abs=1 / 30)
    assert len(stills) == 10
    beat = np.zeros((48000, 2), np.float32)
    beat[::12000] = 1.0
    write_audio(tmp_path / "song.mp3", beat, 48000)
    render = wanted.render.model_copy(update={"song": str(tmp_path / "song.mp3"), "seconds": 0.8})
    latent_walk.write_walk(tmp_path / "song.mp4", samplers, render)
    info = probe(tmp_path / "song.mp4")
    assert info.has_audio
    assert info.duration == pytest.approx(0.8, abs=1 / 30)
