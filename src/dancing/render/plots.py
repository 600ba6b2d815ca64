"""Plots, skeletons and sheets of images. Only matplotlib and Pillow are needed, which MLflow installs anyway."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from PIL import Image, ImageDraw, ImageFont

from dancing.body.skeleton import BONES, LANDMARKS, LEFT_ANKLE, LEFT_WRIST, RIGHT_ANKLE, RIGHT_WRIST
from dancing.files import atomic_write

mpl.use("Agg")  # no display is needed
_LEFT, _RIGHT, _MIDDLE = (255, 138, 76), (64, 156, 255), (232, 232, 238)
BACKGROUND = (18, 20, 28)
CAPTION_HEIGHT = 22  # px, of the captions above a sheet's columns
NAME_WIDTH = 96  # px, of the captions to the left of a row of small images
MIN_HEIGHT = 64  # px, at which small images are shown
#: Landmarks whose trails are drawn.
_TRAILING = (LEFT_WRIST, RIGHT_WRIST, LEFT_ANKLE, RIGHT_ANKLE)
#: Height of the images on a contact sheet, px.
STILL_HEIGHT = 320
#: Line styles of the rows of the motion table, the same in every plot.
_LINES: dict[str, dict[str, Any]] = {
    "real": {"color": "0.15", "linewidth": 1.5},
    "ours": {"color": "tab:orange", "linewidth": 1.5},
    "lstm": {"color": "tab:green", "linewidth": 1.2},
    "retrieval": {"color": "tab:purple", "linewidth": 0.7},
    "ours_to_other_music": {"color": "tab:orange", "linewidth": 1.0, "linestyle": ":"},
}


def draw_skeleton(landmarks: np.ndarray, height: int, width: int, trail: np.ndarray | None = None) -> np.ndarray:
    """Draw a pose as a skeleton: its left side orange, its right side blue.

    Args:
        landmarks: (33, 2) in [0, 1]; NaN is left out.
        height: px.
        width: px.
        trail: (n, 33, 2) in [0, 1], the poses before it: the paths of hands and feet are drawn too, and fade with age.

    Returns:
        (height, width, 3) uint8.
    """
    scale = 2  # antialiasing: drawn at twice the size, then halved
    pixels = np.array([width, height]) * scale
    points = landmarks * pixels
    image = Image.new("RGB", (width * scale, height * scale), BACKGROUND)
    pen = ImageDraw.Draw(image)
    thick = max(height * scale // 90, 2)
    if trail is not None:
        paths = np.concatenate([trail * pixels, points[None]])
        for k, strength in enumerate(np.linspace(0.2, 1.0, len(trail))):
            for joint in _TRAILING:
                faint = np.array(BACKGROUND) * (1 - strength) + np.array(_colour(joint, joint)) * strength
                _stroke(pen, paths[k, joint], paths[k + 1, joint], max(thick * 2 // 3, 1), tuple(faint.astype(int)))
    for a, b in BONES:
        _stroke(pen, points[a], points[b], thick, _colour(a, b))
    neck, ears = points[[11, 12]].mean(axis=0), points[[7, 8]].mean(axis=0)
    _stroke(pen, neck, ears, thick, _MIDDLE)
    radius = 0.62 * float(np.linalg.norm(ears - neck))
    if np.isfinite(radius):
        pen.ellipse((*(ears - radius), *(ears + radius)), outline=_MIDDLE, width=max(thick * 2 // 3, 1))
    return np.asarray(image.reduce(scale))


def close_up(dances: Sequence[np.ndarray], width: int, height: int) -> tuple[list[np.ndarray], float]:
    """Crop to the smallest frame that contains all dances.

    Args:
        dances: (..., 33, 2) each, in [0, 1] of an image of width x height. NaN, and parts outside the image, don't
            count for the frame.
        width: px.
        height: px.

    Returns:
        The same dances in [0, 1] of the frame, and the frame's width over its height, at least 0.5.
    """
    size = np.array([width, height])
    points = np.concatenate([dance.reshape(-1, 2) for dance in dances])
    points = np.clip(points[np.isfinite(points).all(axis=1)], 0, 1) * size
    low, high = (points.min(axis=0), points.max(axis=0)) if len(points) else (np.zeros(2), size)
    tall = max(float((high - low)[1]), 1.0)
    frame = np.maximum(high - low + 0.2 * tall, [0.6 * tall, 0])  # with a margin: the top of the head has no landmark
    corner = (low + high - frame) / 2
    return [(dance * size - corner) / frame for dance in dances], float(frame[0] / frame[1])


def caption(text: str, height: int, width: int) -> np.ndarray:
    """Write text in the middle of an image (height, width, 3) uint8, in 20 px or as large as fits."""
    image = Image.new("RGB", (width, height), BACKGROUND)
    size = max(min(20.0, 0.7 * height, 1.6 * width / max(len(text), 1)), 4.0)
    pen, font = ImageDraw.Draw(image), ImageFont.load_default(size)
    pen.text((width / 2, height / 2), text, fill=_MIDDLE, font=font, anchor="mm")
    return np.asarray(image)


def _stroke(pen: ImageDraw.ImageDraw, start: np.ndarray, end: np.ndarray, thick: int, colour: tuple[int, ...]) -> None:
    if not np.isfinite([start, end]).all():
        return
    pen.line((*start, *end), fill=colour, width=thick)
    for x, y in (start, end):  # round ends
        pen.ellipse((x - thick / 2, y - thick / 2, x + thick / 2, y + thick / 2), fill=colour)


def _colour(a: int, b: int) -> tuple[int, int, int]:
    sides = {LANDMARKS[i].partition("_")[0] for i in (a, b)}
    return _LEFT if sides == {"left"} else _RIGHT if sides == {"right"} else _MIDDLE


def grid(rows: Sequence[Sequence[np.ndarray]], gap: int = 2) -> np.ndarray:
    """Join images row by row, with thin gaps.

    Args:
        rows: images (H, W, 3) uint8; equally high in a row, equally wide in a column. No row is longer than the first.
        gap: px.
    """
    tops = np.cumsum([0, *(row[0].shape[0] + gap for row in rows)])
    lefts = np.cumsum([0, *(picture.shape[1] + gap for picture in rows[0])])
    sheet = np.full((tops[-1] - gap, lefts[-1] - gap, 3), 255, dtype=np.uint8)
    for top, row in zip(tops, rows, strict=False):
        for left, picture in zip(lefts, row, strict=False):
            height, width = picture.shape[:2]
            sheet[top : top + height, left : left + width] = picture
    return sheet


def columns(shown: Mapping[str, Sequence[np.ndarray]], height: int, width: int) -> np.ndarray:
    """Sheet with a captioned column of each kind of image, and a row of each sample.

    The rows are divided into equal blocks side by side, so that the sheet is wider than high.

    Args:
        shown: caption -> images (H, W, 3) uint8, or poses (33, 2) in [0, 1], which are drawn; the same number of each.
        height: px, H.
        width: px, W.
    """
    rows = [
        [cell if cell.ndim == 3 else draw_skeleton(cell, height, width) for cell in row]
        for row in zip(*shown.values(), strict=True)
    ]
    square = (2 * len(rows) * height / (len(shown) * width)) ** 0.5
    whole = [n for n in range(1, len(rows) + 1) if len(rows) % n == 0]  # numbers of blocks that leave no gap
    blocks = min(whole, key=lambda n: abs(np.log(n / square)))
    header = [caption(name, CAPTION_HEIGHT, width) for name in shown]
    sheet = [header * blocks]
    sheet += [[cell for row in rows[i : i + blocks] for cell in row] for i in range(0, len(rows), blocks)]
    return grid(sheet)


def sample_grid(samples: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sheet of a GAN's fixed samples: pose, real image, generated image.

    Args:
        samples: "landmarks" (N, 33, 2) in [0, 1]; "real" and "generated" (N, H, W, 3) uint8.
    """
    height, width = samples["real"].shape[1:3]
    shown = {"pose": samples["landmarks"], "real": samples["real"], "ours": samples["generated"]}
    return columns({name: list(cells) for name, cells in shown.items()}, height, width)


def picture_sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Sheet of small images (H, W, 1 or 3) uint8, enlarged, about twice as wide as high."""
    return contact_sheet([enlarged(picture) for picture in pictures])


def picture_rows(shown: Mapping[str, Sequence[np.ndarray]]) -> np.ndarray:
    """Rows of small images (H, W, 1 or 3) uint8, enlarged, each with its caption on the left."""
    rows = []
    for name, pictures in shown.items():
        large = [enlarged(picture) for picture in pictures]
        rows.append([caption(name, large[0].shape[0], NAME_WIDTH), *large])
    return grid(rows)


def enlarged(picture: np.ndarray) -> np.ndarray:
    """Enlarge an image (H, W, C) by a whole factor, without interpolation, to at least `MIN_HEIGHT` px."""
    times = max(1, -(-MIN_HEIGHT // picture.shape[0]))
    return picture.repeat(times, axis=0).repeat(times, axis=1)


def heat(values: np.ndarray, highest: float) -> np.ndarray:
    """Colour values (..., H, W) as (..., H, W, 3) uint8: black is 0, the brightest colour is `highest` and above."""
    colours = mpl.colormaps["inferno"](np.clip(values / highest, 0, 1))
    return (255 * colours[..., :3]).astype(np.uint8)


def maps(shown: Mapping[str, np.ndarray], title: str) -> Figure:
    """Plot maps (H, W) side by side on the same colour scale, which begins at 0; NaN is grey."""
    height, width = next(iter(shown.values())).shape
    figure = Figure(figsize=(1.2 + 3.6 * len(shown) * width / height, 4.4), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    known = [values[np.isfinite(values)] for values in shown.values()]
    highest = max((float(np.percentile(values, 99.5)) for values in known if len(values)), default=0.0) or 1.0
    for axes, (name, values) in zip(panels, shown.items(), strict=True):
        image = axes.imshow(values, vmin=0, vmax=highest, cmap="inferno", interpolation="nearest")
        axes.set_facecolor("0.6")
        axes.set_title(name, fontsize=9)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(image, ax=panels, shrink=0.8, extend="max")
    figure.suptitle(title, fontsize=10)
    return figure


def dance_strip(dances: Mapping[str, np.ndarray], height: int, width: int, columns: int = 10) -> np.ndarray:
    """Draw dances (T, 33, 2) as rows of skeletons, evenly spaced in time, each with its caption on the left."""
    rows = []
    for name, dance in dances.items():
        moments = np.linspace(0, len(dance) - 1, columns).astype(int)
        rows.append([caption(name, height, width), *(draw_skeleton(dance[i], height, width) for i in moments)])
    return grid(rows)


def latent_traversal(
    traversal: np.ndarray, values: Sequence[float], names: Sequence[str], height: int, width: int
) -> np.ndarray:
    """Sheet with a row for each latent dimension and a column for each value: the last pose with its trail.

    Args:
        traversal: (dims, V, T, 33, 2) in [0, 1]: dances that differ in the value of one dimension.
        values: (V,) of that dimension, in standard deviations.
        names: of the dimensions.
        height: px, of a cell.
        width: px, of a cell.

    Returns:
        (H, W, 3) uint8.
    """
    rows = [[caption(text, 28, width) for text in ("", *(f"{value:+g} sd" if value else "0" for value in values))]]
    for name, dances in zip(names, traversal, strict=True):
        cells = [draw_skeleton(dance[-1], height, width, dance[:-1]) for dance in dances]
        rows.append([caption(name, height, width), *cells])
    return grid(rows)


def still(frame: np.ndarray) -> np.ndarray:
    """Reduce a frame (H, W, 3) uint8 for the contact sheet, to at most `STILL_HEIGHT` px."""
    image = Image.fromarray(frame)
    image.thumbnail((image.width, STILL_HEIGHT))
    return np.asarray(image)


def contact_sheet(stills: Sequence[np.ndarray]) -> np.ndarray:
    """Sheet of images of the same size, left to right and top to bottom, about twice as wide as high."""
    height, width = stills[0].shape[:2]
    rows = max(round((len(stills) * width / height / 2) ** 0.5), 1)
    columns = -(-len(stills) // rows)
    return grid([stills[i : i + columns] for i in range(0, len(stills), columns)])


def save_picture(path: Path, picture: np.ndarray) -> None:
    """Write an image (H, W, 3) uint8; the suffix says in which format. Creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        Image.fromarray(picture).save(partial, format=path.suffix[1:])


def save_figure(path: Path, figure: Figure) -> None:
    """Write a figure; the suffix says in which format. Creates the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as partial:
        # Without the library's version in the metadata the same plot gives the same bytes.
        figure.savefig(partial, format=path.suffix[1:], dpi=110, bbox_inches="tight", metadata={"Software": None})


def save_table(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    """Write rows with the same keys as a CSV file, for `dvc plots`; an empty file without rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys() if rows else (), lineterminator="\n")
        if rows:
            writer.writeheader()
        writer.writerows({key: f"{value:.6g}" for key, value in row.items()} for row in rows)


def curves(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Plot losses over epochs: one panel for each loss, with training and validation.

    Args:
        history: a row for each epoch: "epoch", and losses named "train_NAME" and "val_NAME".
        title: of the figure.
    """
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


def speed_over_beats(
    speeds: Mapping[str, Mapping[str, np.ndarray]], beats: Mapping[str, np.ndarray], fps: float
) -> Figure:
    """Plot body speed over time: one panel for each song, with the music's beats as vertical lines.

    Args:
        speeds: song -> row of the motion table -> (N,) torso lengths/s; NaN is a gap.
        beats: song -> (b,) s; those after the end of the dances are left out.
        fps: frames/s of the speeds.
    """
    figure = Figure(figsize=(11, 1.75 * len(speeds) + 0.7), layout="constrained")
    panels = figure.subplots(len(speeds), squeeze=False)[:, 0]
    for axes, (song, dances) in zip(panels, speeds.items(), strict=True):
        seconds = max(len(speed) for speed in dances.values()) / fps
        for beat in beats[song][(beats[song] >= 0) & (beats[song] < seconds)]:
            axes.axvline(beat, color="0.82", linewidth=0.8, zorder=0)
        for name, speed in dances.items():
            axes.plot(np.arange(len(speed)) / fps, speed, label=name, **_LINES.get(name, {}))
        axes.set_title(song, fontsize=9, loc="left", parse_math=False)
        axes.set_xlim(0, seconds)
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1].set_xlabel("s; grey lines are the music's beats", fontsize=9)
    figure.supylabel("mean joint speed, torso lengths/s", fontsize=9)
    _legend(figure, panels[0])
    return figure


def locking_spectra(
    spectra: Mapping[str, np.ndarray], stretches: np.ndarray, wrong: np.ndarray, panels: Sequence[str]
) -> Figure:
    """Plot how periodic each dance is with tempi around the music's own. A peak at 1 means that it follows the tempo.

    Args:
        spectra: row of the motion table -> (S, P) energy over its mean at the wrong tempi; NaN is left out.
        stretches: (S,) tempi, as multiples of the music's own, rising.
        wrong: (S,) bool, the tempi of the null, which are shaded.
        panels: titles of the P panels.
    """
    figure = Figure(figsize=(11, 5.6), layout="constrained")
    columns = -(-len(panels) // 2)
    for number, title in enumerate(panels):
        axes = figure.add_subplot(2, columns, number + 1)
        axes.fill_between(
            stretches, 0, 1, where=wrong, color="0.94", linewidth=0, transform=axes.get_xaxis_transform(),
            label="wrong tempi: their mean is 1",
        )  # fmt: skip
        axes.axvline(1, color="0.6", linewidth=0.8)
        axes.axhline(1, color="0.6", linewidth=0.8, linestyle="--")
        for name, spectrum in spectra.items():
            axes.plot(stretches, spectrum[:, number], label=name.replace("_", " "), **_LINES.get(name, {}))
        axes.set_xscale("log")
        axes.set_xticks([0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.4])
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlim(stretches[0], stretches[-1])
        axes.set_ylim(bottom=0)
        axes.tick_params(labelsize=8)
        axes.set_title(title, fontsize=9)
    figure.supxlabel("tempo, as a multiple of the music's own", fontsize=9)
    figure.supylabel("energy over chance", fontsize=9)
    _legend(figure, figure.axes[0])
    return figure


def _legend(figure: Figure, axes: Axes) -> None:
    """Add one legend for all panels, above them, with the lines of `axes`."""
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper center", ncols=6, frameon=False, fontsize=9)
