"""dataset.h5 -> the GAN that turns poses into pictures."""

import shutil
from pathlib import Path

from dancing import figures
from dancing.errors import exit_on_user_error
from dancing.hdf5 import Dataset, open_dataset, subject_title
from dancing.inference import NO_PAINTER, Painter, PosesToPictures
from dancing.params import Gan, load_params
from dancing.tracking import StageRun, cache_dir, stage_run, tensor_signature
from dancing.training.common import Epoch
from dancing.training.gan import train_gan

OUT, CURVES, PLOTS = Path("models/gan"), Path("metrics/curves/gan.csv"), Path("plots/train_gan")
#: The seed's own settings, how many times fewer steps than ours it gets, which cost more, and in how many epochs.
SEEDS = {"model": "dense", "loss": "bce", "lr": 2e-4, "discriminator_lr": 2e-4, "r1_weight": 0.0}
SHORTER, SEEDS_EPOCHS = 12, 2


def main() -> None:
    params = load_params()
    with stage_run("train_gan", params) as run:
        if params.gan.model == "none":
            _train_nothing()
        else:
            # Of an earlier run by hand: DVC empties the folder itself.
            (OUT / NO_PAINTER).unlink(missing_ok=True)
            shutil.rmtree(OUT / "dense", ignore_errors=True)
            with open_dataset("data/dataset.h5") as dataset:
                _train(dataset, params.gan, run)


def _train_nothing() -> None:
    """What dvc.yaml promises, and nothing in it but a note."""
    for folder in (OUT, CURVES.parent, PLOTS):
        folder.mkdir(parents=True, exist_ok=True)
    (OUT / NO_PAINTER).write_text("gan.model is none: poses are not painted.\n", encoding="utf-8")
    CURVES.write_text("", encoding="utf-8")


def _train(dataset: Dataset, gan: Gan, run: StageRun) -> None:
    everybody, chosen = dataset.subjects(), dataset.of_subject(gan.subject).pieces[0].subject
    if len(everybody) > 1:
        known = ", ".join(f"{subject_title(name)} ({count} pictures)" for name, count in everybody.items())
        print(f"gan.subject: learning {subject_title(chosen)} of {known}")

    def on_epoch(epoch: Epoch) -> None:
        run.metrics(epoch.losses, step=epoch.number)
        sheet = figures.sample_grid(epoch.samples())
        figures.save_picture(PLOTS / "samples.png", sheet)
        run.image(sheet, "samples", epoch.number)

    resume = cache_dir() / "resume"
    trained = [train_gan(dataset, gan, OUT, resume, on_epoch)]
    if gan.model == "skeleton" and gan.baseline:
        steps = max(1, gan.epochs * gan.steps_per_epoch // (SHORTER * SEEDS_EPOCHS))
        seeds = gan.model_copy(update={**SEEDS, "epochs": SEEDS_EPOCHS, "steps_per_epoch": steps})
        trained.append(train_gan(dataset, seeds, OUT / "dense", resume))
    losses = trained[0].gan
    figures.save_table(CURVES, losses)
    figures.save_figure(PLOTS / "curves.png", figures.curves(losses, f"train_gan: {gan.model}"))
    run.headline({"gan_val_l1": min(row["val_l1"] for row in losses)})
    run.artifact(PLOTS / "curves.png")
    run.artifact(OUT / "best.pt", "checkpoints")
    signature = tensor_signature((-1, 33, 2), (-1, 3, dataset.height, dataset.width))
    run.model(PosesToPictures(Painter.load(OUT / "best.pt")), "poses_to_pictures", signature)
    for done in trained:
        done.settled()


if __name__ == "__main__":
    exit_on_user_error(main)
