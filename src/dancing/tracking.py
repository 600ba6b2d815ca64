"""MLflow tracking: one parent run for each experiment, with one child run for each stage.

The parent run has DVC's name of the experiment. For a plain `dvc repro`, and for a stage that is run by hand, the name
contains the digest of the params. The store is a SQLite file in the main checkout of the project, also for stages in
DVC's temporary checkouts and queue workers. MLFLOW_TRACKING_URI overrides it.
"""

import logging
import os
import subprocess
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import mlflow
import numpy as np
from filelock import FileLock
from mlflow.entities import Run
from mlflow.models import ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_GIT_COMMIT, MLFLOW_RUN_NAME, MLFLOW_SOURCE_NAME

from dancing.params import System

if TYPE_CHECKING:
    from torch import nn

# Without these lines, MLflow prints thirty lines about schema migrations, and hints about pickled models.
logging.getLogger("mlflow").setLevel(logging.ERROR)
logging.getLogger("alembic").setLevel(logging.ERROR)
warnings.filterwarnings("ignore", module="mlflow")


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
        client: client of the store that holds both runs.
        parent_id: id of the experiment's run.
        run_id: id of the stage's run, which is MLflow's active run.
    """

    def __init__(self, client: MlflowClient, parent_id: str, run_id: str) -> None:
        self.client, self.parent_id, self.run_id = client, parent_id, run_id

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Log metrics by name at a step, such as an epoch."""
        mlflow.log_metrics(dict(values), step=step)

    def headline(self, values: Mapping[str, float | None]) -> None:
        """Log the main metrics, on this run and on the parent run; values of None are skipped."""
        for name, value in values.items():
            if value is not None:
                mlflow.log_metric(name, value)
                self.client.log_metric(self.parent_id, name, value)

    def artifact(self, path: Path, folder: str | None = None) -> None:
        """Upload a file to a folder of the run's artifacts, by default the top folder."""
        mlflow.log_artifact(str(path), folder)

    def image(self, picture: np.ndarray, key: str, step: int) -> None:
        """Log an image (H, W, 3) uint8 RGB; MLflow shows the images of a `key` with a slider over steps."""
        mlflow.log_image(picture, key=key, step=step)

    def model(self, model: "nn.Module", name: str, signature: ModelSignature) -> None:
        """Log a torch module, so that `mlflow.pytorch.load_model` can load it.

        Args:
            model: a module on the CPU.
            name: name of the model in the run.
            signature: its inputs and outputs, see `tensor_signature`.
        """
        import mlflow.pytorch
        import torch

        mlflow.pytorch.log_model(
            model,
            name=name,
            signature=signature,
            # The default, pt2, fixes the length of sequences.
            serialization_format="pickle",
            # The code of this package is saved with the model; its dependencies are installed from PyPI.
            code_paths=[str(Path(__file__).parent)],
            pip_requirements=[f"torch=={torch.__version__.split('+')[0]}", "h5py", "numpy", "pydantic", "pyyaml"],
        )


@contextmanager
def stage_run(stage: str, params: System) -> Iterator[StageRun]:
    """Open the run of a stage as a child of the experiment's run, as a context manager.

    If the block raises, both runs end as FAILED. Any stage can be the last one of an experiment, so every stage sets
    the end of the parent run.

    Args:
        stage: name of the stage, such as train_vae.
        params: all params; those of the stage are logged on its run.
    """
    root = project_root()
    if "MLFLOW_TRACKING_URI" not in os.environ:
        mlflow.set_tracking_uri(f"sqlite:///{root / 'mlflow.db'}")
    (root / ".cache").mkdir(exist_ok=True)
    # If two processes open a new store at the same time, both create its tables, and one fails. Also, both would create
    # a parent run.
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
    """Signature of a model with one float32 input and one float32 output.

    Args:
        inputs: shape of the input; -1 for any size.
        outputs: shape of the output; -1 for any size.
    """
    dtype = np.dtype("float32")
    return ModelSignature(Schema([TensorSpec(dtype, inputs)]), Schema([TensorSpec(dtype, outputs)]))


def _experiment(client: MlflowClient, name: str, root: Path) -> str:
    if found := client.get_experiment_by_name(name):
        return found.experiment_id
    local = (mlflow.get_tracking_uri() or "").startswith("sqlite:")
    return client.create_experiment(name, artifact_location=(root / "mlartifacts").as_uri() if local else None)


def _parent(client: MlflowClient, experiment_id: str, params: System) -> Run:
    """Find the parent run of this experiment (same name and params), or create it."""
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
