"""A dance that is put on the beat: better where it can be, untouched where not, never too fast or too slow."""

import numpy as np
import pytest
from conftest import standing
from hypothesis import given, settings
from hypothesis import strategies as st

from dancing.metrics.motion import jerk, prepare
from dancing.metrics.rhythm import beat_alignment, beat_f1
from dancing.music_to_pose.beat_warping import pace, warp_to_beats

SIZE = np.array([360, 640])
BEATS = np.arange(0.25, 20, 0.5)
ARMS = [13, 15, 17, 19, 21, 14, 16, 18, 20, 22]


def dance(frames, fps=30, late=0.0):
    """Arms that go from side to side, at rest on every beat or so much (s) later; (T, 33, 2) px."""
    landmarks = np.repeat(standing()[None], frames, axis=0)
    t = np.arange(frames) / fps
    landmarks[:, ARMS, 0] += 0.08 * np.cos(2 * np.pi * (t - BEATS[0] - late))[:, None]
    return landmarks * SIZE


def scores(pixels, beats, fps=30):
    motion = prepare(pixels / SIZE, np.ones(pixels.shape[:2]), fps, *SIZE)
    return beat_f1(motion, beats)["f1"], beat_alignment(motion, beats)["bas_gain"], jerk(motion)


@pytest.mark.parametrize("fps", [24, 25, 30, 60])
@pytest.mark.parametrize("late", [0.06, -0.06, 0.12])
def test_a_late_dance_comes_on_the_beat(fps, late):
    pixels = dance(20 * fps, fps, late)
    before, after = scores(pixels, BEATS, fps), scores(warp_to_beats(pixels, BEATS, fps), BEATS, fps)
    assert after[0] > 0.9
    assert after[0] >= before[0]
    assert after[1] > before[1] + 0.1
    assert after[2] < 1.2 * before[2]


def test_ends_length_and_type_are_kept():
    pixels = dance(600, late=0.1).astype(np.float32)
    warped = warp_to_beats(pixels, BEATS, 30)
    assert warped.shape == pixels.shape
    assert warped.dtype == np.float32
    np.testing.assert_allclose(warped[[0, -1]], pixels[[0, -1]], atol=1e-3)
    assert np.abs(warped - pixels).max() > 1
    np.testing.assert_array_equal(warped, warp_to_beats(pixels, BEATS, 30))


@pytest.mark.parametrize("frames", [0, 1, 2, 60])
def test_without_beats_or_rests_nothing_changes(frames):
    pixels = dance(frames, late=0.1)
    assert (warp_to_beats(pixels, [], 30) == pixels).all()
    assert (warp_to_beats(pixels, [-1.0, 99.0], 30) == pixels).all()
    still = np.repeat(pixels[:1], 90, axis=0)
    assert (warp_to_beats(still, BEATS, 30) == still).all()


def test_a_dance_on_the_beat_is_left_alone():
    pixels = dance(600)
    np.testing.assert_allclose(warp_to_beats(pixels, BEATS, 30), pixels, atol=2)


@given(
    rests=st.lists(st.floats(0, 12), max_size=30),
    beats=st.lists(st.floats(-1, 13), max_size=40),
    limit=st.sampled_from([0.0, 0.05, 0.15, 0.5]),
)
@settings(max_examples=150, deadline=None)
def test_pace_stays_within_the_limit(rests, beats, limit):
    times = np.arange(241) / 20
    at = pace(np.unique(rests), np.unique(beats), times, limit)
    speed = np.diff(at) * 20
    assert (at[0], at[-1]) == pytest.approx((times[0], times[-1]))
    assert speed.min() >= 1 - limit - 1e-9
    assert speed.max() <= 1 + limit + 1e-9


def test_a_beat_shows_the_rest_near_it():
    times = np.arange(401) / 40
    at = pace(np.array([2.1, 5.0, 7.95]), np.array([2.0, 5.0, 8.0]), times, 0.15)
    np.testing.assert_allclose(at[[80, 200, 320]], [2.1, 5.0, 7.95], atol=0.01)


def test_limit_is_a_share():
    with pytest.raises(ValueError, match="limit"):
        warp_to_beats(dance(30), BEATS, 30, limit=1.0)
