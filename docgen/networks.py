"""Tables of networks, from the networks themselves: each is built, run once on zeros, and watched layer by layer.

Letters: B batch, T frames, F audio features, D pose dimensions, Z latents, H x W image.
"""

import warnings
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields
from typing import Any

import torch
from torch import nn

from dancing import models
from dancing.features.feature_net import FeatureNet
from dancing.music_to_pose.flow_prior import FlowPrior, FlowPriorConfig
from dancing.noise_to_image.classifier import Classifier

#: Values of configs' fields: the defaults of params.yaml for the demo, the original documents' for the others.
VALUES: dict[str, Any] = {
    "n_mfcc": 13, "latent_dim": 16, "audio_dim": 43, "pose_dim": 68, "hidden": 64, "layers": 4, "latents_per_beat": 2,
    "fps": 30, "height": 128, "width": 72, "channels": 32, "plates": 1, "backgrounds": 1, "sees_previous": True,
    "output": "tanh", "margin": 8, "discriminator": "table", "normalised": True, "side": 64,
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


def _config(kind: type, **changes: Any) -> Any:
    known = VALUES | changes
    return kind(
        **{field.name: known[field.name] for field in fields(kind) if field.default is MISSING or field.name in changes}
    )


def _vae(name: str, **changes: Any) -> Callable[[], nn.Module]:
    return lambda: models.build_vae(_config(models._CONFIGS[name], **changes))


def _gan(name: str, part: int, **changes: Any) -> Callable[[], nn.Module]:
    """Part 0 is the generator, 1 the discriminator."""
    return lambda: models.build_gan(_config(models._CONFIGS[name], **changes))[part]


def _on(*shape: int) -> Callable[[Any], object]:
    return lambda net: net(torch.zeros(1, *shape))


def _audio_and_pose(net: Any) -> object:
    return net(torch.zeros(1, FRAMES, VALUES["audio_dim"]), torch.zeros(1, FRAMES, VALUES["pose_dim"]))


def _drawing(net: Any) -> object:
    return net(net.draw(torch.full((1, 33, 2), 0.5)))


def _judged(net: Any) -> object:
    config = _config(models._CONFIGS["skeleton"])
    generator = models.build_gan(config)[0]
    drawing = generator.draw(torch.full((1, 33, 2), 0.5))  # type: ignore[operator]
    images = torch.zeros(1, 3, config.height, config.width)
    return net(images, drawing, drawing, images)


def _encode_and_decode(net: Any) -> object:
    mean, _ = net.encode(torch.zeros(1, 3, 128, 128))
    return net(mean)


def _flow(net: Any) -> object:
    return net(torch.zeros(1, 16, VALUES["latent_dim"]), torch.zeros(1), torch.zeros(1, 16, 11))


NETWORKS: dict[str, Network] = {
    "motion": Network(_vae("motion"), _audio_and_pose, f"audio ({FRAMES}, 43), pose ({FRAMES}, 68)", 2),
    "flow": Network(
        lambda: FlowPrior(_config(FlowPriorConfig, hidden=96)), _flow, "latents (16, 16), time, conditions (16, 11)", 2
    ),
    "lstm": Network(_vae("lstm"), lambda net: net(torch.zeros(1, FRAMES, 13), None), f"({FRAMES}, 13)"),
    "skeleton_generator": Network(_gan("skeleton", 0), _drawing, "heatmaps, pixel places, background, previous frame"),
    "skeleton_discriminator": Network(_gan("skeleton", 1), _judged, "images and heatmaps", 2),
    "dense_generator": Network(_gan("dense", 0, **SQUARE), _on(66), "(66)"),
    "dense_discriminator": Network(_gan("dense", 1, **SQUARE), _on(3, 128, 128), "(3, 128, 128)"),
    **{
        f"dcgan_{side}_generator": Network(_gan("dcgan", 0, side=side), _on(100), "(100)") for side in (64, 128, 256)
    },
    **{
        f"dcgan_{side}_discriminator": Network(_gan("dcgan", 1, side=side), _on(3, side, side), f"(3, {side}, {side})")
        for side in (64, 128, 256)
    },
    "conv": Network(_vae("conv"), _on(1, 28, 28), "(1, 28, 28)"),
    "digits_generator": Network(_gan("digits", 0), _on(100), "(100)"),
    "digits_discriminator": Network(_gan("digits", 1), _on(1, 28, 28), "(1, 28, 28)"),
    "deep_discriminator": Network(_gan("digits", 1, discriminator="deep"), _on(1, 28, 28), "(1, 28, 28)"),
    "vae_generator": Network(_gan("vae", 0, **SQUARE, output="param_tanh"), _encode_and_decode, "(3, 128, 128)", 2),
    "vae_critic": Network(_gan("vae", 1, **SQUARE), _on(3, 128, 128), "(3, 128, 128)", 2),
    "classifier": Network(lambda: Classifier(28, 28, 10), _on(1, 28, 28), "(1, 28, 28)", 2),
    "feature_net": Network(FeatureNet, _on(3, 128, 72), "(3, 128, 72)", 2),
}  # fmt: skip


@torch.inference_mode()
def network(name: str) -> str:
    """A network as a table: each layer's kind, the shape of what it gives, without the batch, and its parameters.

    Raises KeyError for an unknown name."""
    if name not in NETWORKS:
        raise KeyError(f"no network {name}; known: {', '.join(NETWORKS)}")
    described = NETWORKS[name]
    net = described.build().eval()
    rows: list[list[str]] = []

    def watch(module: nn.Module, label: str) -> None:
        def note(_: nn.Module, __: object, output: Any) -> None:
            while isinstance(output, tuple | list):
                output = output[0]
            shape = ", ".join(map(str, output.shape[1:]))
            rows.append([f"`{label}`", _kind(module), f"`({shape})`", f"{_count(module):,}"])

        module.register_forward_hook(note)

    for label, module in _layers(net, described.depth):
        watch(module, label)
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
