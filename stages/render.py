"""A song and the models -> dance.mp4 and the poses behind it; of a system of pictures, walk.mp4. By hand:

python -m stages.render --song x.mp3 --out y.mp4 --seconds 20 --seed 3 --layout picture
"""

import argparse
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dancing.errors import UserError, exit_on_user_error
from dancing.inference import Dancer, load_painter, load_samplers
from dancing.media.video import VideoWriter
from dancing.music_to_pose.beat_warping import snap
from dancing.params import ImageParams, Params, load_params, parse_params
from dancing.render import latent_walk, panels, plots
from dancing.render.layouts import GAN, VAE, Show
from dancing.tracking import stage_run

DANCE, WALK, SHEET = Path("dance.mp4"), Path("walk.mp4"), Path("plots/render/contact_sheet.png")


def main() -> None:
    params = load_params()
    usual = WALK if isinstance(params, ImageParams) else DANCE
    out, chosen = _arguments(params, usual)
    if out.suffix.lower() != ".mp4":
        raise UserError(f"{out}: the video is written as mp4; give a name that ends in .mp4")
    by_hand = out != usual
    sheet = out.with_suffix(".png") if by_hand else SHEET
    with nullcontext() if by_hand else stage_run("render", params) as run:
        if isinstance(chosen, ImageParams):
            stills = latent_walk.film(out, load_samplers(VAE, GAN), chosen.render)
        else:
            stills = _render(out, chosen)
        plots.save_picture(sheet, plots.contact_sheet(stills))
        if run:
            run.artifact(out)
            run.artifact(sheet)


def _arguments(params: Params | ImageParams, usual: Path) -> tuple[Path, Params | ImageParams]:
    """The video to write, and the params with the command line's choices."""
    render = params.render
    parser = argparse.ArgumentParser(prog="python -m stages.render", description="Make the dancer dance to a song.")
    parser.add_argument("--song", default=render.song, help="any file with sound (%(default)s)")
    parser.add_argument("--out", type=Path, default=usual, help="video to write (%(default)s)")
    parser.add_argument("--seconds", type=float, default=render.seconds, help="length of the video (%(default)s)")
    parser.add_argument("--seed", type=int, default=render.seed, help="which dance (%(default)s)")
    if isinstance(params, Params):
        parser.add_argument("--layout", default=params.render.layout, help="as params.render.layout (%(default)s)")
        parser.add_argument(
            "--stills", type=int, default=params.render.stills, help="frames on the sheet (%(default)s)"
        )
    chosen = vars(parser.parse_args())
    out = chosen.pop("out")
    values = params.model_dump()
    return out, parse_params(values | {"render": values["render"] | chosen}, "the command line", type(params))


def _render(out: Path, params: Params) -> list[np.ndarray]:
    """Write the video and its poses; the contact sheet's pictures are returned."""
    render = params.render
    dancer, painter = Dancer.load(VAE / "best.pt", render.guidance), load_painter(GAN)
    song = panels.read_song(Path(render.song), dancer.fps, dancer.n_mfcc, render.seconds)
    landmarks = dancer.dance(song.features, render.seed, render.temperature)
    if render.snap:
        pixels = np.array([dancer.space.width, dancer.space.height], dtype=np.float32)
        landmarks = snap(landmarks * pixels, song.beats, dancer.fps, render.snap) / pixels
    if painter:
        landmarks = painter.figure.fit(landmarks)
    fps = render.fps or dancer.fps
    show = Show(song, panels.resample(landmarks, dancer.fps, fps), fps, dancer.space, painter, params)
    stills = _film(out, show)
    np.savez_compressed(
        out.with_suffix(".npz"), landmarks=landmarks, fps=dancer.fps, width=dancer.space.width,
        height=dancer.space.height, beats=song.beats,
    )  # fmt: skip
    return stills


def _film(out: Path, show: Show) -> list[np.ndarray]:
    """Write the video; the contact sheet's pictures are returned."""
    render, frames, shown = show.params.render, len(show.poses), show.panels()
    wanted = set(np.linspace(0, frames - 1, render.stills).astype(int))
    stills, start = [], time.perf_counter()
    with VideoWriter(
        out, show.fps, width=len(shown) * show.width, height=render.height, audio=show.song.sound,
        sample_rate=panels.SOUND_RATE, crf=render.quality,
    ) as video:  # fmt: skip
        bar = tqdm(show.pictures(shown), desc="render", total=frames, unit=" frames", disable=None)
        for k, picture in enumerate(bar):
            video.write(picture)
            if k in wanted:
                stills.append(plots.still(picture))
    print(f"{out}: {frames} frames, {frames / (time.perf_counter() - start):.0f} frames/s")
    return stills


if __name__ == "__main__":
    exit_on_user_error(main)
