"""Files with random damage are read or refused: no crash, no hang, no other exception, no memory without end.

DANCING_FUZZ sets the number of mutants a kind of file, 20 by default.
"""

import gzip
import io
import os
import random
import select
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import corpus
import numpy as np
import pytest
import test_foreign_files as foreign
import test_hostile_files as hostile
import torch
import yaml
from conftest import ROOT, dance, smoke_params
from fuzz_reader import READERS

from dancing.body.skeleton import Placement
from dancing.clips.dataset import BEAT_COLUMNS, open_dataset
from dancing.music_to_pose.flow_prior import FlowPriorConfig
from dancing.music_to_pose.models import MODELS
from dancing.music_to_pose.task import build_task as build_motion_task
from dancing.noise_to_image.dataset import write_images
from dancing.noise_to_image.digits_gan import DigitsGanConfig
from dancing.noise_to_image.models import GANS
from dancing.noise_to_image.sources import SourceImage
from dancing.params import parse_params
from dancing.pose_to_image.models import MODELS as POSE_MODELS
from dancing.pose_to_image.skeleton_gan import SkeletonGanConfig
from dancing.training.compute import Compute

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


def features(folder: Path) -> Path:
    np.savez(folder / "a.npz", **hostile.FEATURES)
    return folder / "a.npz"


def idx(folder: Path) -> Path:
    (folder / "a.gz").write_bytes(gzip.compress(struct.pack(">HBB3I", 0, 8, 3, 20, 28, 28) + bytes(range(98)) * 160))
    return folder / "a.gz"


def vae(folder: Path) -> Path:
    """A small motion VAE with its prior, as train_vae saves them."""
    foreign.write_good(folder / "dataset.h5")
    values = yaml.safe_load(smoke_params())
    values["vae"] |= {"hidden": 8, "layers": 1, "latent_dim": 2, "window": 16}
    config = FlowPriorConfig(2, BEAT_COLUMNS, 8, 1, values["vae"]["latents_per_beat"], 30)
    (prior,) = MODELS.build(config)
    with open_dataset(folder / "dataset.h5") as opened:
        task = build_motion_task(opened, parse_params(values).vae, Compute(torch.device("cpu")))
    saved = {"config": MODELS.to_dict(config), "state": prior.state_dict()}
    torch.save(task.content | {"state": task.model.state_dict(), "prior": saved}, folder / "a.pt")
    return folder / "a.pt"


def gan(folder: Path) -> Path:
    """A small generator of images from poses, as train_gan saves it."""
    config = SkeletonGanConfig(height=16, width=16, channels=8, setups=1, output="tanh", margin=2, fold=1)
    generator, _ = POSE_MODELS.build(config)
    placement = Placement(4.0, 8.0, 14.0, 16, 16).to_dict()
    content = {"config": POSE_MODELS.to_dict(config), "subject": "", "placement": placement, "setups": {"a.mp4": 0}}
    torch.save(content | {"generator": generator.state_dict()}, folder / "a.pt")
    return folder / "a.pt"


def image_gan(folder: Path) -> Path:
    config = DigitsGanConfig("tanh", "original")
    generator, _ = GANS.build(config)
    torch.save({"config": GANS.to_dict(config), "generator": generator.state_dict()}, folder / "a.pt")
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
    "features": ("features", features),
    "idx": ("idx", idx),
    "vae": ("vae", vae),
    "gan": ("gan", gan),
    "image_gan": ("image_gan", image_gan),
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


def mutant_inside(content: bytes, rng: random.Random) -> bytes:
    """The content with faults where its check sums don't show them; of other formats than these, as it is."""
    if content.startswith(b"PK"):
        changed = io.BytesIO()
        with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(changed, "w") as new:
            chosen = rng.choice([name for name in old.namelist() if old.getinfo(name).file_size])
            for name in old.namelist():
                new.writestr(name, mutant(old.read(name), rng) if name == chosen else old.read(name))
        return changed.getvalue()
    if content.startswith(b"\x1f\x8b"):
        return gzip.compress(mutant(gzip.decompress(content), rng))
    if content.startswith(b"\x89PNG"):
        at, changed = 8, io.BytesIO(content[:8])
        changed.seek(8)
        while at < len(content):
            (length,) = struct.unpack_from(">I", content, at)
            body = content[at + 4 : at + 8 + length]
            body = body[:4] + mutant(body[4:], rng) if rng.random() < 0.4 else body
            changed.write(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
            at += 12 + length
        return changed.getvalue()
    return content


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
    assert reader.read(good) == "ok"
    for k in range(COUNT):
        path = tmp_path / f"{k}{good.suffix}"
        changed = mutant_inside(content, rng) if k % 2 else content
        path.write_bytes(mutant(content, rng) if changed == content else changed)
        answer = reader.read(path)
        if answer not in ("ok", "refused"):
            faults[path.name] = answer
        else:
            path.unlink()
    reader.close()
    assert not faults, faults
