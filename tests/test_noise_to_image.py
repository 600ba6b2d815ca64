"""The image systems: their GANs and their VAE learn and resume, and what they generate is measured and shown."""

import copy
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import image_params
from hypothesis import given
from hypothesis import strategies as st
from recipes import KilledError, kill_at, train_image_vae, train_noise_gan

from dancing.evaluation import sample_sheets
from dancing.evaluation.generated import critic_gap, evaluate_generated
from dancing.features.feature_distance import FeatureDistance, diversity
from dancing.noise_to_image.batches import Images
from dancing.noise_to_image.gan_task import RECALIBRATION_BATCHES, build_task
from dancing.noise_to_image.inference import NoiseToImageModule, load_models
from dancing.noise_to_image.losses import ImageVaeLoss
from dancing.noise_to_image.noise import CATEGORY_VALUE, draw_noise
from dancing.training.checkpoints import open_checkpoint
from dancing.training.compute import Compute
from dancing.training.device import make_rng
from dancing.training.gan_loop import _GanTrainer

CPU = torch.device("cpu")
SYSTEMS = ("digits", "faces", "param_tanh")


def weights(path: Path, *names: str) -> list[torch.Tensor]:
    """All tensors in these parts of a checkpoint."""
    with open_checkpoint(path, "") as checkpoint:
        return [values for name in names for values in checkpoint[name].values()]


@pytest.mark.slow
@pytest.mark.parametrize(("system", "loss"), [*((system, None) for system in SYSTEMS), ("digits", "wgan_gp")])
def test_gan_resume_equals_uninterrupted(make_images, tmp_path: Path, system: str, loss: str | None):
    gan, dataset = image_params(system, **({"gan__loss": loss} if loss else {})).gan, make_images(system)
    whole = train_noise_gan(dataset, gan, tmp_path / "whole", tmp_path / "a")
    with pytest.raises(KilledError):
        train_noise_gan(dataset, gan, tmp_path / "parts", tmp_path / "b", kill_at(1))
    shutil.rmtree(tmp_path / "parts")
    assert train_noise_gan(dataset, gan, tmp_path / "parts", tmp_path / "b") == whole
    first, second = (weights(tmp_path / d / "best.pt", "generator", "discriminator") for d in ("whole", "parts"))
    assert all(map(torch.equal, first, second))
    assert {"train_real_score", "train_fake_score", "val_diversity", "val_critic_gap"} <= set(whole[-1])
    assert ("val_feature_mmd_ratio" in whole[-1]) == (system != "digits")


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("loss", ["bce", "hinge", "wgan_gp"])
@pytest.mark.parametrize("output", ["tanh", "param_tanh"])
def test_every_loss_works_with_every_output(make_images, tmp_path: Path, system: str, loss: str, output: str):
    changes = {"loss": loss, "output": output, "epochs": 1, "steps_per_epoch": 1, "batch_size": 2, "augment": True}
    gan = image_params(system, gan__flip=True, **{f"gan__{key}": value for key, value in changes.items()}).gan
    train_noise_gan(make_images(system, 16), gan, tmp_path / "out", tmp_path / "resume")
    assert all(values.isfinite().all() for values in weights(tmp_path / "out/last.pt", "generator"))


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["bce", "wgan_gp"])
@pytest.mark.parametrize("system", ["digits", "faces"])
def test_either_discriminator_can_be_trained(make_images, tmp_path: Path, system: str, loss: str):
    dataset, sizes = make_images(system, 16), {}
    for kind in ("deep", "original"):
        changes = {"loss": loss, "discriminator": kind, "r1_weight": 0.1, "epochs": 1, "batch_size": 2}
        gan = image_params(system, **{f"gan__{key}": value for key, value in changes.items()}).gan
        train_noise_gan(dataset, gan, tmp_path / kind, tmp_path / "resume")
        trained = weights(tmp_path / kind / "last.pt", "discriminator")
        assert all(values.isfinite().all() for values in trained)
        sizes[kind] = sum(values.numel() for values in trained)
    assert sizes["deep"] != sizes["original"]


def test_learning_rates_fall_with_our_discriminator_alone(make_images):
    rates, dataset = {}, make_images("digits", 16)
    for kind in ("deep", "original"):
        gan = image_params("digits", gan__discriminator=kind, gan__lr=1e-3, gan__batch_size=2).gan  # four steps in all
        trainer = _GanTrainer(build_task(dataset, gan, Compute(CPU)), gan)
        for _ in range(3):
            trainer._step(make_rng(1))
        rates[kind] = trainer.generator_optimizer.param_groups[0]["lr"]
    assert rates == {"deep": pytest.approx(0.5e-3), "original": 1e-3}  # the third step is half-way down


@pytest.mark.slow
def test_a_critic_with_a_gradient_penalty_has_no_batch_norm(make_images, tmp_path: Path):
    for loss, batch_norm in (("bce", True), ("wgan_gp", False)):
        gan = image_params("faces", gan__loss=loss, gan__epochs=1, gan__discriminator="original").gan
        train_noise_gan(make_images("faces", 24), gan, tmp_path / loss, tmp_path / "resume")
        with open_checkpoint(tmp_path / loss / "last.pt", "") as checkpoint:
            assert ("norms.0.running_mean" in checkpoint["discriminator"]) == batch_norm


@pytest.mark.slow
def test_a_vae_trained_as_a_generator_reconstructs(make_images, tmp_path: Path):
    changes = {"epochs": 1, "steps_per_epoch": 60, "batch_size": 16, "critic_steps": 1, "lr": 2e-3, "ema": 0.9}
    gan = image_params("param_tanh", **{f"gan__{key}": value for key, value in changes.items()}).gan
    dataset = make_images("param_tanh")
    train_noise_gan(dataset, gan, tmp_path / "gan", tmp_path / "resume")
    model = load_models(tmp_path / "none", tmp_path / "gan")["gan"]
    real = dataset.evenly_spaced("test", 30)
    reconstructed = model.generate(model.encode(real))
    sides = [np.sign(x[:, :, :24].mean((1, 2, 3)) - x[:, :, 24:].mean((1, 2, 3))) for x in (real, reconstructed)]
    assert (sides[0] == sides[1]).mean() > 0.9  # held-out discs stay on their side


@pytest.mark.slow
def test_recalibration_takes_the_statistics_of_these_weights(make_images):
    """Running statistics of a batch norm lag by a hundred steps: with them the first images are grey."""
    task = build_task(make_images("faces", 24), image_params("faces", gan__batch_size=32).gan, Compute(CPU))
    noise = task.fixed[:64]
    with torch.no_grad():
        expected = task.generator.train()(noise)
        averaged = copy.deepcopy(task.generator).eval()
        norms = [module for module in averaged.modules() if isinstance(module, torch.nn.modules.batchnorm._BatchNorm)]
        assert len(norms) == 4
        momenta = [norm.momentum for norm in norms]
        for norm in norms:
            norm.reset_running_stats()
        before = float((averaged(noise) - expected).square().mean())
        task.recalibrate(averaged)
        after = float((averaged(noise) - expected).square().mean())
    assert after < 0.5 * before
    assert not averaged.training
    assert [norm.momentum for norm in norms] == momenta


@pytest.mark.slow
def test_checkpoints_hold_recalibrated_statistics(make_images, tmp_path: Path):
    train_noise_gan(make_images("faces", 24), image_params("faces").gan, tmp_path / "gan", tmp_path / "resume")
    for name in ("best", "last"):
        with open_checkpoint(tmp_path / f"gan/{name}.pt", "") as checkpoint:
            # In four training steps the norms were given four batches.
            assert checkpoint["generator"]["norms.0.num_batches_tracked"] == RECALIBRATION_BATCHES


@pytest.mark.slow
def test_the_vae_learns_and_resumes(make_images, tmp_path: Path):
    vae = image_params("digits", vae__epochs=3, vae__steps_per_epoch=80, vae__batch_size=16, vae__lr=4e-3).vae
    dataset = make_images("digits")
    whole = train_image_vae(dataset, vae, tmp_path / "whole", tmp_path / "a")
    assert whole[-1]["val_total"] < 0.5 * 784 * np.log(2)  # half of the loss of constant logits 0
    with pytest.raises(KilledError):
        train_image_vae(dataset, vae, tmp_path / "parts", tmp_path / "b", kill_at(1))
    assert train_image_vae(dataset, vae, tmp_path / "parts", tmp_path / "b") == whole
    assert all(map(torch.equal, *(weights(tmp_path / d / "best.pt", "state") for d in ("whole", "parts"))))


def test_the_loss_of_the_image_vae_by_hand():
    logits, images = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    mean, log_var = torch.full((2, 4), 2.0), torch.zeros(2, 4)
    losses = ImageVaeLoss(0.5)(logits, mean, log_var, images, warmup=0.5)
    assert float(losses["reconstruction"]) == pytest.approx(9 * np.log(2), rel=1e-5)
    assert float(losses["kl"]) == pytest.approx(4 * 2.0)
    assert float(losses["total"]) == pytest.approx(9 * np.log(2) + 0.25 * 8, rel=1e-5)


def test_batches_are_the_same_from_memory_from_the_file_and_on_the_device(make_images, monkeypatch: pytest.MonkeyPatch):
    dataset = make_images("faces", 24)
    in_memory = Images(dataset, "train", CPU)
    monkeypatch.setattr("dancing.noise_to_image.batches.IN_MEMORY", 0)
    in_file = Images(dataset, "train", CPU)
    monkeypatch.setattr("dancing.training.transfer.fits", lambda size, device: True)
    on_device = Images(dataset, "train", CPU)
    assert on_device.resident is not None
    assert isinstance(in_memory.stored, np.ndarray)
    assert not isinstance(in_file.stored, np.ndarray)
    assert torch.equal(in_memory.batch([3, 0, 3]), in_file.batch([3, 0, 3]))
    assert torch.equal(in_memory.batch([3, 0, 3]), on_device.batch([3, 0, 3]))
    assert in_memory.batch([0]).shape == (1, 3, 64, 64)
    assert in_memory.evenly_spaced(5).shape[0] == 5


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_rows_of_known_quality_are_ranked(make_images, tmp_path: Path, system: str):
    system_params, dataset = image_params(system), make_images(system, 200)
    train_noise_gan(dataset, system_params.gan, tmp_path / "gan", tmp_path / "resume")
    if system_params.vae:
        train_image_vae(dataset, system_params.vae, tmp_path / "vae", tmp_path / "resume")
    models = load_models(tmp_path / "vae", tmp_path / "gan")
    result = evaluate_generated(dataset, models, 40, 60 if system == "digits" else 20, 1)
    rows = result.rows
    assert {"real", "train", "mean_picture", "gan"} <= set(rows)
    assert rows["real"]["diversity"]["mean"] == 1
    assert rows["mean_picture"]["diversity"]["mean"] == 0
    if system == "digits":
        assert {"vae", "vae_again"} <= set(rows)
        assert rows["real"]["accuracy"]["mean"] > 0.95  # it is easy to tell left from right
        assert rows["real"]["classifier_score"]["mean"] > 1.7
        assert rows["mean_picture"]["classifier_score"]["mean"] == pytest.approx(1, abs=1e-6)
        assert rows["vae"]["nats"]["n"] == dataset.count("test")
        assert "accuracy" not in rows["gan"]
    else:
        assert rows["real"]["coverage"]["mean"] > rows["mean_picture"]["coverage"]["mean"]
        assert abs(rows["real"]["feature_mmd_ratio"]["mean"]) < abs(rows["mean_picture"]["feature_mmd_ratio"]["mean"])
    gap = critic_gap(dataset, tmp_path / "gan/best.pt", 40, 1)
    assert np.isfinite(gap["mean"])
    sample_sheets.save_samples(tmp_path, result, models)
    sample_sheets.save_interpolation(tmp_path / "ways.png", models["gan"], 1)
    assert (tmp_path / "gan.png").exists()
    for name, model in models.items():
        if model.encodes:
            sample_sheets.save_traversal(tmp_path / f"{name}_traversal.png", model, dataset, 1)
            assert (tmp_path / f"{name}_again.png").exists()
    assert sample_sheets.save_alphas(tmp_path / "alphas.png", models["gan"], 1) == (system == "param_tanh")


@pytest.mark.slow
@pytest.mark.parametrize(("system", "labelled", "column"), [("digits", False, None), ("faces", True, "coverage")])
def test_labels_are_optional_in_every_system(make_images, tmp_path: Path, system: str, labelled: bool, column: str):
    dataset = make_images(system, 60, labelled)
    train_noise_gan(dataset, image_params(system, gan__epochs=1).gan, tmp_path / "gan", tmp_path / "resume")
    models = load_models(tmp_path / "none", tmp_path / "gan")
    row = evaluate_generated(dataset, models, 20, 4, 1).rows["gan"]
    assert "classifier_score" not in row
    assert ("coverage" in row) == (column == "coverage")
    assert row["diversity"]["mean"] > 0


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_model_generates_what_its_module_does(make_images, tmp_path: Path, system: str):
    gan = image_params(system, gan__epochs=1).gan
    train_noise_gan(make_images(system, 24), gan, tmp_path / "gan", tmp_path / "resume")
    model = load_models(tmp_path, tmp_path / "gan")["gan"]
    noise = model.noise(70, 3)
    np.testing.assert_array_equal(noise, model.noise(70, 3))
    images = model.generate(noise)
    assert images.dtype == np.uint8
    module = NoiseToImageModule(model)(torch.from_numpy(noise))
    np.testing.assert_allclose((module.detach().permute(0, 2, 3, 1).numpy() + 1) * 127.5, images, atol=0.51)


@given(count=st.integers(1, 40), size=st.integers(1, 60), share=st.floats(0, 1), seed=st.integers(0, 2**31))
def test_noise_is_one_category_and_normal_numbers(count: int, size: int, share: float, seed: int):
    categories = round(share * size)
    noise = draw_noise(count, size, categories, make_rng(seed))
    category, normal = noise[:, :categories], noise[:, categories:]
    assert set(category.unique().tolist()) <= {0.0, CATEGORY_VALUE}
    assert (category == CATEGORY_VALUE).sum(dim=1).tolist() == [min(categories, 1)] * count
    torch.testing.assert_close(normal, torch.randn(count, size, generator=make_rng(seed))[:, categories:])


@pytest.mark.slow
def test_task_and_loaded_model_agree_on_the_categories(make_images, tmp_path: Path):
    dataset = make_images("digits", 24)
    for categories in (0, 3):
        gan = image_params("digits", gan__categories=categories, gan__epochs=1).gan
        train_noise_gan(dataset, gan, tmp_path / str(categories), tmp_path / "resume")
        assert not list((tmp_path / "resume").iterdir())
        noise = load_models(tmp_path, tmp_path / str(categories))["gan"].noise(100, 1)
        assert ((noise == CATEGORY_VALUE).sum(axis=0) > 0).sum() == categories  # every category is sampled
        assert (build_task(dataset, gan, Compute(CPU)).fixed == CATEGORY_VALUE).any().item() == (categories > 0)


# ------------------------------------------------------------------------------------------------------ distances


def test_diversity_is_the_distance_between_two_images():
    a, b = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert diversity(torch.cat([a, b])) == pytest.approx(1)
    assert diversity(torch.cat([a, a, a])) == 0


@pytest.mark.slow
def test_feature_distance_tells_noise_from_images(make_images):
    dataset = make_images("faces", 240)
    train, real = dataset.evenly_spaced("train", 200), dataset.evenly_spaced("test", 60)
    feature_distance = FeatureDistance.fit(train, None, None, steps=20, seed=1, device=CPU)
    noise = np.random.default_rng(1).integers(0, 256, (60, 64, 64, 3), dtype=np.uint8)
    ratios = [feature_distance.row(images, None, None)["feature_mmd_ratio"]["mean"] for images in (noise, real)]
    assert ratios[0] > 3 * abs(ratios[1])
