"""A small network that tells digits apart: what generated digits, and digits drawn again, are judged by.

Letters: B batch, D features, K classes.
"""

import torch
import torch.nn.functional as F
from torch import nn

FEATURES = 32  # D: a Frechet distance needs ten pictures each


class Classifier(nn.Module):
    """Four convolutions and two dense layers, of grey pictures of any size in multiples of 4."""

    def __init__(self, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 4, stride=2, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.dropout = nn.Dropout(0.3)
        self.hidden = nn.Linear(64 * (height // 4) * (width // 4), FEATURES)
        self.classes = nn.Linear(FEATURES, classes)

    def features(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 1, H, W) in [-1, 1] -> (B, D)."""
        return F.relu(self.hidden(self.dropout(self.convolutions(pictures).flatten(1))))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures (B, 1, H, W) in [-1, 1] -> logits (B, K)."""
        return self.classes(self.features(pictures))
