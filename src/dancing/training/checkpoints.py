"""Checkpoints of trained models, and states from which an interrupted training goes on."""

import hashlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from dancing.errors import UserError
from dancing.files import written_whole

#: The note in a stage's output instead of checkpoints where nothing is trained.
NOTHING = "none.txt"

#: Plain values and tensors: what `torch.load` reads without running code from the file.
Checkpoint = dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all; the same content gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path) as partial, partial.open("wb") as file:  # a path's name would become part of the file
        torch.save(checkpoint, file)


@contextmanager
def open_checkpoint(path: Path, stage: str) -> Iterator[Checkpoint]:
    """Read a checkpoint for a block that rebuilds a model from it.

    Args:
        path: the checkpoint.
        stage: the stage that makes it, for the message.

    Raises:
        UserError: the file is missing or broken, or the block finds that a model of another version wrote it (it
            raises KeyError, TypeError, AttributeError or torch's RuntimeError).
    """
    try:
        checkpoint = _read(path)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; the stage {stage} makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not a checkpoint of ours ({error}); run the stage {stage} again") from None
    try:
        yield checkpoint
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise UserError(f"{path}: of another version ({error}); run the stage {stage} again") from None


def _read(path: Path) -> Checkpoint:
    """Read tensors and plain values onto the CPU. Raises FileNotFoundError, or ValueError for a broken file."""
    try:
        checkpoint: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except Exception as error:  # the unpickler raises whatever broken bytes lead it to
        raise ValueError(f"{type(error).__name__}: {error}") from None
    return checkpoint


class ResumeState:
    """The state of one training after its last finished epoch."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Checkpoint | None:
        """Return the state; None for a fresh start, also where the file can't be read."""
        try:
            return _read(self.path)
        except FileNotFoundError:
            return None
        except ValueError:
            print(f"{self.path}: unreadable, starting from the beginning", file=sys.stderr)
            return None

    def save(self, state: Checkpoint) -> None:
        """Replace the state, whole or not at all."""
        save_checkpoint(self.path, state)


class ResumeStates:
    """States of the trainings of a `with` block, in a folder outside DVC's outputs.

    A block that ends without an exception forgets its states: what was trained is in use. Any other end keeps them, so
    that the next run goes on after the last finished epoch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._states: list[ResumeState] = []

    def state(self, *identity: object) -> ResumeState:
        """Return the state of one training; `identity` says what is trained on what, with which params."""
        digest = hashlib.sha256(repr(identity).encode()).hexdigest()[:16]
        self._states.append(ResumeState(self.folder / f"{digest}.pt"))
        return self._states[-1]

    def __enter__(self) -> "ResumeStates":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            for state in self._states:
                state.path.unlink(missing_ok=True)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's content."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def train_nothing(models: Path, plots: Path, curves: Path, reason: str) -> None:
    """Make the outputs that DVC expects of a training, with nothing in them but the reason."""
    for folder in (models, plots, curves.parent):
        folder.mkdir(parents=True, exist_ok=True)
    (models / NOTHING).write_text(f"{reason}\n", encoding="utf-8")
    curves.write_text("", encoding="utf-8")
