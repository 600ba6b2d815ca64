"""The schema of params.yaml. The file contains all values, so the schema has no defaults.

Every stage checks the whole file before it starts, so that an error in ``render`` is reported before the training, not
after it. The meaning and the unit of every key are in the comments of params.yaml.
"""

import difflib
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from dancing.errors import UserError

#: Sizes of the square images that the DCGAN can generate, px.
DCGAN_SIDES = (64, 128, 256)


class ParamsError(UserError):
    """params.yaml is missing, is not YAML or has errors; the message lists all of them by key."""


def _yaml_float(value: Any) -> Any:
    """Convert a string such as ``1e-4``, which YAML 1.1 and PyYAML don't recognise as a number, to a float."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", value.strip()):
        return float(value)
    return value


_Number = Annotated[float, BeforeValidator(_yaml_float), Field(allow_inf_nan=False)]
Positive = Annotated[_Number, Field(gt=0)]
NotNegative = Annotated[_Number, Field(ge=0)]
Share = Annotated[_Number, Field(ge=0, le=1)]
# Upper limits refuse a mistyped number before it fills the memory or the week.
Count = Annotated[int, Field(ge=1, le=10**7)]
Batch = Annotated[int, Field(ge=1, le=2**14)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Pixels = Annotated[int, Field(ge=32, le=4096, multiple_of=8)]
Text = Annotated[str, Field(min_length=1)]


def _scheduler(value: str) -> str:
    """Check an address such as tcp://10.0.0.1:8786, tcp://[::1]:8786 or tcp://head:8786."""
    match = re.fullmatch(r"tcp://(?:[\w.-]+|\[[0-9a-fA-F:.]+\]):(\d{1,5})", value, re.ASCII)
    if not match or not 0 < int(match[1]) < 2**16:
        raise ValueError(f"expected tcp://host:port, the address of a Dask scheduler, or null, got {value!r}")
    return value


class Section(BaseModel):
    """Base of all sections: unknown keys are errors, values are immutable, types are not converted."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Split(Section):
    """How images are brought to one size, and which share of the data is held out."""

    fit: Literal["letterbox", "crop"]
    val: Annotated[_Number, Field(gt=0, lt=0.5)]
    test: Annotated[_Number, Field(gt=0, lt=0.5)]
    seed: Seed

    @model_validator(mode="after")
    def _training_part(self) -> "_Split":
        if self.val + self.test > 0.8:
            raise ValueError(f"val ({self.val}) and test ({self.test}) leave under a fifth to train on")
        return self


class Data(_Split):
    """Section data of the dance system: the clips, the size of the frames in dataset.h5, and the split."""

    clips: Text
    height: Pixels
    width: Pixels
    split: Literal["auto", "clip", "time"]


class ImageData(_Split):
    """Section data of an image system: the source of the images, their size, and the split."""

    images: Text
    height: Annotated[int, Field(ge=16, le=1024, multiple_of=4)]
    width: Annotated[int, Field(ge=16, le=1024, multiple_of=4)]
    channels: Literal[1, 3]
    fps: Positive


class Features(Section):
    """Section features: the frame rate of all data, audio features, and cleaning of the detected poses."""

    fps: Annotated[int, Field(ge=12, le=120)]  # lower rates are too coarse for fast beats
    n_mfcc: Annotated[int, Field(ge=1, le=128)]
    detect_every: Annotated[int, Field(ge=1, le=8)]
    smooth_cutoff: NotNegative
    max_gap: NotNegative
    min_length: Positive
    min_detected: Share
    cluster: Annotated[str, AfterValidator(_scheduler)] | None

    @model_validator(mode="after")
    def _cutoff_below_nyquist(self) -> "Features":
        rate = self.fps / self.detect_every
        if self.smooth_cutoff >= rate / 2:
            raise ValueError(
                f"smooth_cutoff ({self.smooth_cutoff} Hz) must be under half of fps / detect_every ({rate:g}/s), the "
                "highest frequency in the landmarks; detect more often, or 0 switches smoothing off"
            )
        return self


class VaeTraining(Section):
    """The keys that all VAEs share: size of the latent, length of the training, learning rate and KL term."""

    latent_dim: Annotated[int, Field(ge=1, le=1024)]
    batch_size: Batch
    epochs: Count
    steps_per_epoch: Count
    patience: Count
    lr: Positive
    kl_weight: NotNegative
    kl_warmup: Annotated[int, Field(ge=0, le=10**7)]
    seed: Seed

    @model_validator(mode="after")
    def _warm_in_time(self) -> "VaeTraining":
        if self.kl_warmup > self.epochs:
            raise ValueError(f"kl_warmup ({self.kl_warmup} epochs) is longer than the training ({self.epochs} epochs)")
        return self


class Vae(VaeTraining):
    """Section vae of the dance system: the model from music to poses, its losses and its training."""

    model: Literal["motion", "lstm"]
    prior: Literal["flow", "normal"]
    baseline: bool
    hidden: Annotated[int, Field(ge=8, le=2048)]
    layers: Annotated[int, Field(ge=1, le=12)]
    latents_per_beat: Annotated[int, Field(ge=1, le=16)]
    window: Annotated[int, Field(ge=8, le=10**5)]
    audio_noise: NotNegative
    time_stretch: Annotated[_Number, Field(ge=0, le=0.5)]
    free_bits: NotNegative
    velocity_weight: NotNegative
    acceleration_weight: NotNegative
    bone_weight: NotNegative
    foot_weight: NotNegative


class ImageVae(VaeTraining):
    """Section vae of an image system: a convolutional VAE."""

    model: Literal["conv"]


class Prior(Section):
    """Section prior: the flow that models the distribution of the VAE's latents given the music."""

    hidden: Annotated[int, Field(ge=8, le=2048)]
    layers: Annotated[int, Field(ge=1, le=12)]
    beats: Count
    batch_size: Batch
    epochs: Count
    steps_per_epoch: Count
    lr: Positive
    cond_drop_prob: Share
    ema: Annotated[_Number, Field(ge=0, lt=1)]
    seed: Seed


class GanTraining(Section):
    """The keys that all GANs share: loss, output layer, optimisers, regularisation and length of the training."""

    loss: Literal["hinge", "bce", "wgan_gp"]
    output: Literal["tanh", "param_tanh"]
    batch_size: Batch
    epochs: Count
    steps_per_epoch: Count
    lr: Positive
    discriminator_lr: Positive
    betas: Annotated[list[Annotated[_Number, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]
    critic_steps: Count
    r1_weight: NotNegative
    flip: bool
    ema: Annotated[_Number, Field(ge=0, lt=1)]
    seed: Seed


class Train(Section):
    """Section train: what all trainings are computed with."""

    precision: Literal["auto", 32, "bf16"]
    processes: Literal["auto"] | Annotated[int, Field(ge=1, le=256)]
    compile: bool


class Gan(GanTraining):
    """Section gan of the dance system: the model from poses to images of one dancer."""

    model: Literal["skeleton", "dense", "none"]
    subject: str | None
    baseline: bool
    channels: Annotated[int, Field(ge=8, le=512, multiple_of=8)]
    l1_weight: NotNegative
    ssim_weight: NotNegative
    mask_weight: NotNegative
    person_weight: NotNegative
    face_weight: NotNegative


class NoiseGan(GanTraining):
    """Section gan of an image system whose generator maps noise to images."""

    model: Literal["dcgan", "digits"]
    categories: Annotated[int, Field(ge=0, le=50)]
    discriminator: Literal["deep", "original"]
    augment: bool


class VaeGan(GanTraining):
    """Section gan of an image system whose generator is a VAE, trained against a discriminator."""

    model: Literal["vae"]
    baseline: bool
    augment: bool
    latent_dim: Annotated[int, Field(ge=1, le=1024)]
    kl_weight: NotNegative
    l1_weight: NotNegative


class Evaluate(Section):
    """Section evaluate of the dance system: number of samples for the metrics."""

    seeds: Annotated[int, Field(ge=1, le=1000)]
    frames: Count
    feature_steps: Count
    seed: Seed


class Render(Section):
    """Section render of the dance system: the song, the options of generation, and the format of the video."""

    song: Text
    seconds: Positive | None
    start: NotNegative
    layout: Literal["side_by_side", "picture", "skeleton", "comparison"]
    format: Literal["filmed", "portrait", "landscape", "square"]
    height: Annotated[int, Field(ge=64, le=4096, multiple_of=2)]
    fps: Annotated[_Number, Field(ge=1, le=120)] | None
    temperature: NotNegative
    guidance: NotNegative
    beat_warp: Annotated[_Number, Field(ge=0, le=0.15)]
    quality: Annotated[int, Field(ge=0, le=51)]
    stills: Annotated[int, Field(ge=1, le=1000)]
    seed: Seed


class ImageEvaluate(Section):
    """Section evaluate of an image system: number of samples for the metrics."""

    samples: Annotated[int, Field(ge=20, le=10**6)]
    feature_steps: Count
    seed: Seed


class ImageRender(Section):
    """Section render of an image system: a video of walks through the latent space."""

    song: Text | None
    seconds: Positive
    walks: Annotated[int, Field(ge=1, le=400)]
    height: Annotated[int, Field(ge=64, le=4096, multiple_of=2)]
    fps: Annotated[_Number, Field(ge=1, le=120)]
    quality: Annotated[int, Field(ge=0, le=51)]
    seed: Seed


class Mlflow(Section):
    """Section mlflow: where runs are filed."""

    experiment: Text


class System(Section):
    """A whole params.yaml. Each stage has a section; `data` and `mlflow` are used by several stages."""

    train: Train
    mlflow: Mlflow

    def digest(self) -> str:
        """Eight hex digits that identify this set of values."""
        return hashlib.sha256(json.dumps(self.model_dump(), sort_keys=True).encode()).hexdigest()[:8]

    def flat(self) -> dict[str, Any]:
        """All values by section and key, as DVC names them: ``{"vae.latent_dim": 16}``, without absent sections."""
        sections = {name: keys for name, keys in self.model_dump().items() if keys is not None}
        return {f"{section}.{key}": value for section, keys in sections.items() for key, value in keys.items()}


class Params(System):
    """params.yaml of the dance system: from songs to poses to images."""

    data: Data
    features: Features
    vae: Vae
    prior: Prior
    gan: Gan
    evaluate: Evaluate
    render: Render


class ImageParams(System):
    """params.yaml of an image system, which generates images from noise: faces, digits, param_tanh."""

    data: ImageData
    vae: ImageVae | None
    gan: Annotated[NoiseGan | VaeGan, Field(discriminator="model")] | None
    evaluate: ImageEvaluate
    render: ImageRender

    @model_validator(mode="after")
    def _models_fit_the_pictures(self) -> "ImageParams":
        height, width, channels = self.data.height, self.data.width, self.data.channels
        shape = f"{height} x {width} px in {channels} channel{'s' if channels > 1 else ''}"
        if self.vae is None and self.gan is None:
            raise ValueError("vae and gan are both null: there is nothing to train")
        for section, model in (("vae", self.vae and self.vae.model), ("gan", self.gan and self.gan.model)):
            if model in ("conv", "digits") and (height, width, channels) != (28, 28, 1):
                raise ValueError(f"{section}.model {model} is for 28 x 28 px in 1 channel; section data has {shape}")
            if model == "dcgan" and not (height == width in DCGAN_SIDES and channels == 3):
                sides = ", ".join(map(str, DCGAN_SIDES))
                raise ValueError(
                    f"{section}.model dcgan is for squares of {sides} px in 3 channels; section data has {shape}"
                )
            if section == "gan" and model == "vae" and (height % 16 or width % 16 or channels != 3):
                raise ValueError(f"gan.model vae is for multiples of 16 px in 3 channels; section data has {shape}")
        return self


Kind = TypeVar("Kind", bound=System)


def load_params(path: str | Path = "params.yaml") -> Params | ImageParams:
    """Read and check a params file.

    Args:
        path: the file.

    Returns:
        ImageParams if the file has the key `data.images`, otherwise Params.

    Raises:
        ParamsError: the file is missing or not YAML, or has unknown or missing keys, wrong types, values out of range
            or contradictions; the message lists all errors.
    """
    path = Path(path)
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ParamsError(f"{path}: no such file; run from the folder that contains params.yaml") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ParamsError(f"{path}: not readable as YAML: {error}") from None
    if not isinstance(values, dict):
        raise ParamsError(f"{path}: expected sections such as `data:` and `vae:`, found {type(values).__name__}")
    data = values.get("data")
    if isinstance(data, dict) and "images" in data:
        return parse_params(values, str(path), ImageParams)
    return parse_params(values, str(path))


def load_dance_params() -> Params:
    """Read and check params.yaml of the dance system.

    Raises:
        ParamsError: see `load_params`; or the file is that of an image system.
    """
    params = load_params()
    if not isinstance(params, Params):
        raise ParamsError("params.yaml is for an image system (data.images); expected the dance system (data.clips)")
    return params


def parse_params(values: dict[str, Any], name: str = "params.yaml", kind: type[Kind] = Params) -> Kind:  # type: ignore[assignment]
    """Check values that are already read.

    Args:
        values: keys by section.
        name: name of the file, for the error message.
        kind: the schema.

    Raises:
        ParamsError: the values violate the schema; the message lists all errors.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        faults = [_describe(kind, fault) for fault in error.errors()]
    count = "one fault" if len(faults) == 1 else f"{len(faults)} faults"
    raise ParamsError(f"{name} has {count}:\n" + "\n".join(f"  {fault}" for fault in faults))


def _describe(kind: type[System], fault: Any) -> str:
    keys, what = [str(part) for part in fault["loc"]], fault["type"]
    section = _section(kind, keys)
    # For a union, pydantic adds the name of a branch to the path: for a model after the section, for a type (number or
    # null) at the end. Only section and key are useful to the user.
    if len(keys) > 2 and keys[1] not in section:
        del keys[1]
    keys = keys[: 3 if "betas" in keys else 2]
    key = ".".join(keys)
    if what == "union_tag_not_found":
        what, key = "missing", f"{key}.model"
    if what == "union_tag_invalid":
        return f"{key}.model: expected one of {fault['ctx']['expected_tags']}, got {fault['ctx']['tag']!r}"
    if what == "extra_forbidden":
        known = section if len(keys) > 1 else list(kind.model_fields)
        near = difflib.get_close_matches(keys[-1], known, n=1)
        return f"{key}: unknown key" + (f"; did you mean {near[0]}?" if near else f"; known here: {', '.join(known)}")
    if what == "missing":
        return f"{key}: missing; params.yaml holds every value, nothing has a default"
    if what == "value_error":
        return f"{key}: {fault['ctx']['error']}" if key else str(fault["ctx"]["error"])
    return f"{key}: expected {_expected(fault)}, got {fault['input']!r}"


def _section(kind: type[System], keys: list[str]) -> list[str]:
    """The keys of the section with the error; of the branch of its model if it has several; none if it is unknown."""
    if not keys or keys[0] not in kind.model_fields:
        return []
    branches = list(_sections(kind.model_fields[keys[0]].annotation))
    if len(branches) > 1:
        branches = [b for b in branches if keys[1:] and keys[1] in get_args(b.model_fields["model"].annotation)]
    return list(branches[0].model_fields) if branches else []


def _sections(annotation: Any) -> Iterator[type[Section]]:
    """The sections in an annotation such as `NoiseGan | VaeGan | None`."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for part in get_args(annotation):
        yield from _sections(part)


def _expected(fault: Any) -> str:
    message = fault["msg"].removeprefix("Input should be ").removeprefix("a valid ")
    return message[0].lower() + message[1:]
