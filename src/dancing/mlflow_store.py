"""A store of MLflow with the open runs of a stage. Only `tracking` uses it, which imports it when a run is opened."""

import json
import logging
import os
import platform
import sqlite3
import subprocess
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import requests
from alembic.util import CommandError
from filelock import FileLock
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelInput, Metric, Param, Run
from mlflow.exceptions import MlflowException
from mlflow.system_metrics.system_metrics_monitor import SystemMetricsMonitor
from mlflow.tracking import MlflowClient
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import (
    MLFLOW_GIT_COMMIT,
    MLFLOW_PARENT_RUN_ID,
    MLFLOW_RUN_NAME,
    MLFLOW_RUN_NOTE,
    MLFLOW_SOURCE_NAME,
)
from sqlalchemy.exc import SQLAlchemyError

from dancing.params import System
from dancing.served.models import ServedModel
from dancing.tracking import project_root

# Without these lines, MLflow prints thirty lines about schema migrations, and tracebacks of errors handled here.
for noisy in ("mlflow", "alembic", "urllib3"):
    logging.getLogger(noisy).setLevel(logging.CRITICAL)
warnings.filterwarnings("ignore", module="mlflow")
# By default, MLflow tries for four minutes to reach a server that is gone.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

#: What a store that can't be used raises; errors of `requests` are OSErrors.
UNUSABLE = (MlflowException, SQLAlchemyError, CommandError, sqlite3.Error, OSError, ImportError)
#: Tag of a logged model: digest of its checkpoints. Tag of a parent run: id of its model of the whole dance.
CHECKPOINTS, DANCE_MODEL = "checkpoints", "dance_model"
#: Of the view that `dancing ui` opens. Experiments keep views in tags.
VIEW = "dancing"
#: Columns of the run table, as far as a system has them.
_COLUMNS = (
    *("magnitude", "f1", "tempo_locking_sum", "foot_slide", "ssim_crop", "pck_20", "flicker_ratio"),
    *("gan_classifier_score", "gan_coverage", "vae_coverage"),
)
_URI = "MLFLOW_TRACKING_URI"
_PATIENCE_S = 5.0  # to reach a server, or for another process to release a database
_PROCESS = "process"  # tag: machine, process id and its start, to see whether a run is still going on
_SECTIONS = {
    "train_vae": ("vae.", "prior.", "train."), "train_gan": ("gan.", "train."), "extract_features": ("features.",),
    "build_hdf5": ("data.",),
}  # fmt: skip


@contextmanager
def using(uri: str) -> Iterator[None]:
    """Let MLflow's functions use a store, for a `with` block. They set an environment variable, which is restored."""
    import mlflow

    before, variable = mlflow.get_tracking_uri(), os.environ.get(_URI)
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(before)
        if variable is None:
            os.environ.pop(_URI, None)
        else:
            os.environ[_URI] = variable


class Store:
    """An MLflow store with the open runs of a stage and its experiment.

    Args:
        uri: of the store.
        stage: name of the stage.
        params: all params.

    Raises:
        Exception: one of `UNUSABLE`.
    """

    def __init__(self, uri: str, stage: str, params: System) -> None:
        root = project_root()
        (root / ".cache").mkdir(exist_ok=True)
        _check(uri)
        self.uri = uri
        #: The model and the dataset that headline metrics belong to, where they are known.
        self.model_id: str | None = None
        self.measured_on: Dataset | None = None
        # If two processes open a new store at the same time, both create its tables, and one fails. Also, both would
        # create a parent run.
        with FileLock(root / ".cache" / "mlflow.lock"):
            self.client = MlflowClient(uri)
            local = root if uri.startswith("sqlite:") else None
            if local:
                _relocate(Path(uri.removeprefix("sqlite:///")), local)
            self.experiment_id = experiment_id = _experiment(self.client, params.mlflow.experiment, local)
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

    def metrics(self, values: Mapping[str, float], step: int, time: int) -> None:
        """Log metrics on the run of the stage; the time is in milliseconds."""
        self.client.log_batch(self.run_id, [Metric(name, value, time, step) for name, value in values.items()])

    def headline(self, values: Mapping[str, float], time: int) -> None:
        """Log metrics on both runs, and on the model and the dataset that they belong to."""
        data = self.measured_on
        name_of_data, digest = (data.name, data.digest) if data else (None, None)
        for run_id, model_id in ((self.run_id, self.model_id), (self.parent_id, None)):
            self.client.log_batch(
                run_id,
                [
                    Metric(name, value, time, 0, model_id, name_of_data, digest, run_id)
                    for name, value in values.items()
                ],
            )

    def artifact(self, path: Path, folder: str | None, parent: bool) -> None:
        """Upload a file."""
        for run_id in (self.run_id, self.parent_id) if parent else (self.run_id,):
            self.client.log_artifact(run_id, str(path), folder)

    def dataset(self, path: Path, digest: str, profile: Mapping[str, object], context: str) -> None:
        """Link both runs to a dataset file."""
        source = json.dumps({"uri": str(path.absolute())})
        self.measured_on = Dataset(path.name, digest[:8], "local", source, profile=json.dumps(profile))
        linked = DatasetInput(self.measured_on, [InputTag("mlflow.data.context", context)])
        for run_id in (self.run_id, self.parent_id):
            self.client.log_inputs(run_id, datasets=[linked])

    def model(self, served: ServedModel) -> None:
        """Log a model, or link the run to the one of the same checkpoints that is already logged."""
        found = self.client.search_logged_models(
            [self.experiment_id],
            f"name = '{served.name}' AND tags.{CHECKPOINTS} = '{served.digest}'",
            max_results=1,
        )
        if found:
            self.model_id = found[0].model_id
            self.client.log_inputs(self.run_id, models=[LoggedModelInput(self.model_id)])
        else:
            self.model_id = self._log_model(served)
        if served.name == "dance":
            self.client.set_tag(self.parent_id, DANCE_MODEL, self.model_id)

    def _log_model(self, served: ServedModel) -> str:
        import mlflow

        # `self.monitor` logs the system's metrics.
        with using(self.uri), mlflow.start_run(run_id=self.run_id, log_system_metrics=False):
            model_id = served.log({CHECKPOINTS: served.digest})
        self.client.update_run(self.run_id, "RUNNING")
        return model_id

    def end(self, status: str) -> None:
        """Describe the parent run by what is known of it by now, and end both runs."""
        if self.monitor:
            self.monitor.finish()
        self.client.set_tag(self.parent_id, MLFLOW_RUN_NOTE, self._description())
        for run_id in (self.run_id, self.parent_id):
            self.client.set_terminated(run_id, status)

    def _description(self) -> str:
        """Markdown: the picture of the video, the headline metrics, and the commit."""
        run = self.client.get_run(self.parent_id)
        listed = (self.client.list_artifacts(self.parent_id, folder) for folder in (None, "videos"))
        files = {file.path for artifacts in listed for file in artifacts}
        parts = []
        if known := [name for name in _COLUMNS if name in run.data.metrics]:
            values = [f"{run.data.metrics[name]:.3g}" for name in known]
            parts.append("\n".join(f"| {' | '.join(row)} |" for row in (known, ["---:"] * len(known), values)))
        address = f"get-artifact?run_uuid={self.parent_id}&path="
        parts += [f"[{file}]({address}{quote(file)})" for file in sorted(files) if file.endswith(".mp4")]
        if "contact_sheet.png" in files:
            parts.append(f"![Frames of the video]({address}contact_sheet.png)")
        parts.append(f"Commit `{run.data.tags.get(MLFLOW_GIT_COMMIT, 'unknown')}`")
        return "\n\n".join(parts)


def _wants_system_metrics() -> bool:
    """Whether system metrics are logged: MLflow's own switch, but on unless it says no."""
    return os.environ.get("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true").strip().lower() in ("true", "1")


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
        _keep_view(client, found.experiment_id)
        if found.lifecycle_stage == "deleted":
            client.restore_experiment(found.experiment_id)
            print(f"mlflow.experiment: {name} had been deleted in MLflow and is restored", file=sys.stderr)
        return found.experiment_id
    experiment_id = client.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri() if root else None)
    _keep_view(client, experiment_id)
    return experiment_id


def _keep_view(client: MlflowClient, experiment_id: str) -> None:
    """Store the view that `dancing ui` opens: parent runs, newest first, with the columns that matter."""
    view = {
        "orderByKey": "attributes.start_time",
        "orderByAsc": False,
        "searchFilter": "",
        "selectedColumns": [
            *("attributes.`Date`", "attributes.`Duration`"),
            *(f"metrics.`{name}`" for name in _COLUMNS),
        ],
    }
    tag, value = f"mlflow.sharedViewState.{VIEW}", json.dumps(view)
    if client.get_experiment(experiment_id).tags.get(tag) != value:
        client.set_experiment_tag(experiment_id, tag, value)


#: Columns of a local store that hold absolute places of artifacts.
_PLACES = {
    "experiments": "artifact_location",
    "runs": "artifact_uri",
    "logged_models": "artifact_location",
    "model_versions": "storage_location",
}


def _relocate(database: Path, root: Path) -> None:
    """Correct the places of artifacts in a local store whose project was moved or copied.

    MLflow keeps absolute places. A copied project would write into the folder that it was copied from.
    """
    here = (root / "mlartifacts").as_uri()
    if not database.is_file():
        return
    with closing(sqlite3.connect(database, timeout=_PATIENCE_S)) as connection, connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if "experiments" not in tables:
            return
        places = connection.execute("SELECT artifact_location FROM experiments").fetchall()
        old = {place for (place,) in places if place and place.startswith("file:") and place.endswith("/mlartifacts")}
        for moved in old - {here}:
            for table in _PLACES.keys() & tables:
                column = _PLACES[table]
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR {column} LIKE ?",
                    (here, len(moved) + 1, moved, f"{moved}/%"),
                )


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
