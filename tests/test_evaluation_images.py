"""The table of images of generators whose answers are known: one is perfect, one gives a single grey."""

import json

import numpy as np
import pytest
from conftest import make_masks, make_pictures
from hypothesis import given
from hypothesis import strategies as st

from dancing.evaluation import figures, images
from dancing.evaluation.images import evaluate_images
from dancing.metrics.controls import nearest_poses
from dancing.metrics.feature_reference import FEATURES
from dancing.metrics.image_table import FIDELITY, MASK, REDETECTION, STEADINESS
from dancing.pose_to_image.inference import Painting

SIZE = 48
pytestmark = pytest.mark.slow


class Perfect:
    """Renders what `make_pictures` does; keeps the lengths of the runs that it is given."""

    def __init__(self, setups):
        self.setups, self.runs, self.behind = setups, [], set()

    def paint(self, landmarks, setup):
        self.runs.append(len(landmarks))
        self.behind.add(setup)
        yield from map(Painting, make_pictures(landmarks, SIZE, SIZE), make_masks(landmarks, SIZE, SIZE))


class Grey:
    def __init__(self, setups):
        self.setups = setups

    def paint(self, landmarks, setup):
        for _ in landmarks:
            yield Painting(np.full((SIZE, SIZE, 3), 128, dtype=np.uint8), None)


@pytest.fixture
def dataset(make_dataset):
    return make_dataset(frames=60, height=SIZE, width=SIZE)


@pytest.fixture
def result(dataset, monkeypatch):
    def found(rows):
        """As if the detector were perfect, and never found anybody in grey or in re-encoded images."""
        real = np.concatenate([dataset.split("test")[0].landmarks[start:stop] for _, start, stop in cut])
        seen = {name: (shown != 128).any(axis=(1, 2, 3))[:, None, None] for name, shown in rows.items()}
        return {name: np.where(seen[name] & (name != "reencoded"), real, np.nan) for name in rows}

    cut = images._runs([60], 40)
    monkeypatch.setattr(images, "_redetected", found)
    setups = {piece.clip: 3 for piece in dataset.pieces}
    perfect = Perfect(setups)
    dances = [piece.landmarks[::-1] for piece in dataset.split("test")]
    args = dances, 40, 5, 18, 1
    made = evaluate_images(dataset, {"ours": perfect, "dense": Grey(setups)}, *args)
    assert perfect.runs == [10] * 8  # real poses and danced ones, a run of neighbours at a time
    assert perfect.behind == {3, 0}  # real poses where the clip was filmed, danced ones before the first scene
    return made


def test_every_row_has_what_says_something_of_it(result):
    whole = {*FIDELITY, *STEADINESS, *REDETECTION, *FEATURES}
    for name in ("ours", "nearest", "shuffled"):
        assert set(result.rows[name]) == whole | {*MASK}
    for name in ("dense", "reencoded"):
        assert set(result.rows[name]) == whole
    assert set(result.rows["mean_frame"]) == whole - set(REDETECTION)
    assert set(result.rows["real"]) == whole - set(FIDELITY)
    assert set(result.rows["ours_danced"]) == set(REDETECTION)
    assert len(result.rows) == 8
    json.dumps(result.rows, allow_nan=False)


def test_every_row_stands_where_it_must(result):
    def mean(row, metric):
        return result.rows[row][metric]["mean"]

    assert (mean("ours", "psnr"), mean("ours", "ms_ssim")) == (100, pytest.approx(1, abs=1e-5))
    assert (mean("ours", "mask_iou"), mean("ours", "sharpness")) == (1, pytest.approx(1))
    assert mean("shuffled", "mask_iou") < mean("nearest", "mask_iou") <= 1
    assert mean("dense", "sharpness") == 0
    assert mean("ours", "warping_ratio") == pytest.approx(1)
    assert (mean("ours", "flicker"), mean("ours", "flicker_ratio")) == (0, None)  # the real room stands still
    assert mean("ours", "feature_mmd") == pytest.approx(mean("real", "feature_mmd"))
    assert 20 < mean("reencoded", "psnr") < 60
    for worse in ("shuffled", "mean_frame", "dense"):
        assert mean(worse, "ssim_crop") < 0.99
    assert mean("mean_frame", "flicker") == 0
    assert (mean("real", "pck_10"), mean("dense", "pck_20")) == (1, 0)
    assert mean("dense", "coverage") == 0 < mean("real", "coverage")
    assert mean("dense", "feature_mmd") > mean("real", "feature_mmd")


def test_the_pictures_behind_the_rows(result, dataset):
    real = result.pictures["real"]
    assert real.shape == (40, SIZE, SIZE, 3)
    assert set(result.pictures) == set(result.rows) - {"ours_danced"}
    training = dataset.frames(dataset.split("train")[0])
    assert all((training == shown).all(axis=(1, 2, 3)).any() for shown in result.pictures["nearest"])
    np.testing.assert_array_equal(result.pictures["shuffled"][:10], result.pictures["ours"][20:30])
    assert (result.pictures["mean_frame"] == result.pictures["mean_frame"][0]).all()
    assert result.runs.tolist() == [k // 10 for k in range(40)]


def test_short_test_parts_do_not_crash(make_dataset, monkeypatch):
    monkeypatch.setattr(
        images, "_redetected", lambda rows: {n: np.full((len(p), 33, 2), np.nan) for n, p in rows.items()}
    )
    for frames, wanted in ((9, 8), (14, 1)):
        dataset = make_dataset(frames=frames, height=SIZE, width=SIZE)
        dances = [piece.landmarks for piece in dataset.split("test")]
        made = evaluate_images(
            dataset, {"ours": Perfect({piece.clip: 0 for piece in dataset.pieces})}, dances, wanted, 1, 18, 0
        )
        assert made.rows["ours"]["feature_mmd"]["mean"] is None
        assert (made.rows["ours"]["coverage"]["mean"] is None) == (frames == 9)
        json.dumps(made.rows, allow_nan=False)


@given(st.integers(0, 19), st.floats(-0.01, 0.01))
def test_the_nearest_pose_is_the_one_it_was(row, shift):
    library = np.random.default_rng(0).random((20, 33, 2)).astype(np.float32)
    assert nearest_poses(library[row : row + 1] + shift, library, 72, 128).tolist() == [row]


def test_near_means_pixels():
    library = np.zeros((2, 33, 2))
    library[0, :, 0], library[1, :, 1] = 0.2, 0.15  # 20 px to the side, 30 px down
    assert nearest_poses(np.zeros((1, 33, 2)), library, 100, 200).tolist() == [0]
    library[0, 1:11] = 9  # what the face does says nothing
    assert nearest_poses(np.zeros((1, 33, 2)), library, 100, 200).tolist() == [0]


def test_a_detector_sees_every_rows_own_pictures():
    empty = {"ours": np.zeros((2, 64, 64, 3), np.uint8), "real": np.zeros((3, 64, 64, 3), np.uint8)}
    found = images._redetected(empty)
    assert {name: poses.shape for name, poses in found.items()} == {"ours": (2, 33, 2), "real": (3, 33, 2)}
    assert np.isnan(found["real"]).all()


def test_sheets_are_made_of_the_rows_there_are(result, tmp_path):
    for save, name in (
        (figures.save_samples, "pictures"), (figures.save_generated_poses, "danced"), (figures.save_worst, "worst"),
        (figures.save_flicker, "flicker"),
    ):  # fmt: skip
        save(tmp_path / f"new/{name}.png", result)
        assert (tmp_path / f"new/{name}.png").stat().st_size > 500


def test_the_worst_are_one_a_run_worst_first(result, monkeypatch, tmp_path):
    spoilt = result.pictures["real"].copy()
    for frame, amount in ((3, 60), (4, 70), (25, 90), (11, 30)):
        spoilt[frame] //= 1 + amount // 30
    shown = {}
    monkeypatch.setattr(figures.plots, "columns", lambda cells, *_: shown.update(cells) or spoilt[0])
    result.pictures["ours"] = spoilt
    figures.save_worst(tmp_path / "worst.png", result)
    assert [np.flatnonzero((spoilt == s).all(axis=(1, 2, 3)))[0] for s in shown["ours"]][:3] == [25, 4, 11]
    assert len(shown["ours"]) == 4
    assert shown["error"][0].max() > 60 > shown["error"][3].max()


def test_flicker_is_shown_where_nobody_ever_is(result, monkeypatch, tmp_path):
    maps = {}
    monkeypatch.setattr(figures.plots, "maps", lambda shown, _: maps.update(shown) or figures.plots.Figure())
    blinking = result.pictures["ours"].copy()
    blinking[::2, :4] = 0
    blinking[1::2, :4] = 255
    result.pictures["ours"] = blinking
    figures.save_flicker(tmp_path / "f.png", result)
    assert list(maps) == ["real", "ours", "dense"]
    assert maps["ours"][0, 0] == pytest.approx(1)
    assert maps["real"][0, 0] == maps["dense"][0, 0] == 0
    assert np.isnan(maps["real"][24, 24])
