"""MLflow: a parent run an experiment, a child run a stage.

The parent is named as DVC names the experiment; for a plain `dvc repro`, or a stage run by hand, by the digest of the
params. The store is a SQLite file in the project's main checkout (also from DVC's temporary checkouts and queue
workers); MLFLOW_TRACKING_URI overrides it.
"""

import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from filelock import FileLock
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME

from dancing.params import System

# Nobody is helped by thirty lines on schema migrations, nor by a hint on which pickle protocol a model was saved.
logging.getLogger("mlflow").setLevel(logging.ERROR)
logging.getLogger("alembic").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="mlflow")


def project_root() -> Path:
    """The main checkout: DVC_ROOT where DVC runs the stage, also inside --temp and queue workers; by hand, the folder
    with .dvc that we are in, or else this one."""
    if "DVC_ROOT" in os.environ:
        return Path(os.environ["DVC_ROOT"]).resolve()
    here = Path.cwd()
    return next((folder for folder in (here, *here.parents) if (folder / ".dvc").is_dir()), here)


def cache_dir() -> Path:
    """Where work is kept that outlives a stage's outputs: features by content, states of interrupted trainings."""
    return project_root() / ".cache"


class StageRun:
    """A child run, with the headline metrics going to its parent too."""

    def __init__(self, client: MlflowClient, parent_id: str, run_id: str) -> None:
        self.client, self.parent_id, self.run_id = client, parent_id, run_id

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        mlflow.log_metrics(dict(values), step=step)

    def headline(self, values: Mapping[str, float | None]) -> None:
        """Figures that tell an experiment at a glance: on this run and on the parent; None is left out."""
        for name, value in values.items():
            if value is not None:
                mlflow.log_metric(name, value)
                self.client.log_metric(self.parent_id, name, value)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        mlflow.log_artifact(str(path), folder)

    def image(self, picture: np.ndarray, key: str, step: int) -> None:
        """A picture (H, W, 3) uint8 that MLflow shows under `key` with a slider over steps."""
        mlflow.log_image(picture, key=key, step=step)

    def model(self, model: Any, name: str, signature: ModelSignature) -> None:
        """A torch model on the CPU, loadable by `mlflow.pytorch.load_model`."""
        import mlflow.pytorch
        import torch

        mlflow.pytorch.log_model(
            model,
            name=name,
            signature=signature,
            # The default, pt2, freezes the length of a sequence.
            serialization_format="pickle",
            # The model brings this package's code along; what that imports is on the registries.
            code_paths=[str(Path(__file__).parent)],
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "h5py", "numpy", "pydantic", "pyyaml"],
        )


@contextmanager
def stage_run(stage: str, params: System) -> Iterator[StageRun]:
    """Open the stage's run below its experiment's; both end as FAILED where the stage raises.

    Nobody knows which stage will be an experiment's last: each sets its end anew."""
    root = project_root()
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    (root / ".cache").mkdir(exist_ok=True)
    # Two processes that open a fresh store create its tables at once, and one fails; likewise for a parent's creation.
    with FileLock(root / ".cache" / "mlflow.lock"):
        client = MlflowClient()
        experiment_id = _experiment(client, params.mlflow.experiment, root)
        parent = _parent(client, experiment_id, params)
    status = "FAILED"
    try:
        with mlflow.start_run(experiment_id=experiment_id, run_name=stage, parent_run_id=parent.info.run_id) as run:
            mlflow.set_tags({"stage": stage, **_commit(), MLFLOW_SOURCE_NAME: f"stages/{stage}.py"})
            sections = {
                "train_vae": ("vae.", "prior."), "train_gan": ("gan.",), "extract_features": ("features.",),
                "build_hdf5": ("data.",),
            }  # fmt: skip
            prefixes = sections.get(stage, (f"{stage}.",))
            mlflow.log_params({key: value for key, value in params.flat().items() if key.startswith(prefixes)})
            yield StageRun(client, parent.info.run_id, run.info.run_id)
        status = "FINISHED"
    finally:
        client.set_terminated(parent.info.run_id, status)


def tensor_signature(inputs: tuple[int, ...], outputs: tuple[int, ...]) -> ModelSignature:
    """A model's signature, float32 in and out; -1 stands for any size."""
    dtype = np.dtype("float32")
    return ModelSignature(Schema([TensorSpec(dtype, inputs)]), Schema([TensorSpec(dtype, outputs)]))


def _experiment(client: MlflowClient, name: str, root: Path) -> str:
    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    local = (mlflow.get_tracking_uri() or "").startswith("sqlite:")
    return client.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri() if local else None)


def _parent(client: MlflowClient, experiment_id: str, params: System) -> Run:
    """Find or make the run of this experiment: same name, same params."""
    name = os.environ.get("DVC_EXP_NAME") or f"repro-{params.digest()}"
    identity = {"experiment": name, "params": params.digest()}
    query = " and ".join(f"tags.`{key}` = '{value}'" for key, value in identity.items())
    if found := client.search_runs([experiment_id], query, max_results=1):
        return found[0]
    dvc = {key: os.environ[key] for key in ("DVC_EXP_NAME", "DVC_EXP_BASELINE_REV") if key in os.environ}
    run = client.create_run(experiment_id, tags={MLFLOW_RUN_NAME: name, **identity, **dvc, **_commit()})
    for key, value in params.flat().items():
        client.log_param(run.info.run_id, key, value)
    return run


def _commit() -> dict[str, str]:
    result = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return {MLFLOW_GIT_COMMIT: result.stdout.strip()} if result.returncode == 0 else {}
