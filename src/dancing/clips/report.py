"""The report on a folder of clips: as a table in the terminal, and as a web page with a picture of each clip."""

import base64
import html
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dancing.clips.extraction import ClipFeatures
from dancing.files import printable

_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; color: #222 }
table { border-collapse: collapse; width: 100% } td, th { padding: .5em .8em; text-align: left; vertical-align: top }
tr { border-top: 1px solid #ddd } svg { display: block; height: 10em; max-width: 14em }
.used { color: #17692b } .skipped { color: #a32020 } td:nth-child(2) { overflow-wrap: anywhere }
@media (max-width: 40em) { td, th, tr { display: block } th { display: none } }
"""
_JPEG_QUALITY = 80


def lines(reports: Sequence[dict[str, Any]]) -> Iterator[str]:
    """The report as lines for a terminal: what was used, and what was not, with the reasons.

    Args:
        reports: what `extraction.extract_folder` returned.
    """
    names = [printable(report["file"]) for report in reports]
    width = max(map(len, names), default=0)
    for name, report in zip(names, reports, strict=True):
        yield f"{name:<{width}}  {_state(report):<7}  {_remarks(report, '; ')}".rstrip()
    used = sum(report["used"] for report in reports)
    yield f"{used} used, {len(reports) - used} skipped"


def page(reports: Sequence[dict[str, Any]], features: Path) -> str:
    """The report as a web page that needs no other file.

    Args:
        reports: what `extraction.extract_folder` returned.
        features: the folder of the feature files.
    """
    rows = "\n".join(_row(report, features) for report in reports)
    used = sum(report["used"] for report in reports)
    return (
        f'<!doctype html>\n<html lang="en"><meta charset="utf-8"><title>Clips</title>\n<style>{_STYLE}</style>\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<h1>Clips</h1><p>{used} used, {len(reports) - used} skipped.</p>\n"
        f"<table><tr><th>picture<th>file<th>state<th>remarks</tr>\n{rows}\n</table></html>\n"
    )


def _row(report: dict[str, Any], features: Path) -> str:
    picture = _picture(ClipFeatures.load(features / f"{report['clip']}.npz")) if report["used"] else ""
    remarks = html.escape(_remarks(report, "\n")).replace("\n", "<br>")
    state = _state(report)
    return f'<tr><td>{picture}<td>{html.escape(printable(report["file"]))}<td class="{state}">{state}<td>{remarks}</tr>'


def _state(report: dict[str, Any]) -> str:
    return "used" if report["used"] else "skipped"


def _remarks(report: dict[str, Any], separator: str) -> str:
    if not report["used"]:
        return " ".join(report["reason"].split())
    parts = [f"{report['duration']:.1f} s", f"a pose in {report['detected']:.0%} of the frames"]
    if len(report["segments"]) > 1:
        parts.append(f"{len(report['segments'])} segments")
    return separator.join([", ".join(parts), *report["notes"]])


def _picture(clip: ClipFeatures) -> str:
    """The clip's thumbnail with the skeleton over it, as an SVG element; empty without a thumbnail."""
    from dancing.body.skeleton import BONES

    height, width = clip.thumbnail.shape[:2]
    if not height:
        return ""
    buffer = io.BytesIO()
    Image.fromarray(clip.thumbnail).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    pose = clip.pose.landmarks[clip.thumbnail_frame] * np.array([width, height])
    bones = "" if np.isnan(pose).any() else "".join(
        "M{:.1f} {:.1f}L{:.1f} {:.1f}".format(*pose[start], *pose[end]) for start, end in BONES
    )  # fmt: skip
    image = base64.b64encode(buffer.getvalue()).decode()
    return (
        f'<svg viewBox="0 0 {width} {height}"><image width="{width}" height="{height}" '
        f'href="data:image/jpeg;base64,{image}"/>'
        f'<path d="{bones}" stroke="#0f0" stroke-width="{width / 90:.1f}"/></svg>'
    )
