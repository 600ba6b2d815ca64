"""The stages of the pipelines, each run as `python -m stages.NAME`.

A stage reads params.yaml and the files of the stages before it, hands them to `dancing`, writes the files that dvc.yaml
names, and logs to MLflow. Only stages know paths.
"""

import argparse
import ctypes
import gc
import inspect
import sys
from collections.abc import Callable
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


def launch(main: Callable[[], None]) -> None:
    """Run a stage that has no options: `--help` explains it, anything else on the command line is refused.

    `main` loads params.yaml first and imports PyTorch, MLflow and the like after that: they take seconds, for which
    neither `--help` nor a refusal should wait.

    Args:
        main: of the stage; the docstring of its module is the help.
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
    exit_on_user_error(main)
