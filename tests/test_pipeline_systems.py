"""Other systems over the same stages for real: digits, and dances without pictures."""

import json
from pathlib import Path

import pytest
import yaml
from checkout import STAGES, ran, run

from dancing.clips.dataset import open_dataset
from dancing.media.sound import read_audio, write_audio
from dancing.media.video import probe

pytestmark = pytest.mark.slow


def test_another_system_runs_over_the_same_stages(project: Path):
    """Digits, from scikit-learn to a walk; then an experiment, and MLflow's experiment of its own."""
    folder = project / "pipelines/digits"
    values = yaml.safe_load((folder / "params.yaml").read_text(encoding="utf-8"))
    few = {"batch_size": 8, "epochs": 2, "steps_per_epoch": 2}
    values["vae"] |= few
    values["gan"] |= few
    values["evaluate"] |= {"samples": 40, "feature_steps": 5}
    values["render"] |= {"seconds": 1.0, "walks": 2, "height": 64}
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    (folder / "dvc.lock").unlink(missing_ok=True)
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "few steps")
    output = run(project, "dvc", "repro", "pipelines/digits/dvc.yaml")
    stages = {"build_hdf5", "train_vae", "train_gan", "evaluate", "render"}

    def ran_there(output: str) -> set[str]:
        return {stage for stage in STAGES if f"Running stage 'pipelines/digits/dvc.yaml:{stage}'" in output}

    assert ran_there(output) == stages
    assert ran(output) == set()
    video = probe(folder / "walk.mp4")
    assert (video.duration, video.has_audio) == (pytest.approx(1.0, abs=1 / 30), False)
    rows = json.loads((folder / "reports/generated.json").read_text())
    assert set(rows) == {"vae", "vae_again", "gan", "real", "train", "mean_picture"}
    assert not (project / "reports/generated.json").exists()  # beside the dance, not in its place
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "digits")
    output = run(
        project, "dvc", "exp", "run", "--temp", "--name", "small", "pipelines/digits/dvc.yaml",
        "-S", "pipelines/digits/params.yaml:vae.latent_dim=3",
    )  # fmt: skip
    assert ran_there(output) == {"train_vae", "evaluate", "render"}

    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{project / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name("digits").experiment_id])
    assert {run.info.run_name for run in runs} >= {"small", *stages}


def test_dances_without_pictures(project: Path):
    """The same clips, their sound and true landmarks alone, through all six stages to a video of the skeleton."""
    for clip in (project / "data/raw").glob("*.mp4"):
        write_audio(project / f"made/truth/{clip.stem}.wav", read_audio(clip, 48_000), 48_000)
    values = yaml.safe_load((project / "params.yaml").read_text(encoding="utf-8"))
    values["data"]["clips"], values["gan"]["model"] = "made/truth", "none"
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    assert ran(run(project, "dvc", "repro")) == set(STAGES)
    with open_dataset(project / "data/dataset.h5") as dataset:
        assert {piece.split for piece in dataset.pieces} == {"train", "val", "test"}
        assert dataset.with_frames().pieces == []
    assert "ours" in json.loads((project / "reports/motion.json").read_text())
    assert json.loads((project / "reports/image.json").read_text()) == {}
    assert [path.name for path in (project / "models/gan").iterdir()] == ["none.txt"]
    video = probe(project / "dance.mp4")
    assert (video.width, video.height, video.has_audio) == (80, 128, True)  # one panel, the shape of data's 40 x 64
    run(project, "dvc", "plots", "show")  # the GAN's curves have nothing in them
