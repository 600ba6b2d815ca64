"""Files with random damage are read or refused: no crash, no hang, no other exception, no memory without end.

DANCING_FUZZ sets the number of mutants a kind of file, 20 by default.
"""

import os
import random
import select
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import corpus
import numpy as np
import pytest
import test_foreign_files as foreign
import torch
from conftest import ROOT, dance
from fuzz_reader import READERS

from dancing.noise_to_image.dataset import write_images
from dancing.noise_to_image.sources import SourceImage

pytestmark = pytest.mark.slow
COUNT, SECONDS = int(os.environ.get("DANCING_FUZZ", "20")), 30


def landmarks(folder: Path) -> Path:
    np.savez(folder / "a.npz", landmarks=dance(30), visibility=np.ones((30, 33)), fps=25, width=360, height=640)
    return folder / "a.npz"


def arrays(folder: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 255, (20, 28, 28), dtype=np.uint8)
    np.savez_compressed(folder / "a.npz", x_train=images, y_train=np.arange(20) % 10)
    return folder / "a.npz"


def dataset(folder: Path) -> Path:
    foreign.write_good(folder / "a.h5")
    return folder / "a.h5"


def images(folder: Path) -> Path:
    pixels = np.zeros((16, 16, 3), np.uint8)
    parts = [SourceImage(split, pixels, 1) for split in ("train", "val", "test") for _ in range(3)]
    write_images(folder / "a.h5", {"height": 16, "width": 16, "channels": 3, "fit": "crop"}, parts)
    return folder / "a.h5"


def checkpoint(folder: Path) -> Path:
    torch.save(
        {"fps": 30, "n_mfcc": 4, "window": 8, "weights": torch.zeros(20), "space": {"mean": [0.0] * 9}}, folder / "a.pt"
    )
    return folder / "a.pt"


SEEDS: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "mp4": ("clip", corpus.clip("a.mp4", count=20)),
    "avi": ("clip", corpus.clip("a.avi", "mpeg4", count=20, sound="libmp3lame")),
    "mkv": ("clip", corpus.clip("a.mkv", count=20)),
    "wav": ("song", corpus.song("a.wav", "pcm_s16le", seconds=0.3)),
    "mp3": ("song", corpus.song("a.mp3", "libmp3lame", seconds=1)),
    "jpg": ("image", corpus.image("a.jpg")),
    "png": ("image", corpus.image("a.png")),
    "landmarks": ("landmarks", landmarks),
    "arrays": ("arrays", arrays),
    "dataset": ("dataset", dataset),
    "images": ("images", images),
    "checkpoint": ("checkpoint", checkpoint),
}


def mutant(content: bytes, rng: random.Random) -> bytes:
    """The content with a few faults: bits, extreme values, pieces lost, doubled, moved, or the end cut off."""
    data = bytearray(content)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        # Headers are at the start and at the end, and faults there are the worst.
        near = rng.choice([64, 512, len(data)])
        at = rng.randrange(max(min(near, len(data)), 1))
        at = rng.choice([at, max(len(data) - 1 - at, 0)])
        kind = rng.randrange(6)
        if kind == 0 and data:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f"])
        elif kind == 2:
            del data[at : at + rng.choice([1, 7, 100])]
        elif kind == 3:
            data[at:at] = data[at : at + rng.choice([1, 8, 300])]
        elif kind == 4:
            data[at:at] = rng.randbytes(rng.choice([1, 16]))
        elif rng.random() < 0.3:
            del data[at:]
    return bytes(data)


class Reader:
    """A child process that reads file after file, and is started again where one kills it."""

    def __init__(self, kind: str) -> None:
        self.kind, self.process = kind, None

    def read(self, path: Path) -> str:
        if self.process is None or self.process.poll() is not None:
            self.process = subprocess.Popen(
                [sys.executable, str(ROOT / "tests/fuzz_reader.py"), self.kind], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip
        self.process.stdin.write(f"{path}\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            self.process.kill()
            self.process.wait()
            return f"hung for {SECONDS} s"
        return self.process.stdout.readline().strip() or f"died with status {self.process.wait()}"

    def close(self) -> None:
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait(10)


@pytest.mark.parametrize("name", SEEDS)
def test_damaged_files(tmp_path: Path, name: str):
    kind, make = SEEDS[name]
    assert kind in READERS
    good, rng, reader = make(tmp_path), random.Random(name), Reader(kind)
    content, faults = good.read_bytes(), {}
    assert reader.read(good) in ("ok", "refused" if name == "checkpoint" else "ok")
    for k in range(COUNT):
        path = tmp_path / f"{k}{good.suffix}"
        path.write_bytes(mutant(content, rng))
        answer = reader.read(path)
        if answer not in ("ok", "refused"):
            faults[path.name] = answer
        else:
            path.unlink()
    reader.close()
    assert not faults, faults
