"""How good the images of a dancer are after a training on one clip of your own, or on a folder of clips.

    python -m benchmarks.real_dancer clip.mp4 --height 256 --width 144 --steps 1600 --json benchmarks/results/mine.json

Only the image model is trained. Of a single clip the last fifth is held out. The record has rows of the image table.
`--sheet` writes held-out frames above the generated ones, with the background as the last picture.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import command, write_record
from dancing.clips import build
from dancing.clips.dataset import Dataset, open_dataset, write_dataset
from dancing.clips.extraction import ExtractionSettings, extract_folder
from dancing.errors import exit_on_user_error
from dancing.evaluation.common import held_out
from dancing.evaluation.images import ImageResult, evaluate_images
from dancing.media.pixels import to_uint8
from dancing.params import Data, Gan, Params, load_dance_params
from dancing.pose_to_image.inference import PoseToImage
from dancing.pose_to_image.task import build_task
from dancing.render import plots
from dancing.training.checkpoints import ResumeState
from dancing.training.compute import Compute
from dancing.training.gan_loop import train_gan

ROWS = ("ours", "nearest", "real")
COLUMNS = (
    *("detection_rate", "pck_10", "pck_20", "ssim_crop", "psnr_crop", "psnr", "sharpness", "mask_iou", "flicker_ratio"),
    *("feature_mmd_ratio", "density", "coverage"),
)
EPOCHS, SHOWN = 5, 7


def main() -> None:
    """Extract, train, measure, print a table, and write the record."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.real_dancer", description=__doc__.splitlines()[0])
    parser.add_argument("clips", type=Path, help="a video with sound, or a folder of them")
    parser.add_argument("--height", type=int, default=256, help="px of the images (%(default)s)")
    parser.add_argument("--width", type=int, default=144, help="px (%(default)s)")
    parser.add_argument("--steps", type=int, default=1600, help="of the training (%(default)s)")
    parser.add_argument("--json", type=Path, help="record to write, such as benchmarks/results/mine.json")
    parser.add_argument("--sheet", type=Path, help="picture to write")
    options = parser.parse_args()
    params = load_dance_params()
    data = params.data.model_copy(update={"height": options.height, "width": options.width})
    settings = {"baseline": False, "epochs": EPOCHS, "steps_per_epoch": max(options.steps // EPOCHS, 1)}
    gan = params.gan.model_copy(update=settings)
    with tempfile.TemporaryDirectory() as scratch, _dataset(options.clips, data, params, Path(scratch)) as dataset:
        model, seconds = _train(dataset, gan, params, Path(scratch))
        result = _measure(dataset, model, params)
    rows = {name: {key: result.rows[name][key]["mean"] for key in COLUMNS if key in result.rows[name]} for name in ROWS}
    print(f"$ {command('real_dancer')}\n{gan.epochs * gan.steps_per_epoch} steps in {seconds:.0f} s\n")
    print("| | " + " | ".join(COLUMNS) + " |\n| --- |" + " ---: |" * len(COLUMNS))
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(_cell(cells.get(key)) for key in COLUMNS) + " |")
    if options.sheet:
        plots.save_picture(options.sheet, _sheet(result, model))
    what = "Images of one dancer, trained on one clip or a few"
    values = {"rows": rows, "steps": gan.epochs * gan.steps_per_epoch, "training_s": round(seconds)}
    write_record(options.json, "real_dancer", what, str(model.device), values)


def _dataset(clips: Path, data: Data, params: Params, scratch: Path) -> Dataset:
    """Extract a clip, or a folder of clips, and open the dataset that is made of them."""
    folder = clips
    if clips.is_file():
        folder = scratch / "clips"
        folder.mkdir()
        (folder / clips.name).symlink_to(clips.absolute())
        data = data.model_copy(update={"test": 0.2})
    data = data.model_copy(update={"clips": str(folder)})
    features, settings = scratch / "features", ExtractionSettings.of(params.features)
    build.write_report(features, extract_folder(folder, features, settings, Path(".cache/features")))
    attributes = {"fps": params.features.fps, "n_mfcc": params.features.n_mfcc}
    attributes |= data.model_dump(include={"width", "height", "fit"})
    write_dataset(scratch / "dataset.h5", attributes, build.pieces(features, data, params.features.fps))
    return open_dataset(scratch / "dataset.h5")


def _train(dataset: Dataset, gan: Gan, params: Params, scratch: Path) -> tuple[PoseToImage, float]:
    """Train the image model; return it and the seconds that it took."""
    task, start = build_task(dataset, gan, Compute.pick(params.train)), time.perf_counter()
    train_gan(task, gan, scratch / "gan", ResumeState(scratch / "resume.pt"))
    return PoseToImage.load(scratch / "gan/best.pt"), time.perf_counter() - start


def _measure(dataset: Dataset, model: PoseToImage, params: Params) -> ImageResult:
    for_subject, settings = dataset.for_subject(model.subject), params.evaluate
    dances = [piece.landmarks for piece in held_out(for_subject)]  # rows of generated poses are not shown
    return evaluate_images(
        for_subject, {"ours": model}, dances, settings.frames, settings.feature_steps, params.render.quality,
        settings.seed,
    )  # fmt: skip


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _sheet(result: ImageResult, model: PoseToImage) -> np.ndarray:
    """Real frames above generated ones, and the background."""
    generator: Any = model.generator
    background = to_uint8(generator.backgrounds[:1].cpu())[0]
    some = np.linspace(0, len(result.pictures["real"]) - 1, SHOWN).astype(int)
    rows = [[*result.pictures[name][some], background] for name in ("real", "ours")]
    return np.concatenate([np.concatenate(row, axis=1) for row in rows])


if __name__ == "__main__":
    exit_on_user_error(main)
