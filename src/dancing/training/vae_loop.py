"""The training loop of all VAEs."""

from collections.abc import Callable
from pathlib import Path

import torch

from dancing.params import VaeTraining
from dancing.training.checkpoints import Checkpoint, ResumeState
from dancing.training.epochs import Epoch, EpochRunner, Means, Samples, Trained
from dancing.training.optimization import adam, cosine_lr
from dancing.training.processes import average_gradients, shared_rng
from dancing.training.tasks import VaeTask

MAX_GRADIENT_NORM = 1.0


def train_vae(
    task: VaeTask,
    settings: VaeTraining,
    out: Path,
    resume: ResumeState,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
) -> Trained:
    """Train `task.model`, with early stopping on the validation loss.

    Writes out/best.pt (lowest validation loss) and out/last.pt. An interrupted training resumes after the last finished
    epoch and ends with the same weights.

    Args:
        task: data, model and losses.
        settings: the section `vae` of the params.
        out: folder of the checkpoints.
        resume: where the state after each epoch is kept.
        on_epoch: called after each epoch.

    Returns:
        The losses by epoch, and the best checkpoint: `task.content`, "params" and "state" (the weights).

    Raises:
        UserError: a loss is NaN or infinite.
    """
    runner = EpochRunner(
        label=f"train_vae ({task.compute.device.type})",
        epochs=settings.epochs,
        resume=resume,
        shown=("train_total", "val_total", "train_kl"),
        out=out,
        best_by="val_total",
        patience=settings.patience,
        on_epoch=on_epoch,
    )
    return runner.run(_VaeTrainer(task, settings))


class _VaeTrainer:
    def __init__(self, task: VaeTask, settings: VaeTraining) -> None:
        self.task, self.settings = task, settings
        self.parameters = [weight for weight in task.model.parameters() if weight.requires_grad]
        self.optimizer = adam(self.parameters, settings.lr)
        self.rows_per_epoch = settings.batch_size * settings.steps_per_epoch

    def train_epoch(self, epoch: int) -> Means:
        task, settings = self.task, self.settings
        warmup = min(1.0, epoch / settings.kl_warmup) if settings.kl_warmup else 1.0
        means, rng, steps = Means(), shared_rng(settings.seed, epoch), settings.steps_per_epoch
        task.model.train()
        for step in range((epoch - 1) * steps, epoch * steps):
            if task.cosine_decay:
                cosine_lr(self.optimizer, settings.lr, step, settings.epochs * steps)
            losses = task.losses(rng, warmup)
            self.optimizer.zero_grad(set_to_none=True)
            losses["total"].backward()
            average_gradients(self.parameters)
            torch.nn.utils.clip_grad_norm_(self.parameters, MAX_GRADIENT_NORM)
            self.optimizer.step()
            means.add(losses)
        task.model.eval()
        return means

    def validate(self) -> dict[str, float]:
        return self.task.validate()

    def samples(self) -> Samples:
        return self.task.samples()

    def checkpoint(self) -> Checkpoint:
        return self.task.content | {"params": self.settings.model_dump(), "state": self.task.model.state_dict()}

    def state_dict(self) -> Checkpoint:
        return {"model": self.task.model.state_dict(), "optimizer": self.optimizer.state_dict()}

    def load_state_dict(self, state: Checkpoint) -> None:
        self.task.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
