"""Checkpoints of trained models, and the saved states that interrupted trainings resume from."""

import hashlib
import math
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from types import TracebackType
from typing import Any

import torch

from dancing.errors import UserError
from dancing.files import atomic_write, write_text
from dancing.training.processes import rank

#: The note in a stage's output instead of checkpoints where nothing is trained.
NOTHING = "none.txt"

#: Plain values and tensors only: `torch.load` reads those without running code from the file.
Checkpoint = dict[str, Any]


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically, in the first process of several. The same content gives the same bytes.

    Args:
        path: of the file; missing folders are made.
        checkpoint: what to write.
    """
    if rank():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial, partial.open("wb") as file:
        # Not torch.save(checkpoint, partial): that writes the file's name into the file.
        torch.save(checkpoint, file)


@contextmanager
def open_checkpoint(path: Path, stage: str) -> Iterator[Checkpoint]:
    """Read a checkpoint onto the CPU, for a `with` block that rebuilds a model from it.

    Args:
        path: of the checkpoint.
        stage: name of the stage that writes it, for the message.

    Yields:
        The checkpoint.

    Raises:
        UserError: the file is missing or broken, holds numbers that are not finite, or does not fit this version of the
            models: the block raised an exception that is no `UserError`.
    """
    try:
        checkpoint = _read(path)
        _check_values(checkpoint)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint; the stage {stage} makes it") from None
    except ValueError as error:
        raise UserError(f"{path}: not a checkpoint of ours ({error}); run the stage {stage} again") from None
    try:
        yield checkpoint
    except UserError:
        raise
    except (LookupError, TypeError, AttributeError, RuntimeError, ValueError, ArithmeticError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path}: of another version, or broken ({reason}); run the stage {stage} again") from None


def _check_values(checkpoint: Checkpoint) -> None:
    """Raise ValueError where a tensor or number is not finite, or a few bytes stand for many values."""
    waiting: list[tuple[str, object]] = [("", checkpoint)]
    seen = set()
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict | list | tuple) and value:
            if id(value) in seen:  # a circle, or a list of lists that doubles with every level
                raise ValueError(f"{name} holds the same values twice")
            seen.add(id(value))
            items = value.items() if isinstance(value, dict) else ((None, item) for item in value)
            waiting += [(f"{name}.{key}".strip(".") if key is not None else name, item) for key, item in items]
        elif isinstance(value, torch.Tensor):
            if value.layout != torch.strided or value.is_meta or value.nbytes > value.untyped_storage().nbytes():
                raise ValueError(f"{name} declares {tuple(value.shape)}, more than it holds")
            if not bool(torch.isfinite(value).all()):
                raise ValueError(f"{name} holds NaN or infinity")
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"{name} holds NaN or infinity")


def _read(path: Path) -> Checkpoint:
    """Read tensors and plain values onto the CPU. Raises FileNotFoundError, or ValueError for a broken file."""
    try:
        with zipfile.ZipFile(path) as archive:
            if any(member.compress_type != zipfile.ZIP_STORED for member in archive.infolist()):
                raise ValueError("it is compressed, and could unpack to any size")
        checkpoint: Checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, MemoryError):
        raise
    except (UnpicklingError, zipfile.BadZipFile):
        # torch's own message advises to load the file in a way that runs whatever code is in it.
        raise ValueError("it holds something else than tensors and plain values, or is broken") from None
    except Exception as error:  # broken bytes can make the unpickler raise anything
        raise ValueError(f"{type(error).__name__}: {str(error).split('. ')[0]}") from None
    if not isinstance(checkpoint, dict):
        raise ValueError(f"it holds {type(checkpoint).__name__}, expected names and values")
    return checkpoint


class ResumeState:
    """The saved state of one training after its last finished epoch.

    Attributes:
        path: of the file that holds it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def load(self) -> Checkpoint | None:
        """Return the state, or None for a fresh start: there is no file, or it can't be read."""
        try:
            return _read(self.path)
        except FileNotFoundError:
            return None
        except ValueError:
            print(f"{self.path}: unreadable, starting from the beginning", file=sys.stderr)
            return None

    def save(self, state: Checkpoint) -> None:
        """Replace the state atomically."""
        save_checkpoint(self.path, state)


class ResumeStates:
    """The saved states of all trainings in a `with` block.

    If the block succeeds, its states are deleted. If it raises, they are kept, and the next run resumes after the last
    finished epoch.

    Attributes:
        folder: of the states; outside DVC's outputs, which DVC deletes before a stage runs.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._states: list[ResumeState] = []

    def state(self, *identity: object) -> ResumeState:
        """Return the state of one training.

        Args:
            *identity: whatever the result depends on, such as params and the data's digest. A change of any part gives
                another state. Each part needs a `repr` that is the same in every run.
        """
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
    """Return the SHA-256 of a file's content, 64 hex digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def train_nothing(models: Path, plots: Path, curves: Path, reason: str) -> None:
    """Make the outputs that DVC expects of a training, with nothing in them but the reason."""
    plots.mkdir(parents=True, exist_ok=True)
    write_text(models / NOTHING, f"{reason}\n")
    write_text(curves, "")
