"""Latent walk: a video of a model's images while its noise moves smoothly from stop to stop, on the beats of a song.

Letters: T frames, K stops, N walks side by side, Z noise.
"""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dancing.media.song import SOUND_RATE, read_song
from dancing.media.video_writer import VideoWriter
from dancing.noise_to_image.inference import NoiseToImage
from dancing.params import ImageRender
from dancing.render.plots import still

STRIDE = 1.2  # s from stop to stop without a song
FEATURE_FPS = 30  # frames/s, at which the song's beats are detected


def slerp(a: np.ndarray, b: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Interpolate spherically between noise vectors.

    Normal noise of many dimensions lies near a sphere. A straight line leaves it, so that the model would get noise
    unlike that of training (Shoemake, 1985; White, Sampling Generative Networks, 2016).

    Args:
        a: (N, Z).
        b: (N, Z).
        share: (T,) in [0, 1]; 0 is a, 1 is b.

    Returns:
        (T, N, Z).
    """
    lengths = [np.linalg.norm(x, axis=-1, keepdims=True) for x in (a, b)]
    cosine = (a / lengths[0] * (b / lengths[1])).sum(axis=-1, keepdims=True)
    angle = np.arccos(np.clip(cosine, -1 + 1e-6, 1 - 1e-6))
    share = share[:, None, None]
    unit = (np.sin((1 - share) * angle) * a / lengths[0] + np.sin(share * angle) * b / lengths[1]) / np.sin(angle)
    return unit * (lengths[0] + share * (lengths[1] - lengths[0]))


def walk(stops: np.ndarray, times: np.ndarray, at: np.ndarray, pulse: bool) -> np.ndarray:
    """Noise of walks from stop to stop; constant before the first stop and after the last.

    Args:
        stops: (K, N, Z).
        times: (K,) s, when the walks are at the stops.
        at: (T,) s, when the noise is wanted.
        pulse: start fast at a stop and slow down towards the next, so that every stop is visible as a step; otherwise
            start slowly too.

    Returns:
        (T, N, Z).
    """
    legs = np.clip(np.searchsorted(times, at, side="right") - 1, 0, len(times) - 2)
    share = np.clip((at - times[legs]) / (times[legs + 1] - times[legs]), 0, 1)
    eased = 1 - (1 - share) ** 3 if pulse else share**2 * (3 - 2 * share)
    noise = np.empty((len(at), *stops.shape[1:]), stops.dtype)
    for leg in np.unique(legs):
        noise[legs == leg] = slerp(stops[leg], stops[leg + 1], eased[legs == leg])
    return noise


def write_walk(out: Path, samplers: Mapping[str, NoiseToImage], render: ImageRender) -> list[np.ndarray]:
    """Write a video of `render.walks` walks of each model, one model below the other. Every walk ends where it began.

    Args:
        out: file to write.
        samplers: row name -> model.
        render: the section of params.yaml.

    Returns:
        Ten frames for the contact sheet, evenly spaced.

    Raises:
        UserError: where the song can't be read.
    """
    song = None if render.song is None else read_song(Path(render.song), FEATURE_FPS, 1, render.seconds)
    seconds = render.seconds if song is None else len(song.features) / FEATURE_FPS
    frames = max(round(seconds * render.fps), 1)
    times = np.arange(0.0, seconds, STRIDE) if song is None else song.beats
    times = np.unique(np.concatenate([[0.0], times, [seconds]]))
    streams = [_frames(sampler, times, frames, song is not None, render) for sampler in samplers.values()]
    first = [next(stream) for stream in streams]
    height, width = sum(len(sheet) for sheet in first), max(sheet.shape[1] for sheet in first)
    stills = []
    wanted = set(np.linspace(0, frames - 1, 10).astype(int))
    with VideoWriter(
        out, render.fps, width, height, None if song is None else song.sound(), SOUND_RATE, render.quality
    ) as video:
        for k in tqdm(range(frames), desc="render", unit=" frames", disable=None):
            rows = first if k == 0 else [next(stream) for stream in streams]
            frame = np.zeros((height, width, 3), np.uint8)
            top = 0
            for row in rows:
                frame[top : top + len(row), : row.shape[1]] = row
                top += len(row)
            video.write(frame)
            if k in wanted:
                stills.append(still(frame))
    return stills


def _frames(
    sampler: NoiseToImage, times: np.ndarray, frames: int, pulse: bool, render: ImageRender
) -> Iterator[np.ndarray]:
    """Yield one model's part of each frame, (height, width, 3) uint8, about twice as wide as high."""
    stops = sampler.noise((len(times) - 1) * render.walks, render.seed).reshape(-1, render.walks, sampler.size)
    stops = np.concatenate([stops, stops[:1]])
    columns = math.ceil((2 * render.walks) ** 0.5)
    for k in range(frames):
        noise = walk(stops, times, np.array([k / render.fps]), pulse)[0]
        yield _sheet(sampler.generate(noise.astype(np.float32)), columns, render.height)


def _sheet(images: np.ndarray, columns: int, height: int) -> np.ndarray:
    """Images (N, H, W, C) uint8 in rows, each resized to this height and an even width."""
    width = max(2, round(images.shape[2] * height / images.shape[1] / 2) * 2)
    sheet = np.zeros((-(-len(images) // columns) * height, columns * width, 3), np.uint8)
    for i, image in enumerate(images):
        top, left = i // columns * height, i % columns * width
        large = cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC)
        sheet[top : top + height, left : left + width] = large if large.ndim == 3 else large[..., None]
    return sheet
