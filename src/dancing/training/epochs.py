"""The epoch runner that all training loops share: progress, mean losses, checkpoints, resuming."""

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from dancing.errors import UserError
from dancing.training.checkpoints import Checkpoint, ResumeState, save_checkpoint
from dancing.training.processes import Scalars, batch_mean, from_first, rank

History = list[dict[str, float]]  # one dict for each epoch: "epoch" and named losses
Samples = Mapping[str, np.ndarray]  # named outputs, such as images (N, H, W, C) uint8


#: s between two lines of progress where no bar can be shown.
LINE_S = 30.0


class Means:
    """Means of named scalars over the steps of an epoch.

    The scalars stay on the device until the epoch ends, so that no step waits for it.
    """

    def __init__(self) -> None:
        self.names: list[str] = []
        self.steps: list[torch.Tensor] = []

    def add(self, scalars: Scalars) -> None:
        """Add the scalars of one step; every step has the same names."""
        self.names = list(scalars)
        self.steps.append(torch.stack([value.detach() for value in scalars.values()]))

    def result(self, prefix: str) -> dict[str, float]:
        """Return the means, over all processes, with `prefix` before each name."""
        means = batch_mean(torch.stack(self.steps).mean(dim=0)).tolist()
        return {f"{prefix}{name}": mean for name, mean in zip(self.names, means, strict=True)}

    def first_not_finite(self) -> tuple[int, list[str]] | None:
        """Return the first step, from 0, with scalars that are not finite, and their names; None: all are finite."""
        broken = ~torch.stack(self.steps).isfinite().cpu()
        if not broken.any():
            return None
        step = int(broken.any(dim=1).int().argmax())
        return step, [name for name, bad in zip(self.names, broken[step].tolist(), strict=True) if bad]


@dataclass(frozen=True)
class Epoch:
    """A finished epoch, as passed to `on_epoch`.

    Attributes:
        number: from 1.
        losses: "train_" and "val_" losses by name.
        speed: rows of training batches, such as images, a second.
        samples: computes the task's samples when it is called.
    """

    number: int
    losses: dict[str, float]
    speed: float
    samples: Callable[[], Samples]


class Trainer(Protocol):
    """Interface between the epoch runner and a training loop.

    Attributes:
        rows_per_epoch: of all training batches of an epoch, such as images.
    """

    rows_per_epoch: int

    def train_epoch(self, epoch: int) -> Means:
        """Take the steps of one epoch, counted from 1, and return their losses."""
        ...

    def validate(self) -> dict[str, float]:
        """Return named losses on the validation part."""
        ...

    def samples(self) -> Samples:
        """Return outputs for fixed inputs, so that epochs compare."""
        ...

    def checkpoint(self) -> Checkpoint:
        """Return everything that is needed to use the model."""
        ...

    def state_dict(self) -> Checkpoint:
        """Return everything that is needed to resume the training."""
        ...

    def load_state_dict(self, state: Checkpoint) -> None:
        """Restore a state that `state_dict` returned."""
        ...


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        history: the losses by epoch.
        best: the best checkpoint.
    """

    history: History
    best: Checkpoint


@dataclass(frozen=True)
class EpochRunner:
    """Runs a `Trainer` epoch by epoch.

    Attributes:
        label: of the progress bar.
        epochs: the largest number of epochs.
        resume: where the state after each epoch is kept.
        shown: names of the losses in the progress bar.
        out: folder of best.pt and last.pt; None: neither is written.
        best_by: name of the loss whose lowest value makes best.pt; None: the last epoch is the best.
        patience: training stops after more than this many epochs without improvement; None: it never stops early.
        on_epoch: called after each epoch.
    """

    label: str
    epochs: int
    resume: ResumeState
    shown: tuple[str, ...]
    out: Path | None = None
    best_by: str | None = None
    patience: int | None = None
    on_epoch: Callable[[Epoch], None] = lambda _: None

    def run(self, trainer: Trainer) -> Trained:
        """Train, or resume after the last finished epoch of an interrupted run: both end with the same weights.

        Raises:
            UserError: a loss is NaN or infinite. The message names the step and the last good checkpoint.
        """
        history: History = []
        best, best_epoch = math.inf, 0
        best_checkpoint: Checkpoint = {}
        if state := self.resume.load():
            torch.set_num_threads(state["threads"])  # another number rounds differently
            trainer.load_state_dict(state["trainer"])
            history, best, best_epoch = state["history"], state["best"], state["best_epoch"]
            best_checkpoint = state["best_checkpoint"]
            # DVC deletes a stage's outputs before it runs the stage again.
            self._save("best.pt", best_checkpoint)
            self._save("last.pt", trainer.checkpoint() | {"epoch": len(history)})
        with self._resumable(history), _Progress(self.label, self.epochs, done=len(history)) as progress:
            for epoch in range(len(history) + 1, self.epochs + 1):
                if self.patience is not None and epoch - best_epoch > self.patience:
                    break
                start = time.perf_counter()
                means = trainer.train_epoch(epoch)
                losses = means.result("train_")  # waits for the device
                speed = trainer.rows_per_epoch / (time.perf_counter() - start)
                losses = from_first(losses | trainer.validate())  # one for all: they decide when to stop
                self._check_finite(means, losses, epoch)
                checkpoint = copy.deepcopy(trainer.checkpoint() | {"epoch": epoch})
                score = losses[self.best_by] if self.best_by else -epoch
                if score < best:
                    best, best_epoch, best_checkpoint = score, epoch, checkpoint
                    self._save("best.pt", checkpoint)
                self._save("last.pt", checkpoint)
                history.append({"epoch": epoch, **losses})
                self.resume.save(
                    {"trainer": trainer.state_dict(), "history": history, "best": best, "best_epoch": best_epoch,
                     "best_checkpoint": best_checkpoint, "threads": torch.get_num_threads()}
                )  # fmt: skip
                progress.advance({name: losses[name] for name in self.shown if name in losses}, speed)
                if rank() == 0:
                    self.on_epoch(Epoch(epoch, losses, speed, trainer.samples))
        from_first({})  # which has then written the last checkpoint
        return Trained(history, best_checkpoint)

    @contextmanager
    def _resumable(self, history: History) -> Iterator[None]:
        """Say in an interruption where the training goes on."""
        try:
            yield
        except KeyboardInterrupt as interruption:
            interruption.add_note(
                f"{self.label}: {len(history)} of {self.epochs} epochs are done; the same command goes on from there"
            )
            raise

    def _save(self, name: str, checkpoint: Checkpoint) -> None:
        if self.out is not None:
            save_checkpoint(self.out / name, checkpoint)

    def _check_finite(self, means: Means, losses: dict[str, float], epoch: int) -> None:
        where, broken = f"epoch {epoch}", [name for name, value in losses.items() if not math.isfinite(value)]
        if first := means.first_not_finite():
            where, broken = f"step {(epoch - 1) * len(means.steps) + first[0] + 1} (epoch {epoch})", first[1]
        if broken:
            last_good = self.resume.path if self.out is None else self.out / "best.pt"
            kept = f"; the last good checkpoint is {last_good}" if last_good.exists() else ""
            raise UserError(f"training diverged in {where}: {', '.join(broken)} is not finite; lower lr{kept}")


class _Progress:
    """A tqdm bar; where stderr is no terminal or tqdm is not installed, a line every half minute."""

    def __init__(self, label: str, epochs: int, done: int) -> None:
        self.label, self.epochs, self.done, self.first = label, epochs, done, done
        self.start = self.told = time.monotonic()
        try:
            from tqdm import tqdm
        except ImportError:
            self.bar = None
        else:
            self.bar = tqdm(desc=label, total=epochs, initial=done, disable=rank() > 0 or None, unit="epoch")

    def advance(self, losses: Mapping[str, float], speed: float) -> None:
        self.done, now = self.done + 1, time.monotonic()
        if (self.bar is None or self.bar.disable) and rank() == 0 and now - self.told > LINE_S:
            self.told = now
            left = (now - self.start) / (self.done - self.first) * (self.epochs - self.done)
            print(f"{self.label}: {self.done} of {self.epochs} epochs, at most {left:.0f} s left", flush=True)
        if self.bar is not None:
            shown = {name: f"{loss:.4g}" for name, loss in losses.items()}
            self.bar.set_postfix(shown | {"rows/s": f"{speed:.0f}"}, refresh=False)
            self.bar.update()

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()
