"""Beats are counted as a listener counts them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dancing.media import audio, downbeats


def accented(metre: int, b: int, first: int, noise: float, seed: int = 0) -> np.ndarray:
    """(b,) standard scores: every `metre`th beat from `first` on is accented, in noise."""
    ones = (np.arange(b) - first) % metre == 0
    scores = ones + np.random.default_rng(seed).normal(0, noise, b)
    return (scores - scores.mean()) / scores.std()


@pytest.mark.parametrize("metre", [2, 3, 4])
@given(first=st.integers(0, 3), seed=st.integers(0, 20))
def test_the_ones_are_found_in_noise(metre, first, seed):
    places = downbeats.count_beats(accented(metre, 40, first, noise=0.4, seed=seed), metre)
    np.testing.assert_array_equal(places, (np.arange(40) - first) % metre)


def test_a_dropped_beat_is_counted_anew():
    accents = np.delete(accented(4, 64, 0, noise=0.1), 30)
    places = downbeats.count_beats(accents, 4)
    np.testing.assert_array_equal(places[:29], np.arange(29) % 4)
    np.testing.assert_array_equal(places[-29:], np.arange(35, 64) % 4)


@given(st.integers(0, 12), st.sampled_from([2, 3, 4]))
def test_any_number_of_beats(b, metre):
    places = downbeats.count_beats(np.random.default_rng(b).normal(size=b), metre)
    assert places.shape == (b,)
    assert ((places >= 0) & (places < metre)).all()


@pytest.mark.parametrize(("metre", "is_triple"), [(2, False), (3, True), (4, False)])
def test_a_waltz_is_told_from_a_march(metre, is_triple):
    accents = accented(metre, 60, 1, noise=0.5)
    threes, fours = downbeats.count_beats(accents, 3), downbeats.count_beats(accents, 4)
    assert (downbeats.triple_metre_score(accents, threes, fours) > 0.1) is is_triple


@pytest.mark.parametrize(("metre", "column"), [(3, 2), (4, 4)])
def test_bass_and_harmony_make_the_bar(metre, column):
    """Chords that change, and a bass drum, on every third or fourth beat, clicks on the others: from sound to phase."""
    rate, period, first = audio.sample_rate_of(30), 0.6, 0.45
    t = np.arange(round(20 * rate)) / rate
    beats = np.arange(first, 19.5, period)
    sound = np.zeros(len(t))
    for k, beat in enumerate(beats):
        since = np.maximum(t - beat, 0) * (t >= beat)
        if k % metre == 0:
            sound += (t >= beat) * np.sin(2 * np.pi * 60 * since) * np.exp(-since / 0.08)
            chord = (262, 330, 392) if (k // metre) % 2 else (294, 349, 440)
            playing = (t >= beat) & (t < beat + metre * period)
            sound += playing * 0.05 * sum(np.sin(2 * np.pi * f * t) for f in chord)
        sound += 0.3 * (t >= beat) * np.sin(2 * np.pi * 1500 * since) * np.exp(-since / 0.01)
    features = audio.extract((0.3 * sound).astype(np.float32), 30, 13)
    ones = np.rint(beats[::metre] * 30).astype(int)
    on_the_one = features.bar_phase[ones, column + 1]  # cosine
    assert on_the_one.mean() > 0.9
    assert (features.metre[0] > 0) == (metre == 3)
