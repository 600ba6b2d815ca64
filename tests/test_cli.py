"""The command `dancing`: what it refuses, and how soon; the check of clips before any training."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, smoke_params
from drawn_dancer import draw, empty_room, write_clip

import stages
from dancing import cli
from dancing.body.detection import PoseTrack
from dancing.clips.advice import advice
from dancing.media.video import probe

STAGES = sorted(path.stem for path in (ROOT / "stages").glob("[a-z]*.py"))
SLOW = {"torch", "mlflow", "mediapipe", "librosa", "cv2", "matplotlib", "gradio", "scipy", "sklearn", "h5py", "numba"}


def imported(folder: Path, *arguments: str) -> tuple[int, str, set[str]]:
    """Run `python -m ...`; its exit status, what it printed, and which of `SLOW` it imported."""
    code = (
        "import atexit, os, runpy, sys\n"
        f"atexit.register(lambda: print('IMPORTED', *sorted({SLOW!r} & set(sys.modules)), file=sys.stderr))\n"
        f"sys.argv = {list(arguments)!r}\nrunpy.run_module({arguments[0]!r}, run_name='__main__', alter_sys=True)"
    )
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    told, _, names = (done.stdout + done.stderr).rpartition("IMPORTED")
    return done.returncode, told, set(names.split())


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "presets").mkdir()
    (tmp_path / "params.yaml").write_text(smoke_params(), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_explains_itself_and_refuses_before_it_imports_much(project: Path, stage: str):
    status, told, names = imported(project, f"stages.{stage}", "--help")
    assert (status, names) == (0, set())
    assert f"python -m stages.{stage}" in told
    assert imported(project, f"stages.{stage}", "--no-such-option")[0] == 2
    (project / "params.yaml").write_text(smoke_params().replace("latent_dim:", "latent_dims:"), encoding="utf-8")
    status, told, names = imported(project, f"stages.{stage}")
    assert (status, names) == (1, set())
    assert "vae.latent_dims: unknown key; did you mean latent_dim?" in told
    assert "Traceback" not in told


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--help"], 0, "dancing check FOLDER"),
        (["render", "--help"], 0, "dancing render song.mp3"),
        (["render", "none.mp3"], 1, "none.mp3: no such file"),
        (["render", "params.yaml", "--out", "x.gif"], 1, "x.gif: the video is written as mp4"),
        (["render", "params.yaml", "--layout", "pictures"], 1, "render.layout: expected 'side_by_side'"),
        (["render", "params.yaml"], 1, "models/vae/best.pt: no model is trained yet; `dvc repro` trains one"),
        (["check", "nowhere"], 1, "nowhere: no such folder"),
        (["preset", "nothing"], 1, "nothing: no such preset"),
        (["dance"], 2, "No such command"),
    ],
)
def test_help_and_refusals_come_before_slow_imports(project: Path, arguments: list[str], status: int, message: str):
    ended, told, names = imported(project, "dancing.cli", *arguments)
    assert (ended, names) == (status, set())
    assert message in re.sub(r"[\s│]+", " ", told)
    assert "Traceback" not in told


def test_an_empty_folder_of_clips_says_what_to_do(project: Path):
    params = project / "params.yaml"
    params.write_text(params.read_text(encoding="utf-8").replace("data/demo/clips", "data/raw"), encoding="utf-8")
    (project / "data/raw/sub").mkdir(parents=True)
    (project / "data/raw/.hidden").touch()
    status, told, names = imported(project, "stages.check_params")
    assert (status, names) == (1, set())
    assert "data.clips: data/raw is empty; put videos of a dancer with their music into it" in told
    (project / "data/raw/sub/a.mp4").touch()
    assert imported(project, "stages.check_params")[0] == 0


def test_a_stage_says_what_it_made_and_what_comes_next(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch):
    stages.told("train_vae", lambda: stages.Made("models/vae", "loss 1.5"))
    made, figure, following = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"train_vae made models/vae in \d+ s", made)
    assert (figure, following) == ("  loss 1.5", f"  next: {stages.NEXT['train_vae']}")
    stages.told("train_gan", lambda: None)  # nothing is trained
    monkeypatch.setenv("RANK", "1")  # one of several processes
    stages.told("train_vae", lambda: stages.Made("models/vae", "loss 1.5"))
    assert capsys.readouterr().out == ""
    assert set(stages.NEXT) == set(STAGES)


def test_outside_the_project(tmp_path: Path):
    status, told, _ = imported(tmp_path, "dancing.cli", "render", "x.mp3")
    assert status == 1
    assert "run from the project's folder" in told


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["dancing", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.app()
    return ended.value.code


@pytest.mark.slow
def test_render_from_any_folder_of_the_project(trained: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("presets", "elsewhere"):
        (trained / name).mkdir()
    monkeypatch.chdir(trained / "elsewhere")
    assert run(monkeypatch, "render", "../song.wav", "--out", "y.mp4", "--seconds", "0.5", "--format", "square") == 0
    info = probe(trained / "elsewhere/y.mp4")
    assert (info.width, info.height, info.duration) == (1080, 1080, pytest.approx(0.5))


@pytest.mark.slow
def test_check_says_what_would_be_used(project: Path, monkeypatch: pytest.MonkeyPatch, capsys):
    clips = project / "clips"
    for name in ("good", "poor"):
        end = [empty_room()] * (45 if name == "poor" else 0)
        write_clip(clips / f"{name}.mp4", [draw(k / 5) for k in range(150)] + end)
    monkeypatch.chdir(project)
    assert run(monkeypatch, "check", "clips") == 0
    told = capsys.readouterr().out
    assert "2 used, 0 skipped" in told
    assert re.search(r"poor\.mp4 .*nobody is seen in the last 1\.[3-5] s: cut them off if they are an end card", told)
    assert re.search(r"training takes at most about \d+ s here", told)
    (clips / "broken.mp4").write_bytes(b"not a video")
    assert run(monkeypatch, "check", "clips", "--no-estimate", "--report", "page.html") == 1
    assert "2 used, 1 skipped" in capsys.readouterr().out
    page = (project / "page.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "nobody is seen in the last" in page
    assert not (project / "data").exists()  # nothing of the pipeline's is written


def test_advice():
    rows, rng = 300, np.random.default_rng(1)
    landmarks = rng.uniform(0.2, 0.8, (rows, 33, 2)).astype(np.float32)

    def told(landmarks: np.ndarray, detected: np.ndarray | None = None) -> str:
        seen = np.ones(rows, bool) if detected is None else detected
        return " ".join(advice(PoseTrack(landmarks, np.ones((rows, 33), np.float32), seen, [(0, rows)]), rows / 30))

    assert told(landmarks) == ""
    cut = landmarks.copy()
    cut[:249, 27, 1] = 1.2
    assert told(cut) == "the feet are out of the picture in 83% of the frames: film the whole body"
    cut = landmarks.copy()
    cut[:90, 16, 0] = -0.1
    assert "hands are out of the picture in 30%" in told(cut)
    small = landmarks.copy()
    small[..., 1] = 0.5 + (landmarks[..., 1] - 0.5) / 4
    assert re.match(r"the dancer fills 1\d% of the picture's height", told(small))
    gaps = np.arange(rows) % 20 < 15
    assert "the pose was lost 15 times" in told(landmarks, gaps)
    assert "nobody is seen in the last 2.0 s" in told(landmarks, np.arange(rows) < 240)
    assert told(landmarks, np.zeros(rows, bool)) == ""
