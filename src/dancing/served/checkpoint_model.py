"""Run by MLflow to load a model from one tensor to another, from its checkpoint."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import torch
from mlflow.pyfunc.model import PythonModel, PythonModelContext


def _song_to_poses(checkpoint: Path) -> torch.nn.Module:
    from dancing.music_to_pose.inference import MusicToPose, MusicToPoseModule

    return MusicToPoseModule(MusicToPose.load(checkpoint))


def _poses_to_pictures(checkpoint: Path) -> torch.nn.Module:
    from dancing.pose_to_image.inference import PoseToImage, PoseToImageModule

    return PoseToImageModule(PoseToImage.load(checkpoint))


def _gan_to_pictures(checkpoint: Path) -> torch.nn.Module:
    from dancing.noise_to_image.inference import NoiseToImage, NoiseToImageModule

    return NoiseToImageModule(NoiseToImage.load(checkpoint, "train_gan"))


def _vae_to_pictures(checkpoint: Path) -> torch.nn.Module:
    from dancing.noise_to_image.inference import NoiseToImage, NoiseToImageModule

    return NoiseToImageModule(NoiseToImage.load(checkpoint, "train_vae"))


MODULES: dict[str, Callable[[Path], torch.nn.Module]] = {
    "song_to_poses": _song_to_poses,
    "poses_to_pictures": _poses_to_pictures,
    "gan_to_pictures": _gan_to_pictures,
    "vae_to_pictures": _vae_to_pictures,
}


class CheckpointModel(PythonModel):
    """A model from one float32 tensor to another."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the checkpoint."""
        self.module = MODULES[context.model_config["model"]](Path(context.artifacts["files"], "best.pt"))

    @torch.no_grad()
    def predict(self, context: PythonModelContext, model_input: np.ndarray, params: Any = None) -> np.ndarray:
        """Shapes are those of the signature."""
        result: np.ndarray = self.module(torch.from_numpy(np.asarray(model_input, np.float32))).numpy()
        return result


mlflow.models.set_model(CheckpointModel())
