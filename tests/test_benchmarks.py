"""The benchmarks run: what they measure is what the project has."""

from pathlib import Path

import pytest
import torch
from conftest import ROOT, smoke_params

from benchmarks import gan_ablation, image_memory, rendering
from dancing.media.video import probe
from dancing.pose_to_image.skeleton_gan import DRAWN, SkeletonGanConfig


@pytest.mark.slow
def test_rendering(make_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "params.yaml").write_text(smoke_params(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with make_dataset() as dataset:
        source = dataset.path
    made = tmp_path / "made"
    made.mkdir()
    rendering._train(source, made, height=64, width=40)
    paint, film, frames = rendering._rendering(made, seconds=1)
    paint()
    film()
    info = probe(made / "dance.mp4")
    assert frames == 30
    assert (info.width, info.height, info.has_audio) == (160, 128, True)
    assert info.duration == pytest.approx(1.0)


def test_the_ablations_generators_lack_what_they_should():
    config = SkeletonGanConfig(32, 40, 8, plates=1, sees_previous=False, output="tanh", margin=4)
    landmarks = torch.rand(2, 33, 2)
    numbers = gan_ablation.NumbersGenerator(config).draw(landmarks)
    assert numbers.shape == (2, DRAWN, 32, 40)
    assert torch.equal(numbers[:, :, 0, 0], landmarks[..., 0])
    assert torch.equal(numbers[:, :, -1, -1], landmarks[..., 1])
    generator = gan_ablation.PlatelessGenerator(config)
    drawing = generator.draw(landmarks)
    assert torch.equal(generator(drawing), generator(drawing, torch.rand(2, 3, 32, 40)))


@pytest.mark.slow
def test_image_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    for name, few in (("HEADS", 3), ("STEPS", 1)):
        monkeypatch.setattr(image_memory, name, few)
    for name, few in (("FEATURE_STEPS", 1), ("VALIDATION", 8), ("SAMPLES", 4), ("SETTLING", 1)):
        monkeypatch.setattr(f"dancing.noise_to_image.gan_task.{name}", few)
    image_memory._draw(tmp_path / "pictures", 24)
    assert len({path.read_bytes() for path in (tmp_path / "pictures").rglob("*.jpg")}) == 24
    for job in (image_memory._build, image_memory._train):
        megabytes, seconds = job(tmp_path)
        assert megabytes > 1
        assert seconds > 0
