"""The original LSTM-VAE, layer by layer: a window of audio is encoded as one latent and decoded as poses.

It serves as a baseline. Its encoder does not get the poses, and its decoder gets the same latent at every step, so its
output tends to the mean pose. Letters: B batch, T frames, F audio features, Z latent_dim, D pose dimensions (66).
"""

from dataclasses import dataclass

import torch
from torch import nn

from dancing.training.layers import keras_init
from dancing.training.variational import reparameterize


@dataclass(frozen=True)
class LstmVaeConfig:
    """Sizes of the LSTM-VAE.

    Attributes:
        n_mfcc: MFCC coefficients: the first of the audio features, and the only ones that are used.
        latent_dim: Z.
        units: of every LSTM; fixed by the original model.
        pose_dim: D.
    """

    n_mfcc: int
    latent_dim: int
    units: int = 128
    pose_dim: int = 66


class LstmVae(nn.Module):
    """The original motion VAE, `vae.model: lstm`.

    Attributes:
        windowed: True: a latent covers one window, so songs are generated window by window.
    """

    windowed = True

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
        """Return the posterior's mean and log-variance, (B, Z) each, of windows of audio (B, T, F)."""
        steps, _ = self.encoder(audio[..., : self.config.n_mfcc])  # (B, T, 128)
        _, (last, _) = self.summary(steps)  # (1, B, 128)
        return self.z_mean(last[0]), self.z_log_var(last[0])  # (B, Z) each

    def decode(self, audio: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
        """Return poses (B, T, D) of latents (B, Z); of the audio (B, T, F) only the length is used."""
        repeated = self.expand(z)[:, None].expand(-1, audio.shape[1], -1)  # (B, T, 128)
        return self.to_pose(self.decoder(repeated)[0])  # (B, T, D)

    def forward(
        self, audio: torch.Tensor, pose: torch.Tensor, rng: torch.Generator | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return decoded poses (B, T, D), and the posterior's mean and log-variance, (B, Z) each.

        Args:
            audio: (B, T, F).
            pose: not used: the original encoder gets the audio alone.
            rng: on the CPU, to sample the posterior; None: its mean is decoded.
        """
        mean, log_var = self.encode(audio)
        return self.decode(audio, mean if rng is None else reparameterize(mean, log_var, rng)), mean, log_var

    @torch.no_grad()
    def sample_latents(self, audio: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        """Return latents (B, Z) for windows of audio (B, T, F), sampled from the posterior.

        `rng` is on the CPU; `temperature` is a factor of the standard deviation.
        """
        mean, log_var = self.encode(audio)
        return reparameterize(mean, log_var, rng, temperature)
