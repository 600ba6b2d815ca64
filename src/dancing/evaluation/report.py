"""The report of an evaluation: one web page that needs no network, with tables, videos and pictures."""

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from dancing.metrics.bootstrap_cells import Cell, Row

_STYLE = """
:root { color-scheme: light dark; --line: #8884 }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 76em; padding: 0 1em }
.wide { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .35em .8em; text-align: right; border-top: 1px solid var(--line); white-space: nowrap }
td:first-child, th:first-child { text-align: left } th { vertical-align: bottom; font-weight: 600 }
[title] { cursor: help; text-decoration: underline dotted; text-underline-offset: .25em }
tr.ours { background: #ff8a4c22 } video, img { max-width: 100%; border-radius: 6px } video { max-height: 70vh }
figure { margin: 1.5em 0 } figcaption { opacity: .75 }
.card { border: 1px solid var(--line); border-radius: 8px; margin: 2em 0; padding: 0 1.5em 1em; overflow-x: auto }
.card p, .card li { max-width: 60em }
"""


@dataclass(frozen=True)
class Column:
    """A metric in a table.

    Attributes:
        heading: above the column.
        meaning: what it measures, and which value is good.
        spec: one of Python's format specs.
    """

    heading: str
    meaning: str
    spec: str = ".2f"


MOTION = {
    "magnitude": Column("amount of movement", "Mean speed of the joints over the real dance's. Real 1, frozen 0."),
    "f1": Column("beat F1", "F1 of moments of rest against the music's beats, within 70 ms. Chance 0.2 to 0.3."),
    "tempo_locking_sum": Column(
        "tempo locking",
        "How much of the motion repeats with 1 to 4 beats, over wrong tempi. Chance 1; the aim is the real value.",
    ),
    "jerk": Column("jerk", "Mean third difference over the real dance's. Real 1; jitter is far above."),
    "foot_slide": Column(
        "foot slide", "Share of frames in which a foot on the floor moves sideways. The aim is the real value.", ".0%"
    ),
    "mmd_ratio": Column(
        "kinetic MMD",
        "Distance of the kinetic features from real ones, over its usual size between real dances. About 1 or less.",
    ),
}
IMAGE = {
    "ssim_crop": Column("SSIM, person", "Structural similarity in the person's box. 1 is identical."),
    "psnr_crop": Column("PSNR, person", "Peak signal-to-noise ratio in the person's box, dB. Higher is better.", ".1f"),
    "pck_20": Column(
        "pose found again",
        "Share of joints that a detector finds within 0.2 torso lengths of the pose that was asked for.",
        ".0%",
    ),
    "detection_rate": Column("pose detected", "Share of frames in which a pose is found at all.", ".0%"),
    "sharpness": Column(
        "sharpness", "Contrast of neighbouring pixels of the person, over the real one. A blur: near 0."
    ),
    "mask_iou": Column(
        "outline", "Overlap of the person's mask with the real one: intersection over union. 1 is identical."
    ),
    "flicker_ratio": Column("flicker", "Change between frames outside the person's box, over the real one. Real 1."),
    "coverage": Column("coverage", "Share of the real variety that is reached. The aim is the value of real frames."),
}
GENERATED = {
    "classifier_score": Column("classifier score", "exp of the mean KL divergence of the classes; for digits, of 10."),
    "accuracy": Column("accuracy", "Share of reconstructions that are taken for the right digit.", ".1%"),
    "feature_mmd_ratio": Column(
        "own-feature MMD", "Distance from real training images, over its usual size between real ones. Lower is better."
    ),
    "density": Column("density", "How many generated images lie where real ones are. The aim is the real value."),
    "coverage": Column("coverage", "Share of the real variety that is reached. The aim is the real value."),
    "diversity": Column("diversity", "Mean distance of two images over that of two real ones. A collapsed GAN: 0."),
}
#: What the rows are.
ROWS = {
    "ours": "the trained model",
    "normal_prior": "the same VAE without its flow prior",
    "lstm": "the original model",
    "ours_beat_warped": "ours, with rests moved onto the beat",
    "retrieval": "real training dance, warped to the beat: the strongest cheap baseline",
    "frozen": "a still pose: a control",
    "jitter": "white noise around a still pose: a control",
    "real": "the held-out data: the ceiling",
    "ours_to_other_music": "ours, measured against other music: chance",
    "real_to_other_music": "real dance, measured against other music: chance",
    "ours_60s": "dances of at least a minute",
    "dense": "the original model",
    "nearest": "the training frame with the nearest pose",
    "reencoded": "real frames once through the video codec",
    "shuffled": "images of other poses: chance",
    "mean_frame": "the mean training frame, with nobody in it",
    "ours_danced": "images of generated poses",
    "gan": "samples of the GAN",
    "vae": "samples of the VAE",
    "tanh": "samples of the GAN with a plain tanh",
    "mean_picture": "the mean training image",
}


def page(
    title: str,
    tables: Mapping[str, tuple[Mapping[str, Row], Mapping[str, Column]]],
    videos: Mapping[str, str],
    pictures: Iterable[Path],
    texts: Iterable[str],
) -> str:
    """Return the page.

    Args:
        title: of the page.
        tables: heading -> rows, and the columns that are shown of them.
        videos: caption -> address of a file beside the page.
        pictures: files that become part of the page, captioned with their paths.
        texts: in Markdown, such as a model card.
    """
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for heading, (rows, columns) in tables.items():
        parts.append(f"<h2>{html.escape(heading)}</h2>{_table(rows, columns)}")
    if any(rows for rows, _ in tables.values()):
        parts.append("<p>Point at a name or a figure to see its meaning, its interval, and on how many it rests.</p>")
    for caption, address in videos.items():
        parts.append(
            f'<figure><video controls preload="metadata" src="{html.escape(address)}"></video>'
            f"<figcaption>{html.escape(caption)}</figcaption></figure>"
        )
    for path in pictures:
        data = base64.b64encode(path.read_bytes()).decode()
        name = html.escape(path.as_posix())
        parts.append(
            f'<figure><img alt="{name}" src="data:image/png;base64,{data}"><figcaption>{name}</figcaption></figure>'
        )
    # Names of clips are part of the texts: HTML in them is shown as it is, and nothing is fetched for them.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table").disable(["image", "link", "autolink"])
    parts += [f'<section class="card">{markdown.render(text)}</section>' for text in texts]
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>\n'
        + "\n".join(parts)
        + "\n</html>\n"
    )


def _table(rows: Mapping[str, Row], columns: Mapping[str, Column]) -> str:
    """A table of the columns that at least one row has."""
    if not rows:
        return "<p>Nothing was trained, so nothing was measured.</p>"
    shown = {key: column for key, column in columns.items() if any(_known(row.get(key)) for row in rows.values())}
    head = "".join(
        f'<th><span title="{html.escape(column.meaning)}">{html.escape(column.heading)}</span>'
        for column in shown.values()
    )
    body = "".join(_line(name, row, shown) for name, row in rows.items() if any(_known(row.get(key)) for key in shown))
    return f'<div class="wide"><table><tr><th>{head}</tr>{body}</table></div>'


def _line(name: str, row: Row, columns: Mapping[str, Column]) -> str:
    meaning = f' title="{html.escape(ROWS[name])}"' if name in ROWS else ""
    cells = "".join(f"<td>{_cell(row.get(key), column.spec)}" for key, column in columns.items())
    return f'<tr class="{html.escape(name)}"><td><span{meaning}>{html.escape(name)}</span>{cells}</tr>'


def _cell(cell: Cell | None, spec: str) -> str:
    if cell is None or cell["mean"] is None:
        return "-"
    ends = cell["ci95"]
    interval = f"95 % interval {ends[0]:{spec}} to {ends[1]:{spec}}, " if ends else ""
    return f'<span title="{interval}n = {cell["n"]}">{_text(cell, spec)}</span>'


def _known(cell: Cell | None) -> bool:
    return cell is not None and cell["mean"] is not None


def markdown_table(rows: Mapping[str, Row], columns: Mapping[str, Column], names: Sequence[str]) -> str:
    """Some rows as a table in Markdown, those that are there."""
    chosen = {name: rows[name] for name in names if name in rows}
    shown = {key: column for key, column in columns.items() if any(_known(row.get(key)) for row in chosen.values())}
    lines = [["", *(column.heading for column in shown.values())], ["---", *["---:"] * len(shown)]]
    lines += [[name, *(_text(row.get(key), shown[key].spec) for key in shown)] for name, row in chosen.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _text(cell: Cell | None, spec: str) -> str:
    return "-" if cell is None or cell["mean"] is None else format(cell["mean"], spec)
