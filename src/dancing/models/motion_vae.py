"""A conditional sequence VAE: sound and explicit beats a frame, one latent a chunk of frames, convolutions throughout.

Letters: B batch, T frames, F audio features, D pose dimensions, H hidden channels, N = T / chunk latents of Z numbers.
The decoder hears every frame, so it can move with the beat; the latents say what the sound leaves open. Being
convolutional it takes a song of any length in one go. Gated dilated convolutions: van den Oord et al., WaveNet, 2016
(here not causal). The conditional VAE: Sohn et al., 2015.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class MotionVaeConfig:
    audio_dim: int
    pose_dim: int
    latent_dim: int
    hidden: int
    layers: int
    chunk: int


class GatedBlock(nn.Module):
    """Residual gated convolution over time; reaches `dilation` frames to both sides."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, H, T) -> (B, H, T)
        signal, gate = self.dilated(x).chunk(2, dim=1)
        return x + self.mix(torch.tanh(signal) * torch.sigmoid(gate))


class Trunk(nn.Sequential):
    """Inputs (B, I, T) to hidden channels (B, H, T) through `layers` gated blocks, each reaching twice as far."""

    def __init__(self, inputs: int, channels: int, layers: int) -> None:
        super().__init__(nn.Conv1d(inputs, channels, 1), *(GatedBlock(channels, 2**i) for i in range(layers)))


class MotionVae(nn.Module):
    def __init__(self, config: MotionVaeConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        self.hear = Trunk(config.audio_dim, hidden, config.layers)
        self.watch = Trunk(config.pose_dim + hidden, hidden, config.layers)
        self.posterior = nn.Conv1d(hidden, 2 * config.latent_dim, config.chunk, stride=config.chunk)
        self.dance = Trunk(config.latent_dim + hidden, hidden, config.layers)
        self.pose = nn.Conv1d(hidden, config.pose_dim, 1)

    def encode(self, heard: torch.Tensor, pose: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen = self.watch(torch.cat([heard, pose.mT], dim=1))  # (B, H, T)
        mean, log_var = self.posterior(seen).mT.chunk(2, dim=-1)  # (B, N, Z) each
        return mean, log_var.clamp(-8, 8)

    def decode(self, heard: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        # Between two chunks' middles the latent changes linearly: no step that the eye would see as a jerk.
        latents = F.interpolate(z.mT, size=heard.shape[-1], mode="linear")  # (B, Z, T)
        return self.pose(self.dance(torch.cat([heard, latents], dim=1))).mT  # (B, T, D)

    def forward(
        self, audio: torch.Tensor, pose: torch.Tensor, noise: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """audio (B, T, F), pose (B, T, D), T a multiple of chunk. Returns poses (B, T, D), mean and log-variance
        (B, N, Z). `noise` (B, N, Z) draws from the posterior; without it the mean is decoded."""
        heard = self.hear(audio.mT)
        mean, log_var = self.encode(heard, pose)
        z = mean if noise is None else mean + noise * torch.exp(0.5 * log_var)
        return self.decode(heard, z), mean, log_var

    def noise_shape(self, batch: int, frames: int) -> tuple[int, ...]:
        return (batch, -(-frames // self.config.chunk), self.config.latent_dim)

    @torch.no_grad()
    def generate(self, audio: torch.Tensor, noise: torch.Tensor, temperature: float) -> torch.Tensor:
        """The dance to a song of any length (B, T, F) -> (B, T, D); `noise` (B, ceil(T / chunk), Z) chooses it."""
        frames = audio.shape[1]
        whole = F.pad(audio.mT, (0, -frames % self.config.chunk), mode="replicate")  # latents keep their pace
        return self.decode(self.hear(whole), temperature * noise)[:, :frames]
