"""Models in ONNX give what they give in PyTorch, for any number of frames."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from dancing.errors import UserError
from dancing.music_to_pose import beat_grid
from dancing.pose_to_image.inference import PoseToImage
from dancing.render.dance import DanceModels
from dancing.training.device import make_rng

pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install -e '.[onnx]'")
pytest.importorskip("onnxscript", reason="onnxscript is not installed: pip install -e '.[onnx]'")

from dancing import onnx_export

pytestmark = pytest.mark.slow


def test_both_models_are_equal_in_onnx(trained: Path):
    models = DanceModels.load(trained / "models/vae", trained / "models/gan", 2.0)
    made = onnx_export.export(models, trained / "onnx")
    assert [exported.path.name for exported in made] == ["song_to_poses.onnx", "poses_to_pictures.onnx"]
    assert all(exported.megabytes > 0.01 and exported.onnx_fps > 0 and exported.torch_fps > 0 for exported in made)
    poses, pictures = (onnx_export.session(exported.path) for exported in made)
    for frames in (2, 61, 500):
        inputs = onnx_export.example_song(models.pose_model, frames, seed=frames)
        tensors = {name: torch.from_numpy(value) for name, value in inputs.items()}
        with torch.no_grad():
            expected = onnx_export.SongToPoses(models.pose_model)(**tensors).numpy()
        (landmarks,) = poses.run(None, inputs)
        assert landmarks.shape == (1, frames, 33, 2)
        np.testing.assert_allclose(landmarks, expected, atol=1e-4)
    batch = np.random.default_rng(1).uniform(0, 1, (5, 33, 2)).astype(np.float32)
    assert models.image_model is not None
    with torch.no_grad():
        expected = onnx_export.PosesToPictures(models.image_model)(torch.from_numpy(batch)).numpy()
    np.testing.assert_allclose(pictures.run(None, {"landmarks": batch})[0], expected, atol=1e-4)
    about = {entry: json.loads(value) for entry, value in poses.get_modelmeta().custom_metadata_map.items()}
    assert (about["fps"], about["n_mfcc"]) == (30, 4)


def test_onnx_makes_the_dance_that_is_rendered(trained: Path):
    """With the noise of a seed, and the beat positions of the song."""
    model = DanceModels.load(trained / "models/vae", trained / "models/gan", 2.0).pose_model
    onnx_export.export(DanceModels(model, None, trained, trained), trained / "onnx")
    inputs = onnx_export.example_song(model, 200)
    first = model.model.config.audio_dim - model.model.config.beat_columns
    standard = torch.from_numpy((inputs["audio"] - model.audio_mean) / model.audio_std)
    beat = standard[..., first : first + 2]  # which is not standardised: mean 0, deviation 1
    position = beat_grid.positions(beat, model.model.config.latents_per_beat, model.fps)
    shape = (1, beat_grid.count(position), model.model.config.latent_dim)
    noise = torch.randn(shape, generator=make_rng(7, 0)).numpy()
    (landmarks,) = onnx_export.session(trained / "onnx/song_to_poses.onnx").run(
        None, {"audio": inputs["audio"], "position": position.numpy(), "noise": noise}
    )
    np.testing.assert_allclose(landmarks[0], model.generate(inputs["audio"][0], 7, 1.0), atol=1e-4)


def test_what_can_not_be_exported(trained: Path):
    models = DanceModels.load(trained / "models/vae/lstm", trained / "models/gan", 2.0)
    with pytest.raises(UserError, match=r"only vae\.model motion with vae\.prior flow"):
        onnx_export.export(models, trained / "onnx")
    original = onnx_export.PosesToPictures(PoseToImage.load(trained / "models/gan/dense/best.pt"))
    assert original(torch.rand(3, 33, 2)).shape == (3, 3, 32, 32)
