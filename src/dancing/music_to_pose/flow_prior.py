"""A flow-matching prior over sequences of the motion VAE's latents, conditioned on beat and bar.

Lipman et al., Flow Matching for Generative Modeling, ICLR 2023, with classifier-free guidance (Ho and Salimans,
Classifier-Free Diffusion Guidance, 2022). Letters: B batch, T frames, F audio features, N latents of Z numbers on the
beat grid, C conditions.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from dancing.music_to_pose import beat_grid
from dancing.music_to_pose.temporal import TemporalConvNet

TIME_CHANNELS = 16  # sines and cosines that embed the flow's time
MAX_FREQUENCY = 50.0  # of these
EULER_STEPS = 12
CONDITION_LAYERS = 2  # of the condition encoder


@dataclass(frozen=True)
class FlowPriorConfig:
    """Sizes of the flow prior.

    Attributes:
        latent_dim: Z.
        beat_columns: how many of the last audio features describe beat and bar, the beat's phase first.
        hidden: channels of the convolutions.
        layers: of the convolutional network.
        latents_per_beat: points of the beat grid a beat.
        fps: frames a second.
    """

    latent_dim: int
    beat_columns: int
    hidden: int
    layers: int
    latents_per_beat: int
    fps: int


class FlowPrior(nn.Module):
    """The flow from normal noise to latents, `vae.prior: flow`.

    Attributes:
        mean: (Z,), of the latents of the training part.
        std: (Z,), of the latents of the training part.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, config: FlowPriorConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        self.condition_encoder = TemporalConvNet(config.beat_columns + 1, hidden, CONDITION_LAYERS)
        self.time_embedding = nn.Sequential(nn.Linear(TIME_CHANNELS, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.flow = TemporalConvNet(config.latent_dim + hidden, hidden, config.layers, modulation=hidden)
        self.velocity = nn.Conv1d(hidden, config.latent_dim, 1)
        nn.init.zeros_(self.velocity.weight)
        self.register_buffer("mean", torch.zeros(config.latent_dim))
        self.register_buffer("std", torch.ones(config.latent_dim))

    def condition(self, audio: torch.Tensor) -> torch.Tensor:
        """Return the conditions (B, N, C) of songs (B, T, F): beat and bar at each latent, and the mean tempo.

        Timbre is left out: with few songs, the flow would memorise the dance of each.
        """
        beat_phase = audio[..., -self.config.beat_columns :][..., :2]
        position = beat_grid.positions(beat_phase, self.config.latents_per_beat, self.config.fps)
        return self.condition_at(audio, position, beat_grid.count(position))

    def condition_at(self, audio: torch.Tensor, position: torch.Tensor, count: int) -> torch.Tensor:
        """Return `condition` of songs (B, T, F) whose frames have these positions (B, T) on a grid of N points."""
        rate, beat = self.config.latents_per_beat, audio[..., -self.config.beat_columns :]
        points = beat_grid.pool(beat, position, count)
        seconds = max(audio.shape[1] - 1, 1) / self.config.fps
        tempo = (position[:, -1] - position[:, 0]).to(audio) / rate / seconds  # (B,) beats/s
        relative = (tempo - beat_grid.DEFAULT_TEMPO)[:, None, None]
        return torch.cat([points, relative.expand(-1, points.shape[1], 1)], dim=-1)

    def forward(self, z: torch.Tensor, time: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Return the velocity of the flow, (B, N, Z).

        Args:
            z: (B, N, Z), standardised latents at `time`.
            time: (B,) in [0, 1], from noise to latents.
            condition: (B, N, C); 0 for none.
        """
        frequency = torch.exp(torch.linspace(0, math.log(MAX_FREQUENCY), TIME_CHANNELS // 2, device=time.device))
        angle = time[:, None] * frequency
        embedded = self.time_embedding(torch.cat([angle.sin(), angle.cos()], dim=-1))
        return self.velocity(self.flow(torch.cat([z.mT, self.condition_encoder(condition.mT)], dim=1), embedded)).mT

    @torch.no_grad()
    def sample_latents(
        self, audio: torch.Tensor, rng: torch.Generator, temperature: float, guidance: float
    ) -> torch.Tensor:
        """Return latents (B, N, Z) for songs, integrated from noise by Euler's method.

        Args:
            audio: (B, T, F), standardised.
            rng: on the CPU.
            temperature: standard deviation of the noise.
            guidance: 0 ignores the music, 1 follows it as in training, more than 1 exaggerates its influence.
        """
        condition = self.condition(audio)
        shape = (*condition.shape[:2], self.config.latent_dim)
        noise = temperature * torch.randn(shape, generator=rng).to(audio.device)
        return self.integrate(noise, condition, guidance)

    def integrate(self, noise: torch.Tensor, condition: torch.Tensor, guidance: float) -> torch.Tensor:
        """Return the latents (B, N, Z) that noise (B, N, Z) flows to, under conditions (B, N, C)."""
        z = noise
        no_condition = torch.zeros_like(condition)
        for step in range(EULER_STEPS):
            time = torch.full((len(z),), step / EULER_STEPS, device=z.device)
            velocity = self(z, time, condition)
            if guidance != 1:
                unconditional = self(z, time, no_condition)
                velocity = unconditional + guidance * (velocity - unconditional)
            z = z + velocity / EULER_STEPS
        return z * self.std + self.mean
