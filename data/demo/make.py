"""Generate the data of the demo: dance clips with their true landmarks, songs for inference, heads, and digits.

    python -m data.demo.make clips
    python -m data.demo.make songs
    python -m data.demo.make heads
    python -m data.demo.make digits

The same arguments give the same bytes.
"""

import argparse
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from joblib import Parallel, delayed
from tqdm import tqdm

import stages  # noqa: F401
from dancing.files import atomic_write
from dancing.media.sound import write_audio
from dancing.media.video_writer import VideoWriter
from data.demo.camera import Camera
from data.demo.dance import perform, plan
from data.demo.dancer import draw_frames
from data.demo.digits import digits
from data.demo.heads import draw_heads
from data.demo.music import SAMPLE_RATE, compose

TITLES = (
    "apricot", "bluebird", "carousel", "driftwood", "ember", "firefly", "gingko", "harbour", "indigo", "juniper",
    "kite", "lantern", "marigold", "nightbus", "orchard", "paperboat",
)  # fmt: skip
CLIP_TEMPI = (90, 140)  # BPM, slowest and fastest
SONG_TEMPI = (104, 124)  # BPM, likewise
HEADS_AT_ONCE = 250  # heads a task


def make_clip(name: str, bpm: float, seed: list[int], options: argparse.Namespace) -> None:
    """Generate a song, a dance to it and their video: clips/NAME.mp4 and truth/NAME.npz.

    The .npz file is a landmark file (see `dancing.body.mocap`) with the additional array "beats" in seconds.

    Args:
        name: name of the files without suffix.
        bpm: tempo of the song.
        seed: seed of the random generator.
        options: out, seconds, fps, width and height of the command line.
    """
    cv2.setNumThreads(1)  # clips are made in parallel already
    rng = np.random.default_rng(seed)
    song = compose(bpm, rng.uniform(*options.seconds), rng)
    body = perform(song, plan(song, rng), options.fps, rng)
    pixels = Camera(options.width, options.height).project(body.landmarks())
    landmarks = (pixels / [options.width, options.height]).astype(np.float32)
    truth = {
        "landmarks": landmarks,
        "visibility": np.ones(landmarks.shape[:2], np.float32),  # the whole body is in the image
        "fps": options.fps,
        "width": options.width,
        "height": options.height,
        "beats": song.beats,
    }
    _save(options.out / "truth" / f"{name}.npz", truth)
    with VideoWriter(
        options.out / "clips" / f"{name}.mp4", fps=options.fps, width=options.width, height=options.height,
        audio=song.sound, sample_rate=SAMPLE_RATE,
    ) as video:  # fmt: skip
        for frame in draw_frames(body, options.width, options.height, seed=seed[-1]):
            video.write(frame)


def make_song(name: str, bpm: float, seed: list[int], options: argparse.Namespace) -> None:
    """Generate a song: songs/NAME.mp3.

    Args:
        name: name of the file without suffix.
        bpm: tempo of the song.
        seed: seed of the random generator.
        options: out and seconds of the command line.
    """
    rng = np.random.default_rng(seed)
    song = compose(bpm, rng.uniform(*options.seconds), rng)
    write_audio(options.out / "songs" / f"{name}.mp3", song.sound, SAMPLE_RATE)


def make_heads(first: int, count: int, options: argparse.Namespace) -> None:
    """Draw some of the heads: heads/NUMBER.png.

    Args:
        first: number of the first one.
        count: how many.
        options: out, size and seed of the command line.
    """
    cv2.setNumThreads(1)
    for number, head in enumerate(draw_heads(count, options.size, [options.seed, first]), start=first):
        cv2.imwrite(str(options.out / "heads" / f"{number:05d}.png"), head[..., ::-1])


def make_digits(options: argparse.Namespace) -> None:
    """Write digits.npz, see `data.demo.digits`, to the folder `options.out`."""
    _save(options.out / "digits.npz", digits())


def _save(path: Path, arrays: dict) -> None:
    """Write an .npz file completely or not at all."""
    with atomic_write(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _clips(options: argparse.Namespace) -> Iterable[Callable[[], None]]:
    """The tasks for all clips. The tempi are shuffled, so that the split does not depend on the tempo."""
    tempi = np.random.default_rng(options.seed).permutation(np.linspace(*CLIP_TEMPI, options.count).round())
    for i, bpm in enumerate(tempi):
        title = TITLES[i % len(TITLES)]
        yield partial(make_clip, f"{i + 1:02d}_{title}", float(bpm), [options.seed, i], options)


def _songs(options: argparse.Namespace) -> Iterable[Callable[[], None]]:
    for i, bpm in enumerate(np.linspace(*SONG_TEMPI, options.count).round()):
        yield partial(make_song, f"song_{i + 1}", float(bpm), [options.seed, i], options)


def _heads(options: argparse.Namespace) -> Iterable[Callable[[], None]]:
    for first in range(0, options.count, HEADS_AT_ONCE):
        yield partial(make_heads, first, min(HEADS_AT_ONCE, options.count - first), options)


def _digits(options: argparse.Namespace) -> Iterable[Callable[[], None]]:
    yield partial(make_digits, options)


#: Kinds of data: the folders to create, and a function that returns the tasks.
KINDS = {
    "clips": (("clips", "truth"), _clips),
    "songs": (("songs",), _songs),
    "heads": (("heads",), _heads),
    "digits": ((), _digits),
}


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m data.demo.make", description="Generate the data of the demo.")
    kinds = parser.add_subparsers(dest="kind", required=True)
    for kind in KINDS:
        sub = kinds.add_parser(kind, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument("--out", type=Path, default=Path("data/demo"), help="folder to write into")
        sub.add_argument("--jobs", type=int, default=-1, help="processes; -1: one a core")
    for kind, count, seed in (("clips", 12, 1), ("songs", 2, 101), ("heads", 4000, 1)):
        kinds.choices[kind].add_argument("--count", type=int, default=count, help=f"how many {kind}")
        kinds.choices[kind].add_argument("--seed", type=int, default=seed, help="of the random generator")
    for kind, seconds in (("clips", (12.0, 16.0)), ("songs", (31.0, 36.0))):
        kinds.choices[kind].add_argument(
            "--seconds", type=float, nargs=2, metavar=("LO", "HI"), default=seconds, help="range of lengths, s"
        )
    for name, default in (("width", 360), ("height", 640), ("fps", 30)):
        kinds.choices["clips"].add_argument(f"--{name}", type=int, default=default, help="of the video")
    kinds.choices["heads"].add_argument("--size", type=int, default=64, help="of the images, px")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Generate one kind of data.

    Args:
        arguments: arguments of the command line; by default those of this process.
    """
    options = _arguments(arguments)
    folders, tasks = KINDS[options.kind]
    for folder in (".", *folders):
        (options.out / folder).mkdir(parents=True, exist_ok=True)
    todo = list(tasks(options))
    made = Parallel(n_jobs=options.jobs, return_as="generator_unordered")(delayed(task)() for task in todo)
    for _ in tqdm(made, total=len(todo), desc=options.kind, disable=None):
        pass


if __name__ == "__main__":
    main()
