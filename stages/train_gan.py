"""dataset.h5 -> the GAN: from poses to pictures, or from noise to pictures."""

import shutil
from pathlib import Path

import numpy as np

from dancing.clips.dataset import Dataset, open_dataset, subject_title
from dancing.errors import UserError, exit_on_user_error
from dancing.inference import NO_PAINTER, NoiseToPictures, Painter, PosesToPictures, Sampler
from dancing.noise_to_image.dataset import ImageDataset, open_images
from dancing.params import Gan, ImageParams, NoiseGan, VaeGan, load_params
from dancing.render import plots
from dancing.tracking import StageRun, cache_dir, stage_run, tensor_signature
from dancing.training.common import Epoch, History
from dancing.training.gan import train_gan

DATASET, OUT = Path("data/dataset.h5"), Path("models/gan")
CURVES, PLOTS = Path("metrics/curves/gan.csv"), Path("plots/train_gan")
#: The seed's own settings, how many times fewer steps than ours it gets, which cost more, and in how many epochs.
SEEDS = {"model": "dense", "loss": "bce", "lr": 2e-4, "discriminator_lr": 2e-4, "r1_weight": 0.0}
SHORTER, SEEDS_EPOCHS = 12, 2


def main() -> None:
    params = load_params()
    with stage_run("train_gan", params) as run:
        if isinstance(params, ImageParams):
            with open_images(DATASET) as images:
                _learn_from_noise(images, params.gan, run)
        elif params.gan.model == "none":
            _train_nothing()
        else:
            # Of an earlier run by hand: DVC empties the folder itself.
            (OUT / NO_PAINTER).unlink(missing_ok=True)
            shutil.rmtree(OUT / "dense", ignore_errors=True)
            with open_dataset(DATASET) as dataset:
                _learn_from_poses(dataset, params.gan, run)


def _train_nothing() -> None:
    """What dvc.yaml promises, and nothing in it but a note."""
    for folder in (OUT, CURVES.parent, PLOTS):
        folder.mkdir(parents=True, exist_ok=True)
    (OUT / NO_PAINTER).write_text("gan.model is none: poses are not painted.\n", encoding="utf-8")
    CURVES.write_text("", encoding="utf-8")


def _learn_from_poses(dataset: Dataset, gan: Gan, run: StageRun) -> None:
    everybody, chosen = dataset.subjects(), dataset.of_subject(gan.subject).pieces[0].subject
    if len(everybody) > 1:
        known = ", ".join(f"{subject_title(name)} ({count} pictures)" for name, count in everybody.items())
        print(f"gan.subject: learning {subject_title(chosen)} of {known}")

    def on_epoch(epoch: Epoch) -> None:
        run.metrics(epoch.losses, step=epoch.number)
        _show(run, epoch.number, plots.sample_grid(epoch.samples()))

    resume = cache_dir() / "resume"
    trained = [train_gan(dataset, gan, OUT, resume, on_epoch)]
    if gan.model == "skeleton" and gan.baseline:
        steps = max(1, gan.epochs * gan.steps_per_epoch // (SHORTER * SEEDS_EPOCHS))
        seeds = gan.model_copy(update={**SEEDS, "epochs": SEEDS_EPOCHS, "steps_per_epoch": steps})
        trained.append(train_gan(dataset, seeds, OUT / "dense", resume))
    _keep(run, trained[0].gan, gan.model)
    run.headline({"gan_val_l1": min(row["val_l1"] for row in trained[0].gan)})
    signature = tensor_signature((-1, 33, 2), (-1, 3, dataset.height, dataset.width))
    run.model(PosesToPictures(Painter.load(OUT / "best.pt")), "poses_to_pictures", signature)
    for done in trained:
        done.settled()


def _learn_from_noise(dataset: ImageDataset, gan: NoiseGan | VaeGan | None, run: StageRun) -> None:
    if gan is None:
        raise UserError("params.yaml has no section gan: this system has no GAN to train")

    def on_epoch(epoch: Epoch) -> None:
        run.metrics(epoch.losses, step=epoch.number)
        _show(run, epoch.number, plots.picture_sheet(list(epoch.samples()["generated"])))

    shutil.rmtree(OUT / "tanh", ignore_errors=True)
    resume = cache_dir() / "resume"
    trained = [train_gan(dataset, gan, OUT, resume, on_epoch)]
    if isinstance(gan, VaeGan) and gan.baseline and gan.output != "tanh":
        trained.append(train_gan(dataset, gan.model_copy(update={"output": "tanh"}), OUT / "tanh", resume))
    _keep(run, trained[0].gan, gan.model)
    run.headline({"gan_diversity": trained[0].gan[-1]["val_diversity"]})
    sampler = Sampler.load(OUT / "best.pt", "train_gan")
    signature = tensor_signature((-1, sampler.size), (-1, dataset.channels, dataset.height, dataset.width))
    run.model(NoiseToPictures(sampler), "noise_to_pictures", signature)
    for done in trained:
        done.settled()


def _show(run: StageRun, epoch: int, sheet: np.ndarray) -> None:
    plots.save_picture(PLOTS / "samples.png", sheet)
    run.image(sheet, "samples", epoch)


def _keep(run: StageRun, losses: History, model: str) -> None:
    """What both leave in MLflow, and the curves."""
    plots.save_table(CURVES, losses)
    plots.save_figure(PLOTS / "curves.png", plots.curves(losses, f"train_gan: {model}"))
    run.artifact(PLOTS / "curves.png")
    run.artifact(OUT / "best.pt", "checkpoints")


if __name__ == "__main__":
    exit_on_user_error(main)
