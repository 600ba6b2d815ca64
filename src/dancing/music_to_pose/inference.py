"""A trained VAE of motion at work: poses for any song. Letters: T frames, F audio features, V values."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dancing.body.skeleton import PoseSpace
from dancing.music_to_pose.flow_prior import FlowPrior
from dancing.music_to_pose.models import MODELS
from dancing.training.checkpoints import Checkpoint, open_checkpoint
from dancing.training.device import make_rng, pick_device


@dataclass(frozen=True)
class MusicToPose:
    """A trained VAE with everything that it needs to generate poses."""

    model: Any  # any VAE of `MODELS`, which share `decode` and `sample_latents`
    prior: FlowPrior | None
    guidance: float
    space: PoseSpace
    fps: int
    n_mfcc: int
    window: int
    audio_mean: np.ndarray  # (F,)
    audio_std: np.ndarray  # (F,)
    device: torch.device

    @classmethod
    def load(cls, path: Path, guidance: float = 1.0) -> "MusicToPose":
        """Read a checkpoint of train_vae; `guidance` is the flow prior's. Raises UserError where it can't be read."""
        device = pick_device()
        with open_checkpoint(path, "train_vae") as checkpoint:
            return cls(
                model=_load(checkpoint, device),
                prior=_load(checkpoint["prior"], device) if "prior" in checkpoint else None,
                guidance=guidance,
                space=PoseSpace.from_dict(checkpoint["pose_space"]),
                fps=checkpoint["fps"],
                n_mfcc=checkpoint["n_mfcc"],
                window=checkpoint["window"],
                audio_mean=np.array(checkpoint["audio_mean"], dtype=np.float32),
                audio_std=np.array(checkpoint["audio_std"], dtype=np.float32),
                device=device,
            )

    def generate(self, audio: np.ndarray, seed: int, temperature: float) -> np.ndarray:
        """Return poses (T, 33, 2) in [0, 1] for a song's raw audio features (T, F); the seed chooses the dance."""
        standard = self._standardise(audio)
        step = self.window if self.model.windowed else len(audio)
        dances = []
        for first in range(0, len(audio), step):
            part = standard[:, first : first + step]
            dances.append(self._decode(part, self._sample(part, make_rng(seed, first), temperature)))
        return np.concatenate(dances)

    def traversal(
        self,
        audio: np.ndarray,
        seed: int,
        temperature: float,
        dims: int = 4,
        values: Sequence[float] = (-2, -1, 0, 1, 2),
    ) -> np.ndarray:
        """Return one dance with one dimension of all its latents set to each value, (dims, V, T, 33, 2) in [0, 1].

        Those dimensions are taken that change the dance most.

        Args:
            audio: (T, F) raw audio features; of a windowed model one window is used.
            seed: of the dance.
            temperature: of its latents.
            dims: how many dimensions.
            values: in standard deviations of the prior about its mean.
        """
        standard = self._standardise(audio[: self.window] if self.model.windowed else audio)
        z = self._sample(standard, make_rng(seed), temperature)
        centre, std = z.new_zeros(z.shape[-1]), z.new_ones(z.shape[-1])
        if self.prior is not None:
            centre, std = self.prior.mean, self.prior.std

        def dance_with(dimension: int, value: float) -> np.ndarray:
            moved = z.clone()
            moved[..., dimension] = centre[dimension] + value * std[dimension]
            return self._decode(standard, moved)

        lowest, highest = min(values), max(values)
        change = [np.abs(dance_with(d, highest) - dance_with(d, lowest)).mean() for d in range(z.shape[-1])]
        strongest = np.argsort(change)[::-1][:dims]
        return np.array([[dance_with(int(dimension), value) for value in values] for dimension in strongest])

    def _standardise(self, audio: np.ndarray) -> torch.Tensor:
        standard = (audio - self.audio_mean) / self.audio_std
        return torch.from_numpy(standard.astype(np.float32))[None].to(self.device)

    def _sample(self, audio: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        if self.prior is None:
            latents: torch.Tensor = self.model.sample_latents(audio, rng, temperature)
            return latents
        return self.prior.sample_latents(audio, rng, temperature, self.guidance)

    @torch.no_grad()
    def _decode(self, audio: torch.Tensor, z: torch.Tensor) -> np.ndarray:
        return self.space.decode(self.model.decode(audio, z)[0].cpu().numpy())


def _load(checkpoint: Checkpoint, device: torch.device) -> Any:
    """Return the model of {"config", "state"}."""
    (model,) = MODELS.build(MODELS.from_dict(checkpoint["config"]))
    model.load_state_dict(checkpoint["state"])
    return model.to(device).eval()


class MusicToPoseModule(nn.Module):
    """A `MusicToPose` as one module, for a model registry: raw audio features (B, T, F) -> landmarks (B, T, 33, 2)."""

    def __init__(self, music_to_pose: MusicToPose) -> None:
        super().__init__()
        prior = music_to_pose.prior
        self.music_to_pose = music_to_pose
        self.model, self.prior = music_to_pose.model.cpu(), None if prior is None else prior.cpu()

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        """(B, T, F) -> (B, T, 33, 2) in [0, 1]; torch.manual_seed chooses the dance."""
        seed = int(torch.randint(2**31, ()))
        on_cpu = replace(self.music_to_pose, device=torch.device("cpu"))
        return torch.from_numpy(np.stack([on_cpu.generate(song.numpy(), seed, 1.0) for song in audio]))
