"""A conditional, convolutional VAE of pose sequences, with a few latents a beat.

The decoder gets the audio features and the beat of every frame, so the latents need only hold what the music leaves
open. The network is convolutional and takes songs of any length. Conditional VAE: Sohn et al., Learning Structured
Output Representation using Deep Conditional Generative Models, NeurIPS 2015. Letters: B batch, T frames, F audio
features, D pose dimensions, H hidden channels, N latents of Z numbers on the beat grid.
"""

from dataclasses import dataclass

import torch
from torch import nn

from dancing.music_to_pose import beat_grid
from dancing.music_to_pose.temporal import TemporalConvNet, receptive_field
from dancing.training.processes import batch_max
from dancing.training.variational import reparameterize

MAX_LOG_VARIANCE = 8.0


@dataclass(frozen=True)
class MotionVaeConfig:
    """Sizes of the motion VAE.

    Attributes:
        audio_dim: F.
        beat_columns: how many of the last audio features describe beat and bar, the beat's phase first.
        pose_dim: D.
        latent_dim: Z.
        hidden: H.
        layers: of each of the three convolutional networks.
        latents_per_beat: points of the beat grid a beat.
        fps: frames a second.
    """

    audio_dim: int
    beat_columns: int
    pose_dim: int
    latent_dim: int
    hidden: int
    layers: int
    latents_per_beat: int
    fps: int


class MotionVae(nn.Module):
    """The conditional motion VAE, `vae.model: motion`.

    Attributes:
        windowed: False: a song of any length is generated as a whole.
    """

    windowed = False

    def __init__(self, config: MotionVaeConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        self.audio_encoder = TemporalConvNet(config.audio_dim, hidden, config.layers)
        self.pose_encoder = TemporalConvNet(config.pose_dim + hidden, hidden, config.layers)
        self.posterior = nn.Linear(hidden, 2 * config.latent_dim)
        self.decoder = TemporalConvNet(config.latent_dim + hidden, hidden, config.layers)
        self.to_pose = nn.Conv1d(hidden, config.pose_dim, 1)

    def positions(self, audio: torch.Tensor) -> torch.Tensor:
        """Return the positions on the beat grid, (B, T), of the frames of audio (B, T, F)."""
        first = self.config.audio_dim - self.config.beat_columns
        return beat_grid.positions(audio[..., first : first + 2], self.config.latents_per_beat, self.config.fps)

    def encode(self, audio: torch.Tensor, pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the posterior's mean and log-variance, (B, N, Z) each, of audio (B, T, F) and poses (B, T, D)."""
        return self._posterior(self.audio_encoder(audio.mT), pose, self.positions(audio))

    def _posterior(
        self, audio_code: torch.Tensor, pose: torch.Tensor, position: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        pose_code = self.pose_encoder(torch.cat([audio_code, pose.mT], dim=1)).mT  # (B, T, H)
        points = beat_grid.pool(pose_code, position, batch_max(beat_grid.count(position)))  # (B, N, H)
        # A slow song ends before the batch's last point. The points after its end repeat its last one, so that the KL
        # term counts no point without poses.
        last = (position[:, -1:].long() + 1).to(points.device)
        kept = torch.arange(points.shape[1], device=points.device).expand(len(points), -1).minimum(last)
        mean, log_var = self.posterior(beat_grid.take(points, kept)).chunk(2, dim=-1)
        return mean, log_var.clamp(-MAX_LOG_VARIANCE, MAX_LOG_VARIANCE)

    def decode_at(self, audio_code: torch.Tensor, z: torch.Tensor, position: torch.Tensor) -> torch.Tensor:
        """Return poses (B, T, D) of encoded audio (B, H, T) and latents (B, N, Z) at positions (B, T) on the grid."""
        latents = beat_grid.interpolate(z, position).mT  # (B, Z, T)
        return self.to_pose(self.decoder(torch.cat([audio_code, latents], dim=1))).mT  # (B, T, D)

    def forward(
        self, audio: torch.Tensor, pose: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return decoded poses (B, T, D), and the posterior's mean and log-variance, (B, N, Z) each.

        Args:
            audio: (B, T, F).
            pose: (B, T, D).
            rng: on the CPU, to sample the posterior; None: its mean is decoded.
        """
        position, audio_code = self.positions(audio), self.audio_encoder(audio.mT)
        mean, log_var = self._posterior(audio_code, pose, position)
        z = mean if rng is None else reparameterize(mean, log_var, rng)
        return self.decode_at(audio_code, z, position), mean, log_var

    def sample_latents(self, audio: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        """Return latents (B, N, Z) for songs (B, T, F), independent samples of the standard normal prior.

        `FlowPrior.sample_latents` samples latents that depend on one another. `rng` is on the CPU; `temperature` is
        the standard deviation.
        """
        shape = (len(audio), beat_grid.count(self.positions(audio)), self.config.latent_dim)
        return temperature * torch.randn(shape, generator=rng).to(audio.device)

    @torch.no_grad()
    def decode(self, audio: torch.Tensor, z: torch.Tensor, block: int = 4096) -> torch.Tensor:
        """Return poses (B, T, D) for songs of any length.

        Frames are decoded in blocks, so that memory does not grow with the song. Each block gets as many frames on both
        sides as the receptive field covers, so that the blocks join without a seam.

        Args:
            audio: (B, T, F).
            z: (B, N, Z), latents on the song's beat grid.
            block: frames that are decoded at once.
        """
        position = self.positions(audio)
        margin, frames = 2 * receptive_field(self.config.layers), audio.shape[1]
        poses = []
        for first in range(0, frames, block):
            start, stop = max(first - margin, 0), min(first + block + margin, frames)
            audio_code = self.audio_encoder(audio[:, start:stop].mT)
            decoded = self.decode_at(audio_code, z, position[:, start:stop])
            poses.append(decoded[:, first - start : first - start + block][:, : frames - first])
        return torch.cat(poses, dim=1)
