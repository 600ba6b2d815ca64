"""Every plot and picture. Nothing here needs more than matplotlib and Pillow, which MLflow brings to any machine."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

from dancing.skeleton import BONES, LANDMARKS

mpl.use("Agg")  # no display is needed
_LEFT, _RIGHT, _MIDDLE = (255, 138, 76), (64, 156, 255), (232, 232, 238)
_GROUND = (18, 20, 28)


def draw_skeleton(landmarks: np.ndarray, height: int, width: int) -> np.ndarray:
    """One pose (33, 2) in [0, 1] as a picture (height, width, 3) uint8: its left side orange, its right side blue."""
    scale = 2  # drawn at twice the size and halved: smooth edges
    points = landmarks * np.array([width, height]) * scale
    image = Image.new("RGB", (width * scale, height * scale), _GROUND)
    pen = ImageDraw.Draw(image)
    thick = max(height * scale // 90, 2)
    for a, b in BONES:
        _stroke(pen, points[a], points[b], thick, _colour(a, b))
    neck, ears = points[[11, 12]].mean(axis=0), points[[7, 8]].mean(axis=0)
    _stroke(pen, neck, ears, thick, _MIDDLE)
    radius = 0.62 * float(np.linalg.norm(ears - neck))
    pen.ellipse((*(ears - radius), *(ears + radius)), outline=_MIDDLE, width=max(thick * 2 // 3, 1))
    return np.asarray(image.reduce(scale))


def _stroke(pen: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, thick: int, colour: tuple[int, ...]) -> None:
    pen.line((*start, *end), fill=colour, width=thick)
    for x, y in (start, end):  # round ends
        pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)


def _colour(a: int, b: int) -> tuple[int, int, int]:
    sides = {LANDMARKS[i].partition("_")[0] for i in (a, b)}
    return _LEFT if sides == {"left"} else _RIGHT if sides == {"right"} else _MIDDLE


def grid(rows: Sequence[Sequence[np.ndarray]], gap: int = 2) -> np.ndarray:
    """Pictures of one size, row by row, into one picture with thin gaps."""
    height, width = rows[0][0].shape[:2]
    columns = max(len(row) for row in rows)
    sheet = np.full((len(rows) * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        for j, picture in enumerate(row):
            top, left = i * (height + gap), j * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def sample_grid(samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """A GAN's fixed samples: poses, real pictures, generated pictures, a row each."""
    height, width = samples["real"].shape[1:3]
    skeletons = [draw_skeleton(pose, height, width) for pose in samples["landmarks"]]
    return grid([skeletons, list(samples["real"]), list(samples["generated"])])


def dance_strip(dances: Mapping[str, np.ndarray], height: int, width: int, columns: int = 10) -> np.ndarray:
    """Dances (T, 33, 2) as rows of skeletons, evenly spaced in time."""
    return grid(
        [
            [draw_skeleton(dance[i], height, width) for i in np.linspace(0, len(dance) - 1, columns).astype(int)]
            for dance in dances.values()
        ]
    )


def contact_sheet(frames: Sequence[np.ndarray], columns: int) -> np.ndarray:
    """Pictures of one size, left to right and top to bottom."""
    return grid([frames[i : i + columns] for i in range(0, len(frames), columns)])


def save_picture(path: Path, picture: np.ndarray) -> None:
    """(H, W, 3) uint8 -> a file by its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


def save_figure(path: Path, figure: Figure) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Without a date and a version in the file the same plot is the same bytes.
    figure.savefig(path, dpi=110, bbox_inches="tight", metadata={"Software": None})


def save_table(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Rows with the same keys -> a CSV file, for `dvc plots`; without rows an empty one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else (), lineterminator="\n")
        if rows:
            writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)


def curves(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Losses over epochs, a panel a name; training and validation in one panel."""
    names = [key for key in history[0] if key != "epoch"]
    panels = sorted({name.partition("_")[2] for name in names})
    figure = Figure(figsize=(3.4 * min(len(panels), 4), 2.6 * -(-len(panels) // 4)))
    for number, panel in enumerate(panels):
        axes = figure.add_subplot(-(-len(panels) // 4), min(len(panels), 4), number + 1)
        for name in names:
            if name.partition("_")[2] == panel:
                losses = [row[name] for row in history]
                axes.plot([row["epoch"] for row in history], losses, label=name.partition("_")[0])
        axes.set_title(panel.replace("_", " "), fontsize=9)
        axes.set_xlabel("epoch", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.legend(fontsize=7, frameon=False)
    figure.suptitle(title, fontsize=10)
    figure.tight_layout()
    return figure


def speed_over_beats(speeds: Mapping[str, np.ndarray], beats: np.ndarray, fps: float, title: str) -> Figure:
    """Mean joint speed of each dance over time (torso lengths/s), with the music's beats as lines."""
    figure = Figure(figsize=(9, 2.8))
    axes = figure.add_subplot()
    for beat in beats:
        axes.axvline(beat, color="0.85", linewidth=0.8, zorder=0)
    for name, speed in speeds.items():
        axes.plot(np.arange(len(speed)) / fps, speed, label=name, linewidth=1.2)
    axes.set_xlabel("s")
    axes.set_ylabel("torso lengths/s")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False, fontsize=8)
    return figure
