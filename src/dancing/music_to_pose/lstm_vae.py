"""The seed's LSTM-VAE, layer by layer: the sound of a window becomes one latent, the latent a window of poses.

Letters: B batch, T frames, Z latent_dim, D pose dimensions (66).
It sees no pose when it encodes and its decoder gets the same latent at every step, so it tends to the mean pose. It is
here to be compared with, as `vae.model: lstm`.
"""

from dataclasses import dataclass

import torch
from torch import nn

from dancing.training.layers import drawn, keras_init


@dataclass(frozen=True)
class LstmVaeConfig:
    n_mfcc: int
    latent_dim: int
    units: int = 128  # the seed's, not a knob
    pose_dim: int = 66


class LstmVae(nn.Module):
    def __init__(self, config: LstmVaeConfig) -> None:
        super().__init__()
        self.config, units = config, config.units
        self.encoder = nn.LSTM(config.n_mfcc, units, batch_first=True)
        self.summary = nn.LSTM(units, units, batch_first=True)
        self.z_mean = nn.Linear(units, config.latent_dim)
        self.z_log_var = nn.Linear(units, config.latent_dim)
        self.expand = nn.Linear(config.latent_dim, units)
        self.decoder = nn.LSTM(units, units, batch_first=True)
        self.pose = nn.Linear(units, config.pose_dim)
        keras_init(self)

    def encode(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        steps, _ = self.encoder(audio[..., : self.config.n_mfcc])  # (B, T, 128)
        _, (last, _) = self.summary(steps)  # (1, B, 128)
        return self.z_mean(last[0]), self.z_log_var(last[0])  # (B, Z) each

    def decode(self, audio: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """The dance as long as a window of sound (B, T, F) with latents (B, Z) -> (B, T, D)."""
        frames = audio.shape[1]
        repeated = self.expand(z)[:, None].expand(-1, frames, -1)  # (B, T, 128)
        return self.pose(self.decoder(repeated)[0])  # (B, T, D)

    def forward(
        self, audio: torch.Tensor, pose: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """audio (B, T, F), MFCC first; the pose is not looked at. Returns poses (B, T, D), mean, log-variance (B, Z).

        `rng`, on the CPU, draws from the posterior; without it the mean is decoded."""
        mean, log_var = self.encode(audio)
        return self.decode(audio, mean if rng is None else drawn(mean, log_var, rng)), mean, log_var

    @torch.no_grad()
    def draw(self, audio: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        """A latent (B, Z) for a window of sound (B, T, F), from the posterior."""
        mean, log_var = self.encode(audio)
        return drawn(mean, log_var, rng, temperature)
