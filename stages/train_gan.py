"""Train the GAN on dataset.h5: from poses to images, or from noise to images."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dancing.params import Gan, ImageParams, Params, VaeGan, load_params
from dancing.tracking import StageRun, cache_dir, stage_run
from stages import Made, Result, launch

if TYPE_CHECKING:
    import numpy as np

    from dancing.training.checkpoints import ResumeStates
    from dancing.training.epochs import Epoch, History

DATASET, OUT = Path("data/dataset.h5"), Path("models/gan")
CURVES, PLOTS = Path("metrics/curves/gan.csv"), Path("plots/train_gan")
#: The original model with its own settings. It trains for fewer steps than ours by this factor, because each of its
#: steps costs more, in this number of epochs.
BASELINE = {"model": "dense", "loss": "bce", "lr": 2e-4, "discriminator_lr": 2e-4, "r1_weight": 0.0}
BASELINE_FEWER, BASELINE_EPOCHS = 12, 2
#: Samples on the sheet that is logged after each epoch.
SHOWN = 4


def main() -> Result:
    """Train the GAN of the system that params.yaml is for."""
    params = load_params()
    from dancing.training.checkpoints import ResumeStates
    from dancing.training.processes import join_processes

    join_processes(params.train.processes)
    with stage_run("train_gan", params) as run, ResumeStates(cache_dir() / "resume") as resume:
        if isinstance(params, ImageParams):
            return train_images(params, run, resume)
        return train_dance(params, run, resume)


def train_dance(params: Params, run: StageRun, resume: "ResumeStates") -> Result:
    """Train `gan.model` on the images of one subject, and the baseline."""
    from dancing.clips.dataset import open_dataset, subject_title
    from dancing.pose_to_image.task import build_task
    from dancing.render import plots
    from dancing.served.models import tensor_model
    from dancing.training.checkpoints import NOTHING, file_digest, train_nothing
    from dancing.training.compute import Compute
    from dancing.training.gan_loop import train_gan

    gan, compute, digest = params.gan, Compute.pick(params.train), file_digest(DATASET)
    if gan.model == "none":
        train_nothing(OUT, PLOTS, CURVES, "gan.model is none: no images are generated")
        return None
    # Left by an earlier run without DVC, which empties the folder itself.
    (OUT / NOTHING).unlink(missing_ok=True)
    shutil.rmtree(OUT / "dense", ignore_errors=True)

    def on_epoch(epoch: "Epoch") -> None:
        run.metrics(epoch.losses | {"pictures_per_s": epoch.speed}, step=epoch.number)
        samples = epoch.samples()
        some = plots.sample_grid({name: cells[:SHOWN] for name, cells in samples.items()})
        _log_samples(run, epoch.number, plots.sample_grid(samples), some)

    with open_dataset(DATASET) as dataset:
        run.dataset(DATASET, digest, dataset.summary(), "training")
        subjects, chosen = dataset.subjects(), dataset.for_subject(gan.subject).pieces[0].subject
        if len(subjects) > 1:
            known = ", ".join(f"{subject_title(name)} ({count} images)" for name, count in subjects.items())
            print(f"gan.subject: training on {subject_title(chosen)} of {known}")
        state = resume.state("train_gan", gan, digest, compute.name)
        history = train_gan(build_task(dataset, gan, compute), gan, OUT, state, on_epoch).history
        if gan.model == "skeleton" and gan.baseline:
            baseline = _baseline(gan)
            state = resume.state("train_gan", baseline, digest, compute.name)
            train_gan(build_task(dataset, baseline, compute), baseline, OUT / "dense", state)
        example = dataset.split("train")[0].landmarks[:2]
        shapes = (-1, 33, 2), (-1, 3, dataset.height, dataset.width)
        does = "Landmarks (B, 33, 2) in [0, 1] go in, images (B, 3, H, W) in [-1, 1] come out."
        run.model(tensor_model("poses_to_pictures", OUT / "best.pt", *shapes, example, does))
        _log_losses(run, history, gan.model)
        error = min(row["val_l1"] for row in history)
        run.headline({"gan_val_l1": error})
        return Made(str(OUT), f"mean absolute error on the validation part {error:.4f}")


def _baseline(gan: Gan) -> Gan:
    steps = max(1, gan.epochs * gan.steps_per_epoch // (BASELINE_FEWER * BASELINE_EPOCHS))
    return gan.model_copy(update={**BASELINE, "epochs": BASELINE_EPOCHS, "steps_per_epoch": steps})


def train_images(params: ImageParams, run: StageRun, resume: "ResumeStates") -> Result:
    """Train the GAN of an image system; if its output is a parametric tanh, also one with a plain tanh to compare.

    Raises:
        UserError: where params.yaml has no section gan.
    """
    from dancing.noise_to_image.dataset import open_images
    from dancing.noise_to_image.gan_task import build_task
    from dancing.noise_to_image.inference import NoiseToImage
    from dancing.render import plots
    from dancing.served.models import tensor_model
    from dancing.training.checkpoints import file_digest, train_nothing
    from dancing.training.compute import Compute
    from dancing.training.gan_loop import train_gan

    gan, compute = params.gan, Compute.pick(params.train)
    if gan is None:
        train_nothing(OUT, PLOTS, CURVES, "gan is null: no GAN is trained")
        return None

    def on_epoch(epoch: "Epoch") -> None:
        run.metrics(epoch.losses | {"pictures_per_s": epoch.speed}, step=epoch.number)
        images = list(epoch.samples()["generated"])
        _log_samples(run, epoch.number, plots.picture_sheet(images), plots.picture_sheet(images[: 3 * SHOWN]))

    shutil.rmtree(OUT / "tanh", ignore_errors=True)  # left by an earlier run without DVC
    with open_images(DATASET) as dataset:
        digest = file_digest(DATASET)
        run.dataset(DATASET, digest, dataset.summary(), "training")
        state = resume.state("train_gan", gan, digest, compute.name)
        history = train_gan(build_task(dataset, gan, compute), gan, OUT, state, on_epoch).history
        if isinstance(gan, VaeGan) and gan.baseline and gan.output != "tanh":
            baseline = gan.model_copy(update={"output": "tanh"})
            state = resume.state("train_gan", baseline, digest, compute.name)
            train_gan(build_task(dataset, baseline, compute), baseline, OUT / "tanh", state)
        noise = NoiseToImage.load(OUT / "best.pt", "train_gan").noise(2, 0)
        shapes = (-1, noise.shape[1]), (-1, dataset.channels, dataset.height, dataset.width)
        does = "Noise (B, Z) goes in, images (B, C, H, W) in [-1, 1] come out."
        run.model(tensor_model("gan_to_pictures", OUT / "best.pt", *shapes, noise, does))
        _log_losses(run, history, gan.model)
        diversity = history[-1]["val_diversity"]
        run.headline({"gan_diversity": diversity})
        return Made(str(OUT), f"diversity {diversity:.2f}; that of real images is 1")


def _log_samples(run: StageRun, epoch: int, sheet: "np.ndarray", some: "np.ndarray") -> None:
    """Save the sheet of all samples, and log one with a few: MLflow shows it 256 px wide."""
    from dancing.render import plots

    plots.save_picture(PLOTS / "samples.png", sheet)
    run.image(some, "samples", epoch)


def _log_losses(run: StageRun, losses: "History", model: str) -> None:
    from dancing.render import plots

    plots.save_table(CURVES, losses)
    plots.save_figure(PLOTS / "curves.png", plots.curves(losses, f"train_gan: {model}"))
    run.artifact(PLOTS / "curves.png")
    run.artifact(OUT / "best.pt", "checkpoints")


if __name__ == "__main__":
    launch(main)
