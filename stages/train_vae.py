"""Train the VAE on dataset.h5: from music to poses, or of images."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from dancing.params import ImageParams, Params, load_params
from dancing.tracking import StageRun, cache_dir, stage_run
from stages import Made, Result, launch

if TYPE_CHECKING:
    from dancing.training.checkpoints import ResumeStates
    from dancing.training.epochs import Epoch, History

DATASET, OUT = Path("data/dataset.h5"), Path("models/vae")
CURVES, PLOTS = Path("metrics/curves"), Path("plots/train_vae")
#: Height of the strip of skeletons (px), and the epochs from one to the next: drawing takes longer than an epoch.
STRIP_HEIGHT, STRIP_INTERVAL = 160, 10
#: Epochs without improvement after which the baseline stops: of 40 epochs on the demo, its first was the best.
BASELINE_PATIENCE = 5
#: Length of the input that is kept with the model as an example.
EXAMPLE_FRAMES = 60


def main() -> Result:
    """Train the VAE of the system that params.yaml is for."""
    params = load_params()
    from dancing.training.checkpoints import ResumeStates
    from dancing.training.processes import join_processes

    join_processes(params.train.processes)
    with stage_run("train_vae", params) as run, ResumeStates(cache_dir() / "resume") as resume:
        if isinstance(params, ImageParams):
            return train_images(params, run, resume)
        return train_dance(params, run, resume)


def train_dance(params: Params, run: StageRun, resume: "ResumeStates") -> Result:
    """Train `vae.model`, its flow prior, and the baseline."""
    from dancing.clips.dataset import open_dataset
    from dancing.music_to_pose.task import build_task
    from dancing.music_to_pose.train_prior import train_prior
    from dancing.render import plots
    from dancing.served.models import tensor_model
    from dancing.training.checkpoints import file_digest, save_checkpoint
    from dancing.training.compute import Compute
    from dancing.training.vae_loop import train_vae

    vae, prior, compute, digest = params.vae, params.prior, Compute.pick(params.train), file_digest(DATASET)
    with open_dataset(DATASET) as dataset:
        run.dataset(DATASET, digest, dataset.summary(), "training")

        def on_epoch(epoch: "Epoch") -> None:
            run.metrics(epoch.losses | {"windows_per_s": epoch.speed}, step=epoch.number)
            if epoch.number % STRIP_INTERVAL == 1:
                width = round(STRIP_HEIGHT * dataset.width / dataset.height)
                run.image(plots.dance_strip(epoch.samples(), STRIP_HEIGHT, width), "dances", epoch.number)

        def on_prior_epoch(epoch: "Epoch") -> None:
            run.metrics({f"prior_{name}": loss for name, loss in epoch.losses.items()}, step=epoch.number)

        shutil.rmtree(OUT / "lstm", ignore_errors=True)  # left by a run without DVC, which empties the folder itself
        task = build_task(dataset, vae, compute)
        state = resume.state("train_vae", vae, digest, compute.name)
        trained = train_vae(task, vae, OUT, state, on_epoch)
        if vae.model == "motion" and vae.prior == "flow":
            task.model.load_state_dict(trained.best["state"])
            state = resume.state("prior", vae, prior, digest, compute.name)
            flow = train_prior(
                task.model, task.train, task.val, prior, vae.time_stretch, compute, state, on_prior_epoch
            )
            save_checkpoint(OUT / "best.pt", trained.best | {"prior": flow.best})
            _log_curves(run, "prior", flow.history)
        else:
            _log_curves(run, "prior", [])  # dvc.yaml names the file
        if vae.model == "motion" and vae.baseline:
            patience = min(vae.patience, BASELINE_PATIENCE)
            baseline = vae.model_copy(update={"model": "lstm", "patience": patience})
            state = resume.state("train_vae", baseline, digest, compute.name)
            train_vae(build_task(dataset, baseline, compute), baseline, OUT / "lstm", state)
        example = dataset.split("train")[0].audio[None, :EXAMPLE_FRAMES]
        shapes = (-1, -1, example.shape[-1]), (-1, -1, 33, 2)
        does = "Audio features (B, T, F), not standardised, go in, landmarks (B, T, 33, 2) in [0, 1] come out."
        run.model(tensor_model("song_to_poses", OUT / "best.pt", *shapes, example, does))
        return _log_losses(run, trained.history)


def train_images(params: ImageParams, run: StageRun, resume: "ResumeStates") -> Result:
    """Train the VAE of an image system.

    Raises:
        UserError: where params.yaml has no section vae.
    """
    from dancing.noise_to_image.dataset import open_images
    from dancing.noise_to_image.inference import NoiseToImage
    from dancing.noise_to_image.vae_task import ImageVaeTask
    from dancing.render import plots
    from dancing.served.models import tensor_model
    from dancing.training.checkpoints import file_digest, train_nothing
    from dancing.training.compute import Compute
    from dancing.training.vae_loop import train_vae

    if params.vae is None:
        train_nothing(OUT, PLOTS, CURVES / "vae.csv", "vae is null: no VAE is trained")
        return None

    def on_epoch(epoch: "Epoch") -> None:
        run.metrics(epoch.losses | {"pictures_per_s": epoch.speed}, step=epoch.number)
        sheet = plots.picture_rows({name: list(images[:12]) for name, images in epoch.samples().items()})
        plots.save_picture(PLOTS / "samples.png", sheet)
        run.image(sheet, "samples", epoch.number)

    compute = Compute.pick(params.train)
    with open_images(DATASET) as dataset:
        digest = file_digest(DATASET)
        run.dataset(DATASET, digest, dataset.summary(), "training")
        state = resume.state("train_vae", params.vae, digest, compute.name)
        trained = train_vae(ImageVaeTask(dataset, params.vae, compute), params.vae, OUT, state, on_epoch)
        noise = NoiseToImage.load(OUT / "best.pt", "train_vae").noise(2, 0)
        shapes = (-1, noise.shape[1]), (-1, dataset.channels, dataset.height, dataset.width)
        does = "Noise (B, Z) goes in, images (B, C, H, W) in [-1, 1] come out."
        run.model(tensor_model("vae_to_pictures", OUT / "best.pt", *shapes, noise, does))
        return _log_losses(run, trained.history)


def _log_losses(run: StageRun, losses: "History") -> Made:
    _log_curves(run, "vae", losses)
    best = min(row["val_total"] for row in losses)
    run.headline({"vae_val_loss": best})
    run.artifact(OUT / "best.pt", "checkpoints")
    return Made(str(OUT), f"loss on the validation part {best:.3g} after {len(losses)} epochs")


def _log_curves(run: StageRun, name: str, losses: "History") -> None:
    from dancing.render import plots

    plots.save_table(CURVES / f"{name}.csv", losses)
    if losses:
        plots.save_figure(PLOTS / f"{name}.png", plots.curves(losses, f"train_vae: {name}"))
        run.artifact(PLOTS / f"{name}.png")


if __name__ == "__main__":
    launch(main)
