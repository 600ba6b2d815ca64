"""Run by MLflow to load the model `dance`: a song goes in, a video or poses come out.

An input has one of two columns: `sound`, the bytes of any file with sound (base64 in JSON), or `song`, the path of one
on the machine that runs the model.
"""

import base64
import tempfile
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import yaml
from mlflow.exceptions import MlflowException
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from dancing.errors import UserError
from dancing.params import Params, parse_params
from dancing.render.dance import DanceModels, generate_dance, write_dance
from dancing.render.request import with_render

OUTPUTS = ("mp4", "poses")


class DanceModel(PythonModel):
    """The model from a song to its dance."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load both models and the params that they were trained with."""
        files = Path(context.artifacts["files"])
        self.params: Params = parse_params(yaml.safe_load((files / "params.yaml").read_text(encoding="utf-8")))
        self.models = DanceModels.load(files / "vae", files / "gan", self.params.render.guidance)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, Any]]:
        """Return a dance for each row, see the signature.

        Raises:
            MlflowException: a value is not allowed, or a song can't be read.
        """
        chosen = dict(params or {})
        output = chosen.pop("output", "mp4")
        try:
            if output not in OUTPUTS:
                raise UserError(f"output: expected one of {', '.join(OUTPUTS)}, got {output!r}")
            return [self._dance(row, chosen, output) for row in model_input.to_dict("records")]
        except UserError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None

    def _dance(self, row: dict[str, Any], chosen: dict[str, Any], output: str) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as scratch:
            sound, song = row.get("sound"), row.get("song")
            if isinstance(sound, bytes):
                song = str(Path(scratch, "song"))
                Path(song).write_bytes(sound)
            elif not isinstance(song, str):
                raise UserError("give a song: its bytes as sound, or its path as song")
            params = with_render(self.params, chosen | {"song": song}, "the request")
            try:
                dance = generate_dance(self.models, params.render)
            except UserError as error:
                raise UserError(str(error).replace(str(Path(scratch, "song")), "the song")) from None
            result: dict[str, Any] = {"fps": float(self.models.pose_model.fps), "beats": dance.song.beats.tolist()}
            if output == "poses":
                return result | {"landmarks": dance.landmarks.astype(float).tolist()}
            video = Path(scratch, "dance.mp4")
            write_dance(video, dance, self.models, params)
            return result | {"video": base64.b64encode(video.read_bytes()).decode()}


mlflow.models.set_model(DanceModel())
