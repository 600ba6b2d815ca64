"""The training loop of the VAEs. What one learns from is a `Task`."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch

from dancing.clips.dataset import Dataset
from dancing.music_to_pose.motion_vae import MotionVae
from dancing.music_to_pose.task import MotionTask
from dancing.music_to_pose.train_prior import train_prior
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.vae_task import ImageTask
from dancing.params import ImageVae, Prior, Vae, VaeTraining
from dancing.training.common import (
    CrashState,
    Epoch,
    History,
    Means,
    check_finite,
    cooled,
    file_digest,
    generator,
    pick_device,
    progress,
    save_checkpoint,
    show,
)
from dancing.training.losses import Scalars


class Task(Protocol):
    """What the loop asks of what it trains."""

    model: Any  # on its device
    content: dict[str, Any]  # of a checkpoint, beside the weights
    cooled: bool  # the learning rate falls to 0 over the training

    def losses(self, rng: torch.Generator, warmup: float) -> Scalars:
        """Of a random training batch: "total" is minimised. `warmup` in [0, 1] scales the KL weight."""
        ...

    def validate(self) -> dict[str, float]:
        """Losses on the validation part, "val_total" among them, with the KL at full weight."""
        ...

    def samples(self) -> dict[str, Any]:
        """What is shown of the same held-out inputs after each epoch."""
        ...


@dataclass(frozen=True)
class VaeHistory:
    """Losses by epoch."""

    vae: History
    prior: History  # empty without a flow prior
    crashes: tuple[CrashState, ...] = field(compare=False)

    def settled(self) -> None:
        """What was trained is used and kept: forget where an interrupted run would go on."""
        for crash in self.crashes:
            crash.clear()


def train_vae(
    dataset: Dataset | ImageDataset,
    vae: Vae | ImageVae,
    prior: Prior | None,
    out: Path,
    crash_dir: Path,
    on_epoch: Callable[[Epoch], None] = lambda _: None,
    on_prior_epoch: Callable[[Epoch], None] = lambda _: None,
) -> VaeHistory:
    """Train `vae.model` on the training part, stop early on the validation part; of motion, then the latents' prior.

    Writes out/best.pt and out/last.pt (weights, config, what the task adds); best.pt gets the prior too.
    Interrupted, it goes on after the last finished epoch and ends with the same weights; done, it is done at once until
    the history that it returns is `settled`. Raises UserError where there is too little to learn from.
    """
    device, data = pick_device(), file_digest(dataset.path)
    crash = CrashState(crash_dir, "train_vae", vae.model_dump(), data, device.type)
    if isinstance(dataset, ImageDataset):
        assert isinstance(vae, ImageVae)
        return VaeHistory(_fit(ImageTask(dataset, vae, device), vae, out, crash, on_epoch)[0], [], (crash,))
    assert isinstance(vae, Vae)
    task = MotionTask(dataset, vae, device)
    history, best = _fit(task, vae, out, crash, on_epoch)
    prior_history, crashes = list[dict[str, float]](), [crash]
    if prior is not None and isinstance(task.model, MotionVae) and vae.prior == "flow":
        prior_crash = CrashState(crash_dir, "prior", vae.model_dump(), prior.model_dump(), data, device.type)
        task.model.load_state_dict(best["state"])
        flow, prior_history = train_prior(
            task.model, task.train, task.val, prior, vae.time_stretch, prior_crash, on_prior_epoch
        )
        save_checkpoint(out / "best.pt", best | {"prior": flow})
        crashes.append(prior_crash)
    return VaeHistory(history, prior_history, tuple(crashes))


def _fit(
    task: Task, vae: VaeTraining, out: Path, crash: CrashState, on_epoch: Callable[[Epoch], None]
) -> tuple[History, dict[str, Any]]:
    """The losses by epoch, and the checkpoint with the least validation loss."""
    model = task.model
    optimiser = torch.optim.Adam((p for p in model.parameters() if p.requires_grad), lr=vae.lr)
    content = task.content | {"params": vae.model_dump()}
    history: History = []
    best, best_epoch = float("inf"), 0
    best_checkpoint: dict[str, Any] = {}
    if state := crash.load():
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        history, best, best_epoch = state["history"], state["best"], state["best_epoch"]
        best_checkpoint = state["best_checkpoint"]
        # DVC empties a stage's outputs before it runs again.
        save_checkpoint(out / "best.pt", best_checkpoint)
        save_checkpoint(out / "last.pt", content | {"epoch": len(history), "state": state["model"]})

    device = next(model.parameters()).device
    bar = progress(range(len(history) + 1, vae.epochs + 1), f"train_vae ({device.type})", vae.epochs, len(history))
    for epoch in bar:
        if epoch - best_epoch > vae.patience:
            break
        warmup = min(1.0, epoch / vae.kl_warmup) if vae.kl_warmup else 1.0
        means = _train_epoch(task, optimiser, vae, warmup, epoch)
        model.eval()
        losses = means.result("train_") | task.validate()
        check_finite(means, losses, epoch, out / "best.pt")
        history.append({"epoch": epoch, **losses})
        checkpoint = content | {"epoch": epoch, "state": copy.deepcopy(model.state_dict())}
        if losses["val_total"] < best:
            best, best_epoch, best_checkpoint = losses["val_total"], epoch, checkpoint
            save_checkpoint(out / "best.pt", checkpoint)
        save_checkpoint(out / "last.pt", checkpoint)
        crash.save(
            {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "history": history, "best": best,
             "best_epoch": best_epoch, "best_checkpoint": best_checkpoint}
        )  # fmt: skip
        show(bar, losses, "train_total", "val_total", "train_kl")
        on_epoch(Epoch(epoch, losses, task.samples))
    return history, best_checkpoint


def _train_epoch(
    task: Task, optimiser: torch.optim.Optimizer, vae: VaeTraining, warmup: float, epoch: int
) -> Means:  # fmt: skip
    task.model.train()
    means, rng, steps = Means(), generator(vae.seed, epoch), vae.steps_per_epoch
    for step in range((epoch - 1) * steps, epoch * steps):
        if task.cooled:
            cooled(optimiser, vae.lr, step, vae.epochs * steps)
        scalars = task.losses(rng, warmup)
        optimiser.zero_grad(set_to_none=True)
        scalars["total"].backward()
        torch.nn.utils.clip_grad_norm_(task.model.parameters(), 1.0)
        optimiser.step()
        means.add(scalars)
    return means
