"""Tables of networks, from the networks themselves: each is built, run once on zeros, and recorded layer by layer.

Letters: B batch, T frames, F audio features, D pose dimensions, Z latents, H x W image.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from dancing.clips.dataset import BEAT_COLUMNS
from dancing.features.feature_net import FeatureNet
from dancing.music_to_pose.models import MODELS as MOTION_MODELS
from dancing.noise_to_image.classifier import Classifier
from dancing.noise_to_image.models import GANS, VAES
from dancing.pose_to_image.models import MODELS as POSE_GANS
from dancing.pose_to_image.skeleton_gan import POSE_MAPS
from dancing.training.registry import Registry

#: Values of configs' fields: the defaults of params.yaml for the demo, the original documents' for the others.
VALUES: dict[str, Any] = {
    "n_mfcc": 13, "latent_dim": 16, "audio_dim": 43, "pose_dim": 68, "hidden": 64, "layers": 4, "latents_per_beat": 2,
    "beat_columns": BEAT_COLUMNS, "fps": 30, "height": 256, "width": 144, "channels": 32, "setups": 1, "output": "tanh",
    "margin": 16, "fold": 2, "discriminator": "original", "batch_norm": True,
}  # fmt: skip
SQUARE = {"height": 128, "width": 128}
FRAMES = 150


@dataclass(frozen=True)
class Network:
    """How to build a network, how to run it, and how deep to look into its modules."""

    build: Callable[[], nn.Module]
    run: Callable[[Any], object]
    shape: str  # of what goes in, without the batch
    depth: int = 1


def _config(registry: Registry, name: str, **changes: Any) -> Any:
    """Return a config of `VALUES` and `changes`; a field that both lack has its default."""
    return registry.config(name, **VALUES | changes)


def _built(registry: Registry, name: str, part: int = 0, **changes: Any) -> Callable[[], nn.Module]:
    """Return a function that builds a VAE, or part 0 (generator) or 1 (discriminator) of a GAN."""
    return lambda: registry.build(_config(registry, name, **changes))[part]


_motion, _pose_gan, _noise_gan = (partial(_built, registry) for registry in (MOTION_MODELS, POSE_GANS, GANS))


def _on(*shape: int) -> Callable[[Any], object]:
    return lambda net: net(torch.zeros(1, *shape))


def _audio_and_pose(net: Any) -> object:
    return net(torch.zeros(1, FRAMES, VALUES["audio_dim"]), torch.zeros(1, FRAMES, VALUES["pose_dim"]))


def _run_generator(net: Any) -> object:
    """Run the skeleton generator on whole images."""
    size = (net.config.height, net.config.width)
    return net(_pose_maps(net), torch.zeros(1, 3, *size), net.coordinates)


def _run_discriminator(net: Any) -> object:
    """Run the skeleton discriminator on whole images."""
    return net(torch.zeros(1, 3, net.config.height, net.config.width), *net.folded(_pose_maps(net)))


def _pose_maps(net: Any) -> torch.Tensor:
    config = net.config
    return torch.zeros(1, POSE_MAPS, config.height // config.fold, config.width // config.fold)


def _encode_and_decode(net: Any) -> object:
    mean, _ = net.encode(torch.zeros(1, 3, 128, 128))
    return net(mean)


def _flow(net: Any) -> object:
    return net(torch.zeros(1, 16, VALUES["latent_dim"]), torch.zeros(1), torch.zeros(1, 16, 11))


NETWORKS: dict[str, Network] = {
    "motion": Network(_motion("motion"), _audio_and_pose, f"audio ({FRAMES}, 43), pose ({FRAMES}, 68)", 2),
    "flow": Network(
        _motion("flow", hidden=96), _flow, "latents (16, 16), time, conditions (16, 11)", 2
    ),
    "lstm": Network(_motion("lstm", pose_dim=66), lambda net: net(torch.zeros(1, FRAMES, 13), None), f"({FRAMES}, 13)"),
    "skeleton_generator": Network(
        _pose_gan("skeleton", 0), _run_generator, "heatmaps, background, pixel coordinates"
    ),
    "skeleton_discriminator": Network(_pose_gan("skeleton", 1), _run_discriminator, "images and heatmaps", 2),
    "dense_generator": Network(_pose_gan("dense", 0, **SQUARE), _on(66), "(66)"),
    "dense_discriminator": Network(_pose_gan("dense", 1, **SQUARE), _on(3, 128, 128), "(3, 128, 128)"),
    **{
        f"dcgan_{side}_generator": Network(_noise_gan("dcgan", 0, height=side, width=side), _on(100), "(100)")
        for side in (64, 128, 256)
    },
    **{
        f"dcgan_{side}_discriminator": Network(
            _noise_gan("dcgan", 1, height=side, width=side), _on(3, side, side), f"(3, {side}, {side})"
        )
        for side in (64, 128, 256)
    },
    "conv": Network(_built(VAES, "conv"), _on(1, 28, 28), "(1, 28, 28)"),
    "digits_generator": Network(_noise_gan("digits", 0), _on(100), "(100)"),
    "digits_discriminator": Network(_noise_gan("digits", 1), _on(1, 28, 28), "(1, 28, 28)"),
    "deep_discriminator": Network(_noise_gan("digits", 1, discriminator="deep"), _on(1, 28, 28), "(1, 28, 28)"),
    "vae_generator": Network(
        _noise_gan("vae", 0, **SQUARE, output="param_tanh"), _encode_and_decode, "(3, 128, 128)", 2
    ),
    "vae_critic": Network(_noise_gan("vae", 1, **SQUARE), _on(3, 128, 128), "(3, 128, 128)", 2),
    "classifier": Network(lambda: Classifier(28, 28, 10), _on(1, 28, 28), "(1, 28, 28)", 2),
    "feature_net": Network(FeatureNet, _on(3, 128, 72), "(3, 128, 72)", 2),
}  # fmt: skip


@torch.inference_mode()
def network(name: str) -> str:
    """Return a table of a network: each layer's kind, the shape of its output without the batch, and its parameters.

    Raises:
        KeyError: there is no such network.
    """
    if name not in NETWORKS:
        raise KeyError(f"no network {name}; known: {', '.join(NETWORKS)}")
    described = NETWORKS[name]
    net = described.build().eval()
    rows: list[list[str]] = []

    def record(module: nn.Module, label: str) -> None:
        def on_output(_: nn.Module, __: object, output: Any) -> None:
            while isinstance(output, tuple | list):
                output = output[0]
            shape = ", ".join(map(str, output.shape[1:]))
            rows.append([f"`{label}`", _kind(module), f"`({shape})`", f"{_count(module):,}"])

        module.register_forward_hook(on_output)

    for label, module in _layers(net, described.depth):
        record(module, label)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        described.run(net)
    learned = sum(weight.numel() for weight in net.parameters() if weight.requires_grad)
    total = ["**sum of learned parameters**", "", "", f"**{learned:,}**"]
    head = [
        ["layer", "kind", "output", "parameters"],
        ["---", "---", "---", "---:"],
        ["input", "", described.shape, ""],
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in [*head, *rows, total])


def _layers(module: nn.Module, depth: int, prefix: str = "") -> list[tuple[str, nn.Module]]:
    """Modules `depth` levels down, or above where there is nothing further down; lists don't count as a level."""
    found = []
    for name, child in module.named_children():
        label = f"{prefix}{name}"
        if isinstance(child, nn.ModuleList):
            found += _layers(child, depth, f"{label}.")
        elif depth > 1 and any(True for _ in child.children()):
            found += _layers(child, depth - 1, f"{label}.")
        else:
            found.append((label, child))
    return found


def _kind(module: nn.Module) -> str:
    """The class with what tells two of it apart: kernel and stride of a convolution."""
    name = type(module).__name__
    kernel, stride = getattr(module, "kernel_size", None), getattr(module, "stride", None)
    if isinstance(kernel, tuple):
        size = " x ".join(map(str, kernel))
        extra = f", dilation {module.dilation[0]}" if getattr(module, "dilation", (1,))[0] != 1 else ""  # type: ignore[index]
        return f"{name} {size}" + (f", stride {stride[0]}" if stride and stride[0] != 1 else "") + extra
    return name


def _count(module: nn.Module) -> int:
    return sum(weight.numel() for weight in module.parameters() if weight.requires_grad)
