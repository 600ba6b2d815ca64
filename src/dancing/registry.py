"""Models of dances in MLflow: those of a run, and the registered model `dance` with its alias champion."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dancing.errors import UserError
from dancing.tracking import project_root

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

#: Name of the registered model, and the alias of the version to use.
NAME, CHAMPION = "dance", "champion"


def store_uri() -> str:
    """URI of the store that has this project's runs.

    Raises:
        UserError: there is no store yet.
    """
    uri, local = os.environ.get("MLFLOW_TRACKING_URI"), project_root() / "mlflow.db"
    if uri is None and not local.is_file():
        raise UserError(f"{local}: no run is recorded yet; `dvc repro` records one")
    return uri or f"sqlite:///{local}"


def open_store() -> "MlflowClient":
    """Return a client of the store.

    Raises:
        UserError: there is no store yet.
    """
    uri = store_uri()
    import dancing.mlflow_store  # noqa: F401, I001  (first: it silences MLflow)
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)


def find_run(client: "MlflowClient", name: str | None) -> "Run":
    """Find a run of a whole experiment.

    Args:
        client: of the store.
        name: the run's id, its name, which is that of DVC's experiment, or None for the newest one. Of several runs
            with a name, the newest one is found.

    Raises:
        UserError: there is none.
    """
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, order_by=["attributes.start_time DESC"], max_results=1000)
    parents = [run for run in runs if MLFLOW_PARENT_RUN_ID not in run.data.tags]
    found = [run for run in parents if name in (None, run.info.run_id, run.info.run_name)]
    if not found:
        known = ", ".join(dict.fromkeys(str(run.info.run_name) for run in parents[:10])) or "none yet"
        raise UserError(f"{name or 'a run'}: no such run in MLflow; the newest ones: {known}")
    return found[0]


def model_of(run: "Run") -> str:
    """URI of the model of a run's dance.

    Raises:
        UserError: the run has none.
    """
    from dancing.mlflow_store import DANCE_MODEL

    model = run.data.tags.get(DANCE_MODEL)
    if model is None:
        raise UserError(f"{run.info.run_name}: this run made no dance; the stages evaluate and render log its model")
    return f"models:/{model}"


def promote(name: str | None) -> str:
    """Register the model of a run, unless that is done, and make it the champion.

    Args:
        name: see `find_run`.

    Returns:
        What was done, in a sentence.

    Raises:
        UserError: there is no such run, or it made no dance.
    """
    client = open_store()
    import mlflow

    from dancing.mlflow_store import using

    run = find_run(client, name)
    uri = model_of(run)
    model_id = uri.removeprefix("models:/")
    versions = client.search_model_versions(f"name = '{NAME}'")
    version = next(
        (version for version in versions if model_id in (version.model_id, Path(version.source or "").name)), None
    )
    if version is None:
        with using(store_uri()):
            version = mlflow.register_model(uri, NAME)
    client.set_registered_model_alias(NAME, CHAMPION, str(version.version))
    return f"{NAME} version {version.version}, of the run {run.info.run_name}, is now models:/{NAME}@{CHAMPION}"


def aliases() -> list[str]:
    """URIs of the registered versions that have an alias; none where there is no store."""
    try:
        client = open_store()
    except UserError:
        return []
    found = client.search_registered_models(f"name = '{NAME}'")
    return [f"models:/{NAME}@{alias}" for model in found for alias in sorted(model.aliases)]


def download(uri: str) -> tuple[Path, Path]:
    """Get the files of a model; return the folders with the checkpoints of train_vae and train_gan.

    Raises:
        UserError: there is no such model.
    """
    open_store()
    import mlflow
    from mlflow.exceptions import MlflowException

    from dancing.mlflow_store import using

    try:
        with using(store_uri()):
            files = Path(mlflow.artifacts.download_artifacts(uri), "artifacts/files")
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{uri}: no such model in MLflow ({reason}); `dancing promote` makes one the champion"
        ) from None
    if not (files / "vae/best.pt").is_file():
        raise UserError(f"{uri}: not a model of a dance; those are named {NAME}")
    return files / "vae", files / "gan"
