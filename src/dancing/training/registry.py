"""One architecture a file, pure nn.Module, no files and no logging. Here: from a config to a model."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from torch import nn

from dancing.music_to_pose.flow_prior import FlowPriorConfig
from dancing.music_to_pose.lstm_vae import LstmVae, LstmVaeConfig
from dancing.music_to_pose.motion_vae import MotionVae, MotionVaeConfig
from dancing.noise_to_image.conv_vae import ConvVae, ConvVaeConfig
from dancing.noise_to_image.dcgan import DcganConfig, DcganGenerator, dcgan_discriminator
from dancing.noise_to_image.digits_gan import DigitsGanConfig, DigitsGenerator, digits_discriminator
from dancing.noise_to_image.vae_gan import VaeCritic, VaeGanConfig, VaeGenerator
from dancing.pose_to_image.dense_gan import DenseDiscriminator, DenseGanConfig, DenseGenerator
from dancing.pose_to_image.skeleton_gan import SkeletonDiscriminator, SkeletonGanConfig, SkeletonGenerator

_VAES: dict[str, tuple[type, type]] = {
    "lstm": (LstmVaeConfig, LstmVae),
    "motion": (MotionVaeConfig, MotionVae),
    "conv": (ConvVaeConfig, ConvVae),
}
_GANS: dict[str, tuple[type, type, Callable[[Any], nn.Module]]] = {
    "dense": (DenseGanConfig, DenseGenerator, DenseDiscriminator),
    "skeleton": (SkeletonGanConfig, SkeletonGenerator, SkeletonDiscriminator),
    "dcgan": (DcganConfig, DcganGenerator, dcgan_discriminator),
    "digits": (DigitsGanConfig, DigitsGenerator, digits_discriminator),
    "vae": (VaeGanConfig, VaeGenerator, VaeCritic),
}
_CONFIGS: dict[str, type] = {
    **{name: kinds[0] for name, kinds in _VAES.items()},
    **{name: kinds[0] for name, kinds in _GANS.items()},
    "flow": FlowPriorConfig,
}


def build_vae(config: LstmVaeConfig | MotionVaeConfig | ConvVaeConfig) -> nn.Module:
    return next(model(config) for kind, model in _VAES.values() if isinstance(config, kind))


def build_gan(config: Any) -> tuple[nn.Module, nn.Module]:
    """Generator and discriminator."""
    return next((g(config), d(config)) for kind, g, d in _GANS.values() if isinstance(config, kind))


def config_to_dict(config: Any) -> dict[str, Any]:
    """A config as plain values with the model's name, for a checkpoint."""
    name = next(name for name, kind in _CONFIGS.items() if isinstance(config, kind))
    return {"model": name, **asdict(config)}


def config_from_dict(plain: dict[str, Any]) -> Any:
    """The way back from `config_to_dict`."""
    values = dict(plain)
    return _CONFIGS[values.pop("model")](**values)
