"""What the training loops share: a device, checkpoints, crash state, averaged weights, a progress bar."""

import copy
import hashlib
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dancing.errors import UserError
from dancing.files import written_whole

History = list[dict[str, float]]  # one dict an epoch: "epoch" and named losses


def pick_device() -> torch.device:
    """CUDA, else Apple's MPS, else CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def generator(seed: int, *path: int) -> torch.Generator:
    """A CPU generator for one purpose: the same (seed, *path) gives the same numbers, whatever ran before."""
    digest = hashlib.sha256(repr((seed, *path)).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:7], "little"))


def save_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write plain values and tensors, whole or not at all; the same content gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial, partial.open("wb") as file:  # a path's name would become part of the file
        torch.save(content, file)


def _read(path: Path) -> dict[str, Any]:
    """Tensors and plain values onto the CPU, nothing else. Raises FileNotFoundError, or ValueError for broken files."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # the unpickler raises whatever broken bytes lead it to
        raise ValueError(f"{type(error).__name__}: {error}") from None


def load_checkpoint(path: Path, stage: str) -> dict[str, Any]:
    """Read a checkpoint; `stage` is the one that makes it. Raises UserError where it is missing or broken."""
    try:
        return _read(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; the stage {stage} makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not a checkpoint of ours ({error}); run the stage {stage} again") from None


class CrashState:
    """Where an interrupted training goes on: one file outside DVC's outputs, named by what is trained on what."""

    def __init__(self, directory: Path, *identity: object) -> None:
        digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
        self.path = directory / f"{digest}.pt"

    def load(self) -> dict[str, Any] | None:
        """The state after the last finished epoch; None for a fresh start, also where the file can't be read."""
        try:
            return _read(self.path)
        except FileNotFoundError:
            return None
        except ValueError:
            print(f"{self.path}: unreadable, starting from the beginning", file=sys.stderr)
            return None

    def save(self, state: dict[str, Any]) -> None:
        save_checkpoint(self.path, state)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Ema:
    """Exponential moving average of a model's weights; buffers are copied."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model, self.decay = copy.deepcopy(model).eval().requires_grad_(False), decay

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Follow the model; in the first steps more closely, so that the average forgets the first weights."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for mine, its in zip(self.model.parameters(), model.parameters(), strict=True):
            mine.lerp_(its, 1 - decay)
        for kept, new in zip(self.model.buffers(), model.buffers(), strict=True):
            kept.copy_(new)


def cooled(optimiser: torch.optim.Optimizer, lr: float, step: int, steps: int) -> None:
    """Set the learning rate of a step: from lr down to 0 on a half cosine (Loshchilov and Hutter, SGDR, 2017)."""
    for group in optimiser.param_groups:
        group["lr"] = lr * 0.5 * (1 + math.cos(math.pi * step / steps))


class Means:
    """The named scalars of an epoch's steps, the same names in all, kept on the device: no sync a step."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.steps: list[torch.Tensor] = []

    def add(self, scalars: dict[str, torch.Tensor]) -> None:
        self.names = list(scalars)
        self.steps.append(torch.stack([value.detach() for value in scalars.values()]))

    def result(self, prefix: str) -> dict[str, float]:
        means = torch.stack(self.steps).mean(dim=0).tolist()
        return {f"{prefix}{name}": mean for name, mean in zip(self.names, means, strict=True)}

    def first_broken(self) -> tuple[int, list[str]] | None:
        """The first step, from 0, in which something is NaN or infinite, and what."""
        broken = ~torch.stack(self.steps).isfinite().cpu()
        if not broken.any():
            return None
        step = int(broken.any(dim=1).int().argmax())
        return step, [name for name, bad in zip(self.names, broken[step].tolist(), strict=True) if bad]


@dataclass(frozen=True)
class Epoch:
    """What a loop tells after each epoch."""

    number: int  # from 1
    losses: dict[str, float]
    samples: Callable[[], Any]  # makes the fixed samples; called only by who wants them


def progress(items: Iterable[int], label: str, total: int, done: int = 0) -> Any:
    """A tqdm bar, silent where stderr is no terminal; without tqdm (a bare training machine) the plain items."""
    try:
        from tqdm import tqdm
    except ImportError:
        return items
    return tqdm(items, desc=label, total=total, initial=done, disable=None, unit="epoch")


def show(bar: Any, losses: dict[str, float], *names: str) -> None:
    """Put losses behind a progress bar."""
    if hasattr(bar, "set_postfix"):
        bar.set_postfix({name: f"{losses[name]:.4g}" for name in names if name in losses})


def check_finite(means: Means, losses: dict[str, float], epoch: int, last_good: Path) -> None:
    """Raise UserError where a loss is NaN or infinite, naming the step, or the epoch, and the last good checkpoint."""
    where, broken = f"epoch {epoch}", [name for name, value in losses.items() if not math.isfinite(value)]
    if first := means.first_broken():
        where, broken = f"step {(epoch - 1) * len(means.steps) + first[0] + 1} (epoch {epoch})", first[1]
    if broken:
        kept = f"; the last good checkpoint is {last_good}" if last_good.exists() else ""
        raise UserError(f"training diverged in {where}: {', '.join(broken)} is not finite; lower lr{kept}")
