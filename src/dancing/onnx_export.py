"""Export of the trained models to ONNX, and how fast they are there. Needs the extra `onnx`.

Letters: B batch, T frames, F audio features, N latents of Z numbers on the beat grid, D pose dimensions, H x W image.
"""

import json
import logging
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn
from torch.export import Dim

from dancing.errors import UserError
from dancing.files import atomic_write
from dancing.music_to_pose import beat_grid
from dancing.music_to_pose.inference import MusicToPose
from dancing.music_to_pose.motion_vae import MotionVae
from dancing.pose_to_image.inference import PoseToImage
from dancing.render.dance import DanceModels

OPSET = 18
_TIMED_FRAMES, _REPEATS = 600, 3


class SongToPoses(nn.Module):
    """The motion VAE and its flow prior as one module without random numbers.

    Args:
        pose_model: the trained models.

    Raises:
        UserError: it has another model, or no flow prior.
    """

    audio_mean: torch.Tensor
    audio_std: torch.Tensor
    origin: torch.Tensor
    axes: torch.Tensor

    def __init__(self, pose_model: MusicToPose) -> None:
        super().__init__()
        model, prior = pose_model.model, pose_model.prior
        if not isinstance(model, MotionVae) or prior is None:
            raise UserError("only vae.model motion with vae.prior flow can be exported")
        self.model, self.prior, self.guidance = model, prior, pose_model.guidance
        for name in ("audio_mean", "audio_std"):
            self.register_buffer(name, torch.from_numpy(getattr(pose_model, name)))
        # From pose dimensions to landmarks is affine, frame by frame.
        dimensions = model.config.pose_dim
        origin = pose_model.space.decode(np.zeros((1, dimensions), np.float32))
        axes = pose_model.space.decode(np.eye(dimensions, dtype=np.float32)) - origin  # (D, 33, 2)
        self.register_buffer("origin", torch.from_numpy(origin.reshape(-1).astype(np.float32)))
        self.register_buffer("axes", torch.from_numpy(axes.reshape(dimensions, -1).astype(np.float32)))

    def forward(self, audio: torch.Tensor, position: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
        """Return landmarks (1, T, 33, 2) in fractions of the image.

        Args:
            audio: (1, T, F), audio features, not standardised.
            position: (1, T) float64, `beat_grid.positions`: the beats until each frame, times `latents_per_beat`.
            noise: (1, N, Z), normal; N is at least `beat_grid.count(position)`.
        """
        standard = (audio - self.audio_mean) / self.audio_std
        condition = self.prior.condition_at(standard, position, noise.shape[1])
        latents = self.prior.integrate(noise, condition, self.guidance)
        pose = self.model.decode_at(self.model.audio_encoder(standard.mT), latents, position)
        return (pose @ self.axes + self.origin).unflatten(-1, (33, 2))


class PosesToPictures(nn.Module):
    """A generator of whole images. `render` generates only crops around the dancer, which takes a third of the work."""

    def __init__(self, image_model: PoseToImage) -> None:
        super().__init__()
        self.generator, self.size = image_model.generator, (image_model.height, image_model.width)

    def forward(self, landmarks: torch.Tensor) -> torch.Tensor:
        """Landmarks (B, 33, 2) in [0, 1] -> images (B, 3, H, W) in [-1, 1], in front of the first background."""
        generator = self.generator
        if not hasattr(generator, "pose_maps"):  # the original generator
            images: torch.Tensor = generator.render(landmarks)
            return images
        batch = landmarks.shape[0]
        background = generator.backgrounds[:1].expand(batch, -1, -1, -1)
        coordinates = generator.coordinates.expand(batch, -1, -1, -1)
        result: torch.Tensor = generator(generator.pose_maps(landmarks, self.size), background, coordinates)[0]
        return result


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        path: of the file.
        megabytes: its size.
        onnx_fps: frames/s through onnxruntime on the CPU.
        torch_fps: frames/s of what renders here, in PyTorch on the CPU.
    """

    path: Path
    megabytes: float
    onnx_fps: float
    torch_fps: float


def export(models: DanceModels, folder: Path) -> list[Exported]:
    """Write song_to_poses.onnx and, where there is a generator of images, poses_to_pictures.onnx.

    Args:
        models: on the CPU.
        folder: made if missing.

    Raises:
        UserError: see `SongToPoses`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    exported = [_export_poses(models.pose_model, folder / "song_to_poses.onnx")]
    if models.image_model is not None:
        exported.append(_export_pictures(models.image_model, folder / "poses_to_pictures.onnx"))
    return exported


def example_song(pose_model: MusicToPose, frames: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs of song_to_poses.onnx, at 120 beats a minute."""
    rng, config = np.random.default_rng(seed), pose_model.model.config
    audio = rng.standard_normal((1, frames, len(pose_model.audio_mean)), dtype=np.float32)
    angle = 2 * np.pi * 2 * np.arange(frames) / pose_model.fps
    first = config.audio_dim - config.beat_columns
    audio[0, :, first], audio[0, :, first + 1] = np.sin(angle), np.cos(angle)
    position = beat_grid.positions(
        torch.from_numpy(audio[..., first : first + 2]), config.latents_per_beat, pose_model.fps
    )
    noise = rng.standard_normal((1, beat_grid.count(position), config.latent_dim), dtype=np.float32)
    return {"audio": audio, "position": position.numpy(), "noise": noise}


def _export_poses(pose_model: MusicToPose, path: Path) -> Exported:
    module, inputs = SongToPoses(pose_model).eval(), example_song(pose_model, 300)
    frames = Dim("frames", min=2)
    shapes = {"audio": {1: frames}, "position": {1: frames}, "noise": {1: Dim("latents", min=2)}}
    config = pose_model.model.config
    about = {"fps": pose_model.fps, "latents_per_beat": config.latents_per_beat, "n_mfcc": pose_model.n_mfcc}
    _write(module, inputs, shapes, "landmarks", path, about)
    timed = example_song(pose_model, _TIMED_FRAMES)
    return _measured(path, module, timed)


def _export_pictures(image_model: PoseToImage, path: Path) -> Exported:
    module = PosesToPictures(image_model).eval()
    poses = np.random.default_rng(0).uniform(0.2, 0.8, (2, 33, 2)).astype(np.float32)
    about = {"height": image_model.height, "width": image_model.width, "subject": image_model.subject}
    _write(module, {"landmarks": poses}, {"landmarks": {0: Dim("batch", min=1)}}, "images", path, about)
    timed = {"landmarks": np.repeat(poses[:1], 16, axis=0)}
    return _measured(path, module, timed, lambda: list(image_model.render(timed["landmarks"])))


def _write(
    module: nn.Module,
    inputs: dict[str, np.ndarray],
    shapes: dict[str, dict[int, Dim]],
    output: str,
    path: Path,
    about: dict[str, object],
) -> None:
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it says that torchvision is not installed
    with warnings.catch_warnings(action="ignore"):
        program = _program(module, inputs, shapes, output)
    model = program.model_proto
    for key, value in about.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    with atomic_write(path) as partial:
        onnx.save_model(model, partial)


def _program(
    module: nn.Module, inputs: dict[str, np.ndarray], shapes: dict[str, dict[int, Dim]], output: str
) -> torch.onnx.ONNXProgram:
    program = torch.onnx.export(
        module,
        kwargs={name: torch.from_numpy(value) for name, value in inputs.items()},
        input_names=list(inputs),
        output_names=[output],
        dynamic_shapes=shapes,
        opset_version=OPSET,
        dynamo=True,
        verbose=False,
    )
    assert program is not None  # it is where dynamo is used
    return program


def session(path: Path) -> onnxruntime.InferenceSession:
    """Open a model on the CPU."""
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def _measured(
    path: Path, module: nn.Module, inputs: dict[str, np.ndarray], torch_render: Callable[[], object] | None = None
) -> Exported:
    """Time a model beside PyTorch: `torch_render` if that is another way than the module."""
    opened, tensors = session(path), {name: torch.from_numpy(value) for name, value in inputs.items()}
    frames = inputs["audio"].shape[1] if "audio" in inputs else len(inputs["landmarks"])
    in_onnx = _seconds(lambda: opened.run(None, inputs))
    in_torch = _seconds(torch_render or (lambda: module(**tensors)))
    return Exported(path, path.stat().st_size / 1e6, frames / in_onnx, frames / in_torch)


def _seconds(run: Callable[[], object]) -> float:
    run()
    times = []
    for _ in range(_REPEATS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)
