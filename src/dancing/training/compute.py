"""What a training computes with: device, precision, and whether networks are compiled."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dancing.params import Train
from dancing.training.device import pick_device


@dataclass(frozen=True)
class Compute:
    """Settings of the section `train`, resolved for this machine.

    Attributes:
        device: that networks and batches are on.
        bfloat16: whether networks are computed in bfloat16. Their weights, their outputs, all losses and WGAN's
            gradient penalty stay in float32.
        compiled: whether networks are compiled by torch.compile.
    """

    device: torch.device
    bfloat16: bool = False
    compiled: bool = False

    @classmethod
    def pick(cls, train: Train) -> "Compute":
        """Resolve the values of the section `train` of the params.

        "auto" is bfloat16 where the hardware multiplies it: Nvidia's GPUs from Ampere on, and CPUs with AVX-512 BF16 or
        AMX. Others only emulate it, which is slower than float32.
        """
        device = pick_device()
        bfloat16 = train.precision == "bf16" or (train.precision == "auto" and multiplies_bfloat16(device))
        return cls(device, bfloat16, train.compile)

    @property
    def name(self) -> str:
        """Text that differs where results may differ."""
        return f"{self.device.type} {'bfloat16' if self.bfloat16 else 'float32'}"

    def place(self, network: nn.Module) -> nn.Module:
        """Move a network to the device, in the memory format channels last, and compile it if asked to."""
        network = network.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compiled:
            network.compile()
        return network

    def run(self, network: Callable[..., Any], *inputs: Any) -> Any:
        """Call a network. In bfloat16, its outputs are converted to float32."""
        with torch.autocast(self.device.type, torch.bfloat16) if self.bfloat16 else nullcontext():
            outputs = network(*inputs)
        return _float32(outputs) if self.bfloat16 else outputs


def _float32(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float() if value.dtype == torch.bfloat16 else value
    return type(value)(map(_float32, value))


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16, and not only emulates it."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())
