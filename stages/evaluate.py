"""Evaluate trained models on the test part of dataset.h5: metrics/summary.json, a report, and plots."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dancing.files import write_text
from dancing.params import ImageParams, Params, load_params
from dancing.tracking import StageRun, stage_run
from stages import Made, launch

if TYPE_CHECKING:
    import numpy as np

    from dancing.clips.dataset import Dataset
    from dancing.metrics.bootstrap_cells import Row

DATASET, VAE, GAN = Path("data/dataset.h5"), Path("models/vae"), Path("models/gan")
SUMMARY, PLOTS, REPORTS = Path("metrics/summary.json"), Path("plots/evaluate"), Path("reports")
#: The metrics of each table in the summary, for `dvc metrics` and `dvc exp show`.
SUMMARIZED = {
    "motion": ("magnitude", "f1", "tempo_locking_sum", "foot_slide", "mmd_ratio"),
    "image": ("ssim_crop", "pck_20", "flicker_ratio"),
    "generated": ("classifier_score", "feature_mmd_ratio", "coverage", "diversity"),
}
#: The headline metrics of each table in MLflow. All metrics, with n and intervals, are in reports/.
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
        *("feature_mmd_ratio", "density", "coverage", "sharpness", "mask_iou"),
    ),
}
#: Values of a latent dimension in the traversal plot (standard deviations), and length of its dances (s).
TRAVERSED, TRAVERSED_SECONDS = (-2, -1, 0, 1, 2), 10


def main() -> Made:
    """Evaluate the models of the system that params.yaml is for."""
    params = load_params()
    with stage_run("evaluate", params) as run:
        if isinstance(params, ImageParams):
            evaluate_generated_images(params, run)
        else:
            evaluate_dance(params, run)
        for path in [SUMMARY, *(path for folder in (PLOTS, REPORTS) for path in folder.iterdir())]:
            run.artifact(path, "videos" if path.suffix == ".mp4" else None, parent=path.suffix == ".mp4")
        summary = json.loads(SUMMARY.read_text(encoding="utf-8"))
        figures = ", ".join(f"{key} {value:.3g}" for key, value in summary.items())
        return Made(f"{REPORTS}/index.html, {SUMMARY}", figures)


def evaluate_dance(params: Params, run: StageRun) -> None:
    """Write the motion table and the image table, their plots and the comparison video."""
    from dancing.clips.dataset import open_dataset
    from dancing.evaluation import figures, motion
    from dancing.music_to_pose.inference import MusicToPose
    from dancing.served.dance import dance_model
    from dancing.training.checkpoints import file_digest

    settings, temperature = params.evaluate, params.render.temperature
    ours = MusicToPose.load(VAE / "best.pt", params.render.guidance)
    models = {"ours": ours}
    if ours.prior is not None:
        models["normal_prior"] = replace(ours, prior=None)
    if (VAE / "lstm").exists():
        models["lstm"] = MusicToPose.load(VAE / "lstm/best.pt")
    with open_dataset(DATASET) as dataset:
        run.dataset(DATASET, file_digest(DATASET), dataset.summary(), "evaluation")
        run.model(dance_model(VAE, GAN, params))
        sound = figures.first_sound(dataset, Path(params.data.clips))
        result = motion.evaluate_motion(dataset, models, temperature, settings.seeds, settings.seed)
        tables = {"motion": result.rows, "image": _evaluate_images(params, run, dataset, result.dances["ours"])}
        _headline(run, "motion", result.rows)

        first = dataset.split("test")[0].audio[: TRAVERSED_SECONDS * dataset.fps]
        traversal = ours.traversal(first, 0, temperature, dims=4, values=TRAVERSED)
        figures.save_traversal(PLOTS / "traversal.png", dataset, traversal, TRAVERSED)
        figures.save_speeds(PLOTS / "speed.png", dataset, result)
        figures.save_strip(PLOTS / "dances.png", dataset, result)
        figures.save_locking(PLOTS / "locking.png", result)
        figures.save_comparison(REPORTS / "comparison.mp4", dataset, result, sound)
        _write_dance_report(params, dataset, tables)


def _write_dance_report(params: Params, dataset: "Dataset", tables: Mapping[str, Mapping[str, "Row"]]) -> None:
    from dancing.evaluation import report
    from dancing.evaluation.cards import data_card, model_card

    for name, rows in tables.items():
        _write_json(REPORTS / f"{name}.json", rows)
    _write_json(SUMMARY, {key: value for name, rows in tables.items() for key, value in _summary(name, rows)})
    cards = {"model_card": model_card(params, dataset, tables), "data_card": data_card(dataset, params.data.clips)}
    for name, text in cards.items():
        write_text(REPORTS / f"{name}.md", text)
    columns = {"motion": report.MOTION, "image": report.IMAGE}
    shown = {f"{name.capitalize()}, held-out data": (rows, columns[name]) for name, rows in tables.items()}
    videos = {"Dances to a held-out song": "comparison.mp4", "The song of render.song": "../dance.mp4"}
    page = report.page("A dance and its figures", shown, videos, _pictures(), cards.values())
    write_text(REPORTS / "index.html", page)


def _pictures() -> list[Path]:
    """Those of the trainings first."""
    folders = [Path("plots", stage) for stage in ("train_vae", "train_gan", "evaluate")]
    return [path for folder in folders for path in sorted(folder.glob("*.png"))]


def _evaluate_images(
    params: Params, run: StageRun, dataset: "Dataset", dances: "list[np.ndarray]"
) -> Mapping[str, "Row"]:
    """Return the image table, and write its plots.

    Args:
        params: of the run.
        run: gets the headline metrics.
        dataset: whose test part is compared.
        dances: generated poses (T, 33, 2) in [0, 1] for each test piece.

    Returns:
        No rows where no images were trained.
    """
    from dancing.evaluation import figures, images
    from dancing.pose_to_image.inference import PoseToImage, load_generator

    settings, ours = params.evaluate, load_generator(GAN)
    if ours is None:
        return {}
    models = {"ours": ours}
    if (GAN / "dense").exists():
        models["dense"] = PoseToImage.load(GAN / "dense/best.pt")
    for_subject = dataset.for_subject(ours.subject)
    by_piece = {piece.name: dance for piece, dance in zip(dataset.split("test"), dances, strict=True)}
    fitted = [ours.placement.fit(by_piece[piece.name]) for piece in for_subject.split("test")]
    result = images.evaluate_images(
        for_subject, models, fitted, settings.frames, settings.feature_steps, params.render.quality, settings.seed
    )
    run.headline({"detection_rate_danced": result.rows["ours_danced"]["detection_rate"]["mean"]})
    _headline(run, "image", result.rows)
    figures.save_samples(PLOTS / "pictures.png", result)
    figures.save_generated_poses(PLOTS / "danced.png", result)
    figures.save_worst(PLOTS / "worst.png", result)
    figures.save_flicker(PLOTS / "flicker.png", result)
    return result.rows


def evaluate_generated_images(params: ImageParams, run: StageRun) -> None:
    """Write the table of an image system and its plots."""
    from dancing.evaluation import generated, report, sample_sheets
    from dancing.noise_to_image.dataset import open_images
    from dancing.noise_to_image.inference import load_models
    from dancing.training.checkpoints import file_digest

    settings, samplers = params.evaluate, load_models(VAE, GAN)
    with open_images(DATASET) as dataset:
        run.dataset(DATASET, file_digest(DATASET), dataset.summary(), "evaluation")
        result = generated.evaluate_generated(
            dataset, samplers, settings.samples, settings.feature_steps, settings.seed
        )
        for name, checkpoint in (("gan", GAN / "best.pt"), ("tanh", GAN / "tanh/best.pt")):
            if name in samplers:
                gap = generated.critic_gap(dataset, checkpoint, settings.samples, settings.seed)
                result.rows[name]["critic_gap"] = gap
        _write_json(REPORTS / "generated.json", result.rows)
        summary: dict[str, float] = {}
        for name in samplers:
            row = result.rows[name]
            run.headline(
                {f"{name}_{metric}": row[metric]["mean"] for metric in HEADLINES["generated"] if metric in row}
            )
            summary |= {f"{name}_{key}": value for key, value in _summary("generated", {"ours": row})}
        _write_json(SUMMARY, summary)
        sample_sheets.save_samples(PLOTS, result, samplers)
        for name, sampler in samplers.items():
            sample_sheets.save_interpolation(PLOTS / f"{name}_ways.png", sampler, settings.seed)
            if sampler.encodes:
                sample_sheets.save_traversal(PLOTS / f"{name}_traversal.png", sampler, dataset, settings.seed)
        if "gan" in samplers:
            sample_sheets.save_alphas(PLOTS / "alphas.png", samplers["gan"], settings.seed)
        shown = {"Generated images": (result.rows, report.GENERATED)}
        walk = {"A walk through the noise": "../walk.mp4"}
        write_text(REPORTS / "index.html", report.page("Generated images", shown, walk, _pictures(), ()))


def _headline(run: StageRun, name: str, rows: Mapping[str, "Row"]) -> None:
    """Log the headline metrics of the row "ours"."""
    run.headline({metric: rows["ours"][metric]["mean"] for metric in HEADLINES[name]})


def _summary(name: str, rows: Mapping[str, "Row"]) -> Iterator[tuple[str, float]]:
    """The metrics of the row "ours" that are summarized, as far as they are defined."""
    for metric in SUMMARIZED[name]:
        cell = rows.get("ours", {}).get(metric)
        if cell is not None and cell["mean"] is not None:
            yield metric, round(cell["mean"], 4)


def _write_json(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    launch(main)
