"""What the VAEs of motion learn from: windows of sound and poses."""

from typing import Any

import numpy as np
import torch

from dancing.body.skeleton import PoseKind, PoseSpace
from dancing.clips.dataset import BEAT_COLUMNS, SPLITS, Dataset
from dancing.errors import UserError
from dancing.music_to_pose.lstm_vae import LstmVaeConfig
from dancing.music_to_pose.motion_vae import MotionVaeConfig
from dancing.music_to_pose.windows import Windows
from dancing.params import Vae
from dancing.training.common import generator
from dancing.training.losses import MotionLoss, Scalars, SeedVaeLoss
from dancing.training.registry import build_vae, config_to_dict


def window_lengths(dataset: Dataset, vae: Vae) -> tuple[int, int]:
    """Frames in a window for training and for validation: `vae.window`, or less where the pieces are shorter.

    Pieces that are shorter than a window are not learnt from, so it is one that half of all frames fit into.
    Raises UserError where the pieces of a split are too short for any.
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
    """Ours, `motion`, or the seed's, `lstm`. Raises UserError where `window_lengths` does."""

    def __init__(self, dataset: Dataset, vae: Vae, device: torch.device) -> None:
        self.vae, self.cooled = vae, vae.model == "motion"  # the seed's learning rate is constant
        pieces = dataset.split("train")
        kind: PoseKind = "picture" if vae.model == "lstm" else "body"
        self.space = PoseSpace.fit(kind, [piece.landmarks for piece in pieces], dataset.width, dataset.height)
        length, val_length = window_lengths(dataset, vae)
        # The seed's model learns where in the picture the dancer stands: a mirrored dance would be elsewhere.
        self.train = Windows(dataset, pieces, self.space, length, device, mirror=vae.model == "motion")
        self.val = Windows(dataset, dataset.split("val"), self.space, val_length, device)
        config = _config(vae, dataset, self.train.audio.shape[-1], self.space.dim)
        torch.manual_seed(vae.seed)
        self.model: Any = build_vae(config).to(device)
        self.loss = _loss(vae, self.space, device)
        self.content = {
            "config": config_to_dict(config), "window": length, "fps": dataset.fps, "n_mfcc": dataset.n_mfcc,
            "pose_space": self.space.to_dict(), "audio_mean": dataset.audio_mean.tolist(),
            "audio_std": dataset.audio_std.tolist(),
        }  # fmt: skip

    def losses(self, rng: torch.Generator, warmup: float) -> Scalars:
        ours = self.vae.model == "motion"
        audio, pose = self.train.random(self.vae.batch_size, rng, self.vae.time_stretch if ours else 0.0)
        if ours:
            audio = _disturbed(audio, self.vae.audio_noise, rng)
        decoded, mean, log_var = self.model(audio, pose, rng)
        return self.loss(decoded, pose, mean, log_var, warmup)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Losses of the decoded posterior mean over windows side by side."""
        audio, pose = self.val.cut(self.val.tiled_starts)
        decoded, mean, log_var = self.model(audio, pose)
        return {f"val_{name}": float(value) for name, value in self.loss(decoded, pose, mean, log_var, 1.0).items()}

    @torch.no_grad()
    def samples(self) -> dict[str, np.ndarray]:
        """One held-out window, always the same: real, reconstructed and freely danced, each (T, 33, 2)."""
        audio, pose = self.val.cut(self.val.tiled_starts[:1])
        free = self.model.decode(audio, self.model.draw(audio, generator(self.vae.seed), 1.0))
        dances = {"real": pose, "reconstructed": self.model(audio, pose)[0], "danced": free}
        return {name: self.space.decode(vectors[0].cpu().numpy()) for name, vectors in dances.items()}


def _config(vae: Vae, dataset: Dataset, audio_dim: int, pose_dim: int) -> LstmVaeConfig | MotionVaeConfig:
    if vae.model == "lstm":
        return LstmVaeConfig(dataset.n_mfcc, vae.latent_dim, pose_dim=pose_dim)
    rate = vae.latents_per_beat
    return MotionVaeConfig(audio_dim, pose_dim, vae.latent_dim, vae.hidden, vae.layers, rate, dataset.fps)


def _loss(vae: Vae, space: PoseSpace, device: torch.device) -> SeedVaeLoss | MotionLoss:
    if vae.model == "lstm":
        return SeedVaeLoss(vae.kl_weight)
    mean, std = (torch.tensor(values, dtype=torch.float32, device=device) for values in (space.mean, space.std))
    return MotionLoss(
        mean, std, vae.kl_weight, vae.free_bits, vae.velocity_weight, vae.acceleration_weight, vae.bone_weight,
        vae.foot_weight,
    )  # fmt: skip


def _disturbed(audio: torch.Tensor, spread: float, rng: torch.Generator) -> torch.Tensor:
    """Noise on all audio features but the beat's: a few songs' timbre must not be learnt by heart, their beat must."""
    noise = spread * torch.randn(audio.shape, generator=rng).to(audio.device)
    noise[..., -BEAT_COLUMNS:] = 0
    return audio + noise
