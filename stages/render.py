"""Render a video: dance.mp4 and its poses from a song, or walk.mp4 of an image system.

By hand, with another song, say:

    python -m stages.render --song x.mp3 --out y.mp4 --seconds 20 --seed 3 --layout picture
"""

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dancing.errors import exit_on_user_error
from dancing.params import ImageParams, Params, load_params
from dancing.render.request import check_request, with_render
from dancing.tracking import stage_run
from stages import Made, told

if TYPE_CHECKING:
    import numpy as np

SUMMARY = Path("metrics/summary.json")
DANCE, WALK, SHEET = Path("dance.mp4"), Path("walk.mp4"), Path("plots/render/contact_sheet.png")
VAE, GAN = Path("models/vae"), Path("models/gan")


def main() -> Made | None:
    """Render the video of the system that params.yaml is for."""
    params = load_params()
    out, params = _arguments(params)
    check_request(out, params.render.song)
    if out not in (DANCE, WALK):  # by hand, which is no experiment
        _render(out, out.with_suffix(".png"), params)
        return None
    with stage_run("render", params) as run:
        _render(out, SHEET, params)
        run.artifact(out, "videos", parent=True)
        run.artifact(SHEET, parent=True)
        run.headline(_known_figures())
    return Made(str(out), f"{params.render.seconds or 'all'} s of {params.render.song or 'no song'}")


def _arguments(params: Params | ImageParams) -> tuple[Path, Params | ImageParams]:
    """Return the video to write, and the params with the command line's values."""
    render = params.render
    parser = argparse.ArgumentParser(
        prog="python -m stages.render", description="Render a dance to a song, or a walk of an image system."
    )
    default_out = WALK if isinstance(params, ImageParams) else DANCE
    parser.add_argument("--out", type=Path, default=default_out, help="video to write (%(default)s)")

    def option(key: str, kind: type, text: str) -> None:
        parser.add_argument(f"--{key}", type=kind, default=getattr(render, key), help=f"{text} (%(default)s)")

    option("song", str, "any file with sound")
    option("seconds", float, "length of the video")
    option("seed", int, "random seed: another one gives another video")
    if isinstance(params, Params):
        option("start", float, "where in the song the video starts, in seconds")
        option("layout", str, "panels to show, as render.layout in params.yaml")
        option("format", str, "shape of the video, as render.format in params.yaml")
        option("stills", int, "frames on the contact sheet")
    chosen: dict[str, Any] = vars(parser.parse_args())
    out = chosen.pop("out")
    return out, with_render(params, chosen, "the command line")


def _render(out: Path, sheet: Path, params: Params | ImageParams) -> None:
    """Write the video and its contact sheet."""
    from dancing.render import plots

    stills = render_walk(out, params) if isinstance(params, ImageParams) else render_dance(out, params)
    plots.save_picture(sheet, plots.contact_sheet(stills))


def _known_figures() -> dict[str, float]:
    """The figures that the stage evaluate has measured of the models in use; none if they were trained since.

    An experiment that changes the video alone does not run evaluate, and would have no figures in MLflow.
    """
    try:
        stages = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]
        measured = {entry["path"]: entry["md5"] for entry in stages["evaluate"]["deps"]}
        for stage, path in (("train_vae", VAE), ("train_gan", GAN)):
            made = {entry["path"]: entry["md5"] for entry in stages[stage]["outs"]}
            if made[path.as_posix()] != measured[path.as_posix()]:
                return {}
        figures: dict[str, float] = json.loads(SUMMARY.read_text(encoding="utf-8"))
    except (OSError, LookupError, TypeError, ValueError):  # a run by hand, or none of evaluate yet
        return {}
    return figures


def render_dance(out: Path, params: Params) -> "list[np.ndarray]":
    """Write the video of a dance, and its poses next to it as .npz.

    Returns:
        The images of the contact sheet.

    Raises:
        UserError: where a model or the song can't be read, or no panel of the layout can be shown.
    """
    from dancing.render.dance import DanceModels, generate_dance, write_dance

    models = DanceModels.load(VAE, GAN, params.render.guidance)
    return write_dance(out, generate_dance(models, params.render), models, params)


def render_walk(out: Path, params: ImageParams) -> "list[np.ndarray]":
    """Write a latent walk of an image system's models.

    Returns:
        The images of the contact sheet.

    Raises:
        UserError: where a model or the song can't be read.
    """
    from dancing.noise_to_image.inference import load_models
    from dancing.render.latent_walk import write_walk

    return write_walk(out, load_models(VAE, GAN), params.render)


if __name__ == "__main__":
    exit_on_user_error(lambda: told("render", main))
