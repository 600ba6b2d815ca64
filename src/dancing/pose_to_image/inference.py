"""A trained generator at work: poses rendered as images of one dancer. Letters: B batch, T frames, H x W image."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dancing.body.skeleton import Placement
from dancing.media.pixels import to_uint8
from dancing.pose_to_image.models import MODELS
from dancing.training.checkpoints import NOTHING, open_checkpoint
from dancing.training.device import pick_device


@dataclass(frozen=True)
class PoseToImage:
    """A trained generator of one subject's images."""

    generator: Any  # any of `MODELS`, which share `render`
    subject: str
    placement: Placement  # where and how large the subject stands: others' dances are fitted to it before rendering
    setups: dict[str, int]  # clip -> in which of the camera's set-ups it was filmed
    height: int
    width: int
    device: torch.device

    @classmethod
    def load(cls, path: Path) -> "PoseToImage":
        """Read a checkpoint of train_gan. Raises UserError where it can't be read."""
        device = pick_device()
        with open_checkpoint(path, "train_gan") as checkpoint:
            config = MODELS.from_dict(checkpoint["config"])
            generator, _ = MODELS.build(config)
            generator.load_state_dict(checkpoint["generator"])
            return cls(
                generator=generator.to(device).eval(),
                subject=checkpoint["subject"],
                placement=Placement.from_dict(checkpoint["placement"]),
                setups=checkpoint["setups"],
                height=config.height,
                width=config.width,
                device=device,
            )

    @torch.inference_mode()
    def render(self, landmarks: np.ndarray, setup: int = 0, batch: int = 16) -> Iterator[np.ndarray]:
        """Yield images (height, width, 3) uint8, one by one, of poses (T, 33, 2) in [0, 1].

        Args:
            landmarks: (T, 33, 2).
            setup: which background is behind them, one of the values of `setups`.
            batch: poses that are rendered at once.
        """
        # The original generator makes the background itself.
        backgrounds: torch.Tensor | None = getattr(self.generator, "backgrounds", None)
        background = None if backgrounds is None else backgrounds[setup : setup + 1]
        for first in range(0, len(landmarks), batch):
            poses = torch.from_numpy(landmarks[first : first + batch]).to(self.device)
            yield from to_uint8(self.generator.render(poses, background))


def load_generator(folder: Path) -> PoseToImage | None:
    """Return the generator in train_gan's output, None where `gan.model` was none.

    Raises UserError as `PoseToImage.load` does.
    """
    return None if (folder / NOTHING).exists() else PoseToImage.load(folder / "best.pt")


class PoseToImageModule(nn.Module):
    """A `PoseToImage` as one module, for a model registry: landmarks (B, 33, 2) -> images (B, 3, H, W) in [-1, 1]."""

    def __init__(self, pose_to_image: PoseToImage) -> None:
        super().__init__()
        self.generator = pose_to_image.generator.cpu()

    def forward(self, landmarks: torch.Tensor) -> torch.Tensor:
        """(B, 33, 2) in [0, 1] -> (B, 3, H, W), each in front of the first background."""
        return torch.cat([self.generator.render(pose) for pose in landmarks.split(1)])
