"""Reads files whose paths come on stdin, one a line, and says what became of each: the child process of test_fuzz.py.

    python tests/fuzz_reader.py KIND

KIND is a key of `READERS`. The answer is "ok", "refused", or the exception that no user should see.
"""

import resource
import sys
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import numpy as np

from dancing.body import mocap
from dancing.clips.dataset import open_dataset
from dancing.clips.extraction import ClipFeatures
from dancing.errors import UserError
from dancing.h5 import SPLITS
from dancing.media.sound import read_audio
from dancing.media.video import probe, read_frames
from dancing.music_to_pose.inference import MusicToPose
from dancing.noise_to_image.dataset import open_images
from dancing.noise_to_image.inference import NoiseToImage
from dancing.noise_to_image.sources import Report, read_idx, read_image, read_images
from dancing.params import ImageParams, load_params
from dancing.pose_to_image.inference import PoseToImage

MEMORY = 6 * 2**30  # bytes of address space, of which PyTorch's libraries take a part


def clip(path: Path) -> None:
    probe(path)
    deque(islice(read_frames(path, 30), 600), maxlen=0)
    read_audio(path, 15_360)


def arrays(path: Path) -> None:
    params = load_params(Path(__file__).parents[1] / "pipelines/digits/params.yaml")
    assert isinstance(params, ImageParams)
    deque(read_images(path, params.data, Report()), maxlen=0)


def dataset(path: Path) -> None:
    with open_dataset(path) as opened:
        for piece in opened.with_frames().pieces:
            opened.frames(piece)


def images(path: Path) -> None:
    with open_images(path) as opened:
        for split in SPLITS:
            opened.stored(split)[:]


def vae(path: Path) -> None:
    model = MusicToPose.load(path)
    model.generate(np.zeros((40, len(model.audio_mean)), np.float32), 0, 1.0)


def gan(path: Path) -> None:
    model = PoseToImage.load(path)
    for setup in {0, *model.setups.values()}:
        deque(model.render(model.placement.fit(np.full((2, 33, 2), 0.5, np.float32)), setup), maxlen=0)


READERS: dict[str, Callable[[Path], object]] = {
    "clip": clip,
    "song": lambda path: read_audio(path, 15_360),
    "image": read_image,
    "landmarks": mocap.read,
    "arrays": arrays,
    "dataset": dataset,
    "images": images,
    "features": ClipFeatures.load,
    "idx": read_idx,
    "vae": vae,
    "gan": gan,
    "image_gan": lambda path: NoiseToImage.load(path, "train_gan").generate(np.zeros((2, 100), np.float32)),
}


def main(kind: str) -> None:
    """Answer for each line of stdin."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    for line in sys.stdin:
        try:
            READERS[kind](Path(line.rstrip("\n")))
            answer = "ok"
        except UserError:
            answer = "refused"
        except Exception as error:
            answer = f"{type(error).__name__}: {error}"
        print(" ".join(answer.split())[:500], flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
