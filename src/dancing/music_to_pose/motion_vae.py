"""A conditional sequence VAE: audio features and the explicit beat a frame, a few latents a beat, convolutions.

Letters: B batch, T frames, F audio features, D pose dimensions, H hidden channels, N latents of Z numbers on the beat
grid. The decoder is given the audio of every frame, so it can move with the beat; the latents hold what the audio
leaves open. Being convolutional it takes a song of any length. The conditional VAE: Sohn et al., Learning Structured
Output Representation using Deep Conditional Generative Models, NeurIPS 2015.
"""

from dataclasses import dataclass

import torch
from torch import nn

from dancing.music_to_pose import beat_grid
from dancing.music_to_pose.temporal import TemporalConvNet, receptive_field
from dancing.training.variational import reparameterize

MAX_LOG_VARIANCE = 8.0


@dataclass(frozen=True)
class MotionVaeConfig:
    """Sizes of the motion VAE."""

    audio_dim: int  # F
    beat_columns: int  # the last of the audio features: beat phase first
    pose_dim: int  # D
    latent_dim: int  # Z
    hidden: int  # H
    layers: int  # of each convolutional network
    latents_per_beat: int
    fps: int


class MotionVae(nn.Module):
    """The conditional VAE of motion, `vae.model: motion`."""

    windowed = False  # a song of any length is generated in one go

    def __init__(self, config: MotionVaeConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        self.audio_encoder = TemporalConvNet(config.audio_dim, hidden, config.layers)
        self.pose_encoder = TemporalConvNet(config.pose_dim + hidden, hidden, config.layers)
        self.posterior = nn.Linear(hidden, 2 * config.latent_dim)
        self.decoder = TemporalConvNet(config.latent_dim + hidden, hidden, config.layers)
        self.to_pose = nn.Conv1d(hidden, config.pose_dim, 1)

    def positions(self, audio: torch.Tensor) -> torch.Tensor:
        """Return where on the grid of latents each frame of audio (B, T, F) lies, (B, T)."""
        first = self.config.audio_dim - self.config.beat_columns
        return beat_grid.positions(audio[..., first : first + 2], self.config.latents_per_beat, self.config.fps)

    def encode(self, audio: torch.Tensor, pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the posterior's mean and log-variance (B, N, Z) of audio (B, T, F) and poses (B, T, D)."""
        return self._posterior(self.audio_encoder(audio.mT), pose, self.positions(audio))

    def _posterior(
        self, audio_code: torch.Tensor, pose: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pose_code = self.pose_encoder(torch.cat([audio_code, pose.mT], dim=1)).mT  # (B, T, H)
        points = beat_grid.pool(pose_code, position, beat_grid.count(position))  # (B, N, H)
        # A slow song ends before the batch's last point: what lies beyond repeats its own last one, so that no point
        # without a dance counts in the KL term.
        last = (position[:, -1:].long() + 1).to(points.device)
        kept = torch.arange(points.shape[1], device=points.device).expand(len(points), -1).minimum(last)
        mean, log_var = self.posterior(beat_grid.take(points, kept)).chunk(2, dim=-1)
        return mean, log_var.clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)

    def _decode(self, audio_code: torch.Tensor, z: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        latents = beat_grid.interpolate(z, position).mT  # (B, Z, T)
        return self.to_pose(self.decoder(torch.cat([audio_code, latents], dim=1))).mT  # (B, T, D)

    def forward(
        self, audio: torch.Tensor, pose: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return decoded poses (B, T, D), and the posterior's mean and log-variance (B, N, Z).

        Args:
            audio: (B, T, F).
            pose: (B, T, D).
            rng: on the CPU, samples the posterior; without it the mean is decoded.
        """
        position, audio_code = self.positions(audio), self.audio_encoder(audio.mT)
        mean, log_var = self._posterior(audio_code, pose, position)
        z = mean if rng is None else reparameterize(mean, log_var, rng)
        return self._decode(audio_code, z, position), mean, log_var

    def sample_latents(self, audio: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        """Return latents (B, N, Z) for a song (B, T, F) from the normal prior, each independent of the others.

        `FlowPrior.sample_latents` has learnt which ones go together.
        """
        shape = (len(audio), beat_grid.count(self.positions(audio)), self.config.latent_dim)
        return temperature * torch.randn(shape, generator=rng).to(audio.device)

    @torch.no_grad()
    def decode(self, audio: torch.Tensor, z: torch.Tensor, block: int = 4096) -> torch.Tensor:
        """Return poses (B, T, D) for a song of any length (B, T, F) with latents (B, N, Z).

        Decodes blocks of frames, each with as many neighbours as the convolutions reach: memory does not grow with the
        song, and there is no seam.
        """
        position = self.positions(audio)
        margin, frames = 2 * receptive_field(self.config.layers), audio.shape[1]
        poses = []
        for first in range(0, frames, block):
            start, stop = max(first - margin, 0), min(first + block + margin, frames)
            audio_code = self.audio_encoder(audio[:, start:stop].mT)
            decoded = self._decode(audio_code, z, position[:, start:stop])
            poses.append(decoded[:, first - start : first - start + block][:, : frames - first])
        return torch.cat(poses, dim=1)
