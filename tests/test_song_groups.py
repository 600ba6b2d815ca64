"""Clips of the same song are found, and other songs are not taken for it."""

import numpy as np
import pytest

from dancing.clips.song_groups import SAME_SONG, _fingerprint, similarity, song_groups
from dancing.media.audio import extract, sample_rate_of
from dancing.media.sound import read_audio, write_audio
from data.demo.music import SAMPLE_RATE, compose

pytestmark = pytest.mark.slow  # all compose and extract


def chroma(tmp_path, sound: np.ndarray, name: str = "a.mp3") -> np.ndarray:
    write_audio(tmp_path / name, sound, SAMPLE_RATE)
    return extract(read_audio(tmp_path / name, sample_rate_of(30)), 30, 4).chroma


def song(bpm: float, seed: int) -> np.ndarray:
    return compose(bpm, 16.0, np.random.default_rng(seed)).sound


def test_takes_of_one_song(tmp_path):
    """Another start, quieter, through a phone in a noisy room, as MP3: the same song."""
    rng, first = np.random.default_rng(0), song(110, 1)
    heard = 0.3 * first[4 * SAMPLE_RATE :] + 0.02 * rng.standard_normal(first[4 * SAMPLE_RATE :].shape)
    takes = {
        "whole": chroma(tmp_path, first),
        "other": chroma(tmp_path, song(110, 2)),
        "room": chroma(tmp_path, heard.astype(np.float32)),
        "slower": chroma(tmp_path, song(96, 1)),
        "start": chroma(tmp_path, first[: 9 * SAMPLE_RATE], "b.flac"),
    }
    assert song_groups(takes, 30) == [["whole", "room", "start"], ["other"], ["slower"]]


def test_silence_and_short_clips_are_nobody_s_song():
    empty = {"a": np.zeros((300, 12)), "b": np.zeros((300, 12)), "c": np.random.default_rng(0).random((20, 12))}
    assert song_groups(empty, 30) == [["a"], ["b"], ["c"]]
    assert similarity(_fingerprint(empty["c"], 30), _fingerprint(empty["a"], 30)) < SAME_SONG
