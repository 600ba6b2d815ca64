"""Call a function for many tasks on a Dask cluster whose machines share a file system (`features.cluster`).

The user starts the scheduler and the workers, in an environment like this one. Dask is imported only where a cluster is
used (extra `cluster`).
"""

from __future__ import annotations

import asyncio
import logging
import os
import platform
import socket
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import chdir, contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from pkgutil import resolve_name
from queue import Empty, SimpleQueue
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

from dancing.errors import UserError

if TYPE_CHECKING:
    from distributed import Client, Future

_CONNECT_S = 5.0  # to reach the scheduler, and for its first worker
_LOOK_S = 5.0  # without a result, after which the workers are counted
_PATIENCE_S = 60.0  # without a worker; a nanny replaces a lost one in seconds
_PACKAGES = ("av", "distributed", "librosa", "mediapipe", "numpy", "opencv-contrib-python", "opencv-python", "scipy")


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


#: What results may depend on, as it was when this process started: a worker keeps what it has loaded when another
#: version is installed.
VERSIONS = {"python": ".".join(platform.python_version_tuple()[:2]), **{name: _installed(name) for name in _PACKAGES}}


def run(address: str, function: str, tasks: Mapping[str, tuple], shared: Path) -> Iterator[tuple[str, Any]]:
    """Call a function once a task, on the workers of a cluster. They start in the current folder.

    Args:
        address: of the scheduler, tcp://host:port.
        function: "module:name". Workers import it, the scheduler does not. It is called again if its worker is lost.
        tasks: name -> arguments, plain values.
        shared: a folder that this process and the workers write to.

    Yields:
        Name and result of each task, as they are ready. A task is left out if several workers died of it, or beside it.

    Raises:
        UserError: there is no cluster or it is lost, or a worker does not see the folders or has other versions.
        Exception: what the function raised.
    """
    with _connect(address) as client, NamedTemporaryFile(dir=shared, prefix=".cluster-") as seen:
        group = f"clips-{uuid4().hex}"  # tasks of one group wait at the scheduler until a worker is free
        futures = client.map(
            _call,
            list(tasks.values()),
            key=[(group, name) for name in tasks],
            function=function,
            expected={"folder": os.getcwd(), "seen": seen.name, "versions": VERSIONS},
        )
        done: SimpleQueue[Future] = SimpleQueue()
        for future in futures:
            future.add_done_callback(done.put)
        waiting = {future.key: name for future, name in zip(futures, tasks, strict=True)}
        while waiting:
            future = _next(done, client)
            try:
                result = _result(future)
            except TimeoutError:  # the worker that held it was lost, so that it is computed again
                future.add_done_callback(done.put)
                continue
            name = waiting.pop(future.key)
            future.release()
            if result is not _KILLED:
                yield name, result


_KILLED = object()


@contextmanager
def _connect(address: str) -> Iterator[Client]:
    """A client of a scheduler that has a worker."""
    try:
        from distributed import Client, rpc
    except ImportError:
        raise UserError("features.cluster: the package distributed is missing: pip install -e '.[cluster]'") from None

    async def greet() -> None:
        async with rpc(address) as there:
            kind = (await there.identity())["type"]
        if kind != "Scheduler":
            raise ValueError(f"it is the address of a {kind}")

    logging.getLogger("distributed.client").setLevel(logging.CRITICAL)  # what it tells is told here, in a line
    try:
        parts = urlsplit(address)
        socket.create_connection((parts.hostname, parts.port), _CONNECT_S).close()  # Dask does not say what failed
        # Client would wait for ever where something else than Dask listens, whose answer it may take for a size.
        asyncio.run(asyncio.wait_for(greet(), _CONNECT_S))
        client = Client(address, timeout=_CONNECT_S, set_as_default=False)
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or f"waited {_CONNECT_S:g} s"
        raise UserError(
            f"features.cluster: no Dask scheduler answers at {address} ({reason}): start one, or set it to null"
        ) from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_CONNECT_S)
        except TimeoutError:
            raise UserError(
                f"features.cluster: the scheduler at {address} has no workers: dask worker {address} --nthreads 1"
            ) from None
        yield client


def _next(done: SimpleQueue[Future], client: Client) -> Future:
    """The next future that is done."""
    last_seen = time.monotonic()
    while True:
        with suppress(Empty):
            return done.get(timeout=_LOOK_S)
        with suppress(OSError):  # the scheduler is busy, or lost; the latter ends all futures
            if client.nthreads():
                last_seen = time.monotonic()
        if time.monotonic() - last_seen > _PATIENCE_S:
            raise UserError(
                f"features.cluster: no worker was left for {_PATIENCE_S:g} s. Start workers, and run the stage again: "
                "it goes on with the clips that are missing"
            )


def _result(future: Future) -> Any:
    """The result of a future that is done; `_KILLED` if its workers died."""
    from distributed import KilledWorker

    if future.status == "error":
        error = future.exception()
        if isinstance(error, KilledWorker):
            return _KILLED
        if isinstance(error, ImportError) or "deserialization of the task graph" in str(error):
            reason = error.__cause__ or error
            raise UserError(
                f"features.cluster: scheduler or workers lack what is needed ({reason}): start them with the Python "
                "of this project's environment"
            )
        raise error
    try:
        return future.result(timeout=_LOOK_S)
    except CancelledError:
        raise UserError(
            "features.cluster: the connection to the scheduler was lost. Start it, and run the stage again: it goes on "
            "with the clips that are missing"
        ) from None


def _call(arguments: tuple, function: str, expected: dict[str, Any]) -> Any:
    """Call the function, in a worker."""
    from distributed import get_worker

    worker = get_worker()
    check_worker(worker.address, worker.state.nthreads, **expected)
    with chdir(expected["folder"]):
        return resolve_name(function)(*arguments)


def check_worker(worker: str, threads: int, folder: str, seen: str, versions: dict[str, str]) -> None:
    """Compare this process with the one that calls `run`.

    Args:
        worker: its address.
        threads: that call functions.
        folder: the current folder of the other process.
        seen: a file that the other process has made.
        versions: `VERSIONS` of the other process.

    Raises:
        UserError: something differs.
    """
    who = f"features.cluster: the worker {worker}"
    if threads != 1:
        raise UserError(f"{who} has {threads} threads, expected one: start more workers with --nthreads 1 instead")
    different = [f"{name} {VERSIONS.get(name)} instead of {here}" for name, here in versions.items()
                 if VERSIONS.get(name) != here]  # fmt: skip
    if different:
        raise UserError(f"{who} has {', '.join(different)}: start it with the same environment")
    for path in (folder, seen):
        if not os.path.exists(path):
            raise UserError(
                f"{who} does not see {path}: project, clips and cache have to be on a file system that all machines "
                "share, in the same place"
            )
