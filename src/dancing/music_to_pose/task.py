"""The tasks of the VAEs of motion: what they are trained on, and with which losses.

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
from dancing.training.device import make_rng
from dancing.training.epochs import Scalars


def window_lengths(dataset: Dataset, vae: Vae) -> tuple[int, int]:
    """Return the frames in a window for training and for validation.

    That is `vae.window`, or less where pieces are shorter: pieces shorter than a window are not trained on, so it is a
    length that half of all frames fit into.

    Raises:
        UserError: the pieces of a split are too short for any.
    """
    train, val = (sorted((len(p) for p in dataset.split(split)), reverse=True) for split in SPLITS[:2])
    for name, lengths, least in (("training", train, 8), ("validation", val, 3)):
        if max(lengths, default=0) < least:
            raise UserError(
                f"{dataset.path}: the longest piece of the {name} part has {max(lengths, default=0)} frames, {least} "
                "are needed at least. Give more or longer clips, or change data.split or data.val"
            )
    half = next(length for length, total in zip(train, np.cumsum(train), strict=True) if 2 * total >= sum(train))
    length = min(vae.window, max(half, 8))
    if unused := sum(piece < length for piece in train):
        print(f"train_vae: {unused} of {len(train)} pieces are shorter than a window of {length} frames: left out")
    return length, min(vae.window, val[0])


class MotionTask:
    """Our VAE, `vae.model: motion`. Raises UserError where `window_lengths` does."""

    cosine_decay = True
    pose_kind: PoseKind = "body"
    mirror = True  # train on each dance mirrored too

    def __init__(self, dataset: Dataset, vae: Vae, device: torch.device) -> None:
        self.vae, self.device = vae, device
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
        self.model: Any = model.to(device)  # any of `MODELS`, which share `encode`, `decode` and `sample_latents`
        self.loss = self._loss()
        self.content = {
            "config": MODELS.to_dict(config), "window": length, "fps": dataset.fps, "n_mfcc": dataset.n_mfcc,
            "pose_space": self.space.to_dict(), "audio_mean": dataset.audio_mean.tolist(),
            "audio_std": dataset.audio_std.tolist(),
        }  # fmt: skip

    def _loss(self) -> BaselineVaeLoss | MotionLoss:
        vae = self.vae
        mean, std = (
            torch.tensor(x, dtype=torch.float32, device=self.device) for x in (self.space.mean, self.space.std)
        )
        return MotionLoss(
            mean, std, vae.kl_weight, vae.free_bits, vae.velocity_weight, vae.acceleration_weight, vae.bone_weight,
            vae.foot_weight,
        )  # fmt: skip

    def _batch(self, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Return audio (B, T, F) and poses (B, T, D), at another pace and with noise."""
        audio, pose = self.train.random(self.vae.batch_size, rng, self.vae.time_stretch)
        return _with_noise(audio, self.vae.audio_noise, rng), pose

    def losses(self, rng: torch.Generator, kl_warmup: float) -> Scalars:
        """As `VaeTask.losses`."""
        audio, pose = self._batch(rng)
        decoded, mean, log_var = self.model(audio, pose, rng)
        return self.loss(decoded, pose, mean, log_var, kl_warmup)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Return the losses of the decoded posterior mean over adjoining windows."""
        audio, pose = self.val.cut(self.val.tiled_starts)
        decoded, mean, log_var = self.model(audio, pose)
        return {f"val_{name}": float(value) for name, value in self.loss(decoded, pose, mean, log_var, 1.0).items()}

    @torch.no_grad()
    def samples(self) -> dict[str, np.ndarray]:
        """Return one held-out window, always the same: real, reconstructed and generated, each (T, 33, 2)."""
        audio, pose = self.val.cut(self.val.tiled_starts[:1])
        latents = self.model.sample_latents(audio, make_rng(self.vae.seed), 1.0)
        dances = {
            "real": pose, "reconstructed": self.model(audio, pose)[0], "generated": self.model.decode(audio, latents)
        }  # fmt: skip
        return {name: self.space.decode(vectors[0].cpu().numpy()) for name, vectors in dances.items()}


class BaselineTask(MotionTask):
    """The original VAE, `vae.model: lstm`: its own loss, a constant learning rate, no augmentation."""

    cosine_decay = False
    pose_kind: PoseKind = "picture"
    mirror = False  # it learns where in the picture the dancer stands: a mirrored dance would stand elsewhere

    def _loss(self) -> BaselineVaeLoss | MotionLoss:
        return BaselineVaeLoss(self.vae.kl_weight)

    def _batch(self, rng: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        return self.train.random(self.vae.batch_size, rng)


def build_task(dataset: Dataset, vae: Vae, device: torch.device) -> MotionTask:
    """Return the task of `vae.model`. Raises UserError where `window_lengths` does."""
    return BaselineTask(dataset, vae, device) if vae.model == "lstm" else MotionTask(dataset, vae, device)


def _with_noise(audio: torch.Tensor, std: float, rng: torch.Generator) -> torch.Tensor:
    """Add noise to all audio features but the beat: a few songs' timbre must not be memorised, their beat must."""
    noise = std * torch.randn(audio.shape, generator=rng).to(audio.device)
    noise[..., -BEAT_COLUMNS:] = 0
    return audio + noise
