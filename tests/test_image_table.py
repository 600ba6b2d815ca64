"""Rows of the table of pictures: what is known by hand, what is missing, what the features rank."""

import json

import numpy as np
import pytest
import torch
from test_metrics_image import HEIGHT, TORSO, WIDTH, pictures, poses

from dancing.metrics import image
from dancing.metrics.bootstrap_cells import block_numbers
from dancing.metrics.feature_reference import FEATURES, FeatureReference
from dancing.metrics.image_table import (
    FIDELITY,
    REDETECTION,
    STEADINESS,
    Steadiness,
    fidelity_row,
    redetection_row,
)


def steadiness(real, boxes):
    offsets = np.zeros((len(real) - 1, HEIGHT, WIDTH, 2), np.float32)
    return Steadiness(real, boxes, offsets, np.ones(offsets.shape[:3], dtype=bool))


def whole_row(generated, real, landmarks, visibility, detected, clips, seed=1):
    boxes = image.person_boxes(landmarks, visibility, WIDTH, HEIGHT)
    row = fidelity_row(generated, real, boxes, clips, seed)
    row |= redetection_row(detected, landmarks, visibility, WIDTH, HEIGHT, clips, seed)
    return row | steadiness(real, boxes).row(generated, clips, seed)


def test_a_row_of_known_values():
    frames = 70
    landmarks, visibility = poses(frames)
    real = torch.rand(frames, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) * 0.5
    generated = real + 0.1
    detected = landmarks + np.array([0.15 * TORSO / WIDTH, 0])
    detected[:7] = np.nan
    args = generated, real, landmarks, visibility, detected, ["one"] * 40 + ["two"] * 30
    row = whole_row(*args)

    known = {
        "psnr": 20, "psnr_crop": 20, "l1": 0.1, "l1_crop": 0.1, "flicker_ratio": 1, "warping_ratio": 1,
        "detection_rate": 0.9, "pck_10": 0, "pck_20": 0.9, "pck_10_of_detected": 0, "pck_20_of_detected": 1,
        "mean_error": 0.15,
    }  # fmt: skip
    assert set(row) == {*FIDELITY, *REDETECTION, *STEADINESS}
    for name, value in known.items():
        assert row[name]["mean"] == pytest.approx(value, abs=1e-4), name
    assert 0 < row["ssim_crop"]["mean"] < 1
    assert 0 < row["ms_ssim"]["mean"] < 1
    assert row["psnr"]["n"] == 70
    assert row["mean_error"]["n"] == 63
    assert row["flicker"]["n"] == row["warping"]["n"] == 68  # the first frame of a clip follows no other
    low, high = row["detection_rate"]["ci95"]
    assert low < 0.9 < high
    assert row == whole_row(*args)
    json.dumps(row, allow_nan=False)


def test_real_pictures_are_the_ceiling_and_one_block_has_no_interval():
    landmarks, visibility = poses(frames=30)
    real = pictures(frames=30)
    row = whole_row(real, real, landmarks, visibility, landmarks, ["one"] * 30)
    perfect = {
        "psnr": 100, "ssim": 1, "ms_ssim": 1, "l1": 0, "detection_rate": 1, "pck_10": 1, "mean_error": 0,
        "flicker_ratio": 1, "warping_ratio": 1,
    }  # fmt: skip
    for name, value in perfect.items():
        assert row[name]["mean"] == pytest.approx(value), name
        assert row[name]["ci95"] is None


def test_a_row_where_nobody_is_found_has_nulls():
    landmarks, visibility = poses(frames=2)
    still = torch.zeros(2, 3, HEIGHT, WIDTH)
    row = whole_row(still, still, landmarks, visibility, np.full_like(landmarks, np.nan), [0, 0])
    assert row["detection_rate"]["mean"] == row["pck_20"]["mean"] == 0
    assert row["mean_error"] == {"mean": None, "n": 0, "ci95": None}
    assert row["flicker"]["mean"] == row["warping"]["mean"] == 0
    assert row["flicker_ratio"]["mean"] is row["warping_ratio"]["mean"] is None
    json.dumps(row, allow_nan=False)


def test_flicker_is_outside_and_warping_inside_the_person():
    landmarks, visibility = poses(frames=6)
    boxes = image.person_boxes(landmarks, visibility, WIDTH, HEIGHT)
    real = torch.linspace(0, 0.01, 6).view(-1, 1, 1, 1).expand(6, 3, HEIGHT, WIDTH)
    person = image.inside(boxes, HEIGHT, WIDTH)[:, None]
    blink = torch.tensor([0.0, 0.5] * 3).view(-1, 1, 1, 1)
    row = steadiness(real, boxes).row(torch.where(person, blink, 0.0).expand(6, 3, -1, -1), [0] * 6, seed=0)
    assert (row["flicker"]["mean"], row["warping"]["mean"]) == (0, pytest.approx(0.5))
    assert row["warping_ratio"]["mean"] == pytest.approx(0.5 / 0.002, rel=1e-3)


def test_every_picture_needs_a_pose():
    landmarks, visibility = poses(frames=2)
    boxes = image.person_boxes(landmarks, visibility, WIDTH, HEIGHT)
    with pytest.raises(ValueError, match="argument"):
        fidelity_row(pictures(40), pictures(40), boxes, [0] * 40, seed=0)


def test_blocks_end_with_their_clip():
    assert block_numbers(np.array([1, 1, 1, 1, 1, 0, 0, 0]), 2).tolist() == [0, 0, 1, 1, 2, 3, 3, 4]


# ---------------------------------------------------------------------------------------------------------- features


def features(rng, runs, shift=0.0):
    """Runs of five neighbours, (5 runs, 8)."""
    return (rng.normal(size=(runs, 1, 8)) + 0.1 * rng.normal(size=(runs, 5, 8)) + shift).reshape(-1, 8)


def test_features_farther_off_are_farther_and_alike_ones_are_near_the_floor():
    rng, runs = np.random.default_rng(0), np.repeat(np.arange(20), 5)
    reference = FeatureReference.of(7 + 3 * rng.normal(size=(200, 8)), runs, seed=0)
    rows = [reference.row(7 + 3 * features(rng, 20, shift), runs, seed=0) for shift in (0.0, 0.5, 1.5)]
    ratios = [row["feature_mmd_ratio"]["mean"] for row in rows]
    assert abs(ratios[0]) < 4 < ratios[1] < ratios[2]
    assert rows[2]["feature_mmd"]["mean"] < 16
    assert [row["density"]["mean"] for row in rows] == sorted((row["density"]["mean"] for row in rows), reverse=True)
    assert rows[0]["coverage"]["mean"] > rows[2]["coverage"]["mean"]
    low, high = rows[1]["feature_mmd"]["ci95"]
    assert low < rows[1]["feature_mmd"]["mean"] < high
    assert set(rows[0]) == set(FEATURES)
    json.dumps(rows, allow_nan=False)


def test_features_that_never_change_and_a_single_run_can_be_told_little_of():
    reference = FeatureReference.of(np.ones((9, 4)), [0] * 3, seed=0)
    row = reference.row(np.ones((3, 4)), [0] * 3, seed=0)
    assert row["feature_mmd"] == {"mean": None, "n": 1, "ci95": None}
    assert row["feature_mmd_ratio"]["mean"] is None
    json.dumps(row, allow_nan=False)
