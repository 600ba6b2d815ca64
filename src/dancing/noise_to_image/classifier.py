"""A small classifier of digits, which the metrics of generated and reconstructed digits are computed with.

Letters: B batch, H x W image, D features, K classes.
"""

import torch
import torch.nn.functional as F
from torch import nn

FEATURES = 32  # D; a Frechet distance needs about ten images a feature
DROPOUT = 0.3


class Classifier(nn.Module):
    """Four convolutions and two dense layers, for grey images whose sides are multiples of 4 px."""

    def __init__(self, height: int, width: int, classes: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(),
            nn.Conv2d(32, 32, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 4, stride=2, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.dropout = nn.Dropout(DROPOUT)
        self.hidden = nn.Linear(64 * (height // 4) * (width // 4), FEATURES)
        self.classes = nn.Linear(FEATURES, classes)

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 1, H, W) in [-1, 1] -> features (B, D), the input of the layer `classes`."""
        return F.relu(self.hidden(self.dropout(self.convolutions(images).flatten(1))))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Images (B, 1, H, W) in [-1, 1] -> logits (B, K)."""
        return self.classes(self.features(images))
