"""The six stages of the pipeline, each run as ``python -m stages.NAME``."""

import sys
from pathlib import Path

# An experiment that DVC runs in a copy of the checkout must import the copy's code, not that of the editable install.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
