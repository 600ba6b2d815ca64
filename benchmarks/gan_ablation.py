"""Ablation of the skeleton GAN: it is trained without one part at a time, and its images are measured.

    python -m benchmarks.gan_ablation --epochs 3 --seeds 2 --json benchmarks/results/gan_ablation.json

Takes `data/dataset.h5` and `params.yaml`. Trainings are shorter than the pipeline's, so the figures compare with each
other only. A difference between two rows tells something where it is larger than their spreads over the seeds.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

import torch

import stages  # noqa: F401
from benchmarks.common import command, write_record
from dancing.clips.dataset import Dataset, open_dataset
from dancing.errors import exit_on_user_error
from dancing.evaluation.common import held_out
from dancing.evaluation.images import evaluate_images
from dancing.params import Gan, Params, load_dance_params
from dancing.pose_to_image.inference import PoseToImage
from dancing.pose_to_image.models import MODELS
from dancing.pose_to_image.skeleton_gan import (
    POSE_MAPS,
    SkeletonDiscriminator,
    SkeletonGanConfig,
    SkeletonGenerator,
)
from dancing.pose_to_image.task import build_task
from dancing.training.checkpoints import ResumeState
from dancing.training.compute import Compute
from dancing.training.device import pick_device
from dancing.training.gan_loop import train_gan

DATASET = Path("data/dataset.h5")
COLUMNS = ("ssim_crop", "psnr_crop", "pck_10", "pck_20", "flicker_ratio", "warping_ratio")


class NumbersGenerator(SkeletonGenerator):
    """A generator whose pose maps hold the landmarks as plain numbers instead of heatmaps."""

    def pose_maps(self, landmarks: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return maps (B, P, h, w), one a landmark: its x fills the upper half, its y the lower half."""
        height, width = (side // self.config.fold for side in size)
        x, y = (landmarks[:, :POSE_MAPS, axis, None, None].expand(-1, -1, height // 2, width) for axis in (0, 1))
        return torch.cat([x, y], dim=2)


class BlackBackgroundGenerator(SkeletonGenerator):
    """A generator that gets a black background, so that it makes the scene in its crop itself."""

    def forward(
        self, pose_maps: torch.Tensor, background: torch.Tensor, coordinates: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return images (B, 3, h, w) in [-1, 1] and masks, as `SkeletonGenerator.forward`."""
        return super().forward(pose_maps, torch.full_like(background, -1.0), coordinates)


@dataclass(frozen=True)
class Variant:
    """What a row changes: values of the section `gan`, or the generator."""

    changes: Mapping[str, float] = field(default_factory=dict)
    generator: type[SkeletonGenerator] = SkeletonGenerator


VARIANTS = {
    "everything": Variant(),
    "numbers": Variant(generator=NumbersGenerator),
    "no_background": Variant(generator=BlackBackgroundGenerator),
    "no_ssim": Variant({"ssim_weight": 0.0}),
    "no_mask": Variant({"mask_weight": 0.0}),
    "no_face_weight": Variant({"face_weight": 0.0}),
    "no_r1": Variant({"r1_weight": 0.0}),
}


def main() -> None:
    """Train and measure every variant with every seed, print a table, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gan_ablation", description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=3, help="of each training (%(default)s)")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each variant (%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/gan_ablation.json")
    options = parser.parse_args()
    params, means, spreads = load_dance_params(), {}, {}
    print(f"$ {command('gan_ablation')}")
    print(f"mean of {options.seeds} seeds, and the largest less the smallest; {options.epochs} epochs\n")
    print("| | " + " | ".join(COLUMNS) + " |\n| --- |" + " --- |" * len(COLUMNS))
    with open_dataset(DATASET) as dataset:
        for name, variant in VARIANTS.items():
            fixed = {"model": "skeleton", "epochs": options.epochs, **variant.changes}
            runs = [
                _measure(dataset, params.gan.model_copy(update={**fixed, "seed": seed}), variant.generator, params)
                for seed in range(1, options.seeds + 1)
            ]
            columns = [key for key in COLUMNS if all(key in run for run in runs)]
            means[name] = {key: round(sum(run[key] for run in runs) / len(runs), 4) for key in columns}
            spreads[name] = {key: round(max(r[key] for r in runs) - min(r[key] for r in runs), 4) for key in columns}
            cells = (
                f"{means[name][key]:.3f}, {spreads[name][key]:.3f}" if key in means[name] else "-" for key in COLUMNS
            )
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)
    what = "The skeleton GAN trained without one of its parts at a time"
    values = {"epochs": options.epochs, "seeds": options.seeds, "rows": means, "spreads": spreads}
    write_record(options.json, "gan_ablation", what, str(pick_device()), values)


def _measure(dataset: Dataset, gan: Gan, generator: type[SkeletonGenerator], params: Params) -> dict[str, float]:
    """Train a variant, and return those of `COLUMNS` that have a value."""
    models = (SkeletonGanConfig, generator, SkeletonDiscriminator)
    with tempfile.TemporaryDirectory() as name, patch.dict(MODELS.models, skeleton=models):
        folder = Path(name)
        train_gan(build_task(dataset, gan, Compute(pick_device())), gan, folder, ResumeState(folder / "resume.pt"))
        image_model = PoseToImage.load(folder / "best.pt")
        for_subject, settings = dataset.for_subject(image_model.subject), params.evaluate
        dances = [piece.landmarks for piece in held_out(for_subject)]  # rows of generated poses are not shown
        result = evaluate_images(
            for_subject, {"ours": image_model}, dances, settings.frames, 1, params.render.quality, settings.seed
        )
    cells = {key: result.rows["ours"][key]["mean"] for key in COLUMNS}
    return {key: mean for key, mean in cells.items() if mean is not None}


if __name__ == "__main__":
    exit_on_user_error(main)
