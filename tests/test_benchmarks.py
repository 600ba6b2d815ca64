"""The benchmarks run: what they measure is what the project has."""

import json
from pathlib import Path

import pytest
import torch
from conftest import ROOT, smoke_params

from benchmarks import gan_ablation, image_memory, rendering
from dancing.media.video import probe
from dancing.pose_to_image.skeleton_gan import POSE_MAPS, SkeletonGanConfig


@pytest.mark.slow
def test_rendering(make_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "params.yaml").write_text(smoke_params(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with make_dataset() as dataset:
        source = dataset.path
    made = tmp_path / "made"
    made.mkdir()
    rendering._train(source, made, height=64, width=40)
    generate, render_video, frames = rendering._rendering(made, seconds=1)
    generate()
    render_video()
    info = probe(made / "dance.mp4")
    assert frames == 30
    assert (info.width, info.height, info.has_audio) == (160, 128, True)
    assert info.duration == pytest.approx(1.0)


def test_the_ablations_generators_lack_what_they_should():
    config = SkeletonGanConfig(32, 40, 8, setups=1, output="tanh", margin=4)
    landmarks = torch.rand(2, 33, 2)
    numbers = gan_ablation.NumbersGenerator(config).pose_maps(landmarks, (32, 40))
    assert numbers.shape == (2, POSE_MAPS, 32, 40)
    assert torch.equal(numbers[:, :, 0, 0], landmarks[:, :POSE_MAPS, 0])
    assert torch.equal(numbers[:, :, -1, -1], landmarks[:, :POSE_MAPS, 1])
    generator = gan_ablation.BlackBackgroundGenerator(config)
    pose_maps, coordinates = generator.pose_maps(landmarks, (32, 40)), generator.coordinates.expand(2, -1, -1, -1)
    black, background = -torch.ones(2, 3, 32, 40), torch.rand(2, 3, 32, 40)
    images = generator(pose_maps, black, coordinates)
    assert torch.equal(images, generator(pose_maps, background, coordinates))


@pytest.mark.slow
def test_the_ablation_trains_and_records_every_variant(make_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "params.yaml").write_text(smoke_params(), encoding="utf-8")
    with make_dataset() as dataset:
        monkeypatch.setattr(gan_ablation, "DATASET", dataset.path)
    monkeypatch.chdir(tmp_path)
    trained = []

    def measure(dataset, gan, generator, params):
        weights = gan.ssim_weight, gan.face_weight, gan.r1_weight
        trained.append((gan.epochs, gan.seed, weights, generator.__name__))
        return (
            dict.fromkeys(gan_ablation.COLUMNS, gan.seed / 2)
            if trained[1:]
            else measured(dataset, gan, generator, params)
        )

    measured = gan_ablation._measure
    monkeypatch.setattr(gan_ablation, "_measure", measure)
    monkeypatch.setattr("sys.argv", ["x", "--epochs", "1", "--seeds", "2", "--json", "record.json"])
    gan_ablation.main()
    values = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["values"]
    assert (values["epochs"], values["seeds"]) == (1, 2)
    assert list(values["rows"]) == list(values["spreads"]) == list(gan_ablation.VARIANTS)
    assert values["rows"]["no_r1"] == dict.fromkeys(gan_ablation.COLUMNS, 0.75)
    assert values["spreads"]["no_r1"] == dict.fromkeys(gan_ablation.COLUMNS, 0.5)
    assert 0 < values["rows"]["everything"]["ssim_crop"] < 1
    assert [seed for _, seed, *_ in trained] == [1, 2] * 6
    ssim, face, r1 = trained[0][2]
    assert [run[2:] for run in trained[::2]] == [
        ((ssim, face, r1), "SkeletonGenerator"), ((ssim, face, r1), "NumbersGenerator"),
        ((ssim, face, r1), "BlackBackgroundGenerator"), ((0.0, face, r1), "SkeletonGenerator"),
        ((ssim, 0.0, r1), "SkeletonGenerator"), ((ssim, face, 0.0), "SkeletonGenerator"),
    ]  # fmt: skip
    assert 0.0 not in (ssim, face, r1)


@pytest.mark.slow
def test_image_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    for name, few in (("HEADS", 3), ("STEPS", 1)):
        monkeypatch.setattr(image_memory, name, few)
    for name, few in (("FEATURE_STEPS", 1), ("VALIDATION", 8), ("SAMPLES", 4), ("RECALIBRATION_BATCHES", 1)):
        monkeypatch.setattr(f"dancing.noise_to_image.gan_task.{name}", few)
    image_memory._draw(tmp_path / "pictures", 24)
    assert len({path.read_bytes() for path in (tmp_path / "pictures").rglob("*.jpg")}) == 24
    for job in (image_memory._build, image_memory._train):
        megabytes, seconds = job(tmp_path)
        assert megabytes > 1
        assert seconds > 0
