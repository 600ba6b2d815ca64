"""From clips to dataset.h5: what is held out, and that sound, pose and picture of a row belong to one instant."""

from itertools import pairwise

import numpy as np
import pytest
from drawn_dancer import draw
from hypothesis import given
from hypothesis import strategies as st

from dancing.clips import build
from dancing.clips.dataset import Dataset, open_dataset, write_dataset
from dancing.clips.extraction import ExtractionSettings, extract_folder
from dancing.media import audio
from dancing.media.framing import Framing
from dancing.media.video_writer import VideoWriter
from dancing.params import Data

SETTINGS = ExtractionSettings(30, 4, 2, 5.0, 0.5, 1.0, 0.5)


def data(**changes) -> Data:
    values = {"clips": "clips", "height": 64, "width": 40, "fit": "letterbox", "split": "auto", "val": 0.2, "test": 0.2}
    return Data(**{**values, "seed": 1, **changes})


@given(count=st.integers(3, 40), seed=st.integers(0, 99), val=st.floats(0.01, 0.4), test=st.floats(0.01, 0.4))
def test_whole_clips_are_held_out(count, seed, val, test):
    names = [f"clip{i}" for i in range(count)]
    parts = build.split_clips([[name] for name in names], data(split="clip", seed=seed, val=val, test=test))
    assert set(parts) == set(names)
    assert {"train", "val", "test"} == set(parts.values())
    assert parts == build.split_clips(
        [[name] for name in names[::-1]], data(split="clip", seed=seed, val=val, test=test)
    )


def test_the_demo_s_split_is_what_it_was():
    demo = [f"{number:02d}" for number in range(1, 13)]
    parts = build.split_clips([[name] for name in demo], data(val=0.12, test=0.25))
    held_out = {name: part for name, part in parts.items() if part != "train"}
    assert held_out == {"01": "test", "08": "test", "12": "test", "09": "val"}


@given(file=st.text(st.characters(exclude_characters="/", exclude_categories=("Cs",)), min_size=1), below=st.booleans())
def test_the_first_folder_is_the_subject(file, below):
    assert build.subject_of(file) == ""
    assert build.subject_of(f"anna/{file}") == "anna"
    assert build.subject_of(f"{file}/{'hall/' if below else ''}clip.mp4") == file


def test_few_clips_are_cut_in_time():
    assert build.split_clips([["a"], ["b"]], data()) is None
    assert build.split_clips([["a"], ["b"]], data(split="clip")) is None  # two clips can't make three parts
    assert build.split_clips([[f"{i}"] for i in range(5)], data()) is not None
    assert build.split_clips([[f"{i}"] for i in range(9)], data(split="time")) is None


def test_clips_of_one_song_stay_together():
    songs = [[f"{song}{take}" for take in "abc"] for song in range(6)]
    parts = build.split_clips(songs, data())
    assert {len({parts[name] for name in names}) for names in songs} == {1}
    assert set(parts.values()) == {"train", "val", "test"}
    assert build.split_clips([["a", "b", "c", "d", "e"]], data()) is None  # five takes of one song: by time


@given(start=st.integers(0, 1000), length=st.integers(60, 5000), val=st.floats(0.05, 0.4), test=st.floats(0.05, 0.4))
def test_time_is_cut_in_order_with_a_guard_between(start, length, val, test):
    parts = build.split_time(start, start + length, data(val=val, test=test), fps=30)
    assert [name for name, _, _ in parts] == [n for n in ("train", "val", "test") if n in [p[0] for p in parts]]
    assert parts[0][1] == start
    assert parts[-1][2] == start + length
    for (_, _, stop), (_, following, _) in pairwise(parts):
        assert following - stop >= min(15, length // 20)
    assert sum(b - a for _, a, b in parts) >= 0.85 * length


@pytest.mark.parametrize(("fit", "left", "top"), [("letterbox", 20, 0), ("crop", 0, -40)])
def test_a_landmark_stays_on_its_pixel(fit, left, top):
    frame = np.zeros((200, 100, 3), np.uint8)
    frame[100:104, 60:64] = 255  # a dot at (62, 102) of 100 x 200
    framing = Framing(100, 200, 80, 80, fit)
    picture = framing.picture(frame)
    assert picture.shape == (80, 80, 3)
    y, x = (np.average(axis, weights=picture[..., 0]) + 0.5 for axis in np.mgrid[:80, :80])
    np.testing.assert_allclose(framing.landmarks(np.array([0.62, 0.51])) * 80, [x, y], atol=0.6)
    scale = 0.4 if fit == "letterbox" else 0.8
    np.testing.assert_allclose([x, y], [left + 62 * scale, top + 102 * scale], atol=0.6)


@pytest.fixture(scope="module")
def flashes(tmp_path_factory) -> tuple[Dataset, np.ndarray]:
    """A dancer at 25 pictures a second who is lit by a flash at each click, through extraction and build."""
    folder, times = tmp_path_factory.mktemp("flash"), np.array([0.6, 1.28, 2.0, 2.48, 3.2])
    sound = np.zeros(4 * 48_000, np.float32)
    for time in times:
        start = round(time * 48_000)
        sound[start : start + 600] = 0.8 * np.sin(np.arange(600) / 4)
    (folder / "clips").mkdir()
    with VideoWriter(folder / "clips/dancer.mp4", 25, 180, 320, sound, 48_000) as video:
        for k in range(100):
            picture = draw(k / 4)
            if k in np.round(times * 25):
                picture[:24] = 255
            video.write(picture)
    reports = extract_folder(folder / "clips", folder / "features", SETTINGS, folder / "cache", jobs=1)
    build.write_report(folder / "features", reports)
    attributes = {"fps": 30, "width": 40, "height": 64, "fit": "letterbox", "n_mfcc": 4}
    pieces = build.pieces(folder / "features", data(clips=str(folder / "clips")), 30)
    write_dataset(folder / "dataset.h5", attributes, pieces)
    return open_dataset(folder / "dataset.h5"), times


@pytest.mark.slow
def test_click_and_flash_are_in_one_row(flashes):
    dataset, times = flashes
    seen, heard = [], []
    for piece in dataset.pieces:
        light = dataset.frames(piece)[:, :3].mean(axis=(1, 2, 3))
        lit = light > 210
        seen += [piece.start + k / 30 for k in np.flatnonzero(lit & ~np.roll(lit, 1))]
        onset = piece.sequences["onset_strength"]
        heard += [piece.start + k / 30 for k in np.flatnonzero(onset > 0.5 * onset.max())]
    shown = [t for t in times if min(abs(t - s) for s in seen) <= 1 / 30]
    assert len(shown) >= 4  # one may fall into a guard
    for time in seen:
        assert min(abs(time - click) for click in heard) <= 1 / 30 + 1e-6


@pytest.mark.slow
def test_parts_come_from_their_own_time(flashes):
    dataset, _ = flashes
    starts = {piece.split: piece.start for piece in dataset.pieces}
    assert starts["train"] == 0 < starts["val"] < starts["test"]
    assert [len(piece) for piece in dataset.split("test")] == [24]  # a fifth of 120 rows


@pytest.mark.slow
def test_columns_are_in_the_same_order_in_dataset_and_song(flashes):
    dataset, _ = flashes
    features = audio.extract(np.random.default_rng(0).normal(size=30 * 512).astype(np.float32), 30, 4)
    piece = dataset.pieces[0]
    assert audio.stack(features).shape[1] == piece.audio.shape[1] == len(dataset.audio_mean)
    sequences = [getattr(features, name) for name in audio.FEATURE_ORDER]
    for mine, its in zip(piece.sequences.values(), sequences, strict=True):
        assert mine.shape[1:] == its.shape[1:]
    names = [name.replace("audio_mfcc_sequences", "mfcc") for name in piece.sequences]
    assert tuple(names) == audio.FEATURE_ORDER
