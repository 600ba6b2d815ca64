"""The benchmarks run: what they measure is what the project has."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from conftest import ROOT, smoke_params
from drawn_dancer import draw, write_clip

from benchmarks import (
    extraction,
    gan_ablation,
    goals,
    growth,
    image_memory,
    real_dancer,
    rendering,
    training_speed,
)
from benchmarks.common import alone
from dancing.errors import UserError
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
    *jobs, frames = rendering._rendering(made, seconds=1)
    for job in jobs:
        job()
    info = probe(made / "dance.mp4")
    assert frames == 30
    assert (info.width, info.height, info.has_audio) == (160, 128, True)
    assert info.duration == pytest.approx(1.0)


def test_the_ablations_generators_lack_what_they_should():
    config = SkeletonGanConfig(32, 40, 8, setups=1, output="tanh", margin=4, fold=1)
    landmarks = torch.rand(2, 33, 2)
    numbers = gan_ablation.NumbersGenerator(config).pose_maps(landmarks, (32, 40))
    assert numbers.shape == (2, POSE_MAPS, 32, 40)
    assert torch.equal(numbers[:, :, 0, 0], landmarks[:, :POSE_MAPS, 0])
    assert torch.equal(numbers[:, :, -1, -1], landmarks[:, :POSE_MAPS, 1])
    generator = gan_ablation.BlackBackgroundGenerator(config)
    pose_maps, coordinates = generator.pose_maps(landmarks, (32, 40)), generator.coordinates.expand(2, -1, -1, -1)
    black, background = -torch.ones(2, 3, 32, 40), torch.rand(2, 3, 32, 40)
    images, _ = generator(pose_maps, black, coordinates)
    assert torch.equal(images, generator(pose_maps, background, coordinates)[0])


@pytest.mark.slow
def test_the_ablation_trains_and_records_every_variant(make_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "params.yaml").write_text(smoke_params(), encoding="utf-8")
    with make_dataset() as dataset:
        monkeypatch.setattr(gan_ablation, "DATASET", dataset.path)
    monkeypatch.chdir(tmp_path)
    trained = []

    def measure(dataset, gan, generator, params):
        weights = gan.ssim_weight, gan.mask_weight, gan.face_weight, gan.r1_weight
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
    assert [seed for _, seed, *_ in trained] == [1, 2] * 7
    ssim, mask, face, r1 = every = trained[0][2]
    assert [run[2:] for run in trained[::2]] == [
        (every, "SkeletonGenerator"), (every, "NumbersGenerator"), (every, "BlackBackgroundGenerator"),
        ((0.0, mask, face, r1), "SkeletonGenerator"), ((ssim, 0.0, face, r1), "SkeletonGenerator"),
        ((ssim, mask, 0.0, r1), "SkeletonGenerator"), ((ssim, mask, face, 0.0), "SkeletonGenerator"),
    ]  # fmt: skip
    assert 0.0 not in every


@pytest.mark.slow
def test_images_of_ones_own_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(smoke_params(), encoding="utf-8")
    clip = write_clip(tmp_path / "clip.mp4", [draw(k / 5) for k in range(100)])
    sizes = ["--height", "64", "--width", "40", "--steps", "5"]
    monkeypatch.setattr("sys.argv", ["real_dancer", str(clip), *sizes, "--json", "r.json", "--sheet", "s.png"])
    real_dancer.main()
    values = json.loads(Path("r.json").read_text(encoding="utf-8"))["values"]
    assert values["steps"] == 5
    assert 0 < values["rows"]["ours"]["ssim_crop"] < 1
    assert values["rows"]["real"]["detection_rate"] == 1
    assert {"mask_iou", "sharpness"} <= set(values["rows"]["nearest"])
    assert "| ours |" in capsys.readouterr().out
    assert Path("s.png").stat().st_size > 1000


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


#: Keras isn't imported here: its backend can be chosen once a process, and another test needs torch's.
KERAS = [
    pytest.param(
        backend,
        marks=pytest.mark.skipif(
            find_spec("keras") is None or find_spec(backend) is None, reason=f"needs Keras on {backend}: extra bench"
        ),
    )
    for backend in ("torch", "tensorflow")
]


@pytest.mark.slow
def test_training_speed_of_one_model(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    ours, plain = (alone(training_speed.measure, contender, "digits_vae", 2) for contender in ("ours", "plain"))
    assert ours.parameters == plain.parameters > 0
    assert 0 < ours.waiting < 1
    for run in (ours, plain):
        assert run.speed > 0
        assert run.memory > 100


@pytest.mark.slow
@pytest.mark.parametrize("backend", KERAS)
def test_the_speed_of_keras_is_that_of_the_same_models(backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    settings = {model: training_speed.settings_of(model, 1) for model in training_speed.MODELS}
    ours = [training_speed._parameters(*training_speed._networks(*each)) for each in settings.items()]
    code = """
from benchmarks import keras_models as k, training_speed as t
print(*(k.parameters(k.build(model, t.settings_of(model, 1), t.FRAMES, t.MFCC)) for model in t.MODELS))
"""
    environment = os.environ | {"KERAS_BACKEND": backend, "KERAS_HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "2"}
    job = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert [int(count) for count in job.stdout.split()] == ours
    run = alone(training_speed.measure, f"keras_{backend}", "digits_vae", 2)
    assert run.speed > 0
    assert run.parameters == ours[-1]


def test_training_speed_records_medians_ratios_and_a_busy_core(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    speeds = {
        "ours": iter((4.0, 1.0, 3.0) * 2),
        "ours_float32": iter((2.0,) * 6),
        "plain": iter((2.0, 1.0, 1.5) * 2),
        "keras_torch": iter((6.0,) * 6),
    }
    asked = []

    def fake(job, contender, model, steps):
        asked.append(contender)
        return training_speed.Run(next(speeds[contender]), 0.25, 500.0, 7)

    monkeypatch.setattr(training_speed, "alone", fake)
    monkeypatch.setattr(
        training_speed, "find_spec", lambda package: None if package == "tensorflow" else find_spec("torch")
    )
    monkeypatch.setattr(
        "sys.argv", ["x", "--models", "digits_vae", "--rounds", "3", "--busy", "--json", str(tmp_path / "record.json")]
    )
    training_speed.main()
    assert asked == ["ours", "ours_float32", "plain", "keras_torch"] * 6
    values = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"))["values"]
    assert values["rows"] == values["busy_rows"]
    row = values["rows"]["digits_vae"]
    assert (row["ours"], row["ours_lowest"], row["ours_highest"]) == (3.0, 1.0, 4.0)
    assert (row["ours_per_plain"], row["ours_per_keras_torch"], row["waiting"]) == (2.0, 0.5, 0.25)
    printed = capsys.readouterr().out
    assert "left out: Keras, TensorFlow; tensorflow is not installed" in printed
    assert "| 3.00 | 2.00 | 1.50 | 6.00 | 1.50 | 2.00 | 0.50 | 25.0% | 500 / 500 / 500 / 500 |" in printed


def test_training_speed_refuses_models_of_another_size(monkeypatch: pytest.MonkeyPatch):
    sizes = {"ours": 7, "plain": 7, "keras_torch": 8}
    monkeypatch.setattr(training_speed, "alone", lambda _, name, *rest: training_speed.Run(1.0, 0.0, 1.0, sizes[name]))
    with pytest.raises(UserError, match="keras_torch has 8 parameters, ours 7"):
        training_speed._row("digits_vae", list(sizes), 1, 1)


def test_every_goal_has_been_measured():
    assert [goal.title for goal in goals.GOALS if goal.measured() is None] == []


@pytest.mark.slow
def test_the_contenders_of_the_extraction(tmp_path: Path):
    frames = alone(extraction._draw, tmp_path, 1, 2.0, 180, 320)
    assert frames == 60
    seconds = [alone(extraction._measure, name, tmp_path, 1) for name in ("decoding", "mediapipe", "one", "tutorial")]
    assert min(seconds) == seconds[0] > 0


def test_growth_is_the_slope():
    assert growth._slope([(1, 5.0, 1.0), (4, 6.0, 1.0), (16, 11.0, 1.0)]) == pytest.approx(0.4)
