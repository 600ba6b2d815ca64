"""dataset.h5's test part and both models -> metrics/*.json and plots."""

import json
from dataclasses import replace
from pathlib import Path

from dancing import evaluation
from dancing.errors import exit_on_user_error
from dancing.evaluation import pictures
from dancing.hdf5 import open_dataset
from dancing.inference import Dancer, Painter, load_painter
from dancing.params import load_params
from dancing.tracking import stage_run

DANCERS, PAINTERS, METRICS, PLOTS = Path("models/vae"), Path("models/gan"), Path("metrics"), Path("plots/evaluate")
#: What tells an experiment at a glance, by file; everything, with n and intervals, is beside the plots.
HEADLINES = {
    "motion": (
        *("magnitude", "freeze", "jerk", "drift", "bas_gain", "f1"),
        *(f"tempo_locking_{p}" for p in (1, 2, 3, 4, "sum")),
        *("mmd_ratio", "multimodality", "foot_slide", "long_bones"),
    ),
    "image": (
        *("psnr_crop", "ssim_crop", "ms_ssim", "detection_rate", "pck_10", "pck_20", "flicker_ratio", "warping_ratio"),
        *("feature_mmd_ratio", "density", "coverage"),
    ),
}
#: Values (standard deviations) given to a latent dimension in a picture of what it does, and seconds of song danced.
TRAVERSED, TRAVERSED_SECONDS = (-2, -1, 0, 1, 2), 10


def main() -> None:
    params = load_params()
    wanted = params.evaluate
    dancers, painters = _dancers(params.render.guidance), _painters()
    with stage_run("evaluate", params) as run, open_dataset("data/dataset.h5") as dataset:
        sound = pictures.first_sound(dataset, Path(params.data.clips))
        moved = evaluation.evaluate_motion(dataset, dancers, params.render.temperature, wanted.seeds, wanted.seed)
        tables = {"motion": moved.rows}
        if not painters:
            _write_json(METRICS / "image.json", {})  # dvc.yaml promises it
        else:
            ours = painters["ours"]
            pictured = dataset.of_subject(ours.subject)
            dances = {p.name: dance for p, dance in zip(dataset.split("test"), moved.dances["ours"], strict=True)}
            danced = [ours.figure.fit(dances[piece.name]) for piece in pictured.split("test")]
            painted = evaluation.evaluate_images(
                pictured, painters, danced, wanted.frames, wanted.feature_steps, params.render.quality, wanted.seed
            )
            tables["image"] = painted.rows
            run.headline({"detection_rate_danced": painted.rows["ours_danced"]["detection_rate"]["mean"]})
            pictures.save_samples(PLOTS / "pictures.png", painted)
            pictures.save_danced(PLOTS / "danced.png", painted)
            pictures.save_worst(PLOTS / "worst.png", painted)
            pictures.save_flicker(PLOTS / "flicker.png", painted)

        for name, rows in tables.items():
            _write_json(METRICS / f"{name}.json", evaluation.means(rows, HEADLINES[name]))
            _write_json(PLOTS / f"{name}_intervals.json", rows)
            run.headline({metric: rows["ours"][metric]["mean"] for metric in HEADLINES[name]})

        first = dataset.split("test")[0].audio[: TRAVERSED_SECONDS * dataset.fps]
        traversal = dancers["ours"].traversal(first, 0, params.render.temperature, dims=4, values=TRAVERSED)
        pictures.save_traversal(PLOTS / "traversal.png", dataset, traversal, TRAVERSED)
        pictures.save_speeds(PLOTS / "speed.png", dataset, moved)
        pictures.save_strip(PLOTS / "dances.png", dataset, moved)
        pictures.save_locking(PLOTS / "locking.png", moved)
        pictures.save_comparison(PLOTS / "comparison.mp4", dataset, moved, sound)
        for path in [*METRICS.glob("*.json"), *PLOTS.iterdir()]:
            run.artifact(path)


def _dancers(guidance: float) -> dict[str, Dancer]:
    """Rows of the table of motion: what was trained, the same without its flow, and the seed's model where it is."""
    ours = Dancer.load(DANCERS / "best.pt", guidance)
    dancers = {"ours": ours}
    if ours.prior is not None:
        dancers["normal_prior"] = replace(ours, prior=None)
    if (DANCERS / "lstm").exists():
        dancers["lstm"] = Dancer.load(DANCERS / "lstm/best.pt")
    return dancers


def _painters() -> dict[str, Painter]:
    """Rows of the table of pictures: what was trained, and the seed's model where it is; none where nothing paints."""
    ours = load_painter(PAINTERS)
    painters = {} if ours is None else {"ours": ours}
    if (PAINTERS / "dense").exists():
        painters["dense"] = Painter.load(PAINTERS / "dense/best.pt")
    return painters


def _write_json(path: Path, content: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    exit_on_user_error(main)
