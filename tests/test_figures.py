"""Plots, strips and the comparison video of the motion evaluation: sizes, odd inputs, what is heard."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import dance, standing
from PIL import Image

from dancing.errors import UserError
from dancing.evaluation import figures
from dancing.evaluation.motion import MotionResult
from dancing.media.sound import read_audio, write_audio
from dancing.media.video import probe
from dancing.metrics.rhythm import STRETCHES, WRONG
from dancing.render import panels, plots


def moved(frames: int, *rows: str, songs: int = 1) -> MotionResult:
    dances = {name: [dance(frames, phase=k / 3)] * songs for k, name in enumerate(rows)}
    return MotionResult({}, dances, dict.fromkeys(rows, np.ones((len(STRETCHES), 5))))


def lines(figure: plots.Figure, panel: int) -> dict[str, np.ndarray]:
    """What a panel's legend would name -> its values."""
    handles, labels = figure.axes[panel].get_legend_handles_labels()
    return {label: line.get_ydata() for line, label in zip(handles, labels, strict=True) if hasattr(line, "get_ydata")}


def picture(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


# ------------------------------------------------------------------------------------------------------ skeletons


def test_what_is_not_seen_is_not_drawn():
    pose = standing()
    without = pose.copy()
    without[[13, 15, 19]] = np.nan  # his left arm
    drawn, missing = (plots.draw_skeleton(landmarks, 120, 80).astype(int) for landmarks in (pose, without))
    arm = np.abs(drawn - missing).sum(axis=-1) > 60
    assert arm.any()
    assert not arm[:, :40].any()
    empty = plots.draw_skeleton(np.full((33, 2), np.nan), 120, 80)
    assert (empty == empty[0, 0]).all()


def test_a_trail_shows_where_a_hand_was():
    trail = np.repeat(standing()[None], 5, axis=0)
    trail[:, 15] = np.linspace((0.95, 0.1), (0.9, 0.4), 5)
    with_trail = plots.draw_skeleton(standing(), 200, 200, trail).astype(int)
    new = np.abs(with_trail - plots.draw_skeleton(standing(), 200, 200)).sum(axis=-1) > 20
    assert new[20:80, 175:].any()
    assert not new[:, :100].any()


def test_the_camera_comes_near_and_keeps_shapes():
    far = 0.4 + 0.2 * dance(10)  # a small dancer in a wide picture
    (near,), shape = plots.close_up([far], 200, 100)
    assert 0 < near.min() < 0.25
    assert 0.75 < near.max() < 1
    before, after = (np.ptp(poses * [wide, 1], axis=(0, 1)) for poses, wide in ((far, 2.0), (near, shape)))
    assert after[0] / after[1] == pytest.approx(before[0] / before[1], rel=1e-4)
    lost = far.copy()
    lost[3] = np.nan
    lost[4] = 50  # out of the picture, and no reason to step back from it
    assert plots.close_up([far, lost], 200, 100)[0][0].min() > 0
    assert plots.close_up([np.full((2, 33, 2), np.nan)], 200, 100)[1] > 0


@pytest.mark.parametrize("rows", [("real",), ("real", "ours", "lstm", "retrieval")])
def test_a_strip_has_a_row_a_dance_and_its_name(rows):
    strip = plots.dance_strip({name: dance(7) for name in rows}, 40, 30, columns=5)
    assert strip.shape == (len(rows) * 42 - 2, 6 * 32 - 2, 3)
    assert strip[:40, :30].max() > 150  # a word
    same = plots.dance_strip({"else": dance(7)}, 40, 30, columns=5)
    np.testing.assert_array_equal(strip[:40, 32:], same[:, 32:])
    assert (strip[:40, :30] != same[:40, :30]).any()


def test_a_traversal_has_a_row_a_dimension_and_a_column_a_value():
    traversal = np.stack([[dance(4, phase=value) for value in (0, 0.2, 0.4)]] * 2)  # (2, 3, 4, 33, 2)
    traversal[1, 2] = np.nan
    sheet = plots.latent_traversal(traversal, (-1, 0, 1), ("a", "b"), 40, 30)
    assert sheet.shape == (28 + 2 * 42, 4 * 32 - 2, 3)
    cells = [sheet[30:70, 32 * column : 32 * column + 30] for column in (1, 2, 3)]
    assert (cells[0] != cells[1]).any()
    assert len(np.unique(sheet[72:, 96:].reshape(-1, 3), axis=0)) == 1  # NaN: an empty cell


@pytest.mark.parametrize("frames", [1, 40])
def test_each_latent_is_shown_when_it_does_most(make_dataset, tmp_path: Path, frames: int, monkeypatch):
    dataset = make_dataset()
    traversal = np.repeat(dance(frames)[None], 3, axis=0)[None].repeat(2, axis=0)  # (2, 3, T, 33, 2)
    if frames > 30:
        traversal[0, 2, 30, 15] += 0.3
        traversal[1, 2, 20, 15] += 0.3
    shown = []
    draw = plots.draw_skeleton
    monkeypatch.setattr(plots, "draw_skeleton", lambda pose, *rest: shown.append((pose, rest[-1])) or draw(pose, *rest))
    figures.save_traversal(tmp_path / "plots/t.png", dataset, traversal, (-1, 0, 1))
    assert picture(tmp_path / "plots/t.png").shape[0] == 28 + 2 * (figures.CELL_HEIGHT + 2)
    assert {len(trail) for _, trail in shown} == {min(15, frames - 1)}
    if frames > 30:  # the moments at which the third dance's hand is elsewhere
        assert all(np.abs(shown[row + 2][0] - shown[row][0]).max() > 0.1 for row in (0, 3))


@pytest.mark.parametrize(
    ("samples", "size", "blocks"), [(12, (128, 72), 4), (12, (72, 128), 2), (8, (64, 64), 2), (1, (64, 64), 1)]
)
def test_samples_stand_in_equal_blocks_of_named_columns(samples, size, blocks):
    height, width = size
    real = np.arange(samples, dtype=np.uint8)[:, None, None, None] * np.ones((1, height, width, 3), np.uint8)
    sheet = plots.sample_grid({"landmarks": dance(samples), "real": real, "generated": 255 - real})
    rows = samples // blocks
    assert sheet.shape == (plots.CAPTION_HEIGHT + rows * (height + 2), 3 * blocks * (width + 2) - 2, 3)
    first = sheet[plots.CAPTION_HEIGHT + 2 :][:height]
    np.testing.assert_array_equal(first[:, width + 2 : 2 * width + 2], real[0])
    np.testing.assert_array_equal(first[:, -width:], 255 - real[blocks - 1])  # row by row


def test_heat_and_maps_have_one_scale():
    hot = plots.heat(np.array([[0.0, 0.25, 0.5, 9.0]]), 0.5)
    assert hot.shape == (1, 4, 3)
    assert hot[0, 0].sum() < 10
    np.testing.assert_array_equal(hot[0, 2], hot[0, 3])
    assert (np.diff(hot.sum(axis=-1).astype(int)[0]) >= 0).all()
    figure = plots.maps({"real": np.full((4, 6), np.nan), "ours": np.eye(4, 6)}, "title")
    assert [axes.images[0].get_clim() for axes in figure.axes[:2]] == [(0, 1), (0, 1)]
    assert plots.maps({"real": np.zeros((4, 6))}, "title").axes[0].images[0].get_clim() == (0, 1)


# ---------------------------------------------------------------------------------------------------------- plots


@pytest.mark.parametrize(("rows", "songs"), [(("real",), 1), (("real", "ours", "retrieval"), 3)])
def test_speed_has_a_panel_a_song_and_a_line_a_row(rows, songs):
    speeds = {f"song {k}": {name: np.arange(60.0) for name in rows} for k in range(songs)}
    speeds["song 0"]["real"] = np.full(60, np.nan)
    beats = {song: np.array([-0.1, 0.5, 1.5]) for song in speeds} | {"song 0": np.zeros(0), "not shown": np.ones(1)}
    figure = plots.speed_over_beats(speeds, beats, fps=60.0)
    assert len(figure.axes) == songs
    assert [axes.get_title("left") for axes in figure.axes] == list(speeds)
    for panel, song in enumerate(speeds):
        assert set(lines(figure, panel)) == set(rows)
        within = 0 if song == "song 0" else 1  # of three beats, one lies in the dance
        assert len(figure.axes[panel].lines) == len(rows) + within


def test_locking_shows_every_row_and_the_null():
    spectra = {
        "real": np.random.default_rng(0).random((len(STRETCHES), 5)),
        "ours": np.full((len(STRETCHES), 5), np.nan),
    }
    figure = plots.locking_spectra(spectra, STRETCHES, WRONG, list("12345"))
    assert [axes.get_title() for axes in figure.axes] == list("12345")
    for panel in range(5):
        shown = lines(figure, panel)
        assert set(shown) == {"real", "ours"}
        np.testing.assert_array_equal(shown["real"], spectra["real"][:, panel])
        shaded = figure.axes[panel].collections[0].get_paths()
        assert not any(path.contains_point((1.0, 0.5)) for path in shaded)
        assert any(path.contains_point((0.85, 0.5)) for path in shaded)


def test_songs_of_the_plots_are_spread_over_the_test_part(make_dataset, tmp_path: Path, monkeypatch):
    dataset = make_dataset()
    piece = dataset.split("test")[0]
    many = replace(dataset, pieces=[replace(piece, name=f"{k:02d} $ $", beats=np.zeros(0)) for k in range(11)])
    shown = []
    monkeypatch.setattr(plots, "speed_over_beats", lambda speeds, *_: shown.extend(speeds) or plots.Figure())
    figures.save_speeds(tmp_path / "speed.png", many, moved(len(piece), "real", "ours", songs=11))
    assert [name[:2] for name in shown] == ["00", "02", "04", "06", "08", "10"]


def test_every_picture_is_made_of_what_there_is(make_dataset, tmp_path: Path):
    dataset = make_dataset(width=64)
    few = moved(64, "real", "ours")
    few.dances["real"][0][:, 15] = np.nan
    figures.save_speeds(tmp_path / "a/speed.png", dataset, few)
    figures.save_strip(tmp_path / "a/dances.png", dataset, few)
    figures.save_locking(tmp_path / "a/locking.png", few)
    assert picture(tmp_path / "a/dances.png").shape[0] == 2 * (figures.CELL_HEIGHT + 2) - 2
    assert all(picture(tmp_path / f"a/{name}.png").shape[1] > 600 for name in ("speed", "locking"))


# ---------------------------------------------------------------------------------------------------------- video


def test_a_panel_a_dancer_under_the_names():
    dances = {name: dance(3) for name in ("real", "ours", "retrieval")}
    shown = {name: panels.skeletons(poses, 40, 30) for name, poses in dances.items()}
    frames = list(panels.captioned(shown, 30))
    assert [frame.shape for frame in frames] == [(40 + panels.CAPTION_HEIGHT, 90, 3)] * 3
    np.testing.assert_array_equal(frames[1][-40:, 60:], plots.draw_skeleton(dances["ours"][1], 40, 30))
    with pytest.raises(ValueError, match="shorter"):
        list(panels.side_by_side({"real": dance(3), "ours": dance(2)}))


@pytest.mark.slow
@pytest.mark.parametrize("rows", [("real", "ours"), ("real", "ours", "lstm", "retrieval")])
def test_the_comparison_is_seen_and_heard(make_dataset, tmp_path: Path, rows):
    dataset = make_dataset()
    tone = (
        np.sin(2 * np.pi * np.cumsum(np.linspace(200, 800, 4 * 48_000)) / 48_000) / 2
    )  # rising: no moment is like another
    write_audio(tmp_path / "test.wav", tone, 48_000)
    piece = replace(dataset.split("test")[0], clip="test.wav", start=1.0)
    dataset = replace(dataset, pieces=[piece])
    sound = figures.first_sound(dataset, tmp_path)
    figures.save_comparison(tmp_path / "plots/c.mp4", dataset, moved(64, *rows), sound)
    info = probe(tmp_path / "plots/c.mp4")
    assert (info.codec, info.has_audio) == ("h264", True)
    assert info.duration == pytest.approx(64 / 30, abs=1 / 30)
    assert info.height == figures.PANEL_HEIGHT + panels.CAPTION_HEIGHT
    assert info.width % (2 * len(rows)) == 0
    heard = read_audio(tmp_path / "plots/c.mp4", 48_000)
    assert len(heard) / 48_000 == pytest.approx(64 / 30, abs=1 / 30)
    assert np.corrcoef(heard[2_000:20_000], tone[50_000:68_000])[0, 1] > 0.99


def test_a_comparison_ends_after_twenty_seconds(make_dataset, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(figures, "VIDEO_SECONDS", 0.5)
    figures.save_comparison(tmp_path / "c.mp4", make_dataset(), moved(64, "real"), np.zeros(48_000))
    assert probe(tmp_path / "c.mp4").duration == pytest.approx(0.5, abs=0.01)


def test_without_its_clip_the_comparison_says_what_it_needs(make_dataset, tmp_path: Path):
    with pytest.raises(UserError, match=r"test\.mp4: no such file.*put the clip back"):
        figures.first_sound(make_dataset(), tmp_path)


def test_sound_that_ends_before_the_piece_is_silence(make_dataset, tmp_path: Path):
    write_audio(tmp_path / "test.wav", np.ones(4_800) / 2, 48_000)
    dataset = make_dataset()
    late = replace(dataset, pieces=[replace(dataset.split("test")[0], clip="test.wav", start=5.0)])
    assert len(figures.first_sound(late, tmp_path)) == 1
