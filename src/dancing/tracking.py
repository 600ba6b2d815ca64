"""MLflow tracking: one parent run for each experiment, with one child run for each stage.

The parent run has DVC's name of the experiment. For a plain `dvc repro`, and for a stage that is run by hand, the name
contains the digest of the params. The store is a SQLite file in the main checkout of the project, also for stages in
DVC's temporary checkouts and queue workers. MLFLOW_TRACKING_URI overrides it.

A stage never fails because of its record. If the store can't be used, at the start or later, a warning is printed, and
all that was recorded so far, and all that follows, goes into a local store instead.
"""

import logging
import os
import platform
import sqlite3
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import psutil
import requests
from alembic.util import CommandError
from filelock import FileLock
from mlflow.entities import Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.models import ModelSignature
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_PARENT_RUN_ID, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME
from sqlalchemy.exc import SQLAlchemyError

from dancing.params import System

if TYPE_CHECKING:
    from torch import nn

# Without these lines, MLflow prints thirty lines about schema migrations, hints about pickled models, and tracebacks of
# errors that are handled here.
for noisy in ("mlflow", "alembic", "urllib3"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="mlflow")
# By default, MLflow tries for four minutes to reach a server that is gone.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")

#: What a store that can't be used raises; errors of `requests` are OSErrors.
_UNUSABLE = (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError, ImportError)
_PATIENCE_S = 5.0  # to reach a server, or for another process to release a database
_PROCESS = "process"  # tag: machine, process id and its start, to see whether a run is still going on
_SECTIONS = {
    "train_vae": ("vae.", "prior.", "train."), "train_gan": ("gan.", "train."), "extract_features": ("features.",),
    "build_hdf5": ("data.",),
}  # fmt: skip


def project_root() -> Path:
    """Folder of the project's main checkout.

    If DVC runs the stage, it is DVC_ROOT, also in `--temp` and queue workers. Otherwise it is the nearest folder with
    .dvc, from the current one upwards, or the current folder if there is none.
    """
    if "DVC_ROOT" in os.environ:
        return Path(os.environ["DVC_ROOT"]).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def cache_dir() -> Path:
    """Folder for files that outlive the outputs of a stage: cached features, and states of interrupted trainings."""
    return project_root() / ".cache"


class StageRun:
    """The MLflow run of a stage. Headline metrics are logged on its parent run too.

    Args:
        stage: name of the stage, such as train_vae.
        params: all params; those of the stage are logged on its run.
    """

    def __init__(self, stage: str, params: System) -> None:
        self._open: Callable[[str], _Store] = lambda uri: _Store(uri, stage, params)
        self._uris = _store_uris()
        self._actions: list[Callable[[_Store], None]] = []  # recorded so far
        self._store: _Store | None = None
        self._next_store()

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics by name at a step, such as an epoch."""
        now = round(time.time() * 1000)
        self._record(lambda store: store.metrics(store.run_id, values, step, now))

    def headline(self, values: Mapping[str, float | None]) -> None:
        """Log the main metrics, on this run and on the parent run; values of None are skipped."""
        known = {name: value for name, value in values.items() if value is not None}
        now = round(time.time() * 1000)
        self._record(lambda store: store.metrics(store.run_id, known, 0, now))
        self._record(lambda store: store.metrics(store.parent_id, known, 0, now))

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file to a folder of the run's artifacts, by default the top folder."""
        self._record(lambda store: store.client.log_artifact(store.run_id, str(path), folder))

    def image(self, picture: np.ndarray, key: str, step: int) -> None:
        """Log an image (H, W, 3) uint8 RGB; MLflow shows the images of a `key` with a slider over steps."""
        self._record(lambda store: store.client.log_image(store.run_id, picture, key=key, step=step))

    def model(self, model: "nn.Module", name: str, signature: ModelSignature) -> None:
        """Log a torch module, so that `mlflow.pytorch.load_model` can load it.

        Args:
            model: a module on the CPU.
            name: name of the model in the run.
            signature: its inputs and outputs, see `tensor_signature`.
        """
        self._record(lambda store: store.model(model, name, signature))

    def end(self, status: str) -> None:
        """End the run and its parent as FINISHED, FAILED or KILLED."""
        self._record(lambda store: store.end(status))

    def _record(self, action: Callable[["_Store"], None]) -> None:
        self._actions.append(action)
        if self._store is not None:
            try:
                action(self._store)
            except _UNUSABLE as error:
                self._warn(self._store.uri, error)
                self._next_store()

    def _next_store(self) -> None:
        """Open the first store that works, and record there what was recorded so far."""
        self._store = None
        while self._uris and self._store is None:
            uri = self._uris.pop(0)
            try:
                store = self._open(uri)
                for action in self._actions:
                    action(store)
                self._store = store
            except _UNUSABLE as error:
                self._warn(uri, error)

    def _warn(self, uri: str, error: Exception) -> None:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
        then = f"this run is recorded in {self._uris[0]}" if self._uris else "this run is not recorded"
        print(f"warning: MLflow's store {uri} can't be used ({reason}): {then}", file=sys.stderr)


class _Store:
    """An MLflow store with the open runs of a stage and its experiment.

    Args:
        uri: of the store.
        stage: name of the stage.
        params: all params.

    Raises:
        Exception: one of `_UNUSABLE`.
    """

    def __init__(self, uri: str, stage: str, params: System) -> None:
        root = project_root()
        (root / ".cache").mkdir(exist_ok=True)
        _check(uri)
        self.uri = uri
        # If two processes open a new store at the same time, both create its tables, and one fails. Also, both would
        # create a parent run.
        with FileLock(root / ".cache" / "mlflow.lock"):
            self.client = MlflowClient(uri)
            experiment_id = _experiment(
                self.client, params.mlflow.experiment, root if uri.startswith("sqlite:") else None
            )
            _end_stale_runs(self.client, experiment_id)
            self.parent_id = _parent(self.client, experiment_id, params).info.run_id
            own = {"stage": stage, MLFLOW_RUN_NAME: stage, MLFLOW_SOURCE_NAME: f"stages/{stage}.py", **_commit()}
            tags = resolve_tags({**own, MLFLOW_PARENT_RUN_ID: self.parent_id, _PROCESS: _this_process()})
            self.run_id = self.client.create_run(experiment_id, tags=tags).info.run_id
            self.client.set_tag(self.parent_id, _PROCESS, _this_process())
        prefixes = _SECTIONS.get(stage, (f"{stage}.",))
        _log_params(
            self.client, self.run_id, {key: value for key, value in params.flat().items() if key.startswith(prefixes)}
        )
        # A thread that logs load, memory, network and GPU every ten seconds.
        self.monitor = SystemMetricsMonitor(self.run_id, tracking_uri=uri) if _wants_system_metrics() else None
        if self.monitor:
            self.monitor.start()

    def metrics(self, run_id: str, values: Mapping[str, float], step: int, time: int) -> None:
        """Log metrics on a run; the time is in milliseconds."""
        self.client.log_batch(run_id, [Metric(name, value, time, step) for name, value in values.items()])

    def model(self, model: "nn.Module", name: str, signature: ModelSignature) -> None:
        """Log a torch module."""
        import mlflow.pytorch
        import torch

        version = torch.__version__.split("+")[0]
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(self.uri)
        try:
            with mlflow.start_run(run_id=self.run_id, log_system_metrics=False):  # `self.monitor` does it
                mlflow.pytorch.log_model(
                    model,
                    name=name,
                    signature=signature,
                    # The default, pt2, fixes the length of sequences.
                    serialization_format="pickle",
                    # The code of this package is saved with the model; its dependencies are installed from PyPI.
                    code_paths=[str(Path(__file__).parent)],
                    pip_requirements=[
                        f"torch=={version}",
                        "h5py",
                        "numpy",
                        "pydantic",
                        "pyyaml",
                    ],
                )
        finally:
            mlflow.set_tracking_uri(before)
        self.client.update_run(self.run_id, "RUNNING")

    def end(self, status: str) -> None:
        """End both runs."""
        if self.monitor:
            self.monitor.finish()
        for run_id in (self.run_id, self.parent_id):
            self.client.set_terminated(run_id, status)


def _wants_system_metrics() -> bool:
    """Whether system metrics are logged: MLflow's own switch, but on unless it says no."""
    return os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").strip().lower() in ("true", "1")


@contextmanager
def stage_run(stage: str, params: System) -> Iterator[StageRun]:
    """Open the run of a stage as a child of the experiment's run, as a context manager.

    If the block raises, both runs end as FAILED; as KILLED if it is interrupted. Any stage can be the last one of an
    experiment, so every stage sets the end of the parent run.

    Args:
        stage: name of the stage, such as train_vae.
        params: all params; those of the stage are logged on its run.
    """
    run, status = StageRun(stage, params), "FAILED"
    try:
        yield run
        status = "FINISHED"
    except KeyboardInterrupt:
        status = "KILLED"
        raise
    finally:
        run.end(status)


def tensor_signature(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> ModelSignature:
    """Signature of a model with one float32 input and one float32 output.

    Args:
        inputs: shape of the input; -1 for any size.
        outputs: shape of the output; -1 for any size.
    """
    dtype = np.dtype("float32")
    return ModelSignature(Schema([TensorSpec(dtype, inputs)]), Schema([TensorSpec(dtype, outputs)]))


def _store_uris() -> list[str]:
    """The stores that are tried, in this order; none if this is not the first of a training's processes."""
    if os.environ.get("RANK", "0") != "0":
        return []
    root = project_root()
    local, last = (f"sqlite:///{root / name}" for name in ("mlflow.db", ".cache/mlflow-fallback.db"))
    return list(dict.fromkeys([os.environ.get("MLFLOW_TRACKING_URI") or local, local, last]))


def _check(uri: str) -> None:
    """Raise one of `_UNUSABLE` within seconds where MLflow would try for minutes or hours."""
    if uri.startswith(("http://", "https://")):
        requests.get(f"{uri.rstrip('/')}/health", timeout=_PATIENCE_S)
    elif uri.startswith("sqlite:///"):
        path = Path(uri.removeprefix("sqlite:///"))
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise PermissionError(f"{path} can't be written")
        database = sqlite3.connect(path, timeout=_PATIENCE_S)
        try:
            database.execute("BEGIN IMMEDIATE")  # needs a database that is whole, writable and not locked
            database.execute("SELECT * FROM sqlite_master").fetchall()
        finally:
            database.close()


def _this_process() -> str:
    return f"{platform.node()} {os.getpid()} {psutil.Process().create_time():.0f}"


def _end_stale_runs(client: MlflowClient, experiment_id: str) -> None:
    """End the runs whose process was killed: nobody else will."""
    for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'"):
        node, _, process = run.data.tags.get(_PROCESS, "").partition(" ")
        if node != platform.node():
            continue
        number, started = process.split()
        try:
            alive = abs(psutil.Process(int(number)).create_time() - float(started)) < 2
        except psutil.Error:
            alive = False
        if not alive:
            client.set_terminated(run.info.run_id, "KILLED")


def _experiment(client: MlflowClient, name: str, root: Path | None) -> str:
    """Id of the experiment, which is created if missing; a local one keeps its artifacts in the folder `root`."""
    if found := client.get_experiment_by_name(name):
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
            print(f"mlflow.experiment: {name} had been deleted in MLflow and is restored", file=sys.stderr)
        return found.experiment_id
    return client.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri() if root else None)


def _parent(client: MlflowClient, experiment_id: str, params: System) -> Run:
    """Find the parent run of this experiment (same name and params), or create it."""
    name = os.environ.get("DVC_EXP_NAME") or f"repro-{params.digest()}"
    identity = {"experiment": name, "params": params.digest()}
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
    if found := client.search_runs([experiment_id], query, max_results=1):
        return found[0]
    dvc = {key: os.environ[key] for key in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV") if key in os.environ}
    run = client.create_run(experiment_id, tags=resolve_tags({MLFLOW_RUN_NAME: name, **identity, **dvc, **_commit()}))
    _log_params(client, run.info.run_id, params.flat())
    return run


def _log_params(client: MlflowClient, run_id: str, values: Mapping[str, object]) -> None:
    params = [Param(key, str(value)) for key, value in values.items()]
    for first in range(0, len(params), 100):  # the most that MLflow takes at once
        client.log_batch(run_id, params=params[first : first + 100])


def _commit() -> dict[str, str]:
    result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {MLFLOW_GIT_COMMIT: result.stdout.strip()} if result.returncode == 0 else {}
