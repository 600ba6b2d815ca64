"""dataset.h5 -> the VAE: of sound and poses, or of pictures."""

import shutil
from pathlib import Path

from dancing.clips.dataset import open_dataset
from dancing.errors import UserError, exit_on_user_error
from dancing.inference import Dancer, NoiseToPictures, Sampler, SongToPoses
from dancing.noise_to_image.dataset import open_images
from dancing.params import ImageParams, Params, load_params
from dancing.render import plots
from dancing.tracking import StageRun, cache_dir, stage_run, tensor_signature
from dancing.training.common import Epoch, History
from dancing.training.vae import train_vae

DATASET, OUT = Path("data/dataset.h5"), Path("models/vae")
CURVES, PLOTS = Path("metrics/curves"), Path("plots/train_vae")


def main() -> None:
    params = load_params()
    with stage_run("train_vae", params) as run:
        if isinstance(params, ImageParams):
            _learn_pictures(params, run)
        else:
            _learn_dances(params, run)


def _learn_dances(params: Params, run: StageRun) -> None:
    with open_dataset(DATASET) as dataset:

        def on_epoch(epoch: Epoch) -> None:
            run.metrics(epoch.losses, step=epoch.number)
            if epoch.number % 10 == 1:  # drawing skeletons takes longer than an epoch
                width = round(160 * dataset.width / dataset.height)
                run.image(plots.dance_strip(epoch.samples(), 160, width), "dances", epoch.number)

        def on_prior_epoch(epoch: Epoch) -> None:
            run.metrics({f"prior_{name}": loss for name, loss in epoch.losses.items()}, step=epoch.number)

        shutil.rmtree(OUT / "lstm", ignore_errors=True)  # of an earlier run by hand: DVC empties the folder itself
        resume = cache_dir() / "resume"
        history = train_vae(dataset, params.vae, params.prior, OUT, resume, on_epoch, on_prior_epoch)
        trained = [history]
        if params.vae.model == "motion" and params.vae.baseline:
            seeds = params.vae.model_copy(update={"model": "lstm"})
            trained.append(train_vae(dataset, seeds, params.prior, OUT / "lstm", resume))
        _keep(run, history.vae)
        _keep_curves(run, "prior", history.prior)
        features = len(dataset.audio_mean)
        signature = tensor_signature((-1, -1, features), (-1, -1, 33, 2))
        run.model(SongToPoses(Dancer.load(OUT / "best.pt")), "song_to_poses", signature)
        for done in trained:
            done.settled()


def _learn_pictures(params: ImageParams, run: StageRun) -> None:
    if params.vae is None:
        raise UserError("params.yaml has no section vae: this system has no VAE to train")
    with open_images(DATASET) as dataset:

        def on_epoch(epoch: Epoch) -> None:
            run.metrics(epoch.losses, step=epoch.number)
            sheet = plots.picture_rows({name: list(some[:12]) for name, some in epoch.samples().items()})
            plots.save_picture(PLOTS / "samples.png", sheet)
            run.image(sheet, "samples", epoch.number)

        history = train_vae(dataset, params.vae, None, OUT, cache_dir() / "resume", on_epoch)
        _keep(run, history.vae)
        sampler = Sampler.load(OUT / "best.pt", "train_vae")
        signature = tensor_signature((-1, sampler.size), (-1, dataset.channels, dataset.height, dataset.width))
        run.model(NoiseToPictures(sampler), "noise_to_pictures", signature)
        history.settled()


def _keep(run: StageRun, losses: History) -> None:
    """What both leave in MLflow, and the curves."""
    _keep_curves(run, "vae", losses)
    run.headline({"vae_val_loss": min(row["val_total"] for row in losses)})
    run.artifact(OUT / "best.pt", "checkpoints")


def _keep_curves(run: StageRun, name: str, losses: History) -> None:
    plots.save_table(CURVES / f"{name}.csv", losses)
    if losses:
        plots.save_figure(PLOTS / f"{name}.png", plots.curves(losses, f"train_vae: {name}"))
        run.artifact(PLOTS / f"{name}.png")


if __name__ == "__main__":
    exit_on_user_error(main)
