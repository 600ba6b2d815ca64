"""How each kind of model is trained, as stages/train_vae.py and stages/train_gan.py do it: a task, then its loop.

Each recipe takes a dataset and its params, writes checkpoints to `out`, and keeps resume states in `resume_folder`. It
forgets them when the training has succeeded and keeps them when `on_epoch` raises.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from dancing.clips.dataset import Dataset
from dancing.music_to_pose.task import build_task as build_motion_task
from dancing.music_to_pose.train_prior import train_prior
from dancing.noise_to_image.dataset import ImageDataset
from dancing.noise_to_image.gan_task import build_task as build_noise_task
from dancing.noise_to_image.vae_task import ImageVaeTask
from dancing.params import Gan, ImageVae, NoiseGan, Params, VaeGan
from dancing.pose_to_image.task import build_task as build_pose_task
from dancing.training.checkpoints import ResumeStates, file_digest, save_checkpoint
from dancing.training.compute import Compute
from dancing.training.device import pick_device
from dancing.training.epochs import Epoch, History
from dancing.training.gan_loop import train_gan
from dancing.training.vae_loop import train_vae

OnEpoch = Callable[[Epoch], None]


class KilledError(Exception):
    """Ends a training as a crash would."""


def ignore(epoch: Epoch) -> None:
    """Do nothing after an epoch."""


def kill_at(epoch: int) -> OnEpoch:
    """Return an `on_epoch` that raises KilledError after this epoch, whose resume state is already written."""

    def on_epoch(done: Epoch) -> None:
        if done.number == epoch:
            raise KilledError

    return on_epoch


@dataclass(frozen=True)
class MotionHistory:
    """Losses by epoch."""

    vae: History
    prior: History  # empty without a flow prior


def train_motion(
    dataset: Dataset,
    params: Params,
    out: Path,
    resume_folder: Path,
    on_epoch: OnEpoch = ignore,
    on_prior_epoch: OnEpoch = ignore,
) -> MotionHistory:
    """Train `vae.model`; a motion VAE with `vae.prior` flow also gets its flow prior, in best.pt."""
    vae, prior, compute, digest = params.vae, params.prior, Compute(pick_device()), file_digest(dataset.path)
    with ResumeStates(resume_folder) as resume:
        task = build_motion_task(dataset, vae, compute)
        state = resume.state("train_vae", vae, digest, compute.name)
        trained = train_vae(task, vae, out, state, on_epoch)
        if vae.model != "motion" or vae.prior != "flow":
            return MotionHistory(trained.history, [])
        task.model.load_state_dict(trained.best["state"])
        state = resume.state("prior", vae, prior, digest, compute.name)
        flow = train_prior(task.model, task.train, task.val, prior, vae.time_stretch, compute, state, on_prior_epoch)
        save_checkpoint(out / "best.pt", trained.best | {"prior": flow.best})
        return MotionHistory(trained.history, flow.history)


def train_pose_gan(dataset: Dataset, gan: Gan, out: Path, resume_folder: Path, on_epoch: OnEpoch = ignore) -> History:
    """Train the GAN of poses, `gan.model` skeleton or dense."""
    compute = Compute(pick_device())
    with ResumeStates(resume_folder) as resume:
        state = resume.state("train_gan", gan, file_digest(dataset.path), compute.name)
        return train_gan(build_pose_task(dataset, gan, compute), gan, out, state, on_epoch).history


def train_image_vae(
    dataset: ImageDataset, vae: ImageVae, out: Path, resume_folder: Path, on_epoch: OnEpoch = ignore
) -> History:
    """Train the VAE of images."""
    compute = Compute(pick_device())
    with ResumeStates(resume_folder) as resume:
        state = resume.state("train_vae", vae, file_digest(dataset.path), compute.name)
        return train_vae(ImageVaeTask(dataset, vae, compute), vae, out, state, on_epoch).history


def train_noise_gan(
    dataset: ImageDataset, gan: NoiseGan | VaeGan, out: Path, resume_folder: Path, on_epoch: OnEpoch = ignore
) -> History:
    """Train the GAN of an image system."""
    compute = Compute(pick_device())
    with ResumeStates(resume_folder) as resume:
        state = resume.state("train_gan", gan, file_digest(dataset.path), compute.name)
        return train_gan(build_noise_task(dataset, gan, compute), gan, out, state, on_epoch).history
