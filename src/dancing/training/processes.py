"""Training in several processes, on several GPUs or machines: each computes its share of every batch.

torchrun starts the processes. Each draws the random numbers of the whole batch and keeps its own rows, so that batch
size and seed mean the same for any number of processes. They average their gradients, so that their weights stay equal.
The first process alone writes files and records.
"""

import atexit
import os
import sys
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Literal

import torch
import torch.distributed as dist
from torch import nn

from dancing.errors import UserError
from dancing.training.device import make_rng

#: Named losses of one step, on the device.
Scalars = dict[str, torch.Tensor]

_WAIT = timedelta(minutes=10)  # for a process that is late; longer than any validation takes


def join_processes(wanted: int | Literal["auto"]) -> None:
    """Start the processes of a stage, or join those that torchrun started.

    Without torchrun, and where more than one process is wanted, the stage is replaced by torchrun, which runs it that
    many times on this machine.

    Args:
        wanted: number of processes on this machine; "auto": one for each GPU, otherwise one.
    """
    if "RANK" in os.environ:
        _join()
        return
    count = max(1, torch.cuda.device_count()) if wanted == "auto" else wanted
    if count > 1:
        stage = sys.modules["__main__"].__spec__
        assert stage is not None  # it was started as `python -m`
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
        os.execv(sys.executable, [sys.executable, *torchrun, "-m", stage.name])


def _join() -> None:
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo", timeout=_WAIT)
    atexit.register(dist.destroy_process_group)
    if rank():
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 - until the process ends


def count() -> int:
    """Return the number of processes; 1 without torchrun."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return the number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


class SharedRng(torch.Generator):
    """A random generator that all processes seed alike; `randn`, `rand` and `randint` keep this process's rows."""


def shared_rng(seed: int, *path: int) -> SharedRng:
    """Return the generator of `make_rng` for training batches, which the processes share."""
    rng = SharedRng()
    rng.manual_seed(make_rng(seed, *path).initial_seed())
    return rng


def own_rows(batch_size: int, rng: torch.Generator) -> slice:
    """Return which rows of a batch belong to this process; all of them unless `rng` is shared.

    Raises:
        UserError: the batch can't be divided among the processes.
    """
    share, rest = divmod(batch_size, _sharers(rng))
    if rest:
        raise UserError(f"a batch of {batch_size} can't be divided among {count()} processes: change its size")
    return slice(rank() * share, (rank() + 1) * share) if isinstance(rng, SharedRng) else slice(0, batch_size)


def own_count(batch_size: int, rng: torch.Generator) -> int:
    """Return how many rows of a batch belong to this process, as `own_rows`."""
    own = own_rows(batch_size, rng)
    return own.stop - own.start


def randn(shape: Sequence[int], rng: torch.Generator) -> torch.Tensor:
    """Return standard normal numbers; the first dimension of `shape` counts the rows of this process."""
    return _drawn(torch.randn, shape, rng)


def rand(shape: Sequence[int], rng: torch.Generator) -> torch.Tensor:
    """Return uniform numbers in [0, 1); the first dimension of `shape` counts the rows of this process."""
    return _drawn(torch.rand, shape, rng)


def randint(high: int, rows: int, rng: torch.Generator) -> torch.Tensor:
    """Return whole numbers in [0, high), one for each row of this process."""
    return _drawn(lambda shape, generator: torch.randint(high, shape, generator=generator), (rows,), rng)


def _sharers(rng: torch.Generator) -> int:
    return count() if isinstance(rng, SharedRng) else 1


def _drawn(draw: Callable[..., torch.Tensor], shape: Sequence[int], rng: torch.Generator) -> torch.Tensor:
    rows, *rest = shape
    sharers = _sharers(rng)
    drawn = draw((sharers * rows, *rest), generator=rng)
    return drawn[rank() * rows : (rank() + 1) * rows] if sharers > 1 else drawn


def batch_mean(values: torch.Tensor) -> torch.Tensor:
    """Return the mean over all processes, without a gradient: for what a loss of the whole batch is divided by."""
    values = values.detach()
    if count() > 1:
        values = values.clone()
        dist.all_reduce(values)
        values /= count()
    return values


def batch_max(value: int) -> int:
    """Return the maximum over all processes."""
    if count() == 1:
        return value
    largest = torch.tensor(float(value), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    return int(largest)


def average_gradients(parameters: Sequence[nn.Parameter]) -> None:
    """Replace the gradients by their means over all processes."""
    if count() == 1:
        return
    known = [parameter for parameter in parameters if parameter.grad is not None]
    flat = batch_mean(torch.cat([parameter.grad.flatten() for parameter in known if parameter.grad is not None]))
    for parameter, mean in zip(known, flat.split([parameter.numel() for parameter in known]), strict=True):
        parameter.grad = mean.view_as(parameter)


def from_first(losses: dict[str, float]) -> dict[str, float]:
    """Return the first process's losses in all of them, which wait for it."""
    if count() == 1:
        return losses
    shared = [losses]
    dist.broadcast_object_list(shared)
    return shared[0]
