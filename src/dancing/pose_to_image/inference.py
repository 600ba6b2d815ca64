"""Images of one dancer, rendered from poses by a trained generator. Letters: B batch, T frames, H x W image."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn

from dancing.body.skeleton import Placement
from dancing.media.pixels import mask_to_uint8, to_uint8
from dancing.pose_to_image.models import MODELS
from dancing.training.checkpoints import NOTHING, Checkpoint, open_checkpoint
from dancing.training.compute import multiplies_bfloat16
from dancing.training.device import pick_device


class Painting(NamedTuple):
    """A generated image.

    Attributes:
        image: (height, width, 3) uint8.
        mask: (height, width) uint8, which blends the dancer into the background; None: the original model has none.
    """

    image: np.ndarray
    mask: np.ndarray | None


@dataclass(frozen=True)
class PoseToImage:
    """A trained generator of one subject's images.

    Attributes:
        generator: a generator of `MODELS`; all have `render`.
        subject: who the images show.
        placement: the subject's position and size in the image, which other dancers' poses are fitted to.
        setups: clip -> number of the camera set-up that it was filmed in.
        height: of the images, px.
        width: of the images, px.
        device: that the generator is on.
    """

    generator: Any  # the generators share no base class
    subject: str
    placement: Placement
    setups: dict[str, int]
    height: int
    width: int
    device: torch.device

    @classmethod
    def load(cls, path: Path) -> "PoseToImage":
        """Load a checkpoint of train_gan.

        Raises:
            UserError: the checkpoint can't be read.
        """
        device = pick_device()
        with open_checkpoint(path, "train_gan") as checkpoint:
            config = MODELS.from_dict(checkpoint["config"])
            generator = MODELS.restore(checkpoint["config"], checkpoint["generator"])
            _check_data(checkpoint, config, len(getattr(generator, "backgrounds", [None])))
            loaded = cls(
                generator=generator.to(device).eval(),
                subject=checkpoint["subject"],
                placement=Placement.from_dict(checkpoint["placement"]),
                setups=checkpoint["setups"],
                height=config.height,
                width=config.width,
                device=device,
            )
            next(loaded.render(np.full((1, 33, 2), 0.5, np.float32)))  # what doesn't fit shows only where it runs
            return loaded

    def render(self, landmarks: np.ndarray, setup: int = 0, batch: int = 16) -> Iterator[np.ndarray]:
        """Render poses.

        Args:
            landmarks: (T, 33, 2), in fractions of the image.
            setup: number of the background, one of the values of `setups`.
            batch: number of poses that are rendered at once.

        Yields:
            T images, (height, width, 3) uint8.
        """
        return (painting.image for painting in self.paint(landmarks, setup, batch))

    @torch.inference_mode()
    def paint(self, landmarks: np.ndarray, setup: int = 0, batch: int = 16) -> Iterator[Painting]:
        """Render poses as `render` does, and yield each image with its mask."""
        # The original generator has no backgrounds: it generates the whole image.
        backgrounds: torch.Tensor | None = getattr(self.generator, "backgrounds", None)
        background = None if backgrounds is None else backgrounds[setup : setup + 1]
        # A third faster, and different by less than a rounding of the pixels: PSNR 64 dB for the demo.
        half = torch.autocast(self.device.type, torch.bfloat16, enabled=multiplies_bfloat16(self.device))
        for first in range(0, len(landmarks), batch):
            poses = torch.from_numpy(landmarks[first : first + batch]).to(self.device)
            with half:
                images, masks = (
                    (self.generator.render(poses), None)
                    if background is None
                    else self.generator.paint(poses, background)
                )
            outlines = [None] * len(images) if masks is None else mask_to_uint8(masks.float())
            yield from map(Painting, to_uint8(images.float()), outlines)


def _check_data(checkpoint: Checkpoint, config: Any, backgrounds: int) -> None:
    """Raise ValueError where what a checkpoint says of its data can't be."""
    placement = Placement.from_dict(checkpoint["placement"])
    if (placement.width, placement.height) != (config.width, config.height) or not placement.torso > 0:
        raise ValueError(f"placement is {placement}, expected {config.width} x {config.height} px and a torso")
    if not all(isinstance(value, int | float) for value in (placement.place, placement.ground)):
        raise ValueError(f"placement is {placement}")
    if not isinstance(checkpoint["subject"], str):
        raise ValueError(f"subject is {checkpoint['subject']!r}")
    if any(type(setup) is not int or not 0 <= setup < backgrounds for setup in checkpoint["setups"].values()):
        raise ValueError(f"setups are not all numbers of its {backgrounds} backgrounds")


def load_generator(folder: Path) -> PoseToImage | None:
    """Return the generator from train_gan's output folder, or None if `gan.model` was none.

    Raises:
        UserError: the checkpoint can't be read.
    """
    return None if (folder / NOTHING).exists() else PoseToImage.load(folder / "best.pt")


class PoseToImageModule(nn.Module):
    """A `PoseToImage` as one module, for a model registry."""

    def __init__(self, pose_to_image: PoseToImage) -> None:
        super().__init__()
        self.generator = copy.deepcopy(pose_to_image.generator).cpu()

    def forward(self, landmarks: torch.Tensor) -> torch.Tensor:
        """Landmarks (B, 33, 2) in [0, 1] -> images (B, 3, H, W) in [-1, 1], in front of the first background."""
        return torch.cat([self.generator.render(pose) for pose in landmarks.split(1)])
