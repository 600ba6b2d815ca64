"""The benchmarks run: what they measure is what the project has."""

from pathlib import Path

import pytest
from conftest import ROOT

from benchmarks import rendering
from dancing.video import probe


def test_rendering(make_dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "params.yaml").write_text((ROOT / "presets/smoke.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    with make_dataset() as dataset:
        source = dataset.path
    made = tmp_path / "made"
    made.mkdir()
    rendering._train(source, made, height=64, width=40)
    paint, film, frames = rendering._rendering(made, seconds=1)
    paint()
    film()
    info = probe(made / "dance.mp4")
    assert frames == 30
    assert (info.width, info.height, info.has_audio) == (160, 128, True)
    assert info.duration == pytest.approx(1.0)
