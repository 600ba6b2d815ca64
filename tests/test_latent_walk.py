"""Walks through a model's noise, and their video."""

from pathlib import Path

import numpy as np
import pytest
from conftest import image_params
from recipes import train_noise_gan

from dancing.media.sound import write_audio
from dancing.media.video import probe
from dancing.noise_to_image.inference import load_models
from dancing.render import latent_walk


def test_a_latent_walk_keeps_its_length_and_passes_its_stops():
    rng = np.random.default_rng(1)
    stops, times = rng.normal(size=(4, 2, 50)), np.array([0.0, 1.0, 2.5, 3.0])
    for pulse in (True, False):
        path = latent_walk.walk(stops, times, np.array([0.0, 1.0, 2.5, 3.0, 9.0, -1.0]), pulse)
        np.testing.assert_allclose(path[:4], stops, atol=1e-9)
        np.testing.assert_allclose(path[4:], stops[[3, 0]], atol=1e-9)
        at = np.linspace(0, 3, 200)
        path = latent_walk.walk(stops, times, at, pulse)
        lengths = np.linalg.norm(path, axis=-1)
        assert lengths.min() > 0.95 * np.linalg.norm(stops, axis=-1).min()  # a straight line would fall to 0.7
        steps = np.linalg.norm(np.diff(path, axis=0), axis=-1).mean(axis=1)
        assert (steps[0] > 2 * steps[30]) == pulse  # with a pulse it leaves a stop at once, else slowly


@pytest.mark.slow
def test_the_video_of_a_walk_is_as_long_as_asked_and_has_the_song(make_images, tmp_path: Path):
    params = image_params("faces", gan__epochs=1)
    train_noise_gan(make_images("faces", 24), params.gan, tmp_path / "gan", tmp_path / "resume")
    models = load_models(tmp_path, tmp_path / "gan")
    stills = latent_walk.write_walk(tmp_path / "silent.mp4", models, params.render)
    info = probe(tmp_path / "silent.mp4")
    assert (info.has_audio, info.width, info.height) == (False, 192, 64)
    assert info.duration == pytest.approx(0.5, abs=1 / 30)
    assert len(stills) == 10
    beat = np.zeros((48000, 2), np.float32)
    beat[::12000] = 1.0
    write_audio(tmp_path / "song.mp3", beat, 48000)
    render = params.render.model_copy(update={"song": str(tmp_path / "song.mp3"), "seconds": 0.8})
    latent_walk.write_walk(tmp_path / "song.mp4", models, render)
    info = probe(tmp_path / "song.mp4")
    assert info.has_audio
    assert info.duration == pytest.approx(0.8, abs=1 / 30)
