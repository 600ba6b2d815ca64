"""The stages of the pipelines, each run as `python -m stages.NAME`.

A stage reads params.yaml and the files of the stages before it, hands them to `dancing`, writes the files that dvc.yaml
names, and logs to MLflow. Only stages know paths.
"""

import argparse
import ctypes
import gc
import inspect
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

# DVC runs experiments in a copy of the checkout. They must import the copy's code, not that of the editable install.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

# Imports make objects by the hundred thousand and no garbage. Looking for it less often saves a fifth of their time.
gc.set_threshold(50_000)

# By default, glibc returns large blocks to the system when they are freed, and gets them back, page by page, in the
# next step of a training. To keep them makes steps 10 to 20 % faster, and takes no more memory at its peak.
if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):  # musl has none
    for option, value in ((-1, 2**31 - 1), (-3, 2**30)):  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, in bytes
        ctypes.CDLL(None).mallopt(option, value)


@dataclass(frozen=True)
class Made:
    """What a stage made.

    Attributes:
        made: files.
        figure: how good it is, in one figure.
    """

    made: str
    figure: str


Result = Made | None

#: What follows each stage.
NEXT = {
    "check_params": "",
    "extract_features": "build_hdf5 puts the clips that can be used into one file",
    "build_hdf5": "train_vae and train_gan learn from it",
    "train_vae": "train_gan trains the images, evaluate measures both",
    "train_gan": "evaluate measures the models, render makes the video",
    "evaluate": "open reports/index.html; dvc exp show compares experiments",
    "render": "open the video; for the dance, `dancing render SONG` takes another song and `dancing app` opens a page",
}


def launch(main: Callable[[], Result]) -> None:
    """Run a stage that has no options: `--help` explains it, anything else on the command line is refused.

    `main` loads params.yaml first and imports PyTorch, MLflow and the like after that: they take seconds, for which
    neither `--help` nor a refusal should wait.

    Args:
        main: of the stage; the docstring of its module is the help. It returns what it made.
    """
    from dancing.errors import exit_on_user_error

    stage = inspect.getfile(main)
    parser = argparse.ArgumentParser(
        prog=f"python -m stages.{Path(stage).stem}",
        description=inspect.getdoc(inspect.getmodule(main)),
        epilog="It reads params.yaml in the current folder and has no options. `dvc repro` runs it when it is needed.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.parse_args()
    exit_on_user_error(lambda: told(Path(stage).stem, main))


def told(stage: str, main: Callable[[], Result]) -> None:
    """Run the `main` of a stage, and say in three lines what it made, how long that took and what comes next."""
    start = time.perf_counter()
    result = main()
    if result is None or os.environ.get("RANK", "0") != "0":
        return
    seconds = time.perf_counter() - start
    took = f"{seconds:.0f} s" if seconds < 100 else f"{seconds // 60:.0f} min {seconds % 60:.0f} s"
    print(f"{stage} made {result.made} in {took}")
    print(f"  {result.figure}")
    print(f"  next: {NEXT[stage]}")
