"""MLflow's runs in real stores: what a parent says of its stages, and what happens where a store can't be used."""

import os
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import mlflow
import pytest

from dancing.params import load_params
from dancing.tracking import stage_run


@pytest.fixture
def parent_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # where the lock lies
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")

    def status() -> tuple[str, set[str]]:
        runs = mlflow.MlflowClient().search_runs(["1"])
        (parent,) = (run for run in runs if "mlflow.parentRunId" not in run.data.tags)
        children = [run for run in runs if run is not parent]
        assert parent.info.end_time >= max(run.info.end_time for run in children)
        return parent.info.status, {f"{run.info.run_name} {run.info.status}" for run in children}

    yield status
    mlflow.set_tracking_uri(before)


@pytest.mark.slow
def test_a_parent_ends_as_its_last_stage_did(parent_status):
    params = load_params(Path(__file__).parents[1] / "params.yaml")
    with stage_run("train_vae", params):
        pass
    assert parent_status() == ("FINISHED", {"train_vae FINISHED"})
    with pytest.raises(ZeroDivisionError), stage_run("train_gan", params):
        _ = 1 / 0
    assert parent_status() == ("FAILED", {"train_vae FINISHED", "train_gan FAILED"})
    with stage_run("render", params):
        pass
    assert parent_status() == ("FINISHED", {"train_vae FINISHED", "train_gan FAILED", "render FINISHED"})


@pytest.mark.slow
@pytest.mark.parametrize("wanted", ["true", "false"])
def test_a_stage_logs_the_load_of_the_machine(parent_status, monkeypatch, wanted):
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", wanted)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.1")
    with stage_run("train_vae", load_params(Path(__file__).parents[1] / "params.yaml")):
        time.sleep(1)
    assert parent_status()[0] == "FINISHED"
    for run in mlflow.MlflowClient().search_runs(["1"]):
        logged = {name for name in run.data.metrics if name.startswith("system/")}
        assert bool(logged) == (wanted == "true" and "mlflow.parentRunId" in run.data.tags)
        assert not logged or {"system/cpu_utilization_percentage", "system/system_memory_usage_megabytes"} <= logged


# ------------------------------------------------------------------------------------------- stores that can't be used

PARAMS = load_params(Path(__file__).parents[1] / "params.yaml")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def runs(database: Path) -> dict[str, tuple[str, dict[str, float]]]:
    """Status and metrics of each run of a SQLite store, by its name."""
    client = mlflow.MlflowClient(f"sqlite:///{database}")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return {run.info.run_name: (run.info.status, run.data.metrics) for run in found}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def train(values: int = 2) -> float:
    """A stage that logs something; seconds that it took."""
    start = time.monotonic()
    with stage_run("train_vae", PARAMS) as run:
        for step in range(values):
            run.metrics({"loss": 1.0 - step}, step)
        run.headline({"best": 0.5})
    return time.monotonic() - start


def broken(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)


def newer(path: Path) -> None:
    code = f"import mlflow; mlflow.MlflowClient('sqlite:///{path}').search_experiments()"
    # In another process: this one would remember that the database was good.
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    with sqlite3.connect(path) as database:
        database.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")


@pytest.mark.slow
@pytest.mark.parametrize("uri", ["http://127.0.0.1:{port}", "gopher://somewhere", "postgresql://127.0.0.1:{port}/x"])
def test_a_store_that_is_not_there(project, monkeypatch, capfd, uri):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(port=free_port()))
    assert train() < 20
    assert runs(project / "mlflow.db")["train_vae"] == ("FINISHED", {"loss": 0.0, "best": 0.5})
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("warning: MLflow's store")
    assert str(project / "mlflow.db") in line


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [broken, newer])
def test_a_database_that_can_not_be_used(project, capfd, spoil):
    spoil(project / "mlflow.db")
    content = (project / "mlflow.db").read_bytes()
    assert train() < 30
    assert runs(project / ".cache/mlflow-fallback.db")["train_vae"][0] == "FINISHED"
    assert (project / "mlflow.db").read_bytes() == content
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_a_database_that_is_locked(project, capfd):
    train()
    with sqlite3.connect(project / "mlflow.db") as database:
        database.execute("BEGIN EXCLUSIVE")
        assert train() < 30
    assert "locked" in capfd.readouterr().err
    assert runs(project / ".cache/mlflow-fallback.db")["train_vae"][0] == "FINISHED"


@pytest.mark.slow
def test_a_deleted_experiment_comes_back(project, capfd):
    train()
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    client.delete_experiment(client.get_experiment_by_name(PARAMS.mlflow.experiment).experiment_id)
    train()
    assert "restored" in capfd.readouterr().err


@pytest.mark.slow
def test_a_server_that_dies_midway(project, monkeypatch, capfd):
    port = free_port()
    server = subprocess.Popen(
        [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
         "--backend-store-uri", f"sqlite:///{project / 'server.db'}"],
        cwd=project, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(120):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
        with stage_run("train_vae", PARAMS) as run:
            run.metrics({"loss": 2.0}, 0)
            os.killpg(server.pid, 9)
            server.wait()
            run.metrics({"loss": 1.0}, 1)
    finally:
        server.kill()
    assert runs(project / "mlflow.db")["train_vae"] == ("FINISHED", {"loss": 1.0})
    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    (found,) = client.search_runs(["1"], "attributes.run_name = 'train_vae'")
    assert [metric.value for metric in client.get_metric_history(found.info.run_id, "loss")] == [2.0, 1.0]
    assert len(capfd.readouterr().err.splitlines()) == 1


@pytest.mark.slow
def test_runs_of_a_killed_process_are_ended(project):
    code = (
        "import os, sys; from dancing.params import load_params; from dancing.tracking import stage_run\n"
        "with stage_run('train_gan', load_params(sys.argv[1])): os.kill(os.getpid(), 9)"
    )
    params = Path(__file__).parents[1] / "params.yaml"
    assert subprocess.run([sys.executable, "-c", code, params], cwd=project, check=False).returncode == -9
    assert runs(project / "mlflow.db")["train_gan"][0] == "RUNNING"
    with stage_run("train_vae", PARAMS):
        statuses = {name: status for name, (status, _) in runs(project / "mlflow.db").items()}
        assert statuses.pop("train_vae") == "RUNNING"
        assert statuses.pop("train_gan") == "KILLED"
    with pytest.raises(KeyboardInterrupt), stage_run("render", PARAMS):
        raise KeyboardInterrupt
    assert {status for status, _ in runs(project / "mlflow.db").values()} == {"KILLED", "FINISHED"}
