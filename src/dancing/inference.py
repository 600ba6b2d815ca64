"""Trained models at work.

A `Dancer` turns a song's features into poses, a `Painter` poses into pictures; a `Sampler` draws from numbers alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from dancing.body.skeleton import Figure, PoseSpace
from dancing.errors import UserError
from dancing.music_to_pose.flow_prior import FlowPrior
from dancing.music_to_pose.lstm_vae import LstmVae
from dancing.noise_to_image.conv_vae import ConvVae
from dancing.noise_to_image.noise import draw_noise
from dancing.pose_to_image.batches import to_uint8
from dancing.training.common import generator, load_checkpoint, pick_device
from dancing.training.registry import build_gan, build_vae, config_from_dict

#: The note that stands in train_gan's output instead of checkpoints where `gan.model` is none.
NO_PAINTER = "none.txt"


@dataclass(frozen=True)
class Dancer:
    """A trained VAE with everything that it needs to dance. Letters: T frames, F audio features, V values."""

    model: Any
    prior: FlowPrior | None
    guidance: float
    space: PoseSpace
    fps: int
    n_mfcc: int
    window: int
    audio_mean: np.ndarray  # (F,)
    audio_std: np.ndarray  # (F,)
    device: torch.device

    @classmethod
    def load(cls, path: Path, guidance: float = 1.0) -> "Dancer":
        """Read a checkpoint of train_vae; `guidance` is the flow prior's. Raises UserError where it can't be read."""
        content, device = load_checkpoint(path, "train_vae"), pick_device()
        try:
            model = build_vae(config_from_dict(content["config"]))
            model.load_state_dict(content["state"])
            prior = None
            if flow := content.get("prior"):
                prior = FlowPrior(config_from_dict(flow["config"]))
                prior.load_state_dict(flow["state"])
                prior.to(device).eval()
        except (KeyError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: of another version ({error}); run the stage train_vae again") from None
        return cls(
            model=model.to(device).eval(),
            prior=prior,
            guidance=guidance,
            space=PoseSpace.from_dict(content["pose_space"]),
            fps=content["fps"],
            n_mfcc=content["n_mfcc"],
            window=content["window"],
            audio_mean=np.array(content["audio_mean"], dtype=np.float32),
            audio_std=np.array(content["audio_std"], dtype=np.float32),
            device=device,
        )

    def dance(self, audio: np.ndarray, seed: int, temperature: float) -> np.ndarray:
        """Poses (T, 33, 2) in [0, 1] to a song's raw audio features (T, F); the seed chooses the dance."""
        heard = self._heard(audio)
        # The seed's model has one latent a window and no memory between windows: a song is danced window by window.
        step = self.window if isinstance(self.model, LstmVae) else len(audio)
        dances = []
        for first in range(0, len(audio), step):
            part = heard[:, first : first + step]
            dances.append(self._decode(part, self._draw(part, generator(seed, first), temperature)))
        return np.concatenate(dances)

    def traversal(
        self,
        audio: np.ndarray,
        seed: int,
        temperature: float,
        dims: int = 4,
        values: Sequence[float] = (-2, -1, 0, 1, 2),
    ) -> np.ndarray:
        """One dance over and over with one number of all its latents at each value, (dims, V, T, 33, 2) in [0, 1].

        Of the latents' numbers those are taken that change the dance most. audio: (T, F); the seed's model dances a
        window of it. Values are standard deviations of the prior about its mean."""
        heard = self._heard(audio[: self.window] if isinstance(self.model, LstmVae) else audio)
        z = self._draw(heard, generator(seed), temperature)
        centre, spread = z.new_zeros(z.shape[-1]), z.new_ones(z.shape[-1])
        if self.prior is not None:
            centre, spread = self.prior.mean, self.prior.std

        def at(dimension: int, value: float) -> np.ndarray:
            moved = z.clone()
            moved[..., dimension] = centre[dimension] + value * spread[dimension]
            return self._decode(heard, moved)

        reach = [np.abs(at(d, max(values)) - at(d, min(values))).mean() for d in range(z.shape[-1])]
        strongest = np.argsort(reach)[::-1][:dims]
        return np.array([[at(int(dimension), value) for value in values] for dimension in strongest])

    def _heard(self, audio: np.ndarray) -> torch.Tensor:
        standard = (audio - self.audio_mean) / self.audio_std
        return torch.from_numpy(standard.astype(np.float32))[None].to(self.device)

    def _draw(self, heard: torch.Tensor, rng: torch.Generator, temperature: float) -> torch.Tensor:
        if self.prior is None:
            return self.model.draw(heard, rng, temperature)
        return self.prior.draw(heard, rng, temperature, self.guidance)

    @torch.no_grad()
    def _decode(self, heard: torch.Tensor, z: torch.Tensor) -> np.ndarray:
        return self.space.decode(self.model.decode(heard, z)[0].cpu().numpy())


@dataclass(frozen=True)
class Painter:
    """A trained generator of one subject's pictures."""

    generator: Any
    subject: str
    figure: Figure  # where and how large the subject stands: others' dances are fitted to it before they are painted
    setups: dict[str, int]  # clip -> in which of the camera's set-ups it was filmed
    sees_previous: bool
    height: int
    width: int
    device: torch.device

    @classmethod
    def load(cls, path: Path) -> "Painter":
        """Read a checkpoint of train_gan. Raises UserError where it can't be read."""
        content, device = load_checkpoint(path, "train_gan"), pick_device()
        try:
            config = config_from_dict(content["config"])
            player, _ = build_gan(config)
            player.load_state_dict(content["generator"])
            about = content["subject"], Figure.from_dict(content["figure"]), content["setups"]
        except (KeyError, TypeError, RuntimeError) as error:
            raise UserError(f"{path}: of another version ({error}); run the stage train_gan again") from None
        sees_previous = getattr(config, "sees_previous", False)
        return cls(player.to(device).eval(), *about, sees_previous, config.height, config.width, device)

    @torch.inference_mode()
    def paint(self, landmarks: np.ndarray, setup: int = 0, chunk: int = 16) -> Iterator[np.ndarray]:
        """Pictures (height, width, 3) uint8, one by one, of successive poses (T, 33, 2) in [0, 1].

        setup: which scene is behind them, one of the values of `setups`. A generator that sees the picture before is
        given its own last one."""
        plates, previous = getattr(self.generator, "plates", None), None
        plate = None if plates is None else plates[setup : setup + 1]
        for first in range(0, len(landmarks), chunk):
            poses = torch.from_numpy(landmarks[first : first + chunk])
            for some in poses.split(1 if self.sees_previous else chunk):
                pictures = self.generator.pictures(some.to(self.device), plate, previous)
                previous = pictures if self.sees_previous else None
                yield from to_uint8(pictures)


def load_painter(folder: Path) -> Painter | None:
    """The painter in train_gan's output, None where `gan.model` was none. Raises UserError as `Painter.load` does."""
    return None if (folder / NO_PAINTER).exists() else Painter.load(folder / "best.pt")


@dataclass(frozen=True)
class Sampler:
    """A generator of pictures from noise, or a VAE's decoder. Letters: N pictures, H x W, C channels, Z noise."""

    model: Any
    size: int  # Z
    categories: int  # of its noise, see `models.noise`; 0: standard normal
    device: torch.device

    @classmethod
    def load(cls, path: Path, stage: Literal["train_vae", "train_gan"]) -> "Sampler":
        """Read a checkpoint of a system of pictures. Raises UserError where it can't be read."""
        content, device = load_checkpoint(path, stage), pick_device()
        try:
            config = config_from_dict(content["config"])
            model: Any = build_vae(config) if stage == "train_vae" else build_gan(config)[0]
            model.load_state_dict(content["state" if stage == "train_vae" else "generator"])
            size, categories = (config.latent_dim, 0) if stage == "train_vae" else (config.noise, config.categories)
        except (KeyError, TypeError, RuntimeError, AttributeError) as error:
            raise UserError(f"{path}: of another version ({error}); run the stage {stage} again") from None
        return cls(model.to(device).eval(), size, categories, device)

    @property
    def encodes(self) -> bool:
        """Whether it is a VAE, which can draw a given picture again."""
        return hasattr(self.model, "encode")

    def noise(self, count: int, seed: int) -> np.ndarray:
        """(N, Z), as it was trained with; the seed chooses the pictures."""
        return draw_noise(count, self.size, self.categories, generator(seed)).numpy()

    def draw(self, noise: np.ndarray) -> np.ndarray:
        """Noise (N, Z) -> pictures (N, H, W, C) uint8."""
        return np.concatenate(list(self.stream(noise)))

    @torch.inference_mode()
    def stream(self, noise: np.ndarray, batch: int = 64) -> Iterator[np.ndarray]:
        """The same, so many at a time."""
        paint = self.model.paint_latents if isinstance(self.model, ConvVae) else self.model
        for first in range(0, len(noise), batch):
            yield to_uint8(paint(torch.from_numpy(noise[first : first + batch]).to(self.device)))

    @torch.inference_mode()
    def encode(self, pictures: np.ndarray, batch: int = 64) -> np.ndarray:
        """The posterior means (N, Z) of pictures (N, H, W, C) uint8; for one that `encodes`."""
        means = []
        for first in range(0, len(pictures), batch):
            shown = torch.from_numpy(pictures[first : first + batch]).to(self.device)
            means.append(self.model.encode(shown.permute(0, 3, 1, 2).float() / 127.5 - 1)[0].cpu())
        return torch.cat(means).numpy()


def load_samplers(vae: Path, gan: Path) -> dict[str, Sampler]:
    """What was trained, in the folders of train_vae and train_gan: "gan", "vae", and "tanh", the one beside.

    Raises UserError as `Sampler.load` does, and where there is nothing.
    """
    places: dict[str, tuple[Path, Literal["train_vae", "train_gan"]]] = {
        "gan": (gan / "best.pt", "train_gan"),
        "tanh": (gan / "tanh/best.pt", "train_gan"),
        "vae": (vae / "best.pt", "train_vae"),
    }
    there = {name: Sampler.load(path, stage) for name, (path, stage) in places.items() if path.exists()}
    if not there:
        raise UserError(f"{vae} and {gan}: no checkpoint; the stages train_vae and train_gan make them")
    return there


class NoiseToPictures(nn.Module):
    """A `Sampler` as one module, for a model registry: noise (B, Z) -> pictures (B, C, H, W) in [-1, 1]."""

    def __init__(self, sampler: Sampler) -> None:
        super().__init__()
        self.model = sampler.model.cpu()

    def forward(self, noise: torch.Tensor) -> torch.Tensor:
        return self.model.paint_latents(noise) if isinstance(self.model, ConvVae) else self.model(noise)


class SongToPoses(nn.Module):
    """A `Dancer` as one module, for a model registry: raw audio features (B, T, F) -> landmarks (B, T, 33, 2)."""

    def __init__(self, dancer: Dancer) -> None:
        super().__init__()
        self.dancer, self.model, self.prior = dancer, dancer.model.cpu(), dancer.prior and dancer.prior.cpu()

    def forward(self, audio: torch.Tensor) -> torch.Tensor:
        seed = int(torch.randint(2**31, ()))  # torch.manual_seed chooses the dance
        on_cpu = replace(self.dancer, device=torch.device("cpu"))
        return torch.from_numpy(np.stack([on_cpu.dance(song.numpy(), seed, 1.0) for song in audio]))


class PosesToPictures(nn.Module):
    """A `Painter` as one module, for a model registry: landmarks (B, 33, 2) -> pictures (B, 3, H, W) in [-1, 1].

    Each by itself, before the first scene."""

    def __init__(self, painter: Painter) -> None:
        super().__init__()
        self.generator = painter.generator.cpu()

    def forward(self, landmarks: torch.Tensor) -> torch.Tensor:
        return torch.cat([self.generator.pictures(pose) for pose in landmarks.split(1)])
