"""Render a video: dance.mp4 and its poses from a song, or walk.mp4 of an image system.

By hand, with another song, say:

    python -m stages.render --song x.mp3 --out y.mp4 --seconds 20 --seed 3 --layout picture
"""

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

import numpy as np

from dancing.errors import UserError, exit_on_user_error
from dancing.files import atomic_write
from dancing.params import ImageParams, Params, load_params, parse_params
from dancing.render import plots
from dancing.tracking import stage_run

DANCE, WALK, SHEET = Path("dance.mp4"), Path("walk.mp4"), Path("plots/render/contact_sheet.png")
VAE, GAN = Path("models/vae"), Path("models/gan")


def main() -> None:
    """Render the video of the system that params.yaml is for."""
    params = load_params()
    default_out = WALK if isinstance(params, ImageParams) else DANCE
    out, params = _arguments(params, default_out)
    if out.suffix.lower() != ".mp4":
        raise UserError(f"{out}: the video is written as mp4; give a name that ends in .mp4")
    if not out.parent.is_dir():
        raise UserError(f"{out.parent}: no such folder; make it, or give another name with --out")
    if not os.access(out.parent, os.W_OK):
        raise UserError(f"{out.parent}: can't be written; give a name in another folder with --out")
    by_hand = out != default_out
    sheet = out.with_suffix(".png") if by_hand else SHEET
    with nullcontext() if by_hand else stage_run("render", params) as run:
        stills = render_walk(out, params) if isinstance(params, ImageParams) else render_dance(out, params)
        plots.save_picture(sheet, plots.contact_sheet(stills))
        if run:
            run.artifact(out)
            run.artifact(sheet)


def _arguments(params: Params | ImageParams, default_out: Path) -> tuple[Path, Params | ImageParams]:
    """Return the video to write, and the params with the command line's values."""
    render = params.render
    parser = argparse.ArgumentParser(
        prog="python -m stages.render", description="Render a dance to a song, or a walk of an image system."
    )
    parser.add_argument("--song", default=render.song, help="any file with sound (%(default)s)")
    parser.add_argument("--out", type=Path, default=default_out, help="video to write (%(default)s)")
    parser.add_argument("--seconds", type=float, default=render.seconds, help="length of the video (%(default)s)")
    parser.add_argument(
        "--seed", type=int, default=render.seed, help="random seed: another one gives another video (%(default)s)"
    )
    if isinstance(params, Params):
        parser.add_argument(
            "--layout",
            default=params.render.layout,
            help="panels to show, as render.layout in params.yaml (%(default)s)",
        )
        parser.add_argument(
            "--stills", type=int, default=params.render.stills, help="frames on the contact sheet (%(default)s)"
        )
    chosen = vars(parser.parse_args())
    out = chosen.pop("out")
    values = params.model_dump()
    return out, parse_params(values | {"render": values["render"] | chosen}, "the command line", type(params))


def render_dance(out: Path, params: Params) -> list[np.ndarray]:
    """Write the video of a dance, and its poses next to it as .npz.

    Returns:
        The images of the contact sheet.

    Raises:
        UserError: where a model or the song can't be read, or no panel of the layout can be shown.
    """
    from dancing.media.song import read_song
    from dancing.music_to_pose.beat_warping import warp_to_beats
    from dancing.music_to_pose.inference import MusicToPose
    from dancing.pose_to_image.inference import load_generator
    from dancing.render import panels
    from dancing.render.layouts import DanceVideo

    render = params.render
    pose_model, image_model = MusicToPose.load(VAE / "best.pt", render.guidance), load_generator(GAN)
    song = read_song(Path(render.song), pose_model.fps, pose_model.n_mfcc, render.seconds)
    landmarks = pose_model.generate(song.features, render.seed, render.temperature)
    if render.beat_warp:
        pixels = np.array([pose_model.space.width, pose_model.space.height], dtype=np.float32)
        landmarks = warp_to_beats(landmarks * pixels, song.beats, pose_model.fps, render.beat_warp) / pixels
    if image_model:
        landmarks = image_model.placement.fit(landmarks)
    fps = render.fps or pose_model.fps
    poses = panels.resample(landmarks, pose_model.fps, fps)
    stills = DanceVideo(song, poses, fps, pose_model.space, image_model, params).write(out)
    with atomic_write(out.with_suffix(".npz")) as partial, partial.open("wb") as file:
        np.savez_compressed(
            file, landmarks=landmarks, fps=pose_model.fps, width=pose_model.space.width,
            height=pose_model.space.height, beats=song.beats,
        )  # fmt: skip
    return stills


def render_walk(out: Path, params: ImageParams) -> list[np.ndarray]:
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
    exit_on_user_error(main)
