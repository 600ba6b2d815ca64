"""What the next moves may be, given the music: a flow that turns noise into the latents of a `MotionVae`.

Without it every latent is drawn by itself and no move lasts longer than a latent does. The flow has seen whole dances:
its latents go together over many beats. Being convolutional it takes a song of any length in one go, without windows.

Flow matching: Lipman et al., 2023. Classifier-free guidance: Ho and Salimans, 2022.
Letters: B batch, N latents of Z numbers, F audio features, C conditions a latent.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from dancing.clips.dataset import BEAT_COLUMNS
from dancing.music_to_pose import beat_grid
from dancing.music_to_pose.temporal import Trunk

TIMES = 16  # channels for the flow's time
STEPS = 12  # of Euler's method


@dataclass(frozen=True)
class FlowPriorConfig:
    latent_dim: int
    hidden: int
    layers: int
    latents_per_beat: int
    fps: int


class FlowPrior(nn.Module):
    mean: torch.Tensor  # (Z,) and
    std: torch.Tensor  # (Z,), of the training dances' latents

    def __init__(self, config: FlowPriorConfig) -> None:
        super().__init__()
        self.config, hidden = config, config.hidden
        self.hear = Trunk(BEAT_COLUMNS + 1, hidden, 2)
        self.clock = nn.Sequential(nn.Linear(TIMES, hidden), nn.SiLU(), nn.Linear(hidden, hidden))
        self.flow = Trunk(config.latent_dim + hidden, hidden, config.layers, modulation=hidden)
        self.velocity = nn.Conv1d(hidden, config.latent_dim, 1)
        nn.init.zeros_(self.velocity.weight)
        self.register_buffer("mean", torch.zeros(config.latent_dim))
        self.register_buffer("std", torch.ones(config.latent_dim))

    def condition(self, audio: torch.Tensor) -> torch.Tensor:
        """What the flow hears of a song (B, T, F): beat and bar at each latent, and the tempo, (B, N, C).

        Not the timbre: a dozen songs would be learnt by heart, each with its one dance."""
        rate = self.config.latents_per_beat
        position = beat_grid.positions(audio, rate, self.config.fps)
        points = beat_grid.pool(audio[..., -BEAT_COLUMNS:], position, beat_grid.count(position))
        seconds = max(audio.shape[1] - 1, 1) / self.config.fps
        tempo = (position[:, -1] - position[:, 0]).to(audio) / rate / seconds  # (B,) beats/s
        return torch.cat([points, (tempo - beat_grid.IDLE)[:, None, None].expand(-1, points.shape[1], 1)], dim=-1)

    def forward(self, z: torch.Tensor, time: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        """Velocity (B, N, Z) at standardised latents z (B, N, Z) on their way, at time (B,) in [0, 1]."""
        pitch = torch.exp(torch.linspace(0, math.log(50), TIMES // 2, device=time.device))
        turns = time[:, None] * pitch
        clock = self.clock(torch.cat([turns.sin(), turns.cos()], dim=-1))
        return self.velocity(self.flow(torch.cat([z.mT, self.hear(condition.mT)], dim=1), clock)).mT

    @torch.no_grad()
    def draw(self, audio: torch.Tensor, rng: torch.Generator, temperature: float, guidance: float) -> torch.Tensor:
        """Latents (B, N, Z) for a song (B, T, F) from noise, whose spread is the temperature, by Euler steps.

        guidance: 1 follows the music as in training, more exaggerates it, 0 doesn't hear it."""
        condition = self.condition(audio)
        shape = (*condition.shape[:2], self.config.latent_dim)
        z = temperature * torch.randn(shape, generator=rng).to(audio.device)
        silence = torch.zeros_like(condition)
        for step in range(STEPS):
            time = torch.full((len(z),), step / STEPS, device=z.device)
            velocity = self(z, time, condition)
            if guidance != 1:
                unheard = self(z, time, silence)
                velocity = unheard + guidance * (velocity - unheard)
            z = z + velocity / STEPS
        return z * self.std + self.mean
