"""Features of sound lie on the clock of the pictures, and beats where they are heard."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dancing.clips.dataset import feature_names
from dancing.media.audio import HOP, extract, sample_rate_of, stack


def beat_track(bpm: float, rate: int, seconds: float = 12.0, first: float = 0.37) -> tuple[np.ndarray, np.ndarray]:
    """A kick drum and a click on every beat, and the times of the beats."""
    beats = np.arange(first, seconds - 0.2, 60 / bpm)
    t = np.arange(round(0.15 * rate)) / rate
    hit = 0.6 * np.sin(2 * np.pi * 60 * t) * np.exp(-t / 0.05) * (1 - t / 0.15)
    hit += 0.3 * np.sin(2 * np.pi * 1500 * t) * np.exp(-t / 0.01)
    sound = np.zeros(round(seconds * rate), np.float32)
    for beat in beats:
        start = round(beat * rate)
        sound[start : start + len(hit)] += hit[: len(sound) - start].astype(np.float32)
    return sound, beats


@pytest.mark.slow
@pytest.mark.parametrize("fps", [24, 25, 30, 60])
@pytest.mark.parametrize("bpm", [75, 100, 120, 132, 140])
def test_beats_are_where_they_are_heard(fps, bpm):
    sound, beats = beat_track(bpm, sample_rate_of(fps))
    features = extract(sound, fps, n_mfcc=13)
    assert len(features.beats) == len(beats)
    late = features.beats - beats
    assert abs(late.mean()) < 0.005  # the lag that librosa has is taken off: 10 ms at 24 frames/s without
    assert np.abs(late).mean() < 0.008
    assert np.abs(late).max() < 0.015
    assert features.tempo == pytest.approx(bpm, rel=0.02)


@pytest.mark.parametrize("fps", [24, 30, 60])
def test_rows_are_frames(fps):
    k = 41
    sound = np.zeros(sample_rate_of(fps) * 3, np.float32)
    sound[k * HOP : k * HOP + 200] = 0.5 * np.sin(np.arange(200) * 0.7)
    features = extract(sound, fps, n_mfcc=13)
    assert len(features.mfcc) == 3 * fps
    assert abs(int(np.argmax(features.onset_strength)) - k) <= (1 if fps == 60 else 0)
    assert abs(int(np.argmax(features.mfcc[:, 0])) - k) <= 1  # the loudest row


def test_phase_and_nearness_follow_the_beats():
    sound, beats = beat_track(120, sample_rate_of(30))
    features = extract(sound, 30, n_mfcc=13)
    times = np.arange(len(features.mfcc)) / 30
    to_beat = np.abs((times - beats[0] + 0.25) % 0.5 - 0.25)  # the phase goes on beyond the first and the last beat
    inside = (times > beats[0]) & (times < beats[-1])
    np.testing.assert_allclose(features.beat_nearness[inside], np.exp(-to_beat / 0.1)[inside], atol=0.12)
    np.testing.assert_allclose(features.beat_nearness[~inside], np.exp(-to_beat / 0.1)[~inside], atol=0.2)
    angle = np.arctan2(*features.beat_phase.T)
    expected = 2 * np.pi * (times - beats[0]) / 0.5
    wrapped = np.angle(np.exp(1j * (angle - expected)))
    assert np.abs(wrapped).max() < 2 * np.pi * 0.04 / 0.5
    np.testing.assert_allclose(np.linalg.norm(features.beat_phase, axis=1), 1, atol=1e-6)


def test_pitch_is_heard_as_chroma():
    rate = sample_rate_of(30)
    features = extract(0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * rate) / rate), 30, n_mfcc=13)
    names = feature_names(13)
    assert names[14 + int(np.median(features.chroma.argmax(axis=1)))] == "chroma_A"


def test_onset_strength_does_not_depend_on_loudness():
    sound, _ = beat_track(120, sample_rate_of(30))
    loud, quiet = extract(sound, 30, n_mfcc=13), extract(sound / 3000, 30, n_mfcc=13)
    np.testing.assert_allclose(loud.onset_strength, quiet.onset_strength, atol=1e-3)
    np.testing.assert_allclose(loud.beats, quiet.beats)


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.5, 3.0])
def test_silence_has_no_beat(seconds):
    features = extract(np.zeros(round(seconds * sample_rate_of(30)), np.float32), 30, n_mfcc=13, n_frames=20)
    assert features.tempo == 0
    assert len(features.beats) == 0
    for silent in (features.onset_strength, features.beat_phase, features.beat_nearness):
        assert not silent.any()


def test_a_single_click_is_no_beat():
    sound = np.zeros(sample_rate_of(30) * 2, np.float32)
    sound[20_000] = 1
    features = extract(sound, 30, n_mfcc=13)
    assert features.tempo == 0
    assert not features.beat_nearness.any()


def test_more_frames_than_sound_are_silence():
    sound, _ = beat_track(120, sample_rate_of(30), seconds=4)
    features = extract(sound, 30, n_mfcc=13, n_frames=200)
    assert len(features.mfcc) == 200
    assert not features.onset_strength[125:].any()
    assert (features.beats < 4).all()


@settings(max_examples=40, deadline=None)
@given(
    samples=st.integers(0, 9_000).flatmap(lambda n: arrays(np.float32, n, elements=st.floats(-4, 4, width=32))),
    n_frames=st.one_of(st.none(), st.integers(0, 40)),
)
def test_any_sound_gives_finite_rows(samples, n_frames):
    columns = stack(extract(samples, 30, n_mfcc=7, n_frames=n_frames))
    assert columns.shape == (len(samples) // HOP if n_frames is None else n_frames, 7 + 23)
    assert columns.dtype == np.float32
    assert np.isfinite(columns).all()


def test_stack_has_the_columns_it_names():
    features = extract(beat_track(120, sample_rate_of(30))[0], 30, n_mfcc=5)
    columns = dict(zip(feature_names(5), stack(features).T, strict=True))
    np.testing.assert_array_equal(columns["mfcc_4"], features.mfcc[:, 4])
    np.testing.assert_array_equal(columns["onset_strength"], features.onset_strength)
    np.testing.assert_array_equal(columns["chroma_B"], features.chroma[:, 11])
    np.testing.assert_array_equal(columns["beat_sin"], features.beat_phase[:, 0])
    np.testing.assert_array_equal(columns["beat_nearness"], features.beat_nearness)


@pytest.mark.parametrize("samples", [np.array([0.0, np.nan]), np.array([np.inf]), np.zeros((9, 2))])
def test_samples_that_are_no_sound_are_refused(samples):
    with pytest.raises(ValueError, match="finite numbers"):
        extract(samples, 30, n_mfcc=13)


@pytest.mark.slow
def test_processes_that_compile_at_once(tmp_path):
    """After a fresh install, two stages at once broke librosa for good: each later use was a segmentation fault."""
    code = "import numpy as np; from dancing.media.audio import extract; extract(np.zeros(46080, 'f4'), 30, 13)"
    fresh = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for count in (3, 1):  # at once, and later
        processes = [subprocess.Popen([sys.executable, "-c", code], env=fresh) for _ in range(count)]
        assert [process.wait() for process in processes] == [0] * count
    assert list(tmp_path.rglob("*.nbi"))  # numba's cache was there
