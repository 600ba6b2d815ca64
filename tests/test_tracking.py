"""MLflow's runs in a real store: what a parent says of its stages."""

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
