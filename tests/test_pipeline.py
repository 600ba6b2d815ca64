"""The whole pipeline for real: DVC, six stages, two clips of two seconds, MLflow read back by its own client."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml
from checkout import STAGES, ran, run
from conftest import ROOT
from test_locks import check_trace

from dancing.clips.dataset import open_dataset
from dancing.media.sound import read_audio
from dancing.media.video import probe

pytestmark = pytest.mark.slow


def test_clips_in_dance_out(project: Path, tmp_path_factory: pytest.TempPathFactory):
    trace = tmp_path_factory.mktemp("trace")
    output = run(project, "dvc", "repro", PYTHONPATH=str(ROOT / "tests/stage_trace"), STAGE_TRACE=str(trace))
    assert ran(output) == set(STAGES)
    assert f"code from {project / 'src/dancing/training/adversarial.py'}" in output
    with open_dataset(project / "data/dataset.h5") as dataset:
        assert {piece.clip for piece in dataset.pieces} == {path.name for path in (project / "data/raw").glob("*.mp4")}
        assert {piece.split for piece in dataset.pieces} == {"train", "val", "test"}
    video = probe(project / "dance.mp4")
    assert (video.codec, video.has_audio, video.height) == ("h264", True, 128)
    assert video.duration == pytest.approx(1.0, abs=1 / 30)
    assert len(read_audio(project / "dance.mp4", 48000)) / 48000 == pytest.approx(1.0, abs=1 / 30)
    with np.load(project / "dance.npz") as dance:
        assert dance["landmarks"].shape == (30, 33, 2)
    motion = json.loads((project / "reports/motion.json").read_text())
    assert motion["real"]["magnitude"]["mean"] == pytest.approx(1.0)
    assert set(motion) >= {"ours", "real", "ours_to_other_music"}
    assert probe(project / "reports/comparison.mp4").has_audio
    painted = json.loads((project / "reports/image.json").read_text())
    assert set(painted) == {
        "ours", "dense", "nearest", "reencoded", "real", "shuffled", "mean_frame", "ours_danced"
    }  # fmt: skip
    assert {"ssim_crop", "ms_ssim", "warping_ratio", "pck_20", "density", "coverage"} <= set(painted["ours"])
    summary = json.loads((project / "metrics/summary.json").read_text())
    assert {"magnitude", "foot_slide", "ssim_crop"} <= set(summary)
    assert len(summary) <= 8
    assert summary["magnitude"] == pytest.approx(motion["ours"]["magnitude"]["mean"], abs=1e-4)
    report = (project / "reports/index.html").read_text(encoding="utf-8")
    assert "amount of movement" in report
    assert 'src="comparison.mp4"' in report
    assert not re.search(r'(?:src|href)="?(?:https?:)?//', report)
    assert "a.mp4" not in (project / "reports/model_card.md").read_text(encoding="utf-8")
    assert (project / "models/gan/dense/best.pt").is_file()
    for stage in STAGES:
        check_trace("dance", stage, json.loads((trace / f"{stage}.json").read_text(encoding="utf-8")), project)


def test_a_second_repro_runs_nothing(project: Path):
    assert ran(run(project, "dvc", "repro")) == set()


def test_a_clone_gets_the_results_from_a_remote(project: Path, tmp_path: Path):
    run(project, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "first results")
    run(project, "dvc", "push")
    run(tmp_path, "git", "clone", "-q", str(project), "clone")
    run(tmp_path / "clone", "dvc", "pull", "--with-deps", "dvc.yaml")
    assert ran(run(tmp_path / "clone", "dvc", "repro")) == set()
    assert (tmp_path / "clone/dance.mp4").read_bytes() == (project / "dance.mp4").read_bytes()


def test_an_experiment_runs_what_depends_on_its_change_in_its_own_checkout(project: Path):
    output = run(project, "dvc", "exp", "run", "--temp", "--name", "wider", "-S", "vae.latent_dim=6")
    assert ran(output) == {"train_vae", "evaluate", "render"}
    assert "/.dvc/tmp/exps/" in output.partition("code from ")[2].splitlines()[0]
    table = json.loads(run(project, "dvc", "exp", "show", "--json"))
    assert "wider" in json.dumps(table)
    assert "metrics/summary.json" in run(project, "dvc", "metrics", "diff", "HEAD", "wider")


def test_a_mistyped_value_costs_no_model(project: Path):
    """DVC removed models/vae before the stage could refuse the value, and then trained again."""
    before = (project / "models/vae/best.pt").read_bytes()
    for change, reason in (("vae.latent_dim=abc", "vae.latent_dim"), ("render.song=none.mp3", "none.mp3")):
        with pytest.raises(AssertionError, match=reason):
            run(project, "dvc", "exp", "run", "-S", change)
        assert (project / "models/vae/best.pt").read_bytes() == before
    run(project, "git", "checkout", "params.yaml")
    assert ran(run(project, "dvc", "repro")) == set()


def test_what_was_trained_once_is_not_trained_again(project: Path):
    params = project / "params.yaml"
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    values["vae"]["latent_dim"] = 6
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    assert "train_vae" not in ran(run(project, "dvc", "repro"))  # "wider" trained it
    run(project, "git", "checkout", "params.yaml")
    assert ran(run(project, "dvc", "repro")) == set()
    run(project, "git", "checkout", "dvc.lock", "metrics")


def test_mlflow_holds_a_parent_an_experiment_and_a_child_a_stage(project: Path):
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{project / 'mlflow.db'}")
    client = mlflow.MlflowClient()
    experiment = client.get_experiment_by_name("smoke")
    runs = client.search_runs([experiment.experiment_id])
    parents = {run.info.run_id: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    children = {
        parent.info.run_name: {
            run.info.run_name: run for run in runs if run.data.tags.get("mlflow.parentRunId") == parent.info.run_id
        }
        for parent in parents.values()
    }
    first = next(name for name in children if name.startswith("repro-"))
    assert set(children) == {first, "wider"}
    assert set(children[first]) == set(STAGES)
    assert set(children["wider"]) == {"train_vae", "evaluate", "render"}
    assert all(run.info.status == "FINISHED" for run in runs)

    wider = next(run for run in parents.values() if run.info.run_name == "wider")
    assert wider.data.params["vae.latent_dim"] == "6"
    assert wider.data.params["gan.model"] == "skeleton"
    assert {"magnitude", "vae_val_loss"} <= set(wider.data.metrics)
    commit = run(project, "git", "rev-parse", "HEAD").strip()
    assert wider.data.tags["DVC_EXP_BASELINE_REV"] == commit
    losses = client.get_metric_history(children["wider"]["train_vae"].info.run_id, "train_total")
    assert [loss.step for loss in losses] == [1, 2]
    artifacts = {
        stage: {file.path for file in client.list_artifacts(child.info.run_id)}
        for stage, child in children[first].items()
    }
    assert "videos" in artifacts["render"]
    parent = next(run.info.run_id for run in parents.values() if run.info.run_name == first)
    assert {file.path for file in client.list_artifacts(parent, "videos")} == {
        "videos/comparison.mp4", "videos/dance.mp4"
    }  # fmt: skip
    note = parents[parent].data.tags["mlflow.note.content"]
    assert f"get-artifact?run_uuid={parent}&path=contact_sheet.png" in note
    assert "| magnitude |" in note
    assert {"curves.png", "checkpoints", "images"} <= artifacts["train_gan"]
    motion = ("speed", "dances", "locking", "traversal")
    pictures = {f"{name}.png" for name in (*motion, "pictures", "danced", "worst", "flicker")}
    assert {"motion.json", "index.html", "model_card.md", "videos", *pictures} <= artifacts["evaluate"]

    models = mlflow.search_logged_models([experiment.experiment_id], output_format="list")
    assert {model.name for model in models} == {"song_to_poses", "poses_to_pictures", "dance"}
    assert all(model.metrics for model in models)
    image_model = next(model for model in models if model.name == "poses_to_pictures")
    predict = mlflow.pyfunc.load_model(image_model.model_uri).predict
    assert predict(np.random.rand(3, 33, 2).astype(np.float32)).shape == (3, 3, 64, 40)


def test_two_workers_of_the_queue_share_a_new_store(project: Path, tmp_path: Path):
    import mlflow

    store = f"sqlite:///{tmp_path / 'new.db'}"
    for seed in (11, 12):
        run(project, "dvc", "exp", "run", "--queue", "--name", f"seed-{seed}", "-S", f"render.seed={seed}")
    run(project, "dvc", "queue", "start", "--jobs", "2", MLFLOW_TRACKING_URI=store)
    deadline = time.monotonic() + 240
    while (states := run(project, "dvc", "queue", "status")).count("Success") < 2 and time.monotonic() < deadline:
        assert "Failed" not in states, states
        time.sleep(1)
    client = mlflow.MlflowClient(store)
    runs = client.search_runs([client.get_experiment_by_name("smoke").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    # evaluate did not run, but its figures are those of these models.
    assert all("magnitude" in run.data.metrics for run in runs if "mlflow.parentRunId" not in run.data.tags)
    parents = {run.info.run_id: run.info.run_name for run in runs if "mlflow.parentRunId" not in run.data.tags}
    assert sorted(parents.values()) == ["seed-11", "seed-12"]
    children = [run for run in runs if run.info.run_id not in parents]
    assert [run.info.run_name for run in children] == ["render", "render"]
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == set(parents)


def test_a_fault_in_params_stops_whichever_stage_comes_first(project: Path):
    env = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    command = ["dvc", "exp", "run", "--temp", "-S", "render.height=7", "-S", "vae.lr=fast"]
    result = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    assert result.returncode != 0
    assert "params.yaml has 2 faults" in result.stderr
    assert "render.height: expected" in result.stderr
    assert "vae.lr: expected number, got 'fast'" in result.stderr
    assert "Traceback" not in result.stderr
