"""The training loop of all GANs: discriminator and generator steps in turn."""

from collections.abc import Callable
from pathlib import Path

import torch

from dancing.params import GanTraining
from dancing.training.adversarial import GanLoss, Logits, gradient_penalty, r1_penalty
from dancing.training.checkpoints import Checkpoint, ResumeState
from dancing.training.epochs import Epoch, EpochRunner, Means, Samples, Trained
from dancing.training.optimization import Ema, adam, cosine_lr
from dancing.training.processes import Scalars, average_gradients, rand, rank, shared_rng
from dancing.training.tasks import GanBatch, GanTask
from dancing.training.transfer import send

GRADIENT_PENALTY = 10.0  # weight of WGAN's gradient penalty, as in its paper
#: Steps from one R1 penalty to the next, whose weight grows by the same factor (Karras et al., StyleGAN2, CVPR 2020).
R1_INTERVAL = 8


def train_gan(
    task: GanTask,
    settings: GanTraining,
    out: Path,
    resume: ResumeState,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train `task.generator` against `task.discriminator`.

    Writes out/best.pt (lowest `task.best_by`, or else the last epoch) and out/last.pt. An interrupted training resumes
    after the last finished epoch and ends with the same weights.

    Gradients are not clipped: a GAN diverges through its discriminator, and that is regularised by `gan.r1_weight` or
    WGAN's gradient penalty.

    Args:
        task: data, models and losses.
        settings: the section `gan` of the params.
        out: folder of the checkpoints.
        resume: where the state after each epoch is kept.
        on_epoch: called after each epoch.

    Returns:
        The losses by epoch, and the best checkpoint: `task.content`, "params", "generator" (averaged weights) and
        "discriminator".

    Raises:
        UserError: a loss is NaN or infinite.
    """
    runner = EpochRunner(
        label=f"train_gan ({task.compute.device.type})",
        epochs=settings.epochs,
        resume=resume,
        shown=("train_generator", "train_discriminator", task.best_by or ""),
        out=out,
        best_by=task.best_by,
        on_epoch=on_epoch,
    )
    return runner.run(_GanTrainer(task, settings))


class _GanTrainer:
    """Generator and discriminator, their optimizers, and the generator's averaged weights."""

    def __init__(self, task: GanTask, settings: GanTraining) -> None:
        self.task, self.compute, self.settings, self.steps = task, task.compute, settings, 0
        self.rows_per_epoch = settings.batch_size * settings.steps_per_epoch
        self.generator, self.discriminator = task.generator, task.discriminator
        self.ema = Ema(self.generator, settings.ema)
        self.loss = GanLoss(settings.loss)
        betas = (settings.betas[0], settings.betas[1])
        self.generator_parameters = list(self.generator.parameters())
        self.discriminator_parameters = list(self.discriminator.parameters())
        self.generator_optimizer = adam(self.generator_parameters, settings.lr, betas)
        self.discriminator_optimizer = adam(self.discriminator_parameters, settings.discriminator_lr, betas)

    def train_epoch(self, epoch: int) -> Means:
        rng, means = shared_rng(self.settings.seed, epoch), Means()
        torch.manual_seed(rng.initial_seed() + rank())  # for dropout, which takes no generator
        for _ in range(self.settings.steps_per_epoch):
            means.add(self._step(rng))
        self.task.recalibrate(self.ema.model)
        return means

    def _step(self, rng: torch.Generator) -> Scalars:
        """Take `critic_steps` discriminator steps, then a generator step on the last batch. Returns named losses."""
        settings = self.settings
        if self.task.cosine_decay:
            total = settings.epochs * settings.steps_per_epoch
            cosine_lr(self.generator_optimizer, settings.lr, self.steps, total)
            cosine_lr(self.discriminator_optimizer, settings.discriminator_lr, self.steps, total)
        for _ in range(settings.critic_steps - 1):
            with torch.no_grad():
                batch = self.task.batch(rng)
            self._discriminator_step(batch, rng)
        batch = self.task.batch(rng)
        scalars = self._discriminator_step(batch, rng) | self._generator_step(batch)
        self.steps += 1
        self.ema.update(self.generator, self.steps)
        return scalars

    def _discriminator_step(self, batch: GanBatch, rng: torch.Generator) -> Scalars:
        fake = tuple(part.detach() for part in batch.fake)
        real_outputs: Logits = self.compute.run(self.discriminator, *batch.real)
        fake_outputs: Logits = self.compute.run(self.discriminator, *fake)
        loss = self.loss.discriminator(real_outputs, fake_outputs)
        total = loss + self._penalty(batch.real, fake, rng)
        self.discriminator_optimizer.zero_grad(set_to_none=True)
        total.backward()
        average_gradients(self.discriminator_parameters)
        self.discriminator_optimizer.step()
        scores = {"real_score": self.loss.score(real_outputs), "fake_score": self.loss.score(fake_outputs)}
        return {"discriminator": loss} | scores

    def _penalty(
        self, real: tuple[torch.Tensor, ...], fake: tuple[torch.Tensor, ...], rng: torch.Generator
    ) -> torch.Tensor | float:
        """Return the gradient penalty of this step, with its weight; in float32."""
        if self.settings.loss == "wgan_gp":
            share = send(rand((len(fake[0]), 1, 1, 1), rng), self.compute.device)
            mixed, *condition = (torch.lerp(*parts, share) for parts in zip(real, fake, strict=True))
            return GRADIENT_PENALTY * gradient_penalty(lambda images: self.discriminator(images, *condition), mixed)
        if self.settings.r1_weight and self.steps % R1_INTERVAL == 0:
            real_images, *condition = real
            penalty = r1_penalty(lambda images: self.discriminator(images, *condition), real_images)
            return R1_INTERVAL * self.settings.r1_weight * penalty
        return 0.0

    def _generator_step(self, batch: GanBatch) -> Scalars:
        self.discriminator.requires_grad_(False)
        aux_loss = sum(weight * value for weight, value in batch.aux_losses.values())
        loss = self.loss.generator(self.compute.run(self.discriminator, *batch.fake)) + aux_loss
        self.generator_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(self.generator_parameters)
        self.generator_optimizer.step()
        self.discriminator.requires_grad_(True)
        return {name: value for name, (_, value) in batch.aux_losses.items()} | {"generator": loss}

    def validate(self) -> dict[str, float]:
        return self.task.validate(self.ema.model)

    def samples(self) -> Samples:
        return self.task.samples(self.ema.model)

    def checkpoint(self) -> Checkpoint:
        weights = {"generator": self.ema.model.state_dict(), "discriminator": self.discriminator.state_dict()}
        return self.task.content | {"params": self.settings.model_dump()} | weights

    def _parts(self) -> dict[str, torch.nn.Module | torch.optim.Optimizer]:
        return {
            "generator": self.generator, "discriminator": self.discriminator, "ema": self.ema.model,
            "generator_optimizer": self.generator_optimizer, "discriminator_optimizer": self.discriminator_optimizer,
        }  # fmt: skip

    def state_dict(self) -> Checkpoint:
        return {"steps": self.steps, **{name: part.state_dict() for name, part in self._parts().items()}}

    def load_state_dict(self, state: Checkpoint) -> None:
        self.steps = state["steps"]
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
