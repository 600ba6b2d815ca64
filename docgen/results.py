"""Tables and figures of the documentation, from what was measured.

Sources, by the first part of a path such as ``dance.motion.ours.f1`` or ``mnist.rows.gan.classifier_score``:

- ``dance.motion`` and ``dance.image``, ``digits``, ``faces``, ``param_tanh``: docgen/measured/*.json, see `record`;
- any other name: the ``values`` of benchmarks/results/NAME.json, a record of a benchmark or a longer run.

The table ``goals`` is `benchmarks.goals`.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks import goals
from docgen import ROOT
from docgen.record import MEASURED

RECORDS = Path("benchmarks/results")
NONE = "-"


@cache
def sources(root: Path = ROOT) -> dict[str, Any]:
    """Everything that was measured, by the names that paths begin with."""

    def read(path: Path) -> Any:
        return json.loads((root / path).read_text(encoding="utf-8"))

    found: dict[str, Any] = {path.stem: read(path)["rows"] for path in sorted((root / MEASURED).glob("*.json"))}
    for path in sorted((root / RECORDS).glob("*.json")):
        found[path.stem] = read(path.relative_to(root))["values"]
    return found


def look_up(path: str) -> Any:
    """The value at a dotted path; None for a metric that a row doesn't have. Raises KeyError where there is no row."""
    *parents, last = path.split(".")
    place = sources()
    for step, name in enumerate(parents):
        if not isinstance(place, Mapping) or name not in place:
            raise KeyError(f"nothing was measured at {'.'.join(parents[: step + 1])}")
        place = place[name]
    if isinstance(place, Sequence):
        return place[int(last)]
    return place.get(last)


def formatted(value: float | None, spec: str) -> str:
    """Return a number as people read it.

    Args:
        value: None: nothing was measured.
        spec: one of Python's format specs, or

            - ``3``: three significant digits, as far as two decimals;
            - ``time``: seconds as minutes and seconds;
            - ``minutes``: seconds as whole minutes.
    """
    if value is None:
        return NONE
    if spec == "3":
        spec = ".0f" if abs(value) >= 99.95 else ".1f" if abs(value) >= 9.995 else ".2f"
    if spec == "time":
        minutes, seconds = divmod(round(value), 60)
        return f"{minutes} min {seconds} s" if minutes and seconds else f"{minutes} min" if minutes else f"{seconds} s"
    if spec == "minutes":
        return f"{value / 60:.0f}"
    text = format(value, spec)
    return text.removeprefix("-") if not any(digit in text for digit in "123456789") else text  # no "-0.00"


def value(path: str, spec: str) -> str:
    """One figure. Raises KeyError where it wasn't measured."""
    found = look_up(path)
    if found is None:
        raise KeyError(f"nothing was measured at {path}")
    return formatted(found, spec)


@dataclass(frozen=True)
class Column:
    """A column of a table: the metric's key, its heading and how its values are written."""

    key: str
    heading: str
    spec: str


@dataclass(frozen=True)
class Table:
    """Rows (path of the row -> label) against columns."""

    rows: Mapping[str, str]
    columns: Sequence[Column]
    corner: str = ""

    def __str__(self) -> str:
        head = [self.corner, *(column.heading for column in self.columns)]
        body = [
            [label, *(formatted(look_up(f"{row}.{column.key}"), column.spec) for column in self.columns)]
            for row, label in self.rows.items()
        ]
        return markdown(head, body)


def markdown(head: Sequence[str], body: Sequence[Sequence[str]]) -> str:
    """A table in Markdown: the first column to the left, figures to the right."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _columns(*columns: tuple[str, str, str]) -> tuple[Column, ...]:
    return tuple(Column(*column) for column in columns)


def _under(prefix: str, rows: Mapping[str, str]) -> dict[str, str]:
    return {f"{prefix}.{row}": label for row, label in rows.items()}


SPEED_MODELS = {
    "lstm_vae": "LSTM-VAE, 32 x 150 frames", "dense_gan": "dense GAN, 16 x 128 px",
    "digits_gan": "digits GAN, 128 x 28 px", "faces_gan": "faces DCGAN, 32 x 64 px",
    "digits_vae": "digits VAE, 128 x 28 px",
}  # fmt: skip
SPEED_COLUMNS = _columns(
    ("ours", "ours", ".2f"), ("ours_float32", "ours, 32 bit", ".2f"), ("plain", "plain PyTorch", ".2f"),
    ("keras_torch", "Keras on torch", ".2f"), ("keras_tensorflow", "Keras on TensorFlow", ".2f"),
    ("ours_per_plain", "ours / plain", ".1f"), ("ours_per_keras_torch", "ours / Keras on torch", ".1f"),
    ("ours_per_keras_tensorflow", "ours / Keras on TensorFlow", ".1f"),
)  # fmt: skip

MOTION = _columns(
    ("magnitude", "magnitude", ".2f"), ("freeze", "frozen", ".0%"), ("jerk", "jerk", "3"),
    ("bas_gain", "BAS gain", "+.2f"), ("f1", "beat F1", ".2f"), ("tempo_locking_1", "locking, 1 beat", "3"),
    ("tempo_locking_2", "2 beats", "3"), ("tempo_locking_3", "3 beats", "3"), ("tempo_locking_4", "4 beats", "3"),
    ("tempo_locking_sum", "all", "3"), ("mmd_ratio", "kinetic MMD over floor", "3"),
    ("multimodality", "multimodality", ".2f"), ("foot_slide", "foot slide", ".0%"),
    ("long_bones", "long bones", ".1%"),
)  # fmt: skip
PARTS = {
    "everything": "with all parts",
    "no_previous": "without the previous frame",
    "no_feature_matching": "without feature matching",
    "no_face_weight": "without more weight on face and hands",
    "no_r1": "without the R1 penalty",
}


def _parts(data: str, more: Sequence[str] = ()) -> dict[str, str]:
    """Rows of the parts; those that were trained with two seeds have two."""
    two_seeds = ("everything", "no_previous", "no_feature_matching", *more)
    return {
        f"gan_parts.{data}.{part}_seed_{seed}": f"{label}, seed {seed}"
        for part, label in PARTS.items()
        for seed in ((1, 2) if part in two_seeds else (1,))
    }


PARTS_COLUMNS = _columns(
    ("ssim_crop", "SSIM, person", ".3f"), ("psnr_crop", "PSNR, person, dB", ".1f"), ("pck_10", "PCK@0.1", ".1%"),
    ("pck_20", "PCK@0.2", ".1%"), ("flicker_ratio", "flicker", "3"), ("warping_ratio", "warping error", ".2f"),
    ("feature_mmd_ratio", "own-feature MMD over floor", "3"), ("l1_face_hands", "L1, face and hands", ".4f"),
)  # fmt: skip
ABLATION = _columns(
    ("ssim_crop", "SSIM, person", ".3f"), ("psnr_crop", "PSNR, person, dB", ".1f"), ("pck_10", "PCK@0.1", ".1%"),
    ("pck_20", "PCK@0.2", ".1%"), ("flicker_ratio", "flicker", "3"), ("warping_ratio", "warping error", ".2f"),
)  # fmt: skip
MOTION_ROWS = {
    "real": "real dance (ceiling)",
    "ours": "`motion`, flow prior (the default)",
    "normal_prior": "`motion`, normal prior",
    "lstm": "`lstm` (the original model)",
    "retrieval": "retrieval of real dance, warped to the beat",
    "ours_beat_warped": "`motion` with beat warping",
    "jitter": "white jitter (control)",
    "ours_to_other_music": "`motion`, against other music (chance)",
}
IMAGE = _columns(
    ("detection_rate", "pose detected", ".1%"), ("pck_10", "PCK@0.1", ".1%"), ("pck_20", "PCK@0.2", ".1%"),
    ("ssim_crop", "SSIM, person", ".3f"), ("psnr_crop", "PSNR, person, dB", ".1f"), ("ms_ssim", "MS-SSIM", ".3f"),
    ("sharpness", "sharpness", ".2f"), ("mask_iou", "mask IoU", ".2f"),
    ("flicker_ratio", "flicker", ".2f"), ("warping_ratio", "warping error", ".2f"),
    ("feature_mmd_ratio", "own-feature MMD over floor", ".1f"), ("density", "density", ".2f"),
    ("coverage", "coverage", ".2f"),
)  # fmt: skip
REAL_DANCER = _columns(
    ("steps", "steps", "d"), ("training_s", "training", "time"), ("detection_rate", "pose detected", ".1%"),
    ("pck_10", "PCK@0.1", ".1%"), ("pck_10_real", "real", ".1%"), ("pck_20", "PCK@0.2", ".1%"),
    ("pck_20_real", "real", ".1%"), ("ssim_crop", "SSIM, person", ".3f"), ("psnr_crop", "PSNR, person, dB", ".1f"),
    ("psnr", "PSNR, dB", ".1f"), ("sharpness", "sharpness", ".2f"), ("mask_iou", "mask IoU", ".2f"),
    ("feature_mmd_ratio", "own-feature MMD over floor", ".1f"),
    ("feature_mmd_ratio_real", "real", ".1f"), ("density", "density", ".2f"), ("density_real", "real", ".2f"),
    ("coverage", "coverage", ".2f"), ("coverage_real", "real", ".2f"),
)  # fmt: skip
DIGITS = _columns(
    ("classifier_score", "classifier score, of 10", ".2f"), ("accuracy", "accuracy", ".1%"),
    ("rarest_class", "rarest class", ".1%"), ("commonest_class", "commonest class", ".1%"),
    ("frechet_ratio", "Fréchet distance over floor", ".1f"), ("diversity", "diversity", ".2f"),
    ("nats", "nats", ".1f"), ("critic_gap", "critic gap", ".2f"),
)  # fmt: skip
DIGITS_ROWS = {
    "real": "held-out digits (ceiling)",
    "vae_again": "VAE, reconstructions of held-out digits",
    "vae": "VAE, samples",
    "gan": "GAN, samples",
    "mean_picture": "mean training image (trivial baseline)",
}
COLOUR = _columns(
    ("feature_mmd_ratio", "own-feature MMD over floor", ".1f"), ("density", "density", ".2f"),
    ("coverage", "coverage", ".2f"), ("diversity", "diversity", ".2f"), ("critic_gap", "critic gap", ".2f"),
)  # fmt: skip

TABLES: dict[str, Table] = {
    "dance_motion": Table(_under("dance.motion", MOTION_ROWS), MOTION),
    "dance_image": Table(
        _under("dance.image", {
            "real": "real frames (ceiling)",
            "ours": "`skeleton`, real poses",
            "ours_danced": "`skeleton`, generated poses",
            "dense": "`dense` (the original model)",
            "nearest": "nearest training frame by pose",
            "shuffled": "`skeleton`, other poses (chance)",
            "mean_frame": "mean training frame (trivial baseline)",
            "reencoded": "real frames through the video codec",
        }),
        IMAGE,
    ),
    "mocap": Table(_under("mocap.rows", MOTION_ROWS), MOTION),
    "real_dancer": Table(
        _under("real_dancer.rows", {
            "long_128": "63 s clip, at 128 x 136 px",
            "long_128_nearest": "its nearest training frame",
            "long_256": "63 s clip, at 256 x 272 px",
            "long_256_nearest": "its nearest training frame",
            "short_256": "12 s phone clip, at 256 x 144 px",
            "short_256_nearest": "its nearest training frame",
        }),
        REAL_DANCER,
    ),
    "gan_parts_demo": Table(_parts("demo", ("no_r1",)), PARTS_COLUMNS),
    "gan_parts_real": Table(_parts("real"), PARTS_COLUMNS),
    "gan_ablation_earlier": Table(
        _under("gan_ablation_earlier.rows", {
            "everything": "everything",
            "numbers": "landmarks as numbers, no heatmaps",
            "no_previous": "without the previous frame",
            "no_background": "without the background",
            "no_feature_matching": "without feature matching",
            "no_face_weight": "without more weight on face and hands",
            "perceptual": "with a perceptual loss",
        }),
        ABLATION,
    ),
    "digits": Table(
        _under("digits", DIGITS_ROWS) | _under("digits_earlier.rows", {
            "no_categories": "GAN without categories",
            "original_discriminator": "GAN with the original discriminator",
        }),
        DIGITS,
    ),
    "mnist": Table(
        _under("mnist.rows", DIGITS_ROWS) | _under("mnist.earlier", {
            "no_categories": "GAN without categories",
            "original_discriminator": "GAN with the original discriminator",
        }),
        DIGITS,
    ),
    "faces": Table(
        _under("faces", {
            "real": "held-out heads (ceiling)", "gan": "DCGAN, samples", "mean_picture": "mean training image",
        }),
        COLOUR,
    ),
    "photos": Table(
        _under("photos.rows", {
            "real": "held-out photographs (ceiling)", "gan": "DCGAN, samples", "mean_picture": "mean training image",
        }),
        COLOUR,
    ),
    "photos_over_training": Table(
        {f"photos.over_training.{step}": str(step) for step in (100, 300, 500, 700, 1100, 1500, 1700, 2000)},
        _columns(("feature_mmd_ratio", "own-feature MMD over floor", "3"), ("coverage", "coverage", ".2f")),
        "step",
    ),
    "param_tanh": Table(
        _under("param_tanh", {
            "real": "held-out frames (ceiling)",
            "gan": "parametric tanh, samples",
            "tanh": "plain tanh, samples",
            "gan_again": "parametric tanh, reconstructions of held-out frames",
            "tanh_again": "plain tanh, reconstructions of held-out frames",
            "mean_picture": "mean training image (trivial baseline)",
        }),
        COLOUR,
    ),
    "param_tanh_128": Table(
        {f"param_tanh_128.over_training.{step}": str(step) for step in (20, 100, 200, 360, 460, 540)},
        _columns(
            ("wasserstein", "Wasserstein estimate", ".0f"),
            ("l1", "mean absolute error of reconstructions, in [-1, 1]", ".2f"),
        ),
        "step",
    ),
    "rendering": Table(
        _under("rendering.rows", {"128x72": "128 x 72", "256x144": "256 x 144"}),
        _columns(
            ("generator_fps", "generator alone, frames/s", ".0f"), ("encoder_fps", "encoder alone, frames/s", ".0f"),
            ("rendering_fps", "rendering, frames/s", ".0f"),
            ("memory_mb_10s", "memory for 10 s of video, MB", ".0f"), ("memory_mb_120s", "for 120 s, MB", ".0f"),
        ),
        "images, px",
    ),
    "gpu_presets": Table(
        _under("gpu_presets.rows", {"gpu_256": "`gpu_256`", "gpu": "`gpu`, 512 px"}),
        _columns(
            ("gflop", "operations a step, 10^9", ".0f"), ("memory_gb", "memory of a step, GB", ".1f"),
            ("steps", "steps", "d"),
        ),
        "preset",
    ),
    "gpu_training": Table(
        _under("gpu_training.rows", {"gpu_256": "`gpu_256`", "gpu": "`gpu`, 512 px"}),
        _columns(
            ("steps_per_s", "steps/s", ".1f"), ("steps_per_s_32", "steps/s, 32 bit", ".1f"),
            ("images_per_s", "images/s", "d"), ("memory_gb", "memory, GB", ".1f"),
            ("share_of_peak", "share of the GPU's operations", ".1%"), ("minutes", "whole training, minutes", ".0f"),
        ),
        "preset",
    ),
    "extraction": Table(
        {"extraction": "frames/s"},
        _columns(
            ("tutorial_fps", "tutorial's loop, one core", ".0f"), ("one_fps", "ours, one core", ".0f"),
            ("every_frame_fps", "ours, every frame detected, one core", ".0f"), ("all_fps", "ours, all cores", ".0f"),
            ("mediapipe_fps", "MediaPipe alone, one core", ".0f"),
            ("decoding_fps", "decoding alone, one core", ".0f"),
        ),
    ),
    "starts": Table(
        {f"starts.rows.{stage}": f"`{stage}`" for stage in
         ("check_params", "extract_features", "build_hdf5", "train_vae", "train_gan", "evaluate", "render")}
        | {"starts.rows.dvc_repro": "`dvc repro` without changes"},
        _columns(("seconds", "seconds", ".1f")),
    ),
    "motion_length": Table(
        _under("motion_length.rows", {"10": "10 s", "180": "3 min", "1800": "30 min"}),
        _columns(
            ("dance_s", "dance, s", ".2f"), ("dance_mb", "memory, MB", ".0f"),
            ("reading_s", "reading the song, s", ".1f"),
            ("reading_mb", "memory, MB", ".0f"),
        ),
        "song",
    ),
    "stage_seconds": Table(
        {f"durations.stages.{stage}": f"`{stage}`" for stage in
         ("extract_features", "build_hdf5", "train_vae", "train_gan", "evaluate", "render")}
        | {"durations.stages.rest": "drawing the demo's clips, starting the stages"},
        _columns(("quiet", "seconds", ".0f")),
    ),
    "training_speed": Table(_under("training_speed.rows", SPEED_MODELS), SPEED_COLUMNS, "steps/s"),
    "training_speed_busy": Table(_under("training_speed.busy_rows", SPEED_MODELS), SPEED_COLUMNS, "steps/s"),
    "soak": Table(
        {f"soak.rows.{stage}": f"`{stage}`" for stage in
         ("extract_features", "build_hdf5", "train_vae", "train_gan", "evaluate", "render")},
        _columns(
            ("seconds", "time, s", ".0f"), ("second_quarter_mb", "memory in the second quarter, MB", ".0f"),
            ("last_quarter_mb", "in the last quarter", ".0f"), ("peak_mb", "peak", ".0f"),
        ),
    ),
    "image_memory": Table(
        _under("image_memory.rows", {"build": "building the dataset", "train": "training from it"}),
        _columns(("memory_mb", "peak of memory, MB", ".0f"), ("seconds", "time, s", ".0f")),
    ),
}  # fmt: skip

#: The table at the head of the README: what, measured by, paths of ours, original model, trivial baseline or chance,
#: real data, format.
HEADLINES: tuple[tuple[str, str, str | None, str | None, str | None, str | None, str], ...] = (
    ("demo, motion", "amount of movement", "dance.motion.ours.magnitude", "dance.motion.lstm.magnitude",
     "dance.motion.frozen.magnitude", "dance.motion.real.magnitude", ".2f"),
    ("demo, motion", "beat F1", "dance.motion.ours.f1", "dance.motion.lstm.f1",
     "dance.motion.ours_to_other_music.f1", "dance.motion.real.f1", ".2f"),
    ("demo, motion", "tempo locking", "dance.motion.ours.tempo_locking_sum", "dance.motion.lstm.tempo_locking_sum",
     "dance.motion.ours_to_other_music.tempo_locking_sum", "dance.motion.real.tempo_locking_sum", ".2f"),
    ("demo, images", "pose found again (PCK@0.2)", "dance.image.ours.pck_20", "dance.image.dense.pck_20",
     "dance.image.shuffled.pck_20", "dance.image.real.pck_20", ".0%"),
    ("demo, images", "SSIM of the person", "dance.image.ours.ssim_crop", "dance.image.dense.ssim_crop",
     "dance.image.mean_frame.ssim_crop", None, ".2f"),
    ("motion capture of ballroom dance", "tempo locking", "mocap.rows.ours.tempo_locking_sum",
     "mocap.rows.lstm.tempo_locking_sum", "mocap.rows.ours_to_other_music.tempo_locking_sum",
     "mocap.rows.real.tempo_locking_sum", ".2f"),
    ("a real dancer, one clip, 128 px", "pose found again (PCK@0.2)", "real_dancer.rows.long_128.pck_20", None,
     "real_dancer.rows.long_128_nearest.pck_20", "real_dancer.rows.long_128.pck_20_real", ".0%"),
    ("digits, GAN", "classifier score, of 10", "digits.gan.classifier_score",
     "digits_earlier.rows.original_discriminator.classifier_score", "digits.mean_picture.classifier_score",
     "digits.real.classifier_score", ".1f"),
    ("MNIST, GAN", "classifier score, of 10", "mnist.rows.gan.classifier_score",
     "mnist.earlier.original_discriminator.classifier_score", "mnist.rows.mean_picture.classifier_score",
     "mnist.rows.real.classifier_score", ".1f"),
    ("faces, drawn heads", "coverage", "faces.gan.coverage", None, "faces.mean_picture.coverage",
     "faces.real.coverage", ".2f"),
    ("faces, photographs", "coverage", "photos.rows.gan.coverage", None, None, "photos.rows.real.coverage", ".2f"),
    ("parametric tanh", "own-feature MMD over floor (lower is better)", "param_tanh.gan.feature_mmd_ratio",
     "param_tanh.tanh.feature_mmd_ratio", "param_tanh.mean_picture.feature_mmd_ratio",
     "param_tanh.real.feature_mmd_ratio", ".0f"),
)  # fmt: skip


def _headlines() -> str:
    head = ["system", "measured by", "this project", "original model", "chance or trivial baseline", "real data"]
    body = [
        [what, by, *(NONE if path is None else value(path, spec) for path in paths)]
        for what, by, *paths, spec in HEADLINES
    ]
    lines = [head, ["---", "---", *["---:"] * 4], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _records() -> str:
    """Where the figures come from that no pipeline of a fresh clone writes."""
    body = []
    for path in sorted((ROOT / RECORDS).glob("*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        body.append(
            [f"`{path.stem}`", record["what"], f"`{record['command']}`", record["date"], f"`{record['measured_at']}`",
             record["machine"], record.get("note", "")]
        )  # fmt: skip
    lines = [["record", "what", "command", "date", "commit", "machine", "note"], ["---"] * 7, *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _goals() -> str:
    """The goals of the benchmarks, and what was measured."""
    return markdown(["what", "goal", "measured", ""], goals.table())


SPECIAL: dict[str, Callable[[], str]] = {"headlines": _headlines, "records": _records, "goals": _goals}


def table(name: str) -> str:
    """A table by its name. Raises KeyError for an unknown one, or where a row wasn't measured."""
    if name in SPECIAL:
        return SPECIAL[name]()
    if name not in TABLES:
        raise KeyError(f"no table {name}; known: {', '.join([*TABLES, *SPECIAL])}")
    return str(TABLES[name])
