"""SIGKILL at random moments of the whole pipeline: the next `dvc repro` recovers, and ends with the same figures.

DANCING_KILLS sets the number of kills. It takes minutes, so it is left out where that is not set; `.ci/run` sets it.
"""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from checkout import environment, run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif("DANCING_KILLS" not in os.environ, reason="takes minutes: set DANCING_KILLS"),
]
KILLS = int(os.environ.get("DANCING_KILLS", "0"))


def results(project: Path) -> dict[str, bytes]:
    """Everything that the pipeline measured and made, but for dates."""
    files = [
        *project.glob("metrics/**/*"),
        *project.glob("models/**/*.pt"),
        project / "data/dataset.h5",
        project / "dance.npz",
    ]
    return {str(path.relative_to(project)): path.read_bytes() for path in files if path.is_file()}


def test_killed_pipelines_recover(project: Path):
    start = time.monotonic()
    run(project, "dvc", "repro")
    whole, wanted = time.monotonic() - start, results(project)
    run(project, "git", "clean", "-fdxq", "-e", "data/raw")
    rng = random.Random(1)
    for k in range(KILLS):
        process = subprocess.Popen(
            ["dvc", "repro"], cwd=project, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        try:
            # Over the whole run the first time; later runs have less left to do.
            process.wait(rng.uniform(1, whole if k == 0 else whole / 3))
            run(project, "git", "clean", "-fdxq", "-e", "data/raw")  # it was done: from the start
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    run(project, "dvc", "repro")
    assert results(project) == wanted
    assert not list(project.rglob(".*.partial"))
    import mlflow

    client = mlflow.MlflowClient(f"sqlite:///{project / 'mlflow.db'}")
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert "RUNNING" not in {mlflow_run.info.status for mlflow_run in found}
