"""Run the benchmarks of speed and memory one after the other, and print what was measured beside its goal.

    python -m benchmarks
    python -m benchmarks --only extraction starts

They need the demo's dataset and models: `make demo` first. Each writes benchmarks/results/NAME.json, which
`make results` fills the documentation from. Together they take about two hours, with nothing else running; --quick
shows in minutes that all of them work, and writes no records.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.goals import RESULTS, table
from dancing.errors import exit_on_user_error

#: Benchmarks with the plot that they draw, if they do, and their arguments for a quick run.
BENCHMARKS: dict[str, tuple[str | None, list[str]]] = {
    "extraction": (None, ["--clips", "8", "--seconds", "2", "--size", "180", "320"]),
    "starts": (None, ["--rounds", "1"]),
    "training_speed": (None, ["--models", "lstm_vae", "--rounds", "1"]),
    "rendering": (None, []),
    "motion_length": ("motion_length.png", []),
    "image_memory": (None, ["--pictures", "500"]),
    "growth": ("growth.png", ["--clips", "1", "2", "--song", "2", "4"]),
    "gpu_presets": (None, []),
    "soak": ("soak.png", ["--clips", "4", "--minutes", "0.2"]),
}
FULL = {"training_speed": ["--busy"]}
DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Run them, and print the table of goals."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, default=list(BENCHMARKS), help="(all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, no records")
    options = parser.parse_args()
    failed = []
    with tempfile.TemporaryDirectory() as name:
        for benchmark in options.only:
            plot, quick = BENCHMARKS[benchmark]
            docs, results = (Path(name), Path(name)) if options.quick else (DOCS, RESULTS)
            arguments = quick if options.quick else FULL.get(benchmark, [])
            if plot:
                arguments = [*arguments, "--out", os.path.relpath(docs / plot)]
            arguments = [*arguments, "--json", os.path.relpath(results / f"{benchmark}.json")]
            print(f"\n== {benchmark}", flush=True)
            if subprocess.run([sys.executable, "-m", f"benchmarks.{benchmark}", *arguments], check=False).returncode:
                failed.append(benchmark)
    print("\n| what | goal | measured | |\n| --- | --- | --- | --- |")
    for row in table():
        print("| " + " | ".join(row) + " |")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    exit_on_user_error(main)
