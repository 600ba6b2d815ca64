"""Convolutions over time. Letters: B batch, T steps, I inputs, H channels, E size of a modulation."""

import torch
from torch import nn


class GatedBlock(nn.Module):
    """Residual gated convolution; reaches `dilation` steps to both sides (van den Oord et al., WaveNet, 2016).

    With a `modulation` its channels are shifted by a vector, as WaveNet's global condition does.
    """

    def __init__(self, channels: int, dilation: int, modulation: int = 0) -> None:
        super().__init__()
        self.dilated = nn.Conv1d(channels, 2 * channels, 3, padding=dilation, dilation=dilation)
        self.mix = nn.Conv1d(channels, channels, 1)
        self.shift = nn.Linear(modulation, 2 * channels) if modulation else None

    def forward(self, x: torch.Tensor, modulation: torch.Tensor | None = None) -> torch.Tensor:
        """(B, H, T), (B, E) -> (B, H, T)"""
        both = self.dilated(x)
        if self.shift is not None and modulation is not None:
            both = both + self.shift(modulation)[..., None]
        signal, gate = both.chunk(2, dim=1)
        return x + self.mix(torch.tanh(signal) * torch.sigmoid(gate))


class Trunk(nn.Module):
    """Inputs (B, I, T) to hidden channels (B, H, T) through `layers` gated blocks, each reaching twice as far."""

    def __init__(self, inputs: int, channels: int, layers: int, modulation: int = 0) -> None:
        super().__init__()
        self.enter = nn.Conv1d(inputs, channels, 1)
        self.blocks = nn.ModuleList(GatedBlock(channels, 2**i, modulation) for i in range(layers))

    def forward(self, x: torch.Tensor, modulation: torch.Tensor | None = None) -> torch.Tensor:
        x = self.enter(x)
        for block in self.blocks:
            x = block(x, modulation)
        return x


def reach(layers: int) -> int:
    """Steps to each side that an output of a `Trunk` depends on."""
    return 2**layers - 1
