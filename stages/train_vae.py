"""dataset.h5 -> the VAE that turns sound into poses."""

import shutil
from pathlib import Path

from dancing import figures
from dancing.errors import exit_on_user_error
from dancing.hdf5 import open_dataset
from dancing.inference import Dancer, SongToPoses
from dancing.params import load_params
from dancing.tracking import cache_dir, stage_run, tensor_signature
from dancing.training.common import Epoch
from dancing.training.vae import train_vae

OUT, CURVES, PLOTS = Path("models/vae"), Path("metrics/curves"), Path("plots/train_vae")


def main() -> None:
    params = load_params()
    with stage_run("train_vae", params) as run, open_dataset("data/dataset.h5") as dataset:

        def on_epoch(epoch: Epoch) -> None:
            run.metrics(epoch.losses, step=epoch.number)
            if epoch.number % 10 == 1:  # drawing skeletons takes longer than an epoch
                width = round(160 * dataset.width / dataset.height)
                run.image(figures.dance_strip(epoch.samples(), 160, width), "dances", epoch.number)

        def on_prior_epoch(epoch: Epoch) -> None:
            run.metrics({f"prior_{name}": loss for name, loss in epoch.losses.items()}, step=epoch.number)

        shutil.rmtree(OUT / "lstm", ignore_errors=True)  # of an earlier run by hand: DVC empties the folder itself
        resume = cache_dir() / "resume"
        history = train_vae(dataset, params.vae, params.prior, OUT, resume, on_epoch, on_prior_epoch)
        trained = [history]
        if params.vae.model == "motion" and params.vae.baseline:
            seeds = params.vae.model_copy(update={"model": "lstm"})
            trained.append(train_vae(dataset, seeds, params.prior, OUT / "lstm", resume))
        for name, losses in (("vae", history.vae), ("prior", history.prior)):
            figures.save_table(CURVES / f"{name}.csv", losses)
            if losses:
                figures.save_figure(PLOTS / f"{name}.png", figures.curves(losses, f"train_vae: {name}"))
                run.artifact(PLOTS / f"{name}.png")
        run.headline({"vae_val_loss": min(row["val_total"] for row in history.vae)})
        run.artifact(OUT / "best.pt", "checkpoints")
        features = len(dataset.audio_mean)
        signature = tensor_signature((-1, -1, features), (-1, -1, 33, 2))
        run.model(SongToPoses(Dancer.load(OUT / "best.pt")), "song_to_poses", signature)
        for done in trained:
            done.settled()


if __name__ == "__main__":
    exit_on_user_error(main)
