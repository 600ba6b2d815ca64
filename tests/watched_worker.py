"""Preloaded by the workers of test_cluster.py. Each extraction is a line in $EXTRACTIONS, `PROCESS FILE`."""

import os
import signal
from pathlib import Path
from typing import Any


def dask_setup(_: Any) -> None:
    """Called by Dask once in each worker."""
    from dancing.clips import extraction

    original = extraction.extract_clip

    def watched(path: Path, settings: extraction.ExtractionSettings) -> extraction.ClipFeatures:
        with open(os.environ["EXTRACTIONS"], "a", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {path.name}\n")
        if path.name.startswith("crash"):
            os.kill(os.getpid(), signal.SIGSEGV)
        return original(path, settings)

    extraction.extract_clip = watched
