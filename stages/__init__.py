"""The stages of the pipelines, each run as `python -m stages.NAME`.

A stage reads params.yaml and the files of the stages before it, hands them to `dancing`, writes the files that dvc.yaml
names, and logs to MLflow. Only stages know paths.
"""

import sys
from pathlib import Path

# DVC runs experiments in a copy of the checkout. They must import the copy's code, not that of the editable install.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
