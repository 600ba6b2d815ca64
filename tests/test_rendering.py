"""A song through both models to a video: lengths, step of sound and dance, the same seed the same file."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, standing

from dancing import figures, rendering
from dancing.errors import UserError
from dancing.inference import load_painter
from dancing.skeleton import PoseSpace
from dancing.training.gan import train_gan
from dancing.training.vae import train_vae
from dancing.video import probe, read_audio, write_audio


def clicks(seconds: float, every: float = 0.5) -> np.ndarray:
    sound = np.zeros(round(seconds * 44_100), np.float32)
    for start in np.arange(every, seconds - 0.1, every):
        sound[round(start * 44_100) :][:500] = 0.8 * np.sin(np.arange(500) / 4)
    return sound


@pytest.fixture
def trained(make_dataset, make_params, tmp_path: Path) -> Path:
    """A folder in which the stage render finds params and both models, and a song of three seconds."""
    dataset, params = make_dataset(), make_params()
    train_vae(dataset, params.vae, params.prior, tmp_path / "models/vae", tmp_path / "crash")
    train_gan(dataset, params.gan, tmp_path / "models/gan", tmp_path / "crash")
    (tmp_path / "params.yaml").write_text((ROOT / "presets/smoke.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    write_audio(tmp_path / "song.wav", clicks(3.0), 44_100)
    return tmp_path


def render(folder: Path, *options: str) -> subprocess.CompletedProcess:
    """`python -m stages.render`, run in another folder than the project's."""
    command = [sys.executable, "-m", "stages.render", *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_by_hand(trained: Path):
    result = render(trained, "--song", "song.wav", "--out", "y.mp4", "--seconds", "2.3", "--seed", "3")
    assert result.returncode == 0, result.stderr
    info = probe(trained / "y.mp4")
    sound = read_audio(trained / "y.mp4", 44_100)
    assert (info.codec, info.fps) == ("h264", pytest.approx(30))
    assert info.duration == pytest.approx(2.3, abs=1 / 30)
    assert len(sound) / 44_100 == pytest.approx(info.duration, abs=1 / 30)
    # What is heard in the video is the song, in step to a fraction of a frame.
    song = clicks(3.0)[: len(sound)]
    lags = np.arange(-1500, 1501)
    fit = [np.dot(np.roll(sound, lag)[2000:-2000], song[2000 : len(sound) - 2000]) for lag in lags]
    assert abs(lags[int(np.argmax(fit))]) / 44_100 < 1 / 120
    with np.load(trained / "y.npz") as dance:
        assert dance["landmarks"].shape == (69, 33, 2)
        assert float(dance["fps"]) == 30
    assert not (trained / "mlflow.db").exists()  # by hand is no experiment
    render(trained, "--song", "song.wav", "--out", "again.mp4", "--seconds", "2.3", "--seed", "3")
    render(trained, "--song", "song.wav", "--out", "other.mp4", "--seconds", "2.3", "--seed", "4")
    assert (trained / "y.mp4").read_bytes() == (trained / "again.mp4").read_bytes()
    assert (trained / "y.mp4").read_bytes() != (trained / "other.mp4").read_bytes()


def test_snapping_changes_the_pace_and_is_painted(trained: Path):
    plain = render(trained, "--song", "song.wav", "--out", "plain.mp4")
    params = (trained / "params.yaml").read_text(encoding="utf-8")
    (trained / "params.yaml").write_text(params.replace("snap: 0", "snap: 0.15"), encoding="utf-8")
    snapped = render(trained, "--song", "song.wav", "--out", "snapped.mp4")
    assert (plain.returncode, snapped.returncode) == (0, 0), snapped.stderr
    with np.load(trained / "plain.npz") as before, np.load(trained / "snapped.npz") as after:
        assert before["landmarks"].shape == after["landmarks"].shape
        np.testing.assert_allclose(before["landmarks"][[0, -1]], after["landmarks"][[0, -1]], atol=1e-5)
        assert after["landmarks"].dtype == np.float32


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--song", "none.mp3", "--out", "y.mp4"), "none.mp3"),
        (("--song", "params.yaml", "--out", "y.mp4"), "params.yaml"),
        (("--song", "song.wav", "--out", "y.mp4", "--seconds", "0.001"), "less than one frame"),
        (("--song", "song.wav", "--out", "y.gif"), "y.gif"),
    ],
)
def test_what_cannot_be_rendered_is_told_and_leaves_nothing(trained: Path, options, reason):
    result = render(trained, *options)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(trained.glob("y.*"))


def test_a_song_as_long_as_it_is(trained: Path):
    song = rendering.read_song(trained / "song.wav", 30, 4, None)
    assert song.features.shape == (90, 27)
    assert song.sound.shape == (3 * 48_000, 2)
    with pytest.raises(UserError, match="less than one frame"):
        rendering.read_song(trained / "song.wav", 30, 4, 0.01)


def test_panels_side_by_side(trained: Path):
    painter, poses = load_painter(trained / "models/gan"), np.repeat(standing()[None], 3, axis=0)
    pictures = list(rendering.frames(poses, painter, 90, 80))
    alone = list(rendering.frames(poses, None, 90, 80))
    assert [picture.shape for picture in pictures] == [(90, 160, 3)] * 3
    np.testing.assert_array_equal(alone, np.array(pictures)[:, :, :80])


@pytest.mark.parametrize(("width", "height", "panel"), [(72, 128, 360), (256, 144, 1138)])
def test_a_panel_has_the_shape_of_the_data(width: int, height: int, panel: int):
    space = PoseSpace.fit("picture", [np.repeat(standing()[None], 3, axis=0)], width, height)
    assert rendering.panel_width(space, 640) == panel


def test_the_drawn_skeleton_shows_its_sides():
    picture = figures.draw_skeleton(standing(), 200, 200).astype(int)
    warm = picture[..., 0] - picture[..., 2]
    assert (warm[:, 100:] > 60).sum() > 50  # his left arm and leg, on the right of the picture, are orange
    assert (warm[:, :100] < -60).sum() > 50
    assert not (warm[:, :90] > 60).any()
