"""A checkout of the project elsewhere, with two clips, a song and the smallest params, for tests that run DVC there."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from conftest import ROOT, smoke_params

from data.demo import make

STAGES = ("extract_features", "build_hdf5", "train_vae", "train_gan", "evaluate", "render")


def run(project: Path, *command: str, **more: str) -> str:
    """A command of this environment in the project; its output. Fails the test where the command fails.

    more: variables of the environment.
    """
    env = environment() | more
    result = subprocess.run(command, cwd=project, env=env, capture_output=True, text=True, check=False)
    output = result.stdout + result.stderr
    assert result.returncode == 0, f"{' '.join(command)}:\n{output}"
    return output


def environment() -> dict[str, str]:
    """This environment's programs, and nothing that says where another project's runs or data are."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "DVC", "GIT"))}
    return env | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"}


def ran(output: str) -> set[str]:
    return {stage for stage in STAGES if f"Running stage '{stage}'" in output}


def make_checkout(project: Path) -> Path:
    """Copy the working tree to a folder, with two clips, a song and the smallest params. Returns the folder."""
    files = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in files.stdout.splitlines():
        if (ROOT / name).is_file() and name != "dvc.lock" and not name.endswith(".dvc"):
            (project / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, project / name, follow_symlinks=False)
    made = project / "made"
    make.main(["clips", "--count", "2", "--seconds", "2", "2", "--seed", "5", "--out", str(made)])
    make.main(["songs", "--count", "1", "--seconds", "2", "2", "--seed", "6", "--out", str(made)])
    values = yaml.safe_load(smoke_params())
    (made / "clips").rename(project / "data/raw")
    values["data"]["clips"], values["render"]["song"] = "data/raw", "made/songs/song_1.mp3"
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    # Says which file the code came from: the checkout's, not that of the environment's editable install.
    with open(project / "src/dancing/training/adversarial.py", "a", encoding="utf-8") as code:
        code.write('\nprint("code from", __file__)\n')
    run(project, "git", "init", "-q")
    run(project, "git", "config", "user.email", "test@example.com")
    run(project, "git", "config", "user.name", "Test")
    run(project, "dvc", "add", "-q", "data/raw")  # so that experiments in other checkouts have the clips
    run(project, "git", "add", "-A")
    run(project, "git", "commit", "-qm", "start")
    return project
