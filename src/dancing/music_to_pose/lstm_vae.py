"""The original LSTM-VAE, layer by layer: the audio of a window becomes one latent, the latent a window of poses.

Letters: B batch, T frames, Z latent_dim, D pose dimensions (66).
It is not given the poses when it encodes, and its decoder gets the same latent at every step, so it tends to the mean
pose. It is here as a baseline, `vae.model: lstm`.
"""

from dataclasses import dataclass

import torch
from torch import nn

from dancing.training.layers import keras_init
from dancing.training.variational import reparameterize


@dataclass(frozen=True)
class LstmVaeConfig:
    """Sizes of the LSTM-VAE."""

    n_mfcc: int
    latent_dim: int  # Z
    units: int = 128  # the original table's, not a parameter
    pose_dim: int = 66  # D


class LstmVae(nn.Module):
    """The original VAE of motion."""

    windowed = True  # one latent a window: a song is generated window by window

    def __init__(self, config: LstmVaeConfig) -> None:
        super().__init__()
        self.config, units = config, config.units
        self.encoder = nn.LSTM(config.n_mfcc, units, batch_first=True)
        self.summary = nn.LSTM(units, units, batch_first=True)
        self.z_mean = nn.Linear(units, config.latent_dim)
        self.z_log_var = nn.Linear(units, config.latent_dim)
        self.expand = nn.Linear(config.latent_dim, units)
        self.decoder = nn.LSTM(units, units, batch_first=True)
        self.to_pose = nn.Linear(units, config.pose_dim)
        keras_init(self)

    def encode(self, audio: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the posterior's mean and log-variance (B, Z) of a window of audio (B, T, F), MFCC first."""
        steps, _ = self.encoder(audio[..., : self.config.n_mfcc])  # (B, T, 128)
        _, (last, _) = self.summary(steps)  # (1, B, 128)
        return self.z_mean(last[0]), self.z_log_var(last[0])  # (B, Z) each

    def decode(self, audio: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return poses (B, T, D) as long as the window of audio (B, T, F), with latents (B, Z)."""
        repeated = self.expand(z)[:, None].expand(-1, audio.shape[1], -1)  # (B, T, 128)
        return self.to_pose(self.decoder(repeated)[0])  # (B, T, D)

    def forward(
        self, audio: torch.Tensor, pose: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return decoded poses (B, T, D), and the posterior's mean and log-variance (B, Z).

        Args:
            audio: (B, T, F), MFCC first.
            pose: not used: the original encoder is given audio alone.
            rng: on the CPU, samples the posterior; without it the mean is decoded.
        """
        mean, log_var = self.encode(audio)
        return self.decode(audio, mean if rng is None else reparameterize(mean, log_var, rng)), mean, log_var

    @torch.no_grad()
    def sample_latents(self, audio: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        """Return a latent (B, Z) for a window of audio (B, T, F), from the posterior."""
        mean, log_var = self.encode(audio)
        return reparameterize(mean, log_var, rng, temperature)
