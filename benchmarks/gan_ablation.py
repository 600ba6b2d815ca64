"""What each part of the skeleton GAN is good for: it is trained without one part at a time, and measured.

    python -m benchmarks.gan_ablation --epochs 3

Takes `data/dataset.h5` and `params.yaml`. The figures are comparable with each other, not with the README's: trainings
are shorter. Rows: everything; landmarks as plain numbers (each filling a plane) in the place of heatmaps; without the
picture before; without the plate (black); without SSIM in the loss; without feature matching; without more weight on
face and hands; with a perceptual loss, which params.yaml leaves out.
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import torch

import stages  # noqa: F401
from dancing import evaluation
from dancing.clips.dataset import Dataset, open_dataset
from dancing.errors import exit_on_user_error
from dancing.evaluation.common import held_out
from dancing.music_to_pose.inference import PoseToImage
from dancing.params import Gan, Params, load_dance_params
from dancing.pose_to_image.skeleton_gan import DRAWN, SkeletonDiscriminator, SkeletonGanConfig, SkeletonGenerator
from dancing.training import registry as models
from dancing.training.gan import train_gan

COLUMNS = ("ssim_crop", "psnr_crop", "pck_10", "pck_20", "flicker_ratio", "warping_ratio")


class NumbersGenerator(SkeletonGenerator):
    """Sees each landmark's x in the upper half of a plane, its y in the lower one."""

    def draw(self, landmarks: torch.Tensor, size: tuple[int, int] | None = None) -> torch.Tensor:
        height, width = size or (self.config.height, self.config.width)
        x, y = (landmarks[:, :DRAWN, axis, None, None].expand(-1, -1, height // 2, width) for axis in (0, 1))
        return torch.cat([x, y], dim=2)


class PlatelessGenerator(SkeletonGenerator):
    """Paints the whole picture."""

    def forward(
        self,
        drawing: torch.Tensor,
        plate: torch.Tensor | None = None,
        previous: torch.Tensor | None = None,
        place: torch.Tensor | None = None,
    ) -> torch.Tensor:
        return super().forward(drawing, drawing.new_full((1, 3, *drawing.shape[-2:]), -1.0), previous, place)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gan_ablation", description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3, help="of training a variant (%(default)s)")
    options = parser.parse_args()
    params = load_dance_params()
    gan = params.gan.model_copy(update={"epochs": options.epochs, "model": "skeleton", "baseline": False})

    def but(**changes: float) -> Gan:
        return gan.model_copy(update=changes)

    variants: dict[str, tuple[Gan, type[SkeletonGenerator]]] = {
        "everything": (gan, SkeletonGenerator),
        "numbers, no heatmaps": (gan, NumbersGenerator),
        "no picture before": (but(previous=0.0), SkeletonGenerator),
        "no plate": (gan, PlatelessGenerator),
        "no SSIM in the loss": (but(ssim_weight=0.0), SkeletonGenerator),
        "no feature matching": (but(feature_weight=0.0), SkeletonGenerator),
        "no weight on face and hands": (but(face_weight=0.0), SkeletonGenerator),
        "a perceptual loss besides": (but(perceptual_weight=4.0), SkeletonGenerator),
    }
    print(f"| {options.epochs} epochs | " + " | ".join(COLUMNS) + " |\n| --- |" + " --- |" * len(COLUMNS))
    with open_dataset("data/dataset.h5") as dataset:
        for name, (changed, generator) in variants.items():
            row = _measured(dataset, changed, generator, params)
            print(f"| {name} | " + " | ".join(f"{row[column]['mean']:.3f}" for column in COLUMNS) + " |", flush=True)


def _measured(dataset: Dataset, gan: Gan, generator: type[SkeletonGenerator], params: Params) -> dict:
    players: tuple[type, Callable, Callable] = (SkeletonGanConfig, generator, SkeletonDiscriminator)
    with tempfile.TemporaryDirectory() as folder, patch.dict(models._GANS, skeleton=players):
        train_gan(dataset, gan, Path(folder), Path(folder) / "crash")
        image_model = PoseToImage.load(Path(folder) / "best.pt")
        pictured = dataset.of_subject(image_model.subject)
        dances = [piece.landmarks for piece in held_out(pictured)]
        wanted = params.evaluate
        return evaluation.evaluate_images(
            pictured, {"ours": image_model}, dances, wanted.frames, 1, params.render.quality, wanted.seed
        ).rows["ours"]


if __name__ == "__main__":
    exit_on_user_error(main)
