"""MLflow tracking: one parent run for each experiment, with one child run for each stage.

The parent run has DVC's name of the experiment. For a plain `dvc repro`, and for a stage that is run by hand, the name
contains the digest of the params. The store is a SQLite file in the main checkout of the project, also for stages in
DVC's temporary checkouts and queue workers. MLFLOW_TRACKING_URI overrides it.

A stage never fails because of its record. If the store can't be used, at the start or later, a warning is printed, and
all that was recorded so far, and all that follows, goes into a local store instead. MLflow is imported when a run is
opened, not before.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dancing.params import System

if TYPE_CHECKING:
    import numpy as np

    from dancing.mlflow_store import Store
    from dancing.served.models import ServedModel


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
        self._opened_for = stage, params
        self._uris = _store_uris()
        self._actions: list[Callable[[Store], None]] = []  # recorded so far
        self._store: Store | None = None
        self._next_store()

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics by name at a step, such as an epoch."""
        now = round(time.time() * 1000)
        self._record(lambda store: store.metrics(values, step, now))

    def headline(self, values: Mapping[str, float | None]) -> None:
        """Log the main metrics, on this run and on the parent run; values of None are skipped.

        They are linked to the model and to the dataset that were given last.
        """
        known = {name: value for name, value in values.items() if value is not None}
        now = round(time.time() * 1000)
        self._record(lambda store: store.headline(known, now))

    def artifact(self, path: Path, folder: str | None = None, parent: bool = False) -> None:
        """Upload a file to a folder of the run's artifacts, by default the top folder; with `parent` there too."""
        self._record(lambda store: store.artifact(path, folder, parent))

    def image(self, picture: "np.ndarray", key: str, step: int) -> None:
        """Log an image (H, W, 3) uint8 RGB; MLflow shows the images of a `key` with a slider over steps."""
        self._record(lambda store: store.client.log_image(store.run_id, picture, key=key, step=step))

    def dataset(self, path: Path, digest: str, profile: Mapping[str, object], context: str) -> None:
        """Link both runs to a dataset file.

        Args:
            path: of the file.
            digest: of its content, hexadecimal.
            profile: what is in it, such as the names of the clips.
            context: what it is used for, such as training.
        """
        self._record(lambda store: store.dataset(path, digest, profile, context))

    def model(self, served: "ServedModel") -> None:
        """Log a model, with the code that loads it and no pickle."""
        self._record(lambda store: store.model(served))

    def end(self, status: str) -> None:
        """End the run and its parent as FINISHED, FAILED or KILLED."""
        self._record(lambda store: store.end(status))

    def _record(self, action: Callable[["Store"], None]) -> None:
        self._actions.append(action)
        if self._store is not None:
            from dancing.mlflow_store import UNUSABLE

            try:
                action(self._store)
            except UNUSABLE as error:
                self._warn(self._store.uri, error)
                self._next_store()

    def _next_store(self) -> None:
        """Open the first store that works, and record there what was recorded so far."""
        self._store = None
        if not self._uris:
            return
        from dancing.mlflow_store import UNUSABLE, Store

        while self._uris and self._store is None:
            uri = self._uris.pop(0)
            try:
                store = Store(uri, *self._opened_for)
                for action in self._actions:
                    action(store)
                self._store = store
            except UNUSABLE as error:
                self._warn(uri, error)

    def _warn(self, uri: str, error: Exception) -> None:
        reason = " ".join(str(getattr(error, "orig", None) or error).split())[:200]
        then = f"this run is recorded in {self._uris[0]}" if self._uris else "this run is not recorded"
        print(f"warning: MLflow's store {uri} can't be used ({reason}): {then}", file=sys.stderr)


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


def _store_uris() -> list[str]:
    """The stores that are tried, in this order; none if this is not the first of a training's processes."""
    if os.environ.get("RANK", "0") != "0":
        return []
    root = project_root()
    local, last = (f"sqlite:///{root / name}" for name in ("mlflow.db", ".cache/mlflow-fallback.db"))
    return list(dict.fromkeys([os.environ.get("MLFLOW_TRACKING_URI") or local, local, last]))
