"""Landmarks: segments, bridging, smoothing by hand-made cases; detection on a drawn dancer and on a real one."""

import re
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import real_data
from drawn_dancer import HIPS, SHOULDERS, draw, write_clip
from hypothesis import given
from hypothesis import strategies as st

from dancing.body import detection
from dancing.media.video import read_frames


@pytest.fixture(params=["drawn", "real"])
def dancer(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A clip of somebody who dances."""
    if request.param == "real":
        return real_data("clips/fourms_dancer.avi")
    return write_clip(tmp_path / "drawn.mp4", [draw(k / 5) for k in range(50)], fps=25)


def path_of(T: int, degree: int) -> np.ndarray:
    """(T, 33, 2) whose every coordinate is another polynomial of time."""
    rng = np.random.default_rng(degree)
    t = np.linspace(-1, 1, T)[:, None, None]
    return sum(rng.normal(size=(33, 2)) * t**power for power in range(degree + 1))


def seen(text: str) -> np.ndarray:
    return np.array([letter == "x" for letter in text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("......", []),
        ("xxxxxx", [(0, 6)]),
        ("..xxxx.", [(2, 6)]),  # ends are cut
        ("xxx..xxx", [(0, 8)]),  # a gap of two frames is bridged
        ("xxx...xxx", [(0, 3), (6, 9)]),  # one of three parts
        ("xx..x.x...xx", [(0, 7)]),  # too short a segment is dropped
    ],
)
def test_segments(text, expected):
    assert detection.segments(seen(text), fps=10, max_gap_s=0.2, min_length_s=0.3) == expected


@given(
    st.lists(st.booleans(), max_size=60).map(lambda values: np.array(values, bool)),
    st.integers(0, 8),
    st.integers(1, 8),
)
def test_segments_hold_their_promises(detected, gap, shortest):
    found = detection.segments(detected, 25, gap / 25, shortest / 25)
    covered = np.zeros(len(detected), bool)
    for start, stop in found:
        assert detected[start]
        assert detected[stop - 1]
        assert stop - start >= shortest
        assert not covered[start:stop].any()
        covered[start:stop] = True
        missing = "".join("x" if one else "." for one in detected[start:stop]).split("x")
        assert max(map(len, missing)) <= gap
    if shortest == 1:
        assert covered[detected].all()


def test_bridging_a_line_is_exact():
    line = path_of(30, degree=1)
    holed = line.copy()
    holed[4:9] = holed[20] = np.nan
    np.testing.assert_allclose(detection.bridge(holed), line, atol=1e-12)


def wave(hertz: float, fps: float, T: int = 300) -> np.ndarray:
    """(T, 33, 2) that swing."""
    return np.broadcast_to(np.sin(2 * np.pi * hertz * np.arange(T) / fps)[:, None, None], (T, 33, 2)).copy()


@pytest.mark.parametrize("fps", [25, 30, 60])
def test_smoothing_passes_what_is_slow_and_stops_what_is_fast(fps):
    for hertz, low, high in ((0.5, 0.99, 1.01), (5.0, 0.45, 0.55), (10.0, 0.0, 0.08)):  # twice the filter: half at 5 Hz
        kept = detection.smooth(wave(hertz, fps), fps, 5.0)[60:-60].std() / wave(hertz, fps)[60:-60].std()
        assert low <= kept <= high


def test_smoothing_takes_noise_out_without_delay():
    truth = wave(1.0, 30)
    noisy = truth + np.random.default_rng(0).normal(0, 0.1, truth.shape)
    smoothed = detection.smooth(noisy, 30, 5.0)
    assert np.std(smoothed - truth) < 0.7 * np.std(noisy - truth)
    errors = [np.std(np.roll(smoothed, shift, axis=0)[5:-5] - truth[5:-5]) for shift in (-1, 0, 1)]
    assert np.argmin(errors) == 1


def test_smoothing_keeps_straight_lines_to_their_ends_and_treats_runs_apart():
    path = path_of(60, degree=1)
    path[20:30] = np.nan
    path[30:] += 5  # a jump that must not leak over the gap
    np.testing.assert_allclose(detection.smooth(path, 30, 5.0), path, atol=1e-3)


@pytest.mark.parametrize("T", range(6))
def test_short_runs_pass(T):
    path = path_of(T, degree=1)
    assert detection.smooth(path, 30, 5.0).shape == (T, 33, 2)
    assert detection.reject_glitches(path).shape == (T, 33, 2)


def test_a_cutoff_of_zero_smooths_nothing():
    path = np.random.default_rng(0).normal(size=(20, 33, 2))
    np.testing.assert_array_equal(detection.smooth(path, 30, 0.0), path)


def test_a_frame_with_left_and_right_swapped_is_mended():
    path = path_of(40, degree=1)
    glitched = path.copy()
    glitched[17, [11, 12]] = glitched[17, [12, 11]]
    np.testing.assert_allclose(detection.reject_glitches(glitched)[17], path[17], atol=0.1)
    assert np.abs(glitched[17] - path[17]).max() > 0.5


def test_quality():
    detected = seen(".xxxx..xx.")
    visibility = np.where(detected, 0.8, 0.0)[:, None].repeat(33, axis=1)
    track = detection.PoseTrack(np.zeros((10, 33, 2)), visibility, detected, [(1, 9)])
    report = detection.quality(track, fps=10, has_sound=True)
    assert (report.detected, report.gaps, report.longest_gap, report.duration) == (0.6, 3, 0.2, 1.0)
    assert report.visibility == pytest.approx(0.8)
    assert report.segments == [[1, 9]]


def test_nobody_in_an_empty_room():
    landmarks, visibility = detection.detect([np.full((96, 64, 3), 120, np.uint8)] * 3)
    assert landmarks.shape == (3, 33, 2)
    assert np.isnan(landmarks).all()
    assert not visibility.any()


@pytest.mark.parametrize("find", [detection.detect, detection.detect_still])
def test_landmarks_are_fractions_of_the_picture(find, capfd):
    landmarks, visibility = find([draw(k / 5) for k in range(3)])
    np.testing.assert_allclose(landmarks[:, [11, 12]], [SHOULDERS] * 3, atol=0.04)
    np.testing.assert_allclose(landmarks[:, [23, 24]], [HIPS] * 3, atol=0.04)
    assert (visibility[:, [11, 12, 23, 24]] > 0.9).all()
    assert capfd.readouterr().err == ""  # the detector is silent


def test_still_pictures_know_nothing_of_each_other():
    first, second = draw(0.0), np.roll(draw(2.0), 15, axis=1)
    together, _ = detection.detect_still([first, second])
    alone, _ = detection.detect_still([second])
    np.testing.assert_array_equal(together[1], alone[0])
    assert (detection.detect([first, second])[0][1] != alone[0]).any()


def test_no_frames():
    landmarks, visibility = detection.detect_still([])
    assert landmarks.shape == (0, 33, 2)
    assert visibility.shape == (0, 33)


@pytest.mark.slow
def test_a_dancer_is_followed(dancer: Path):
    frames = list(islice(read_frames(dancer, 25), 40))
    track = detection.track(frames, 25, every=2, smooth_cutoff=5.0, max_gap_s=0.5, min_length_s=1.0)
    assert track.detected.mean() > 0.95
    assert len(track.segments) == 1
    start, stop = track.segments[0]
    body = track.landmarks[start:stop]
    assert np.isfinite(body).all()
    assert (body[:, 0, 1] < body[:, 23, 1]).all()  # nose above hip
    assert (body[:, 23, 1] < body[:, 27, 1]).all()  # hip above ankle
    again = detection.track(frames, 25, every=2, smooth_cutoff=5.0, max_gap_s=0.5, min_length_s=1.0)
    np.testing.assert_array_equal(track.landmarks, again.landmarks)


@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 10, 11])
def test_poses_between_the_detected_ones(every, count):
    some = detection._EveryNth((np.zeros((4, 6, 3), np.uint8) for _ in range(count)), every)
    assert sum(1 for _ in some) == len(some.numbers)
    assert set(some.numbers) == set(range(0, count, every)) | ({count - 1} if count else set())
    line = np.linspace([[0, 1]] * 33, [[2, 5]] * 33, max(count, 1)).astype(np.float32)[:count]  # (T, 33, 2)
    np.testing.assert_allclose(detection._between(line[some.numbers], some.numbers), line, atol=1e-6)


def test_nothing_is_interpolated_over_a_missing_pose_or_a_cut():
    values = np.array([[0], [2], [np.nan], [6], [9]], np.float32)
    full = detection._between(values, np.array([0, 2, 4, 6, 8]), cuts=[4])
    np.testing.assert_array_equal(full[:, 0], [0, 1, 2, np.nan, np.nan, np.nan, 6, np.nan, 9])


@pytest.mark.slow
def test_half_of_the_frames_give_nearly_the_same_poses(dancer: Path):
    frames = list(islice(read_frames(dancer, 30), 60))
    each, other = (detection.track(frames, 30, every, 5.0, 0.5, 1.0) for every in (1, 2))
    assert each.segments == other.segments
    assert not np.array_equal(each.landmarks, other.landmarks)
    torso = np.linalg.norm(each.landmarks[:, [11, 12]].mean(axis=1) - each.landmarks[:, [23, 24]].mean(axis=1), axis=-1)
    assert np.linalg.norm(each.landmarks - other.landmarks, axis=-1).mean() < 0.03 * torso.mean()


@pytest.mark.slow
def test_small_pictures_show_the_same_pose(dancer: Path):
    frames = list(islice(read_frames(dancer, 1), 3))
    large, _ = detection.detect_still(frames)
    height, width = frames[0].shape[:2]
    size = (96, round(96 * height / width / 2) * 2)
    small, _ = detection.detect_still([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
    assert np.abs(large - small)[:, [11, 12, 23, 24]].max() < 0.05


# ------------------------------------------------------------------------------------------------------------- jumps


def walking(frames: int, x: float) -> np.ndarray:
    """(T, 33, 2): a person who sways around x."""
    pose = np.full((33, 2), (x, 0.5))
    pose[[11, 12], 1], pose[[23, 24], 1] = 0.3, 0.5
    sway = 0.02 * np.sin(np.arange(frames) / 5)[:, None, None] * np.array([1, 0])
    return (pose + sway).astype(np.float32)


def test_another_person_parts_the_clip():
    raw = np.concatenate([walking(40, 0.2), walking(40, 0.8)])
    parted, jumps = detection.part_at_jumps(raw, np.array([640, 360]), 30, max_gap_s=0.2)
    assert jumps.tolist() == [40]
    np.testing.assert_array_equal(parted, raw)


def test_a_short_error_of_the_detector_is_bridged():
    raw = walking(80, 0.2)
    raw[30:33] += 0.5
    parted, jumps = detection.part_at_jumps(raw, np.array([640, 360]), 30, max_gap_s=0.2)
    assert len(jumps) == 0
    assert np.flatnonzero(np.isnan(parted).any(axis=(1, 2))).tolist() == [30, 31, 32]


def test_a_dancer_who_runs_does_not_jump():
    raw = walking(60, 0.1) + np.linspace(0, 0.8, 60)[:, None, None].astype(np.float32) * np.array([1, 0], np.float32)
    raw[20:25] = np.nan  # unseen for a moment
    _, jumps = detection.part_at_jumps(raw, np.array([640, 360]), 30, max_gap_s=0.2)
    assert len(jumps) == 0


@pytest.mark.slow
def test_two_shots_are_two_segments():
    left = [np.pad(draw(k / 5), ((0, 0), (0, 460), (0, 0)), mode="edge") for k in range(30)]
    right = [np.pad(draw(k / 5), ((0, 0), (460, 0), (0, 0)), mode="edge") for k in range(30)]
    notes: list[str] = []
    found = detection.track([*left, *right], 30, 2, 5.0, 0.2, 0.5, notes=notes)
    assert len(found.segments) == 2
    assert found.segments[0][1] == pytest.approx(30, abs=2)
    assert re.search(r"jumps at 1\.[01] s", notes[0])
