"""The models of a dance as one model for MLflow: what is logged of it. `dance_model` loads it."""

from pathlib import Path
from typing import Any

import yaml
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array

from dancing.params import Params
from dancing.served.models import SONGS, ServedModel
from dancing.training.checkpoints import NOTHING


def dance_model(vae: Path, gan: Path, params: Params) -> ServedModel:
    """Return the model from a song to its dance.

    Args:
        vae: the output folder of train_vae.
        gan: the output folder of train_gan.
        params: all params, of which the section render has the values that a request does not give.
    """
    # All at once: these are defaults that a request replaces, and nothing that the stage depends on.
    values = params.model_dump(mode="json")
    image_model = NOTHING if (gan / NOTHING).exists() else "best.pt"
    return ServedModel(
        name="dance",
        script="dance_model",
        files={"vae/best.pt": vae / "best.pt", f"gan/{image_model}": gan / image_model},
        signature=_signature(values["render"]),
        description="A song goes in, a video of the dancer or the poses come out.",
        packages=SONGS,
        config={},
        texts={"params.yaml": yaml.safe_dump(values)},
    )


def _signature(render: dict[str, Any]) -> ModelSignature:
    double, text, long = DataType.double, DataType.string, DataType.long
    return ModelSignature(
        inputs=Schema([ColSpec(DataType.binary, "sound", required=False), ColSpec(text, "song", required=False)]),
        outputs=Schema(
            [
                ColSpec(text, "video", required=False),  # mp4, as base64
                ColSpec(Array(Array(Array(double))), "landmarks", required=False),  # (T, 33, 2) in [0, 1]
                ColSpec(double, "fps"),
                ColSpec(Array(double), "beats"),  # s
            ]
        ),
        params=ParamSchema(
            [
                ParamSpec("output", text, "mp4"),  # or poses
                ParamSpec("seconds", double, float(render["seconds"] or 20.0)),
                ParamSpec("start", double, 0.0),
                ParamSpec("seed", long, render["seed"]),
                ParamSpec("temperature", double, float(render["temperature"])),
                ParamSpec("layout", text, render["layout"]),
                ParamSpec("format", text, render["format"]),
            ]
        ),
    )
