"""A conditional sequence VAE: sound and explicit beats a frame, a few latents a beat, convolutions throughout.

Letters: B batch, T frames, F audio features, D pose dimensions, H hidden channels, N latents of Z numbers on the beat
grid. The decoder hears every frame, so it can move with the beat; the latents say what the sound leaves open. Being
convolutional it takes a song of any length. The conditional VAE: Sohn et al., 2015.
"""

from dataclasses import dataclass

import torch
from torch import nn

from dancing.music_to_pose import beat_grid
from dancing.music_to_pose.temporal import Trunk, reach


@dataclass(frozen=True)
class MotionVaeConfig:
    audio_dim: int
    pose_dim: int
    latent_dim: int
    hidden: int
    layers: int
    latents_per_beat: int
    fps: int


class MotionVae(nn.Module):
    def __init__(self, config: MotionVaeConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        self.hear = Trunk(config.audio_dim, hidden, config.layers)
        self.watch = Trunk(config.pose_dim + hidden, hidden, config.layers)
        self.posterior = nn.Linear(hidden, 2 * config.latent_dim)
        self.dance = Trunk(config.latent_dim + hidden, hidden, config.layers)
        self.pose = nn.Conv1d(hidden, config.pose_dim, 1)

    def positions(self, audio: torch.Tensor) -> torch.Tensor:
        """Where among the latents each frame of audio (B, T, F) lies, (B, T)."""
        return beat_grid.positions(audio, self.config.latents_per_beat, self.config.fps)

    def encode(self, audio: torch.Tensor, pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """audio (B, T, F), pose (B, T, D) -> mean and log-variance (B, N, Z) each."""
        position = self.positions(audio)
        return self._posterior(self.hear(audio.mT), pose, position)

    def _posterior(
        self, heard: torch.Tensor, pose: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self.watch(torch.cat([heard, pose.mT], dim=1)).mT  # (B, T, H)
        points = beat_grid.pool(seen, position, beat_grid.count(position))  # (B, N, H)
        # A slow song ends before the batch's last point: what lies beyond repeats its own last one, so that no point
        # without a dance counts in the KL term.
        last = (position[:, -1:].long() + 1).to(points.device)
        kept = torch.arange(points.shape[1], device=points.device).expand(len(points), -1).minimum(last)
        mean, log_var = self.posterior(beat_grid.at(points, kept)).chunk(2, dim=-1)
        return mean, log_var.clamp(-8, 8)

    def _decode(self, heard: torch.Tensor, z: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        latents = beat_grid.spread(z, position).mT  # (B, Z, T)
        return self.pose(self.dance(torch.cat([heard, latents], dim=1))).mT  # (B, T, D)

    def forward(
        self, audio: torch.Tensor, pose: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """audio (B, T, F), pose (B, T, D). Returns poses (B, T, D), mean and log-variance (B, N, Z).

        `rng`, on the CPU, draws from the posterior; without it the mean is decoded."""
        position, heard = self.positions(audio), self.hear(audio.mT)
        mean, log_var = self._posterior(heard, pose, position)
        z = mean
        if rng is not None:
            z = mean + torch.randn(mean.shape, generator=rng).to(mean.device) * torch.exp(0.5 * log_var)
        return self._decode(heard, z, position), mean, log_var

    def draw(self, audio: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        """Latents (B, N, Z) for a song (B, T, F), each by itself. `FlowPrior.draw` knows what goes together."""
        shape = (len(audio), beat_grid.count(self.positions(audio)), self.config.latent_dim)
        return temperature * torch.randn(shape, generator=rng).to(audio.device)

    @torch.no_grad()
    def decode(self, audio: torch.Tensor, z: torch.Tensor, block: int = 4096) -> torch.Tensor:
        """The dance to a song of any length (B, T, F) with latents (B, N, Z) -> (B, T, D).

        In blocks of frames with as much of their neighbours as the convolutions reach: memory stays the same however
        long the song is, and there is no seam."""
        position = self.positions(audio)
        margin, frames = 2 * reach(self.config.layers), audio.shape[1]
        dances = []
        for first in range(0, frames, block):
            start, stop = max(first - margin, 0), min(first + block + margin, frames)
            heard = self.hear(audio[:, start:stop].mT)
            dance = self._decode(heard, z, position[:, start:stop])
            dances.append(dance[:, first - start : first - start + block][:, : frames - first])
        return torch.cat(dances, dim=1)
