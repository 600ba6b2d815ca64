"""Walks through what a model has learnt: noise that moves smoothly, as a video, with a song on whose beats it steps.

Letters: T frames, K stops on the way, N walks side by side, Z noise.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dancing.media.song import SOUND_RATE, read_song
from dancing.media.video import VideoWriter
from dancing.noise_to_image.inference import NoiseToImage
from dancing.params import ImageRender
from dancing.render.plots import still

STRIDE = 1.2  # s from stop to stop without a song
HEARING = 30  # frames/s, the clock on which beats are heard


def between(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """From a to b, (N, Z) each, at shares (T,) of the way: (T, N, Z), along the sphere.

    Noise of many dimensions lies near a sphere: on a straight line it would pass through the middle, where the model
    has seen none (Shoemake, 1985; White, Sampling Generative Networks, 2016).
    """
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    cosine = (a / lengths[0] * (b / lengths[1])).sum(axis=-1, keepdims=True)
    angle = np.arccos(np.clip(cosine, -1 + 1e-6, 1 - 1e-6))
    share = share[:, None, None]
    way = (np.sin((1 - share) * angle) * a / lengths[0] + np.sin(share * angle) * b / lengths[1]) / np.sin(angle)
    return way * (lengths[0] + share * (lengths[1] - lengths[0]))


def walk(stops: np.ndarray, times: np.ndarray, at: np.ndarray, pulse: bool) -> np.ndarray:
    """Noise (T, N, Z) at times `at` (T,) of walks that are at stops (K, N, Z) at `times` (K,), both in s.

    pulse: it leaves a stop at once and slows down towards the next, so that it is seen to step; otherwise it leaves
    slowly too. Before the first stop and after the last it stands still.
    """
    legs = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = np.clip((at - times[legs]) / (times[legs + 1] - times[legs]), 0, 1)
    eased = 1 - (1 - share) ** 3 if pulse else share**2 * (3 - 2 * share)
    noise = np.empty((len(at), *stops.shape[1:]), stops.dtype)
    for leg in np.unique(legs):
        noise[legs == leg] = between(stops[leg], stops[leg + 1], eased[legs == leg])
    return noise


def write_walk(out: Path, samplers: Mapping[str, NoiseToImage], render: ImageRender) -> list[np.ndarray]:
    """Write the video: each model's `render.walks` pictures, a model below the other, all ending where they began.

    Returns a few of its pictures. Raises UserError where the song can't be read.
    """
    song = None if render.song is None else read_song(Path(render.song), HEARING, 1, render.seconds)
    seconds = render.seconds if song is None else len(song.features) / HEARING
    frames = max(round(seconds * render.fps), 1)
    times = np.arange(0.0, seconds, STRIDE) if song is None else song.beats
    times = np.unique(np.concatenate([[0.0], times, [seconds]]))
    streams = [_pictures(sampler, times, frames, song is not None, render) for sampler in samplers.values()]
    first = [next(stream) for stream in streams]
    height, width = sum(len(picture) for picture in first), max(picture.shape[1] for picture in first)
    stills = []
    wanted = set(np.linspace(0, frames - 1, 10).astype(int))
    with VideoWriter(
        out, render.fps, width, height, None if song is None else song.sound, SOUND_RATE, render.quality
    ) as video:
        for k in tqdm(range(frames), desc="render", unit=" frames", disable=None):
            rows = first if k == 0 else [next(stream) for stream in streams]
            picture = np.zeros((height, width, 3), np.uint8)
            top = 0
            for row in rows:
                picture[top : top + len(row), : row.shape[1]] = row
                top += len(row)
            video.write(picture)
            if k in wanted:
                stills.append(still(picture))
    return stills


def _pictures(
    sampler: NoiseToImage, times: np.ndarray, frames: int, pulse: bool, render: ImageRender
) -> Iterator[np.ndarray]:
    """One model's walks, (height, width, 3) uint8 a frame, in a sheet about twice as wide as high."""
    stops = sampler.noise((len(times) - 1) * render.walks, render.seed).reshape(-1, render.walks, sampler.size)
    stops = np.concatenate([stops, stops[:1]])
    columns = math.ceil((2 * render.walks) ** 0.5)
    for k in range(frames):
        noise = walk(stops, times, np.array([k / render.fps]), pulse)[0]
        yield _sheet(sampler.generate(noise.astype(np.float32)), columns, render.height)


def _sheet(pictures: np.ndarray, columns: int, height: int) -> np.ndarray:
    """Pictures (N, H, W, C) uint8 in rows, each enlarged to this height and an even width."""
    width = max(2, round(pictures.shape[2] * height / pictures.shape[1] / 2) * 2)
    sheet = np.zeros((-(-len(pictures) // columns) * height, columns * width, 3), np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * height, i % columns * width
        large = cv2.resize(picture, (width, height), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + height, left : left + width] = large if large.ndim == 3 else large[..., None]
    return sheet
