"""Before an hour of training: which clips would be used, and how long the training would take on this machine."""

import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dancing.clips.build import pieces, write_report
from dancing.clips.dataset import Dataset, open_dataset, write_dataset
from dancing.clips.extraction import ExtractionSettings, extract_folder
from dancing.clips.report import page
from dancing.errors import UserError
from dancing.files import write_text
from dancing.params import Params
from dancing.training.checkpoints import ResumeState, ResumeStates
from dancing.training.compute import Compute
from dancing.training.epochs import Epoch

_CLIPS = 3  # the shortest ones, on which some steps are timed
_STEPS = 4  # in each of two epochs; the first one, in which memory is allocated, doesn't count


@dataclass(frozen=True)
class Preflight:
    """What was found out about a folder of clips.

    Attributes:
        reports: one a file, see `extraction.extract_folder`.
    """

    reports: list[dict[str, Any]]

    @property
    def used(self) -> int:
        """Number of clips that would be used."""
        return sum(report["used"] for report in self.reports)


def check_clips(folder: Path, params: Params, cache: Path, report: Path, features: Path) -> Preflight:
    """Extract the features of all clips as the stage extract_features does. It will find them in the cache.

    Args:
        folder: of the clips.
        params: the section features is used.
        cache: of features.
        report: web page to write, with a picture of each clip.
        features: folder for the feature files.

    Raises:
        UserError: there is no such folder.
    """
    reports = extract_folder(folder, features, ExtractionSettings.of(params.features), cache)
    write_report(features, reports)
    write_text(report, page(reports, features))
    return Preflight(reports)


def training_time(found: Preflight, folder: Path, features: Path, params: Params) -> str:
    """Say how long both trainings take here, see `training_seconds`."""
    seconds = training_seconds(found, folder, features, params)
    if seconds is None:
        return "how long the training takes can't be estimated: no clip that can be used is long enough"
    return f"training takes at most about {_duration(seconds)} here; `dvc repro` also evaluates the models and renders"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def training_seconds(found: Preflight, folder: Path, features: Path, params: Params) -> float | None:
    """Estimate how long both trainings take here at most, without the original models that are trained beside them.

    It is measured on some steps of each model, on the shortest clips.

    Returns:
        Seconds; None where no clip can be used, or the clips are too short to be trained on.
    """
    used = sorted((report for report in found.reports if report["used"]), key=lambda report: report["duration"])[
        :_CLIPS
    ]
    if not used:
        return None
    try:
        with tempfile.TemporaryDirectory() as scratch, _small_dataset(used, folder, features, params, scratch) as data:
            return sum(_stages(data, params, Path(scratch)))
    except UserError:  # such as no window of the length that the VAE is trained on
        return None


def _small_dataset(
    used: Sequence[dict[str, Any]], folder: Path, features: Path, params: Params, scratch: str
) -> Dataset:
    some = Path(scratch, "features")
    some.mkdir()
    for report in used:
        shutil.copy(features / f"{report['clip']}.npz", some)
    write_report(some, list(used))
    data = params.data.model_copy(update={"clips": str(folder)})
    shape = data.model_dump(include={"width", "height", "fit"})
    attributes = {"fps": params.features.fps, "n_mfcc": params.features.n_mfcc, **shape}
    path = Path(scratch, "dataset.h5")
    write_dataset(path, attributes, pieces(some, data, params.features.fps))
    return open_dataset(path)


def _stages(dataset: Dataset, params: Params, scratch: Path) -> list[float]:
    """Seconds of each training."""
    from dancing.music_to_pose.task import build_task as build_vae_task
    from dancing.music_to_pose.train_prior import train_prior
    from dancing.pose_to_image.task import build_task as build_gan_task
    from dancing.training.gan_loop import train_gan
    from dancing.training.vae_loop import train_vae

    compute, few = Compute.pick(params.train), {"epochs": 2, "steps_per_epoch": _STEPS}
    vae = params.vae.model_copy(update={**few, "kl_warmup": 0})
    gan, prior = params.gan.model_copy(update=few), params.prior.model_copy(update=few)
    seconds = []
    with ResumeStates(scratch / "resume") as resume:

        def timed(section: Any, train: Callable[[ResumeState, Callable[[Epoch], None]], object]) -> None:
            ends: list[tuple[float, float]] = []
            train(resume.state(str(section)), lambda epoch: ends.append((time.perf_counter(), epoch.speed)))
            (begin, _), (end, speed) = ends
            step = section.batch_size / speed
            between = end - begin - _STEPS * step  # validation and checkpoints
            seconds.append(section.epochs * (section.steps_per_epoch * step + between))

        task = build_vae_task(dataset, vae, compute)
        timed(params.vae, lambda state, on_epoch: train_vae(task, vae, scratch / "vae", state, on_epoch))
        if vae.model == "motion" and vae.prior == "flow":
            timed(
                params.prior,
                lambda state, on_epoch: train_prior(
                    task.model, task.train, task.val, prior, vae.time_stretch, compute, state, on_epoch
                ),
            )
        if gan.model != "none" and dataset.subjects():
            gan_task = build_gan_task(dataset, gan.model_copy(update={"subject": None}), compute)
            timed(params.gan, lambda state, on_epoch: train_gan(gan_task, gan, scratch / "gan", state, on_epoch))
    return seconds
