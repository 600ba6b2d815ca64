"""The documentation's programs: generated pages, links, commands, the moving picture."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from PIL import Image

from benchmarks.common import write_record
from dancing.media.video_writer import VideoWriter
from docgen import check, fill, moving_picture, networks, parameters


def test_parameters_are_up_to_date():
    assert fill.stale(only=("parameters",)) == []


def test_networks_are_up_to_date():
    assert fill.stale(only=("network",)) == []


@pytest.mark.parametrize(
    ("name", "learned"),
    [("lstm", 350_690), ("dense_generator", 17_230_467), ("dense_discriminator", 206_721), ("conv", 533_473)],
)
def test_networks_have_the_original_documents_parameters(name: str, learned: int):
    assert f"**{learned:,}**" in networks.network(name)


def test_parameters_have_limits_and_meaning():
    table = parameters.parameters("dance", "gan")
    assert "| `gan.model` | `skeleton` | `skeleton`, `dense`" in table
    assert "| `gan.r1_weight` | `1e-3` | number, ≥ 0 |" in table
    with pytest.raises(KeyError, match="has no section nonsense"):
        parameters.parameters("dance", "nonsense")


def test_pages_name_existing_parameters_and_files():
    for page in check.pages():
        assert check.unknown_parameters(page) == []
    assert all("CONTRIBUTING" in fault for fault in check.broken_links(ROOT / "README.md"))


def test_broken_links_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "ROOT", tmp_path)
    page = tmp_path / "page.md"
    page.write_text("# A title, first\n[a](b.md) [c](#a-title-first) [d](page.md#e) [f](https://g.h)", encoding="utf-8")
    assert check.broken_links(page) == ["page.md: no file b.md", "page.md: no heading page.md#e"]


def test_blocks_are_found_with_their_commands():
    text = "<!-- cheap -->\n```sh\nmake x  # why\na && \\\nb\n```\n```python\n1\n```\n"
    first, second = check.FENCE.finditer(text)
    block = check.Block("page", 1, first["language"], first["code"], bool(first["cheap"]))
    assert list(block.commands()) == ["make x", "a", "b"]
    assert block.cheap
    assert (second["language"], second["cheap"]) == ("python", None)


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("make nonsense", "No rule to make target"),
        ("python -m stages.nonsense", "no module stages.nonsense"),
        ("dvc repro pipelines/nonsense/dvc.yaml", "no file pipelines/nonsense"),
        ("dvc exp run -S vae.nonsense=1", r"params.yaml has no vae\.nonsense"),
        ("dvc exp run -S vae.latent_dim=-1", r"vae\.latent_dim"),
        ("dvc exp run -S pipelines/faces/params.yaml:gan.loss=x", r"gan\.loss"),
        ("rm -rf x", "doesn't know"),
    ],
)
def test_commands_that_cannot_work_are_found(command: str, reason: str):
    fault = check._fault(command)
    assert fault is not None
    assert re.search(reason, fault)


def test_commands_that_can_work_pass():
    for command in ("make demo", "python -m stages.train_vae", "dvc exp run -S vae.latent_dim=32", "dvc repro -P"):
        assert check._fault(command) is None


def test_moving_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    frames = np.random.default_rng(1).integers(0, 255, (45, 64, 48, 3), dtype=np.uint8)
    sound = np.zeros((44100 * 45 // 30, 2), np.float32)
    with VideoWriter(tmp_path / "a.mp4", fps=30, width=48, height=64, audio=sound, sample_rate=44100) as video:
        for frame in frames:
            video.write(frame)
    read = moving_picture.read_pictures(tmp_path / "a.mp4", start=0.5, seconds=0.8, fps=15, height=32)
    assert (len(read), read[0].size) == (12, (24, 32))
    content, best = moving_picture.encode(read, 15, 10**6)
    smaller, worse = moving_picture.encode(read, 15, int(len(content) * 0.7))
    assert best == moving_picture.QUALITIES[0] > worse
    assert len(smaller) <= 0.7 * len(content)
    (tmp_path / "a.webp").write_bytes(content)
    with Image.open(tmp_path / "a.webp") as picture:
        assert (picture.n_frames, picture.info["loop"]) == (12, 0)
    with pytest.raises(ValueError, match="at the lowest quality"):
        moving_picture.encode(read, 15, 100)


def test_a_benchmark_writes_a_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["x", "--json", "y"])
    write_record(tmp_path / "results/rendering.json", "rendering", "Speed", "cpu", {"rows": {}})
    record = json.loads((tmp_path / "results/rendering.json").read_text(encoding="utf-8"))
    assert record["command"] == "python -m benchmarks.rendering --json y"
    assert {"what", "measured_at", "date", "machine", "values"} <= record.keys()
    write_record(None, "rendering", "Speed", "cpu", {})
