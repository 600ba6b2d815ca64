"""From the answers on the page to a video, with the figures that say how well the dance follows the music."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from dancing.metrics.motion import FPS, prepare
from dancing.metrics.rhythm import beats_within, body_speed, locking_spectrum, tempo_locking
from dancing.params import Params
from dancing.render import plots
from dancing.render.dance import Dance, DanceModels, generate_dance, write_dance
from dancing.render.layouts import OnFrame
from dancing.render.request import with_render
from dancing.trained import load_dance_models

_TITLE = "Speed of the body over the beats of the music"
_TABLE = Path("reports/motion.json")


@dataclass(frozen=True)
class Rendered:
    """A video with what is shown beside it."""

    video: Path
    speed: Figure  # of the body, over the beats of the music
    summary: str


def render(source: str, values: dict[str, Any], params: Params, out: Path, on_frame: OnFrame) -> Rendered:
    """Make a video.

    Args:
        source: of the models, see `load_dance_models`.
        values: of the section render, as far as the page asks for them.
        params: all others.
        out: the mp4 file.
        on_frame: called after each frame with its number, from 1, and the number of all.

    Raises:
        UserError: a value is not allowed, or the song or a model can't be read.
    """
    chosen = with_render(params, values, "the page")
    models, start = load_dance_models(source, chosen.render.guidance), time.perf_counter()
    dance = generate_dance(models, chosen.render)
    write_dance(out, dance, models, chosen, on_frame)
    return Rendered(out, *_figures(dance, models, time.perf_counter() - start))


def _figures(dance: Dance, models: DanceModels, took: float) -> tuple[Figure, str]:
    """The plot of the motion over the beats, and a summary as Markdown."""
    space = models.pose_model.space
    visible = np.ones(dance.landmarks.shape[:2], np.float32)
    motion = prepare(dance.landmarks, visible, models.pose_model.fps, space.width, space.height)
    beats = beats_within(dance.song.beats, motion.duration)
    figure = plots.speed_over_beats({_TITLE: {"ours": body_speed(motion)}}, {_TITLE: beats}, FPS)
    figure.set_size_inches(5.5, 2.6)  # of a column
    locking = tempo_locking(locking_spectrum(motion, beats))["tempo_locking_sum"]
    tempo = f"{60 / float(np.median(np.diff(beats))):.0f} beats a minute" if len(beats) > 1 else "no beat was found"
    follows = f"tempo locking **{locking:.2f}** (chance is 1{_real_locking()})"
    if np.isnan(locking):
        follows = "too short to say how well it follows the beat: take eight beats or more"
    return figure, f"{dance.song.seconds:.0f} s of dance, {tempo}, made in {took:.0f} s; {follows}."


def _real_locking() -> str:
    """The tempo locking of the real dancer, where the stage evaluate has measured it."""
    try:
        rows = json.loads(_TABLE.read_text(encoding="utf-8"))
        return f", the real dancer's {rows['real']['tempo_locking_sum']['mean']:.2f}"
    except (OSError, ValueError, LookupError, TypeError):
        return ""
