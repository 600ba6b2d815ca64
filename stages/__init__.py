"""The stages of the pipelines, each run as `python -m stages.NAME`.

A stage reads params.yaml and the files of the stages before it, hands them to `dancing`, writes the files that dvc.yaml
names, and logs to MLflow. Only stages know paths.
"""

import ctypes
import gc
import sys
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
