"""A song and the models -> dance.mp4 and the poses behind it. By hand, with another song, length or dance:

python -m stages.render --song x.mp3 --out y.mp4 --seconds 20 --seed 3
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dancing import figures, rendering
from dancing.errors import UserError, exit_on_user_error
from dancing.inference import Dancer, load_painter
from dancing.params import Render, load_params
from dancing.snapping import snap
from dancing.tracking import stage_run
from dancing.video import VideoWriter

OUT, SHEET = Path("dance.mp4"), Path("plots/render/contact_sheet.png")
#: How many of the video's frames, evenly spaced, are on the contact sheet.
STILLS = 10


def main() -> None:
    params = load_params()
    options = _arguments(params.render)
    by_hand = options.out != OUT
    with nullcontext() if by_hand else stage_run("render", params) as run:
        stills = _render(options, params.render)
        if run:
            figures.save_picture(SHEET, figures.contact_sheet(stills, columns=STILLS // 2))
            run.artifact(options.out)
            run.artifact(SHEET)


def _arguments(render: Render) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.render", description="Make the dancer dance to a song.")
    parser.add_argument("--song", type=Path, default=Path(render.song), help="any file with sound (%(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="video to write (%(default)s)")
    parser.add_argument("--seconds", type=float, default=render.seconds, help="length of the video (%(default)s)")
    parser.add_argument("--seed", type=int, default=render.seed, help="which dance (%(default)s)")
    return parser.parse_args()


def _render(options: argparse.Namespace, render: Render) -> list[np.ndarray]:
    """Write the video and its poses; the contact sheet's pictures are returned."""
    if options.out.suffix.lower() != ".mp4":
        raise UserError(f"{options.out}: the video is written as mp4; give a name that ends in .mp4")
    dancer, painter = Dancer.load(Path("models/vae/best.pt"), render.guidance), load_painter(Path("models/gan"))
    song = rendering.read_song(options.song, dancer.fps, dancer.n_mfcc, options.seconds)
    landmarks = dancer.dance(song.features, options.seed, render.temperature)
    if render.snap:
        pixels = np.array([dancer.space.width, dancer.space.height], dtype=np.float32)
        landmarks = snap(landmarks * pixels, song.beats, dancer.fps, render.snap) / pixels
    if painter:
        landmarks = painter.figure.fit(landmarks)
    width = rendering.panel_width(dancer.space, render.height)
    with VideoWriter(
        options.out, fps=dancer.fps, width=2 * width if painter else width, height=render.height, audio=song.sound,
        sample_rate=rendering.SOUND_RATE, crf=render.quality,
    ) as video:  # fmt: skip
        pictures = rendering.frames(landmarks, painter, render.height, width)
        wanted = set(np.linspace(0, len(landmarks) - 1, STILLS).astype(int))
        stills = []
        for k, picture in enumerate(tqdm(pictures, desc="render", total=len(landmarks), unit="frame", disable=None)):
            video.write(picture)
            if k in wanted:
                stills.append(picture)
    np.savez_compressed(
        options.out.with_suffix(".npz"), landmarks=landmarks, fps=dancer.fps, width=dancer.space.width,
        height=dancer.space.height, beats=song.beats,
    )  # fmt: skip
    return stills


if __name__ == "__main__":
    exit_on_user_error(main)
