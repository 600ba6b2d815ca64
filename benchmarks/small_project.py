"""A copy of the project in another folder, with drawn clips, a composed song and the smallest params."""

import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psutil
import yaml

import stages  # noqa: F401

ROOT = Path(__file__).resolve().parents[1]
STAGES = ("extract_features", "build_hdf5", "train_vae", "train_gan", "evaluate", "render")
INTERVAL = 0.5  # s
SONG = 180  # s of music that are composed; a longer song repeats them


def make_project(project: Path, clips: int, seconds: float) -> None:
    """Copy the code, draw the clips, compose the song, and write the smallest params."""
    from dancing.media.sound import write_audio
    from dancing.presets import overlay_preset
    from data.demo import make
    from data.demo.music import SAMPLE_RATE, compose

    for folder in ("src", "stages"):
        shutil.copytree(ROOT / folder, project / folder)
    make.main(["clips", "--count", str(clips), "--seconds", "2", "2", "--seed", "1", "--out", str(project / "made")])
    sound = compose(120, SONG, np.random.default_rng(0)).sound
    repeated = np.concatenate([sound] * math.ceil(seconds / SONG))[: round(seconds * SAMPLE_RATE)]
    write_audio(project / "song.mp3", repeated, SAMPLE_RATE)
    smallest = (ROOT / "presets/dance/smoke.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(overlay_preset((ROOT / "params.yaml").read_text(encoding="utf-8"), smallest))
    values["data"]["clips"], values["render"]["song"], values["render"]["seconds"] = "made/clips", "song.mp3", None
    (project / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")


def memory(run: Sequence[str], folder: Path) -> np.ndarray:
    """Run a command; its time (s) and the resident memory of its processes (MB), (n, 2)."""
    start, rows = time.monotonic(), []
    environment = os.environ | {"PYTHONPATH": str(folder / "src")}
    process = psutil.Popen(run, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        rows.append((time.monotonic() - start, _resident(process)))
        time.sleep(INTERVAL)
    if process.returncode:
        sys.exit(f"{' '.join(run)} ended with status {process.returncode}")
    return np.array(rows)


def _resident(process: psutil.Process) -> float:
    total = 0
    try:
        for one in (process, *process.children(recursive=True)):
            total += one.memory_info().rss
    except psutil.NoSuchProcess:  # it has ended in between
        pass
    return total / 1e6
