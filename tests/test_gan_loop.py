"""The GAN loop: the losses that a task adds to the adversarial one reach the generator, and it alone."""

from pathlib import Path

import pytest
import torch
from conftest import image_params
from torch import nn

from dancing.noise_to_image.gan_task import build_task as build_noise_task
from dancing.params import GanTraining
from dancing.pose_to_image.task import build_task as build_pose_task
from dancing.training.adversarial import Logits
from dancing.training.checkpoints import ResumeState
from dancing.training.compute import Compute
from dancing.training.device import make_rng
from dancing.training.gan_loop import train_gan
from dancing.training.tasks import GanBatch

CPU = torch.device("cpu")


class ConstantDiscriminator(nn.Module):
    """A discriminator whose logit doesn't depend on the image: the adversarial loss has no gradient for images."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, images: torch.Tensor) -> Logits:
        return [self.bias + 0 * images.flatten(1).sum(dim=1, keepdim=True)]


class Scale(nn.Module):
    """A generator of one weight: noise (B, C, H, W) times the weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        return self.weight * noise


class FakeTask:
    """A task with given auxiliary losses: name -> weight and slope. A loss is its slope times the images' mean."""

    compute, cosine_decay, best_by = Compute(CPU), False, None

    def __init__(self, aux_losses: dict[str, tuple[float, float]]) -> None:
        self.aux_losses = aux_losses
        self.generator, self.discriminator = Scale(), ConstantDiscriminator()
        self.content: dict = {}

    def batch(self, rng: torch.Generator) -> GanBatch:
        fake = self.generator(torch.full((2, 1, 4, 4), 0.5))
        aux_losses = {name: (weight, slope * fake.mean()) for name, (weight, slope) in self.aux_losses.items()}
        return GanBatch((torch.zeros(2, 1, 4, 4),), (fake,), aux_losses)

    def recalibrate(self, generator: nn.Module) -> None: ...

    def validate(self, generator: nn.Module) -> dict[str, float]:
        return {"val_weight": generator.weight.item()}

    def samples(self, generator: nn.Module) -> dict:
        return {}


@pytest.fixture
def one_step(make_params) -> GanTraining:
    changes = {"epochs": 1, "steps_per_epoch": 1, "loss": "hinge", "r1_weight": 0.0, "lr": 0.1}
    return make_params({f"gan.{key}": value for key, value in changes.items()}).gan


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_weighted_aux_losses_reach_the_generators_gradient(one_step, tmp_path: Path, critic_steps: int):
    task = FakeTask({"first": (3.0, 1.0), "second": (0.5, -2.0), "off": (0.0, 100.0)})
    settings = one_step.model_copy(update={"critic_steps": critic_steps})
    (losses,) = train_gan(task, settings, tmp_path / "out", ResumeState(tmp_path / "resume.pt")).history
    # d/dw of 3 * mean(w / 2) + 0.5 * -2 * mean(w / 2)
    assert task.generator.weight.grad.item() == pytest.approx(3.0 * 0.5 - 0.5)
    assert task.generator.weight.item() == pytest.approx(1 - 0.1)  # Adam's first step is lr against the gradient
    # The history has each loss without its weight, at the first weight 1.
    assert {name: losses[f"train_{name}"] for name in task.aux_losses} == {"first": 0.5, "second": -1.0, "off": 50.0}
    adversarial = losses["train_generator"] - (3.0 * 0.5 - 0.5)
    assert adversarial == pytest.approx(-task.discriminator.bias.item(), abs=1e-6)


def test_without_aux_losses_only_the_discriminator_drives_the_generator(one_step, tmp_path: Path):
    task = FakeTask({})
    (losses,) = train_gan(task, one_step, tmp_path / "out", ResumeState(tmp_path / "resume.pt")).history
    assert task.generator.weight.grad.item() == 0
    assert task.generator.weight.item() == 1
    assert set(losses) == {
        "epoch", "train_discriminator", "train_real_score", "train_fake_score", "train_generator", "val_weight"
    }  # fmt: skip


def has_gradient(loss: torch.Tensor, model: nn.Module) -> bool:
    """Whether a loss has a gradient in every parameter of a model."""
    gradients = torch.autograd.grad(loss, list(model.parameters()), retain_graph=True, allow_unused=True)
    return all(gradient is not None and bool(gradient.any()) for gradient in gradients)


def test_the_aux_losses_of_poses_have_a_gradient_in_the_generator(make_dataset, make_params):
    weights = {"gan.l1_weight": 2.0, "gan.ssim_weight": 3.0, "gan.mask_weight": 4.0}
    gan = make_params(weights | {"gan.batch_size": 2}).gan
    task = build_pose_task(make_dataset(frames=12), gan, Compute(CPU))
    batch = task.batch(make_rng(1))
    weights = {name: weight for name, (weight, _) in batch.aux_losses.items()}
    assert weights == {"l1": 2.0, "ssim_loss": 3.0, "mask": 4.0}
    for name, (_, loss) in batch.aux_losses.items():
        assert has_gradient(loss, task.generator), name
    assert not any(part.requires_grad for part in batch.real)


def test_the_original_gan_of_poses_has_no_aux_losses(make_dataset, make_params):
    gan = make_params({"gan.model": "dense", "gan.batch_size": 2}).gan
    task = build_pose_task(make_dataset(frames=12), gan, Compute(CPU))
    batch = task.batch(make_rng(1))
    assert not batch.aux_losses
    assert has_gradient(batch.fake[0].square().mean(), task.generator)


def test_the_aux_losses_of_a_vae_as_generator_reach_its_encoder(make_images):
    gan = image_params("param_tanh", gan__kl_weight=0.5, gan__l1_weight=4.0, gan__batch_size=4).gan
    task = build_noise_task(make_images("param_tanh", 48), gan, Compute(CPU))
    batch = task.batch(make_rng(1))
    assert {name: weight for name, (weight, _) in batch.aux_losses.items()} == {"kl": 0.5, "l1": 4.0}
    for name, (_, loss) in batch.aux_losses.items():
        assert has_gradient(loss, task.generator.encoder), name
