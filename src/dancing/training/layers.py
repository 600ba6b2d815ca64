"""Layers as Keras draws them, for the tables of the seed's models: 'same' padding and Keras' first weights."""

import torch
import torch.nn.functional as F
from torch import nn


class Conv2dSame(nn.Conv2d):
    """Keras' Conv2D(padding="same") on even sizes: at stride 2 and k=3 it pads below and on the right only."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, kernel, stride)
        total = max(kernel - stride, 0)
        self._pad = (total // 2, total - total // 2) * 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)
        return super().forward(F.pad(x, self._pad))


class ConvTranspose2dSame(nn.ConvTranspose2d):
    """Keras' Conv2DTranspose(padding="same"): the gradient of `Conv2dSame`, cropped to stride times the input."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        # torch's padding crops both sides; what Keras crops more, below and on the right, is cut off afterwards.
        super().__init__(inputs, outputs, kernel, stride, padding=max(kernel - stride, 0) // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # type: ignore[override]  # (B, inputs, H, W) -> (B, outputs, sH, sW)
        height, width = (size * self.stride[0] for size in x.shape[-2:])
        return super().forward(x)[..., :height, :width]


def batch_norm(features: int, dims: int) -> nn.Module:
    """Keras' BatchNormalization over (B, features) or (B, features, H, W), for dims 1 or 2."""
    return (nn.BatchNorm1d if dims == 1 else nn.BatchNorm2d)(features, eps=1e-3, momentum=0.01)


def he_init(model: nn.Module) -> None:
    """Normal weights that keep what ReLUs let through as large as it was, zero biases, in place.

    He et al., Delving Deep into Rectifiers, ICCV 2015. Without batch norm, PyTorch's own first weights shrink a picture
    layer by layer, until a hundred steps are spent on seeing anything.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def keras_init(model: nn.Module) -> None:
    """Keras' first weights in place: Glorot uniform kernels, zero biases, orthogonal recurrent kernels, forget gate 1.

    torch's LSTM has two bias vectors where Keras has one: the second is zeroed and frozen, so that the parameters that
    learn are the same ones.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.LSTM):
            units = module.hidden_size
            for name, weight in module.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(weight)
                elif name.startswith("weight_hh"):
                    nn.init.orthogonal_(weight)
                else:
                    nn.init.zeros_(weight)
                if name.startswith("bias_ih"):
                    weight.data[units : 2 * units] = 1.0  # gates in order i, f, g, o
                elif name.startswith("bias_hh"):
                    weight.requires_grad_(False)
