"""Evaluate trained models on the test part of dataset.h5: metrics/*.json and plots."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dancing.files import write_text
from dancing.params import ImageParams, Params, load_params
from dancing.tracking import StageRun, stage_run
from stages import launch

if TYPE_CHECKING:
    import numpy as np

    from dancing.clips.dataset import Dataset
    from dancing.metrics.bootstrap_cells import Row

DATASET, VAE, GAN = Path("data/dataset.h5"), Path("models/vae"), Path("models/gan")
METRICS, PLOTS = Path("metrics"), Path("plots/evaluate")
#: The headline metrics of each table. All metrics, with n and intervals, are written next to the plots.
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
#: Values of a latent dimension in the traversal plot (standard deviations), and length of its dances (s).
TRAVERSED, TRAVERSED_SECONDS = (-2, -1, 0, 1, 2), 10


def main() -> None:
    """Evaluate the models of the system that params.yaml is for."""
    params = load_params()
    with stage_run("evaluate", params) as run:
        if isinstance(params, ImageParams):
            evaluate_generated_images(params, run)
        else:
            evaluate_dance(params, run)
        for path in [*METRICS.glob("*.json"), *(path for path in PLOTS.iterdir() if path.is_file())]:
            run.artifact(path)


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
        _evaluate_images(params, run, dataset, result.dances["ours"])
        _save_table(run, "motion", result.rows)

        first = dataset.split("test")[0].audio[: TRAVERSED_SECONDS * dataset.fps]
        traversal = ours.traversal(first, 0, temperature, dims=4, values=TRAVERSED)
        figures.save_traversal(PLOTS / "traversal.png", dataset, traversal, TRAVERSED)
        figures.save_speeds(PLOTS / "speed.png", dataset, result)
        figures.save_strip(PLOTS / "dances.png", dataset, result)
        figures.save_locking(PLOTS / "locking.png", result)
        figures.save_comparison(PLOTS / "comparison.mp4", dataset, result, sound)


def _evaluate_images(params: Params, run: StageRun, dataset: "Dataset", dances: "list[np.ndarray]") -> None:
    """Write the image table and its plots; dances: generated poses (T, 33, 2) in [0, 1] for each test piece."""
    from dancing.evaluation import figures, images
    from dancing.pose_to_image.inference import PoseToImage, load_generator

    settings, ours = params.evaluate, load_generator(GAN)
    if ours is None:
        _write_json(METRICS / "image.json", {})  # dvc.yaml names the file
        return
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
    _save_table(run, "image", result.rows)
    figures.save_samples(PLOTS / "pictures.png", result)
    figures.save_generated_poses(PLOTS / "danced.png", result)
    figures.save_worst(PLOTS / "worst.png", result)
    figures.save_flicker(PLOTS / "flicker.png", result)


def evaluate_generated_images(params: ImageParams, run: StageRun) -> None:
    """Write the table of an image system and its plots."""
    from dancing.evaluation import generated, sample_sheets
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
        _write_table("generated", result.rows)
        for name in samplers:
            row = result.rows[name]
            run.headline(
                {f"{name}_{metric}": row[metric]["mean"] for metric in HEADLINES["generated"] if metric in row}
            )
        sample_sheets.save_samples(PLOTS, result, samplers)
        for name, sampler in samplers.items():
            sample_sheets.save_interpolation(PLOTS / f"{name}_ways.png", sampler, settings.seed)
            if sampler.encodes:
                sample_sheets.save_traversal(PLOTS / f"{name}_traversal.png", sampler, dataset, settings.seed)
        if "gan" in samplers:
            sample_sheets.save_alphas(PLOTS / "alphas.png", samplers["gan"], settings.seed)


def _save_table(run: StageRun, name: str, rows: "Mapping[str, Row]") -> None:
    """Write a table, and log the headline metrics of the row "ours"."""
    _write_table(name, rows)
    run.headline({metric: rows["ours"][metric]["mean"] for metric in HEADLINES[name]})


def _write_table(name: str, rows: "Mapping[str, Row]") -> None:
    """Write the headline metrics for DVC, and all metrics, with n and intervals, next to the plots."""
    from dancing.metrics.bootstrap_cells import means

    _write_json(METRICS / f"{name}.json", means(rows, HEADLINES[name]))
    _write_json(PLOTS / f"{name}_intervals.json", rows)


def _write_json(path: Path, content: object) -> None:
    write_text(path, json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    launch(main)
