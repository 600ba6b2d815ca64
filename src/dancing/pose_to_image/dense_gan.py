"""The seed's GAN, layer by layer: 66 numbers become a picture through dense and transposed convolutions.

The seed draws 128 x 128; here any height and width in multiples of 8, equal to the seed's table at 128.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from dancing.training.layers import Conv2dSame, ConvTranspose2dSame, keras_init
from dancing.training.param_tanh import Output, output_layer


@dataclass(frozen=True)
class DenseGanConfig:
    height: int
    width: int
    output: Output


class DenseGenerator(nn.Module):
    def __init__(self, config: DenseGanConfig) -> None:
        super().__init__()
        self.grid = (config.height // 8, config.width // 8)  # (16, 16) at 128 x 128
        self.hidden = nn.Linear(66, 256)
        self.spread = nn.Linear(256, self.grid[0] * self.grid[1] * 256)
        self.up1 = ConvTranspose2dSame(256, 128, 3, stride=2)
        self.up2 = ConvTranspose2dSame(128, 64, 3, stride=2)
        self.up3 = ConvTranspose2dSame(64, 3, 3, stride=2)
        self.output = output_layer(config.output)
        keras_init(self)

    def pictures(self, landmarks: torch.Tensor, *_: torch.Tensor | None) -> torch.Tensor:
        """Poses (B, 33, 2) in [0, 1] -> pictures (B, 3, H, W) in [-1, 1]."""
        return self(self.draw(landmarks))

    def draw(self, landmarks: torch.Tensor) -> torch.Tensor:
        """Landmarks (B, 33, 2) -> (B, 66): the seed's draws nothing, it takes the numbers."""
        return landmarks.flatten(1)

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        """Landmarks in [0, 1] (B, 66) -> pictures (B, 3, H, W) in [-1, 1]. It sees no plate and no picture before."""
        x = F.relu(self.hidden(numbers))  # (B, 256)
        x = self.spread(x).unflatten(1, (256, *self.grid))  # (B, 256, H / 8, W / 8)
        x = F.relu(self.up1(x))  # (B, 128, H / 4, W / 4)
        x = F.relu(self.up2(x))  # (B, 64, H / 2, W / 2)
        return self.output(self.up3(x))  # (B, 3, H, W)


class DenseDiscriminator(nn.Module):
    def __init__(self, config: DenseGanConfig) -> None:
        super().__init__()
        self.down1 = Conv2dSame(3, 64, 3, stride=2)
        self.down2 = Conv2dSame(64, 128, 3, stride=2)
        self.score = nn.Linear(128 * (config.height // 4) * (config.width // 4), 1)
        keras_init(self)

    def forward(self, pictures: torch.Tensor, *_: torch.Tensor) -> list[tuple[torch.Tensor, list[torch.Tensor]]]:
        """Pictures (B, 3, H, W) -> logits (B, 1), the seed's sigmoid being part of the loss, and the layers' outputs.
        The one judge looks neither at the pose nor at the picture before."""
        first = F.leaky_relu(self.down1(pictures), 0.3)  # (B, 64, H / 2, W / 2); 0.3 is Keras' slope
        second = F.leaky_relu(self.down2(first), 0.3)  # (B, 128, H / 4, W / 4)
        return [(self.score(second.flatten(1)), [first, second])]
