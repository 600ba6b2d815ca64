"""Convolutions over time. Letters: B batch, T steps, I input channels, H hidden channels, E modulation channels."""

import torch
from torch import nn


class GatedBlock(nn.Module):
    """Residual gated convolution with a dilated kernel of 3 (van den Oord et al., WaveNet, 2016).

    An optional modulation vector is added to the channels at every step, as WaveNet's global conditioning.
    """

    def __init__(self, channels: int, dilation: int, modulation: int = 0) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.shift = nn.Linear(modulation, 2 * channels) if modulation else None

    def forward(self, x: torch.Tensor, modulation: torch.Tensor | None = None) -> torch.Tensor:
        """Features x (B, H, T), modulation (B, E) -> (B, H, T)."""
        gated = self.dilated(x)
        if self.shift is not None and modulation is not None:
            gated = gated + self.shift(modulation)[..., None]
        signal, gate = gated.chunk(2, dim=1)
        return x + self.mix(torch.tanh(signal) * torch.sigmoid(gate))


class TemporalConvNet(nn.Module):
    """A stack of gated blocks; each has twice the dilation of the one before."""

    def __init__(self, inputs: int, channels: int, layers: int, modulation: int = 0) -> None:
        super().__init__()
        self.project = nn.Conv1d(inputs, channels, 1)
        self.blocks = nn.ModuleList(GatedBlock(channels, 2**i, modulation) for i in range(layers))

    def forward(self, x: torch.Tensor, modulation: torch.Tensor | None = None) -> torch.Tensor:
        """Inputs x (B, I, T), modulation (B, E) -> (B, H, T)."""
        x = self.project(x)
        for block in self.blocks:
            x = block(x, modulation)
        return x


def receptive_field(layers: int) -> int:
    """Return how many steps on each side affect an output of a `TemporalConvNet` with this many layers."""
    return 2**layers - 1
