"""The schema of params.yaml: the only place of values, so nothing here has a default.

Every stage checks the whole file before it starts: a mistake in ``render`` shows before hours of training, not after.
"""

import difflib
import hashlib
import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dancing.errors import UserError


class ParamsError(UserError):
    """params.yaml is missing, is not YAML or has faults; the message lists all of them by key."""


def _yaml_float(value: Any) -> Any:
    """PyYAML reads ``1e-4`` (no dot) as a string: YAML 1.1. Take what is plainly a number, leave the rest to fail."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", value.strip()):
        return float(value)
    return value


_Number = Annotated[float, BeforeValidator(_yaml_float), Field(allow_inf_nan=False)]
Positive = Annotated[_Number, Field(gt=0)]
NotNegative = Annotated[_Number, Field(ge=0)]
Share = Annotated[_Number, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Pixels = Annotated[int, Field(ge=32, le=4096, multiple_of=8)]
Text = Annotated[str, Field(min_length=1)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    clips: Text
    height: Pixels
    width: Pixels
    fit: Literal["letterbox", "crop"]
    split: Literal["auto", "clip", "time"]
    val: Annotated[_Number, Field(gt=0, lt=0.5)]
    test: Annotated[_Number, Field(gt=0, lt=0.5)]
    seed: Seed

    @model_validator(mode="after")
    def _training_part(self) -> "Data":
        if self.val + self.test > 0.8:
            raise ValueError(f"val ({self.val}) and test ({self.test}) leave under a fifth to train on")
        return self


class Features(Section):
    fps: Annotated[int, Field(ge=12, le=120)]  # below, a fast beat would be over before the next frame
    n_mfcc: Annotated[int, Field(ge=1, le=128)]
    smooth_cutoff: NotNegative
    max_gap: NotNegative
    min_length: Positive
    min_detected: Share

    @model_validator(mode="after")
    def _cutoff_below_nyquist(self) -> "Features":
        if self.smooth_cutoff >= self.fps / 2:
            raise ValueError(
                f"smooth_cutoff ({self.smooth_cutoff} Hz) must be under half of fps ({self.fps} frames/s): nothing "
                "faster is in the landmarks (0 switches smoothing off)"
            )
        return self


class Vae(Section):
    model: Literal["motion", "lstm"]
    prior: Literal["flow", "normal"]
    baseline: bool
    latent_dim: Annotated[int, Field(ge=1, le=1024)]
    hidden: Annotated[int, Field(ge=8, le=2048)]
    layers: Annotated[int, Field(ge=1, le=12)]
    latents_per_beat: Annotated[int, Field(ge=1, le=16)]
    window: Annotated[int, Field(ge=8)]
    batch_size: Count
    epochs: Count
    steps_per_epoch: Count
    patience: Count
    lr: Positive
    audio_noise: NotNegative
    time_stretch: Annotated[_Number, Field(ge=0, le=0.5)]
    kl_weight: NotNegative
    kl_warmup: Annotated[int, Field(ge=0)]
    free_bits: NotNegative
    velocity_weight: NotNegative
    acceleration_weight: NotNegative
    bone_weight: NotNegative
    foot_weight: NotNegative
    seed: Seed

    @model_validator(mode="after")
    def _warm_in_time(self) -> "Vae":
        if self.kl_warmup > self.epochs:
            raise ValueError(f"kl_warmup ({self.kl_warmup} epochs) is longer than the training ({self.epochs} epochs)")
        return self


class Prior(Section):
    hidden: Annotated[int, Field(ge=8, le=2048)]
    layers: Annotated[int, Field(ge=1, le=12)]
    beats: Count
    batch_size: Count
    epochs: Count
    steps_per_epoch: Count
    lr: Positive
    unheard: Share
    ema: Annotated[_Number, Field(ge=0, lt=1)]
    seed: Seed


class Gan(Section):
    model: Literal["skeleton", "dense", "none"]
    subject: str | None
    baseline: bool
    loss: Literal["hinge", "bce", "wgan_gp"]
    output: Literal["tanh", "param_tanh"]
    channels: Annotated[int, Field(ge=8, le=512, multiple_of=8)]
    batch_size: Count
    epochs: Count
    steps_per_epoch: Count
    lr: Positive
    discriminator_lr: Positive
    betas: Annotated[list[Annotated[_Number, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    critic_steps: Count
    r1_weight: NotNegative
    previous: Share
    flip: bool
    l1_weight: NotNegative
    person_weight: NotNegative
    face_weight: NotNegative
    feature_weight: NotNegative
    perceptual_weight: NotNegative
    ema: Annotated[_Number, Field(ge=0, lt=1)]
    seed: Seed


class Evaluate(Section):
    seeds: Count
    frames: Count
    feature_steps: Count
    seed: Seed


class Render(Section):
    song: Text
    seconds: Positive | None
    layout: Literal["side_by_side", "picture", "skeleton", "comparison"]
    height: Annotated[int, Field(ge=64, le=4096, multiple_of=2)]
    fps: Annotated[_Number, Field(ge=1, le=120)] | None
    temperature: NotNegative
    guidance: NotNegative
    snap: Annotated[_Number, Field(ge=0, le=0.15)]
    quality: Annotated[int, Field(ge=0, le=51)]
    stills: Count
    seed: Seed


class Mlflow(Section):
    experiment: Text


class Params(Section):
    """The whole of params.yaml, one section a stage (`data` and `mlflow` serve several)."""

    data: Data
    features: Features
    vae: Vae
    prior: Prior
    gan: Gan
    evaluate: Evaluate
    render: Render
    mlflow: Mlflow

    def digest(self) -> str:
        """Eight hex digits that name this set of values."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:8]

    def flat(self) -> dict[str, Any]:
        """``{"vae.latent_dim": 16, ...}``, as DVC writes keys."""
        return {f"{section}.{key}": value for section, keys in self.model_dump().items() for key, value in keys.items()}


def load_params(path: str | Path = "params.yaml") -> Params:
    """Read and check a params file.

    Raises ParamsError with every fault at once: unknown and missing keys, wrong types, values out of range,
    contradictions.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the project's root, where params.yaml lies") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: expected sections such as `data:` and `vae:`, found {type(values).__name__}")
    return parse_params(values, str(path))


def parse_params(values: dict[str, Any], name: str = "params.yaml") -> Params:
    """Check values that are already read; `name` stands in the error. Raises ParamsError."""
    try:
        return Params.model_validate(values)
    except ValidationError as error:
        faults = [_describe(fault) for fault in error.errors()]
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise ParamsError(f"{name} has {count}:\n" + "\n".join(f"  {fault}" for fault in faults))


def _describe(fault: Any) -> str:
    # A union (number or null) adds its branch's name to the path; the key alone is what a person can look up.
    keys = [str(part) for part in fault["loc"]][: 3 if "betas" in fault["loc"] else 2]
    key, kind = ".".join(keys), fault["type"]
    if kind == "extra_forbidden":
        section = Params.model_fields.get(keys[0])
        known = section.annotation.model_fields if section and len(keys) > 1 else Params.model_fields  # type: ignore[union-attr]
        near = difflib.get_close_matches(keys[-1], known, n=1)
        return f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}")
    if kind == "missing":
        return f"{key}: missing; params.yaml holds every value, nothing has a default"
    if kind == "value_error":
        return f"{key}: {fault['ctx']['error']}"
    return f"{key}: expected {_expected(fault)}, got {fault['input']!r}"


def _expected(fault: Any) -> str:
    message = fault["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return message[0].lower() + message[1:]
