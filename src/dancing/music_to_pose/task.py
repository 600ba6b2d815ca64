"""The tasks of the motion VAEs: their data, models and losses.

Letters: B batch, T frames, F audio features, D pose dimensions.
"""

from typing import Any

import numpy as np
import torch

from dancing.body.skeleton import PoseKind, PoseSpace
from dancing.clips.dataset import BEAT_COLUMNS, Dataset
from dancing.errors import UserError
from dancing.h5 import SPLITS
from dancing.music_to_pose.losses import BaselineVaeLoss, MotionLoss
from dancing.music_to_pose.models import MODELS
from dancing.music_to_pose.windows import Windows
from dancing.params import Vae
from dancing.training.compute import Compute
from dancing.training.device import make_rng
from dancing.training.processes import Scalars, own_count, randn
from dancing.training.transfer import send

MIN_TRAIN_FRAMES, MIN_VAL_FRAMES = 8, 3  # a piece of each part must have; 3 is the least that has an acceleration


def window_lengths(dataset: Dataset, vae: Vae) -> tuple[int, int]:
    """Return the length of a window in training and in validation, in frames.

    It is `vae.window`, or less if pieces are shorter. Pieces shorter than a window are not used, so at least half of
    the training frames are in pieces as long as a window.

    Raises:
        UserError: all pieces of a part are too short.
    """
    train, val = (sorted((len(p) for p in dataset.split(split)), reverse=True) for split in SPLITS[:2])
    for name, lengths, least in (("training", train, MIN_TRAIN_FRAMES), ("validation", val, MIN_VAL_FRAMES)):
        if max(lengths, default=0) < least:
            raise UserError(
                f"{dataset.path}: the longest piece of the {name} part has {max(lengths, default=0)} frames, {least} "
                "are needed at least. Give more or longer clips, or change data.split or data.val"
            )
    half = next(length for length, total in zip(train, np.cumsum(train), strict=True) if 2 * total >= sum(train))
    length = min(vae.window, max(half, MIN_TRAIN_FRAMES))
    if unused := sum(piece < length for piece in train):
        print(f"train_vae: {unused} of {len(train)} pieces are shorter than a window of {length} frames: left out")
    return length, min(vae.window, val[0])


class MotionTask:
    """The task of `vae.model: motion`; a `training.tasks.VaeTask`.

    Args:
        dataset: of clips.
        vae: the section `vae` of the params.
        compute: what the model is trained with.

    Raises:
        UserError: all pieces of a part are too short, see `window_lengths`.

    Attributes:
        cosine_decay: whether the learning rate falls to 0 over the training.
        pose_kind: coordinates that poses are encoded in.
        mirror: whether mirrored dances are trained on too.
    """

    cosine_decay = True
    pose_kind: PoseKind = "body"
    mirror = True

    def __init__(self, dataset: Dataset, vae: Vae, compute: Compute) -> None:
        self.vae, self.compute, device = vae, compute, compute.device
        pieces = dataset.split("train")
        landmarks = [piece.landmarks for piece in pieces]
        self.space = PoseSpace.fit(self.pose_kind, landmarks, dataset.width, dataset.height)
        length, val_length = window_lengths(dataset, vae)
        self.train = Windows(dataset, pieces, self.space, length, device, mirror=self.mirror)
        self.val = Windows(dataset, dataset.split("val"), self.space, val_length, device)
        config = MODELS.config(
            vae.model,
            **vae.model_dump(exclude={"model"}),
            audio_dim=self.train.audio.shape[-1],
            beat_columns=BEAT_COLUMNS,
            pose_dim=self.space.dim,
            n_mfcc=dataset.n_mfcc,
            fps=dataset.fps,
        )
        torch.manual_seed(vae.seed)
        (model,) = MODELS.build(config)
        self.model: Any = compute.place(model)  # a VAE of `MODELS`; they share no base class
        self.loss = self._loss()
        self.content = {
            "config": MODELS.to_dict(config), "window": length, "fps": dataset.fps, "n_mfcc": dataset.n_mfcc,
            "pose_space": self.space.to_dict(), "audio_mean": dataset.audio_mean.tolist(),
            "audio_std": dataset.audio_std.tolist(),
        }  # fmt: skip

    def _loss(self) -> BaselineVaeLoss | MotionLoss:
        vae = self.vae
        mean, std = (
            torch.tensor(x, dtype=torch.float32, device=self.compute.device) for x in (self.space.mean, self.space.std)
        )
        return MotionLoss(
            mean, std, vae.kl_weight, vae.free_bits, vae.velocity_weight, vae.acceleration_weight, vae.bone_weight,
            vae.foot_weight,
        )  # fmt: skip

    def _batch(self, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return augmented audio (B, T, F) and poses (B, T, D)."""
        audio, pose = self.train.random(own_count(self.vae.batch_size, rng), rng, self.vae.time_stretch)
        return _with_noise(audio, self.vae.audio_noise, rng), pose

    def losses(self, rng: torch.Generator, kl_warmup: float) -> Scalars:
        """Return the losses of a random batch, or of this process's share of it, as `VaeTask.losses`."""
        audio, pose = self._batch(rng)
        decoded, mean, log_var = self.compute.run(self.model, audio, pose, rng)
        return self.loss(decoded, pose, mean, log_var, kl_warmup)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the losses of the decoded posterior means over adjoining windows."""
        audio, pose = self.val.cut(self.val.tiled_starts)
        decoded, mean, log_var = self.model(audio, pose)
        return {f"val_{name}": float(value) for name, value in self.loss(decoded, pose, mean, log_var, 1.0).items()}

    @torch.no_grad()
    def samples(self) -> dict[str, np.ndarray]:
        """Return the first validation window: "real", "reconstructed" and "generated", each (T, 33, 2)."""
        audio, pose = self.val.cut(self.val.tiled_starts[:1])
        latents = self.model.sample_latents(audio, make_rng(self.vae.seed), 1.0)
        dances = {
            "real": pose, "reconstructed": self.model(audio, pose)[0], "generated": self.model.decode(audio, latents)
        }  # fmt: skip
        return {name: self.space.decode(vectors[0].cpu().numpy()) for name, vectors in dances.items()}


class BaselineTask(MotionTask):
    """The task of `vae.model: lstm`: the original loss, a constant learning rate, no augmentation."""

    cosine_decay = False
    pose_kind: PoseKind = "picture"
    mirror = False  # its poses are positions in the image, and mirroring would move the dancer to the other side

    def _loss(self) -> BaselineVaeLoss | MotionLoss:
        return BaselineVaeLoss(self.vae.kl_weight)

    def _batch(self, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return self.train.random(own_count(self.vae.batch_size, rng), rng)


def build_task(dataset: Dataset, vae: Vae, compute: Compute) -> MotionTask:
    """Return the task of `vae.model`.

    Raises:
        UserError: all pieces of a part are too short, see `window_lengths`.
    """
    return (BaselineTask if vae.model == "lstm" else MotionTask)(dataset, vae, compute)


def _with_noise(audio: torch.Tensor, std: float, rng: torch.Generator) -> torch.Tensor:
    """Add noise to timbre and pitch, which must not identify the song, but not to beat and bar."""
    noise = std * send(randn(audio.shape, rng), audio.device)
    noise[..., -BEAT_COLUMNS:] = 0
    return audio + noise
