"""A song and both models -> dance.mp4 and the poses behind it. By hand, with another song, length or dance:

python -m stages.render --song x.mp3 --out y.mp4 --seconds 20 --seed 3
"""

import argparse
from contextlib import nullcontext
from pathlib import Path

import numpy as np
from tqdm import tqdm

from dancing import rendering
from dancing.errors import exit_on_user_error
from dancing.inference import Dancer, Painter
from dancing.params import Render, load_params
from dancing.tracking import stage_run
from dancing.video import VideoWriter

OUT = Path("dance.mp4")


def main() -> None:
    params = load_params()
    options = _arguments(params.render)
    by_hand = options.out != OUT
    with nullcontext() if by_hand else stage_run("render", params) as run:
        _render(options, params.render)
        if run:
            run.artifact(options.out)


def _arguments(render: Render) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m stages.render", description="Make the dancer dance to a song.")
    parser.add_argument("--song", type=Path, default=Path(render.song), help="any file with sound (%(default)s)")
    parser.add_argument("--out", type=Path, default=OUT, help="video to write (%(default)s)")
    parser.add_argument("--seconds", type=float, default=render.seconds, help="length of the video (%(default)s)")
    parser.add_argument("--seed", type=int, default=render.seed, help="which dance (%(default)s)")
    return parser.parse_args()


def _render(options: argparse.Namespace, render: Render) -> None:
    dancer, painter = Dancer.load(Path("models/vae/best.pt")), Painter.load(Path("models/gan/best.pt"))
    song = rendering.read_song(options.song, dancer.fps, dancer.n_mfcc, options.seconds)
    landmarks = dancer.dance(song.features, options.seed, render.temperature)
    height, width = rendering.panel_size(painter, render.height)
    with VideoWriter(
        options.out, fps=dancer.fps, width=2 * width, height=height, audio=song.sound,
        sample_rate=rendering.SOUND_RATE, crf=render.quality,
    ) as video:  # fmt: skip
        pictures = rendering.frames(landmarks, painter, render.height)
        for picture in tqdm(pictures, desc="render", total=len(landmarks), unit="frame", disable=None):
            video.write(picture)
    np.savez_compressed(
        options.out.with_suffix(".npz"), landmarks=landmarks, fps=dancer.fps, width=painter.width,
        height=painter.height, beats=song.beats,
    )  # fmt: skip


if __name__ == "__main__":
    exit_on_user_error(main)
