"""What the project's speed should be, beside what the benchmarks have measured."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Goal:
    """A figure of a record, and the bound that it should keep.

    Attributes:
        title: what is measured.
        path: record and keys, joined by dots.
        bound: that the figure should reach.
        least: whether the bound is the least; otherwise it is the most.
        unit: of the figure; empty for ratios.
    """

    title: str
    path: str
    bound: float
    least: bool = True
    unit: str = ""

    def measured(self) -> float | None:
        """Return the figure; None if it has not been measured."""
        name, *keys = self.path.split(".")
        file = RESULTS / f"{name}.json"
        value: Any = json.loads(file.read_text(encoding="utf-8"))["values"] if file.exists() else None
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def row(self) -> list[str]:
        """Title, goal, figure, and whether the goal is met."""
        value, unit = self.measured(), f" {self.unit}" if self.unit else ""
        goal = f"{'at least' if self.least else 'at most'} {self.bound:g}{unit}"
        if value is None:
            return [self.title, goal, "", "not measured"]
        met = value >= self.bound if self.least else value <= self.bound
        return [self.title, goal, f"{value:.3g}{unit}", "met" if met else "missed"]


_MODELS = {
    "lstm_vae": "LSTM-VAE", "dense_gan": "dense GAN", "digits_gan": "digits GAN", "faces_gan": "faces DCGAN",
    "digits_vae": "digits VAE",
}  # fmt: skip
GOALS = (
    Goal("`dvc repro` of the demo", "durations.repro_s", 360, least=False, unit="s"),
    Goal("the same with one core busy, images of 128 px", "durations.repro_busy_s", 600, least=False, unit="s"),
    Goal("extraction, one core, over the tutorial's loop", "extraction.over_tutorial", 1.3),
    Goal("extraction, all cores over one, a core", "extraction.over_one_a_core", 0.9),
    *(Goal(f"{title}, over Keras on TensorFlow", f"training_speed.rows.{name}.ours_per_keras_tensorflow", 1)
      for name, title in _MODELS.items()),
    *(Goal(f"{title}, over Keras on PyTorch", f"training_speed.rows.{name}.ours_per_keras_torch", 2)
      for name, title in _MODELS.items()),
    *(Goal(f"{title}, over plain PyTorch", f"training_speed.rows.{name}.ours_per_plain", 1)
      for name, title in _MODELS.items()),
    *(Goal(f"{title}, one core busy, over Keras on TensorFlow",
           f"training_speed.busy_rows.{name}.ours_per_keras_tensorflow", 1)
      for name, title in _MODELS.items()),
    Goal("rendering at 128 px", "rendering.rows.128x72.rendering_fps", 60, unit="frames/s"),
    Goal("rendering at 256 px", "rendering.rows.256x144.rendering_fps", 45, unit="frames/s"),
    Goal("rendering at 128 px, over generator and encoder one after the other", "rendering.rows.128x72.over_both", 0.9),
    Goal("rendering at 256 px, the same", "rendering.rows.256x144.over_both", 0.9),
    Goal("`dvc repro` without changes", "starts.rows.dvc_repro.seconds", 3, least=False, unit="s"),
    Goal("start of the slowest stage", "starts.slowest_start_s", 4, least=False, unit="s"),
)  # fmt: skip


def table() -> list[list[str]]:
    """Rows of all goals, for `docgen.results` and for `python -m benchmarks`."""
    return [goal.row() for goal in GOALS]
