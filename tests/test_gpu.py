"""What only a CUDA GPU shows; left out where there is none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import image_params
from recipes import train_pose_gan

from dancing.music_to_pose.task import build_task as build_motion_task
from dancing.noise_to_image.gan_task import build_task as build_noise_task
from dancing.noise_to_image.vae_task import ImageVaeTask
from dancing.pose_to_image.background import estimate_backgrounds
from dancing.pose_to_image.batches import PoseImages
from dancing.pose_to_image.inference import PoseToImage
from dancing.pose_to_image.task import build_task as build_pose_task
from dancing.training.compute import Compute
from dancing.training.device import pick_device
from dancing.training.gan_loop import _GanTrainer
from dancing.training.processes import shared_rng
from dancing.training.vae_loop import _VaeTrainer

pytestmark = [pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU"), pytest.mark.slow]
GPU, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.fixture(autouse=True)
def deterministic() -> None:
    """Set CUDA up as every program of the project does."""
    pick_device()


def epoch_must_not_wait(trainer: _GanTrainer | _VaeTrainer) -> None:
    trainer.train_epoch(1)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        trainer.train_epoch(2)
    finally:
        torch.cuda.set_sync_debug_mode("default")


@pytest.mark.parametrize("model", ["skeleton", "dense"])
def test_steps_of_pose_gans_do_not_wait_for_the_gpu(model, make_dataset, make_params):
    gan = make_params({"gan.model": model, "gan.steps_per_epoch": 40, "gan.flip": True}).gan
    with make_dataset() as dataset:
        epoch_must_not_wait(_GanTrainer(build_pose_task(dataset, gan, Compute(GPU, True)), gan))


@pytest.mark.parametrize("system", ["digits", "faces", "param_tanh"])
def test_steps_of_image_gans_do_not_wait_for_the_gpu(system, make_images):
    gan = image_params(system, gan__steps_per_epoch=10).gan
    with make_images(system) as images:
        trainer = _GanTrainer(build_noise_task(images, gan, Compute(GPU, True)), gan)
        trainer.task.recalibrate = lambda _: None  # after the epoch
        epoch_must_not_wait(trainer)


def test_steps_of_the_image_vae_do_not_wait_for_the_gpu(make_images):
    vae = image_params("digits").vae
    with make_images("digits") as images:
        epoch_must_not_wait(_VaeTrainer(ImageVaeTask(images, vae, Compute(GPU, True)), vae))


def test_steps_of_the_lstm_vae_do_not_wait_for_the_gpu(make_dataset, make_params):
    vae = make_params({"vae.model": "lstm"}).vae
    with make_dataset() as dataset:
        epoch_must_not_wait(_VaeTrainer(build_motion_task(dataset, vae, Compute(GPU, True)), vae))


def test_images_stay_on_the_gpu_and_batches_equal_the_cpus(make_dataset):
    with make_dataset() as dataset:
        backgrounds = estimate_backgrounds(dataset)
        on_gpu, on_cpu = (PoseImages(dataset, "train", backgrounds, device) for device in (GPU, CPU))
        assert on_gpu.resident is not None
        assert on_cpu.resident is None
        for name, value in vars(on_cpu.batch([0, 5, 9])).items():
            assert torch.allclose(getattr(on_gpu.batch([0, 5, 9]), name).cpu(), value, atol=1e-6), name


@pytest.mark.parametrize("bfloat16", [False, True])
def test_first_losses_are_those_of_the_cpu(bfloat16, make_dataset, make_params):
    """The same random numbers on both; what differs is rounding."""
    params = make_params()
    losses = {}
    with make_dataset() as dataset:
        for device in (GPU, CPU):
            compute = Compute(device, bfloat16)
            gan = _GanTrainer(build_pose_task(dataset, params.gan, compute), params.gan)
            vae = build_motion_task(dataset, params.vae, compute)
            scalars = gan._step(shared_rng(1, 1)) | vae.losses(shared_rng(1, 1), 1.0)
            losses[device.type] = {name: value.item() for name, value in scalars.items()}
    assert losses["cuda"] == pytest.approx(losses["cpu"], rel=0.05 if bfloat16 else 0.01, abs=0.01)


def test_a_generator_renders_on_the_gpu_as_on_the_cpu(make_dataset, make_params, tmp_path: Path, monkeypatch):
    with make_dataset() as dataset:
        train_pose_gan(dataset, make_params().gan, tmp_path, tmp_path / "resume")
        poses = dataset.split("test")[0].landmarks
    monkeypatch.setattr("dancing.pose_to_image.inference.multiplies_bfloat16", lambda _: False)
    on_gpu = np.stack(list(PoseToImage.load(tmp_path / "best.pt").render(poses)))
    monkeypatch.setattr("dancing.pose_to_image.inference.pick_device", lambda: CPU)
    on_cpu = np.stack(list(PoseToImage.load(tmp_path / "best.pt").render(poses)))
    assert np.abs(on_gpu.astype(int) - on_cpu).max() <= 2
