"""Layers and weight initialisation with Keras' conventions, for the original models.

Letters: B batch, I input channels, O output channels, H x W feature map, s stride.
"""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

KERAS_EPSILON = 1e-3  # of BatchNormalization
KERAS_MOMENTUM = 0.01  # torch's momentum is 1 minus Keras'


class Conv2dSame(nn.Conv2d):
    """Keras' Conv2D(padding="same") for even sizes: with stride 2 and a 3 x 3 kernel it pads below and right only."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        total = max(kernel - stride, 0)
        self._pad = (total // 2, total - total // 2) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(B, I, H, W) -> (B, O, H / s, W / s)."""
        if self.out_channels == 1 and self.stride == (1, 1):
            return _one_output(x, self.weight, self._pad) + cast(torch.Tensor, self.bias)
        return super().forward(F.pad(x, self._pad))


def _one_output(x: torch.Tensor, weight: torch.Tensor, pad: tuple[int, int, int, int]) -> torch.Tensor:
    """Return the convolution with one output channel, (B, I, H, W) -> (B, 1, H, W), as a matrix product and a fold.

    The product weighs each pixel for all positions of the kernel, the fold adds them up where they belong. On a CPU,
    with a 7 x 7 kernel, a training step of the layer takes half the time of torch's convolution.
    """
    (height, width), kernel = x.shape[-2:], weight.shape[-1]
    taps = weight[0].flip(1, 2).flatten(1).mT @ x.flatten(2)  # (B, kernel^2, H W)
    summed = F.fold(taps, (height + kernel - 1, width + kernel - 1), kernel)
    right, below = pad[1], pad[3]
    return summed[..., below : below + height, right : right + width]


class ConvTranspose2dSame(nn.ConvTranspose2d):
    """Keras' Conv2DTranspose(padding="same"): the gradient of `Conv2dSame`, cropped to the input's size times s."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        # torch crops all sides alike; `forward` cuts off what Keras crops in addition, below and on the right.
        super().__init__(inputs, outputs, kernel, stride, padding=max(kernel - stride, 0) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(B, I, H, W) -> (B, O, s H, s W)."""
        height, width = (size * self.stride[0] for size in x.shape[-2:])
        # With a bias, oneDNN takes up to 15 times as long for it, and a quarter longer in a training step.
        full = F.conv_transpose2d(x, self.weight, None, self.stride, cast(tuple[int, ...], self.padding))
        return full[..., :height, :width] + cast(torch.Tensor, self.bias)[:, None, None]


def batch_norm(features: int, dims: int) -> nn.Module:
    """Return Keras' BatchNormalization for inputs (B, features), `dims` 1, or (B, features, H, W), `dims` 2."""
    return (nn.BatchNorm1d if dims == 1 else nn.BatchNorm2d)(features, eps=KERAS_EPSILON, momentum=KERAS_MOMENTUM)


def he_init(model: nn.Module) -> None:
    """Initialise a ReLU network in place: normal weights that preserve the variance from layer to layer, zero biases.

    He et al., Delving Deep into Rectifiers, ICCV 2015. With PyTorch's default and no batch norm, activations shrink in
    every layer, and about a hundred steps pass before the network begins to learn.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def keras_init(model: nn.Module) -> None:
    """Initialise a network in place with Keras' defaults.

    Glorot uniform kernels and zero biases; in an LSTM also orthogonal recurrent kernels, and 1 as the forget gate's
    bias. torch's LSTM has two bias vectors, Keras' has one: the second is set to zero and frozen, so that both have the
    same trainable parameters.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LSTM):
            _keras_init_lstm(module)


def _keras_init_lstm(lstm: nn.LSTM) -> None:
    units = lstm.hidden_size
    for name, weight in lstm.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_uniform_(weight)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(weight)
        else:
            nn.init.zeros_(weight)
        if name.startswith("bias_ih"):
            weight.data[units : 2 * units] = 1.0  # torch's order of gates: input, forget, cell, output
        elif name.startswith("bias_hh"):
            weight.requires_grad_(False)
