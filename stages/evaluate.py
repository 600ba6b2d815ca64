"""dataset.h5's test part and the trained models -> metrics/*.json and plots."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from dancing import evaluation
from dancing.clips.dataset import open_dataset
from dancing.errors import exit_on_user_error
from dancing.evaluation import pictures
from dancing.evaluation import sample_sheets as sheets
from dancing.inference import Dancer, Painter, load_painter, load_samplers
from dancing.metrics.bootstrap_cells import Row
from dancing.noise_to_image.dataset import open_images
from dancing.params import ImageParams, Params, load_params
from dancing.tracking import StageRun, stage_run

DATASET, DANCERS, PAINTERS = Path("data/dataset.h5"), Path("models/vae"), Path("models/gan")
METRICS, PLOTS = Path("metrics"), Path("plots/evaluate")
#: What tells an experiment at a glance, by file; everything, with n and intervals, is beside the plots.
HEADLINES = {
    "motion": (
        *("magnitude", "freeze", "jerk", "drift", "bas_gain", "f1"),
        *(f"tempo_locking_{p}" for p in (1, 2, 3, 4, "sum")),
        *("mmd_ratio", "multimodality", "foot_slide", "long_bones"),
    ),
    "generated": (
        *("classifier_score", "rarest_class", "commonest_class", "accuracy", "frechet", "frechet_ratio", "nats"),
        *("feature_mmd_ratio", "density", "coverage", "diversity", "critic_gap"),
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
    with stage_run("evaluate", params) as run:
        if isinstance(params, ImageParams):
            _generated(params, run)
        else:
            _danced(params, run)
        for path in [*METRICS.glob("*.json"), *(path for path in PLOTS.iterdir() if path.is_file())]:
            run.artifact(path)


def _danced(params: Params, run: StageRun) -> None:
    wanted = params.evaluate
    dancers, painters = _dancers(params.render.guidance), _painters()
    with open_dataset(DATASET) as dataset:
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
            _keep(name, rows)
            run.headline({metric: rows["ours"][metric]["mean"] for metric in HEADLINES[name]})

        first = dataset.split("test")[0].audio[: TRAVERSED_SECONDS * dataset.fps]
        traversal = dancers["ours"].traversal(first, 0, params.render.temperature, dims=4, values=TRAVERSED)
        pictures.save_traversal(PLOTS / "traversal.png", dataset, traversal, TRAVERSED)
        pictures.save_speeds(PLOTS / "speed.png", dataset, moved)
        pictures.save_strip(PLOTS / "dances.png", dataset, moved)
        pictures.save_locking(PLOTS / "locking.png", moved)
        pictures.save_comparison(PLOTS / "comparison.mp4", dataset, moved, sound)


def _generated(params: ImageParams, run: StageRun) -> None:
    wanted, samplers = params.evaluate, load_samplers(DANCERS, PAINTERS)
    with open_images(DATASET) as dataset:
        result = evaluation.evaluate_generated(dataset, samplers, wanted.samples, wanted.feature_steps, wanted.seed)
        for name, checkpoint in (("gan", PAINTERS / "best.pt"), ("tanh", PAINTERS / "tanh/best.pt")):
            if name in samplers:
                gap = evaluation.critic_gap(dataset, checkpoint, wanted.samples, wanted.seed)
                result.rows[name]["critic_gap"] = gap
        _keep("generated", result.rows)
        for name in samplers:
            row = result.rows[name]
            run.headline(
                {f"{name}_{metric}": row[metric]["mean"] for metric in HEADLINES["generated"] if metric in row}
            )
        sheets.save_samples(PLOTS, result, samplers)
        for name, sampler in samplers.items():
            sheets.save_interpolation(PLOTS / f"{name}_ways.png", sampler, wanted.seed)
            if sampler.encodes:
                sheets.save_traversal(PLOTS / f"{name}_traversal.png", sampler, dataset, wanted.seed)
        if "gan" in samplers:
            sheets.save_alphas(PLOTS / "alphas.png", samplers["gan"], wanted.seed)


def _keep(name: str, rows: Mapping[str, Row]) -> None:
    """The headline figures for DVC and people; everything, with n and intervals, beside the plots."""
    _write_json(METRICS / f"{name}.json", evaluation.means(rows, HEADLINES[name]))
    _write_json(PLOTS / f"{name}_intervals.json", rows)


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
