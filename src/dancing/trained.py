"""Where the models of a dance come from: the folder models/, or MLflow."""

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dancing.errors import UserError

if TYPE_CHECKING:
    from dancing.render.dance import DanceModels

VAE, GAN = Path("models/vae"), Path("models/gan")
HERE = "models/"


def load_dance_models(source: str, guidance: float) -> "DanceModels":
    """Load the models of the last training here, or of a model in MLflow. They are kept until they change.

    Args:
        source: `HERE`, or the URI of a model in MLflow, such as models:/dance@champion.
        guidance: of the flow prior.

    Raises:
        UserError: there is no such model, or it can't be read.
    """
    if source != HERE:
        from dancing.registry import download

        return _load(*download(source), guidance, ())
    files = [VAE / "best.pt", *sorted(GAN.glob("*.*"))]
    if not files[0].exists():
        raise UserError(f"{files[0]}: no model is trained yet; `dvc repro` trains one")
    return _load(VAE, GAN, guidance, tuple(file.stat().st_mtime_ns for file in files))


def list_models() -> list[str]:
    """The sources that `load_dance_models` takes now: the models here, and those with an alias in MLflow."""
    from dancing.registry import aliases

    return [HERE, *aliases()]


def source_of(name: str) -> str:
    """The source of models that a name stands for: `HERE`, the URI of a model, or a run in MLflow.

    Raises:
        UserError: there is no such run, or it made no dance.
    """
    if name == HERE or name.startswith("models:/"):
        return name
    from dancing.registry import find_run, model_of, open_store

    return model_of(find_run(open_store(), name))


@lru_cache(maxsize=2)
def _load(vae: Path, gan: Path, guidance: float, version: tuple[int, ...]) -> "DanceModels":
    from dancing.render.dance import DanceModels

    return DanceModels.load(vae, gan, guidance)
