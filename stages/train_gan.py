"""dataset.h5 -> the GAN that turns poses into pictures."""

from pathlib import Path

from dancing import figures
from dancing.errors import exit_on_user_error
from dancing.hdf5 import open_dataset
from dancing.inference import Painter
from dancing.params import load_params
from dancing.tracking import cache_dir, stage_run, tensor_signature
from dancing.training.common import Epoch
from dancing.training.gan import train_gan

OUT, CURVES, PLOTS = Path("models/gan"), Path("metrics/curves/gan.csv"), Path("plots/train_gan")


def main() -> None:
    params = load_params()
    with stage_run("train_gan", params) as run, open_dataset("data/dataset.h5") as dataset:

        def on_epoch(epoch: Epoch) -> None:
            run.metrics(epoch.losses, step=epoch.number)
            sheet = figures.sample_grid(epoch.samples())
            figures.save_picture(PLOTS / "samples.png", sheet)
            run.image(sheet, "samples", epoch.number)

        history = train_gan(dataset, params.gan, OUT, cache_dir() / "resume", on_epoch)
        figures.save_table(CURVES, history)
        figures.save_figure(PLOTS / "curves.png", figures.curves(history, f"train_gan: {params.gan.model}"))
        run.headline({"gan_val_l1": min(row["val_l1"] for row in history)})
        run.artifact(PLOTS / "curves.png")
        run.artifact(OUT / "best.pt", "checkpoints")
        signature = tensor_signature((-1, 33, 2), (-1, 3, dataset.height, dataset.width))
        run.model(Painter.load(OUT / "best.pt").generator.cpu(), "poses_to_pictures", signature)


if __name__ == "__main__":
    exit_on_user_error(main)
