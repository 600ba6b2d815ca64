"""Models in MLflow: logged without pickle, found again, promoted, served over HTTP, compared; stores that move."""

import base64
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from dancing import cli, registry
from dancing.errors import UserError
from dancing.media.video import probe
from dancing.mlflow_store import using
from dancing.mlflow_ui import address
from dancing.params import Params, load_params
from dancing.served.dance import dance_model
from dancing.served.models import tensor_model
from dancing.tracking import stage_run
from dancing.trained import list_models, load_dance_models

pytestmark = pytest.mark.slow
VAE, GAN = Path("models/vae"), Path("models/gan")


@pytest.fixture
def project(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with trained models, and a store of its own."""
    monkeypatch.setenv("DVC_ROOT", str(trained))
    monkeypatch.chdir(trained)
    (trained / "presets").mkdir()
    with using(f"sqlite:///{trained / 'mlflow.db'}"):
        yield trained


def params() -> Params:
    found = load_params()
    assert isinstance(found, Params)
    return found


def evaluate(monkeypatch: pytest.MonkeyPatch, name: str = "first", value: float = 0.5) -> None:
    """What the stage evaluate records."""
    monkeypatch.setenv("DVC_EXP_NAME", name)
    with stage_run("evaluate", params()) as run:
        run.dataset(Path("dataset.h5"), "0123456789abcdef", {"clips": ["a", "b"]}, "evaluation")
        run.model(dance_model(VAE, GAN, params()))
        run.headline({"magnitude": value, "tempo_locking_sum": 1.7})


def test_a_logged_dance(project: Path, monkeypatch: pytest.MonkeyPatch):
    evaluate(monkeypatch)
    client = registry.open_store()
    run = registry.find_run(client, None)
    (model,) = mlflow.search_logged_models([run.info.experiment_id], output_format="list")
    assert (model.name, registry.model_of(run)) == ("dance", f"models:/{model.model_id}")
    assert {(metric.key, metric.value, metric.dataset_name) for metric in model.metrics} == {
        ("magnitude", 0.5, "dataset.h5"), ("tempo_locking_sum", 1.7, "dataset.h5")
    }  # fmt: skip
    assert json.loads(run.inputs.dataset_inputs[0].dataset.profile) == {"clips": ["a", "b"]}
    files = list(Path(mlflow.artifacts.download_artifacts(f"models:/{model.model_id}")).rglob("*"))
    assert not [path for path in files if path.suffix in (".pkl", ".pickle")]
    assert {"best.pt", "dance_model.py", "params.yaml", "MLmodel", "requirements.txt"} <= {path.name for path in files}
    note = run.data.tags["mlflow.note.content"]
    assert "| magnitude | tempo_locking_sum |" in note
    assert "| 0.5 | 1.7 |" in note
    # The same checkpoints in another experiment are the same model; others are another.
    evaluate(monkeypatch, "second")
    assert registry.model_of(registry.find_run(client, "second")) == registry.model_of(run)
    shutil.copy(VAE / "last.pt", VAE / "best.pt")
    evaluate(monkeypatch, "third")
    assert registry.model_of(registry.find_run(client, "third")) != registry.model_of(run)


def test_the_champion(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI")
        with pytest.raises(UserError, match=r"mlflow\.db: no run is recorded yet; `dvc repro` records one"):
            registry.promote(None)
        assert list_models() == ["models/"]
    evaluate(monkeypatch)
    with pytest.raises(UserError, match="nobody: no such run in MLflow; the newest ones: first"):
        registry.promote("nobody")
    with pytest.raises(UserError, match=r"models:/dance@champion: no(t| such model) in MLflow .*`dancing promote`"):
        load_dance_models("models:/dance@champion", 1.0)
    monkeypatch.setattr("sys.argv", ["dancing", "promote", "first"])
    with pytest.raises(SystemExit):
        cli.app()
    assert "dance version 1, of the run first, is now models:/dance@champion" in capsys.readouterr().out
    assert list_models() == ["models/", "models:/dance@champion"]
    assert "version 1" in registry.promote("first")  # once more
    shutil.copy(VAE / "last.pt", VAE / "best.pt")
    evaluate(monkeypatch, "second")
    assert "version 2" in registry.promote(None)
    champion, here = (load_dance_models(source, 1.0) for source in ("models:/dance@champion", "models/"))
    audio = np.random.default_rng(1).random((60, len(here.pose_model.audio_mean)), dtype=np.float32)
    np.testing.assert_array_equal(
        champion.pose_model.generate(audio, 1, 1.0), here.pose_model.generate(audio, 1, 1.0)
    )  # fmt: skip


def test_what_is_loaded_from_mlflow_makes_dances(project: Path, monkeypatch: pytest.MonkeyPatch):
    evaluate(monkeypatch)
    registry.promote(None)
    model = mlflow.pyfunc.load_model("models:/dance@champion")
    (poses,) = model.predict(pd.DataFrame({"song": ["song.wav"]}), {"output": "poses", "seconds": 2.0, "seed": 4})
    assert (np.shape(poses["landmarks"]), poses["fps"]) == ((60, 33, 2), 30.0)
    sound = Path("song.wav").read_bytes()
    (again,) = model.predict(pd.DataFrame({"sound": [sound]}), {"output": "poses", "seconds": 2.0, "seed": 4})
    assert again["landmarks"] == poses["landmarks"]
    (video,) = model.predict(pd.DataFrame({"sound": [sound]}), {"seconds": 1.0, "format": "portrait"})
    Path("y.mp4").write_bytes(base64.b64decode(video["video"]))
    info = probe("y.mp4")
    assert (info.width, info.height, info.has_audio) == (1080, 1920, True)
    for rows, values, message in (
        ({"song": ["none.mp3"]}, {}, "none.mp3: no such file"),
        ({"sound": [b"no sound"]}, {}, "not a media file"),
        ({"song": ["song.wav"]}, {"layout": "all"}, r"render\.layout: expected"),
        ({"song": ["song.wav"]}, {"output": "gif"}, "output: expected one of mp4, poses"),
    ):
        with pytest.raises(mlflow.MlflowException, match=message):
            model.predict(pd.DataFrame(rows), values)


def test_tensor_models(project: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("dancing.pose_to_image.inference.multiplies_bfloat16", lambda _: False)
    models = load_dance_models("models/", 1.0)
    song = np.random.default_rng(1).random((1, 40, len(models.pose_model.audio_mean)), dtype=np.float32)
    poses = np.full((3, 33, 2), 0.5, np.float32)
    with stage_run("train_vae", params()) as run:
        run.model(tensor_model("song_to_poses", VAE / "best.pt", (-1, -1, song.shape[2]), (-1, -1, 33, 2), song, "x"))
        run.model(tensor_model("poses_to_pictures", GAN / "best.pt", (-1, 33, 2), (-1, 3, 32, 32), poses, "x"))
    registry.open_store()
    logged = {model.name: model for model in mlflow.search_logged_models(["1"], output_format="list")}
    loaded = {name: mlflow.pyfunc.load_model(model.model_uri) for name, model in logged.items()}
    assert loaded["song_to_poses"].predict(song).shape == (1, 40, 33, 2)
    images = loaded["poses_to_pictures"].predict(poses)
    assert images.shape == (3, 3, 32, 32)
    shown = ((images[0].transpose(1, 2, 0) + 1) * 127.5).round().astype(int)
    assert models.image_model is not None
    assert np.abs(shown - next(models.image_model.render(poses[:1]))).max() <= 1
    np.testing.assert_array_equal(loaded["poses_to_pictures"].input_example, poses)


def free_port() -> int:
    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])


def ask(port: int, request: dict[str, Any]) -> tuple[int, Any]:
    """Status and answer of /invocations."""
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/invocations", json.dumps(request).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(asked, timeout=120) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_served_champion_answers_a_song_with_a_video(project: Path, monkeypatch: pytest.MonkeyPatch):
    evaluate(monkeypatch)
    registry.promote(None)
    port = free_port()
    serve = ["mlflow", "models", "serve", "-m", "models:/dance@champion", "--env-manager", "local", "-p", str(port)]
    env = {**os.environ, "MLFLOW_TRACKING_URI": registry.store_uri(), "PYTHONPATH": ""}
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    with Path("serve.log").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", *serve, "-h", "127.0.0.1"], env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/ping", timeout=5)
                break
            except OSError:
                assert server.poll() is None, Path("serve.log").read_text()
                time.sleep(0.5)
        sound = base64.b64encode(Path("song.wav").read_bytes()).decode()
        status, answer = ask(port, {"dataframe_records": [{"sound": sound}], "params": {"seconds": 1.0, "seed": 3}})
        assert status == 200, answer
        Path("y.mp4").write_bytes(base64.b64decode(answer["predictions"][0]["video"]))
        info = probe("y.mp4")
        assert (info.codec, info.has_audio, info.duration) == ("h264", True, pytest.approx(1.0, abs=0.04))
        status, answer = ask(port, {"dataframe_records": [{"sound": "bm8gc291bmQ="}]})
        assert status == 400
        assert "not a media file that can be read" in answer
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_two_models_are_compared_in_one_video(project: Path, monkeypatch: pytest.MonkeyPatch):
    evaluate(monkeypatch)
    shutil.copy(VAE / "last.pt", VAE / "best.pt")
    monkeypatch.setattr("sys.argv", ["dancing", "compare", "models/", "first", "--song", "song.wav", "--seconds", "1"])
    with pytest.raises(SystemExit) as ended:
        cli.app()
    assert ended.value.code == 0
    info = probe("compare.mp4")
    assert (info.width, info.height, info.has_audio) == (2 * 96, 128, True)
    monkeypatch.setattr("sys.argv", ["dancing", "compare", "models/", "models/", "--song", "song.wav"])
    with pytest.raises(UserError, match="is compared with itself"):
        cli.app()


def test_a_copied_project_records_in_its_own_folder(project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    evaluate(monkeypatch)
    copy = tmp_path.parent / f"{tmp_path.name}_copy"
    shutil.copytree(project, copy)
    before = {path for path in project.rglob("*") if path.is_file() and "mlartifacts" in path.parts}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI")
        patch.setenv("DVC_ROOT", str(copy))
        patch.chdir(copy)
        Path("note.txt").write_text("x", encoding="utf-8")
        with stage_run("render", params()) as run:
            run.artifact(Path("note.txt"), parent=True)
        assert list((copy / "mlartifacts").rglob("note.txt"))
        assert before == {path for path in project.rglob("*") if path.is_file() and "mlartifacts" in path.parts}
        shutil.rmtree(project / "mlartifacts")
        load_dance_models(registry.model_of(registry.find_run(registry.open_store(), "first")), 1.0)  # from the copy
    with sqlite3.connect(copy / "mlflow.db") as database:
        assert str(project / "mlartifacts") not in "\n".join(database.iterdump())


def test_the_page_of_mlflow_opens_in_a_view_that_the_experiment_has(project: Path, monkeypatch: pytest.MonkeyPatch):
    evaluate(monkeypatch)
    client = registry.open_store()
    (experiment,) = (found for found in client.search_experiments() if found.name != "Default")
    page = address(experiment.experiment_id, 5000)
    key = page.rpartition("viewStateShareKey=")[2]
    view = json.loads(experiment.tags[f"mlflow.sharedViewState.{key}"])
    assert "metrics.`tempo_locking_sum`" in view["selectedColumns"]
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    taken.listen()
    command = [sys.executable, "-m", "dancing.cli", "ui", "--port", str(taken.getsockname()[1])]
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    taken.close()
    assert done.returncode == 1
    assert "is taken; give another one with --port" in done.stderr
