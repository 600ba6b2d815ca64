"""A song through both models to a video: lengths, step of sound and dance, the same seed the same file."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, clicks, standing
from drawn_dancer import write_clip
from PIL import Image

import stages.render
from dancing.body.skeleton import PoseSpace
from dancing.errors import UserError
from dancing.media.song import read_song
from dancing.media.sound import read_audio, write_audio
from dancing.media.video import probe, read_frames
from dancing.pose_to_image.inference import load_generator
from dancing.render import panels, plots


def render(folder: Path, *options: str) -> subprocess.CompletedProcess:
    """`python -m stages.render`, run in another folder than the project's."""
    command = [sys.executable, "-m", "stages.render", *options]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_by_hand(trained: Path):
    result = render(trained, "--song", "song.wav", "--out", "y.mp4", "--seconds", "2.3", "--seed", "3")
    assert result.returncode == 0, result.stderr
    info = probe(trained / "y.mp4")
    sound = read_audio(trained / "y.mp4", 44_100)
    assert (info.codec, info.fps) == ("h264", pytest.approx(30))
    assert info.duration == pytest.approx(2.3, abs=1 / 30)
    assert len(sound) / 44_100 == pytest.approx(info.duration, abs=1 / 30)
    # What is heard in the video is the song, in step to a fraction of a frame.
    song = clicks(3.0)[: len(sound)]
    lags = np.arange(-1500, 1501)
    fit = [np.dot(np.roll(sound, lag)[2000:-2000], song[2000 : len(sound) - 2000]) for lag in lags]
    assert abs(lags[int(np.argmax(fit))]) / 44_100 < 1 / 120
    with np.load(trained / "y.npz") as dance:
        assert dance["landmarks"].shape == (69, 33, 2)
        assert float(dance["fps"]) == 30
    assert not (trained / "mlflow.db").exists()  # by hand is no experiment
    render(trained, "--song", "song.wav", "--out", "again.mp4", "--seconds", "2.3", "--seed", "3")
    render(trained, "--song", "song.wav", "--out", "other.mp4", "--seconds", "2.3", "--seed", "4")
    assert (trained / "y.mp4").read_bytes() == (trained / "again.mp4").read_bytes()
    assert (trained / "y.mp4").read_bytes() != (trained / "other.mp4").read_bytes()


@pytest.mark.slow
def test_beat_warping_changes_the_pace_and_is_rendered(trained: Path):
    plain = render(trained, "--song", "song.wav", "--out", "plain.mp4")
    params = (trained / "params.yaml").read_text(encoding="utf-8")
    (trained / "params.yaml").write_text(params.replace("beat_warp: 0", "beat_warp: 0.15"), encoding="utf-8")
    warped = render(trained, "--song", "song.wav", "--out", "warped.mp4")
    assert (plain.returncode, warped.returncode) == (0, 0), warped.stderr
    with np.load(trained / "plain.npz") as before, np.load(trained / "warped.npz") as after:
        assert before["landmarks"].shape == after["landmarks"].shape
        np.testing.assert_allclose(before["landmarks"][[0, -1]], after["landmarks"][[0, -1]], atol=1e-5)
        assert after["landmarks"].dtype == np.float32


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--song", "none.mp3", "--out", "y.mp4"), "none.mp3"),
        (("--song", "params.yaml", "--out", "y.mp4"), "params.yaml"),
        (("--song", "song.wav", "--out", "y.mp4", "--seconds", "0.001"), "shorter than one frame"),
        (("--song", "song.wav", "--out", "y.gif"), "y.gif"),
    ],
)
def test_what_cannot_be_rendered_is_told_and_leaves_nothing(trained: Path, options, reason):
    result = render(trained, *options)
    assert result.returncode == 1
    assert reason in result.stderr
    assert "Traceback" not in result.stderr
    assert not list(trained.glob("y.*"))


@pytest.mark.slow
def test_a_song_as_long_as_it_is(trained: Path):
    song = read_song(trained / "song.wav", 30, 4, None)
    assert song.features.shape == (90, 27)
    assert sum(map(len, song.sound())) == 3 * 48_000
    with pytest.raises(UserError, match="shorter than one frame"):
        read_song(trained / "song.wav", 30, 4, 0.01)


# -------------------------------------------------------------------------------------------------------- layouts


def render_here(*options: str) -> Path:
    """`python -m stages.render`, run here and now."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["stages.render", "--out", "y.mp4", *options])
        stages.render.main()
    return Path("y.mp4")


@pytest.fixture
def everything(trained: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """With a clip whose k-th picture says so by its brightness; where the stage runs."""
    write_clip(trained / "data/demo/clips/a.mp4", [np.full((64, 64, 3), 8 * k, np.uint8) for k in range(24)])
    monkeypatch.chdir(trained)
    return trained


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layout", "song", "size"),
    [
        ("side_by_side", "song.wav", (256, 128)),
        ("picture", "song.wav", (128, 128)),
        ("skeleton", "song.wav", (128, 128)),
        ("comparison", "song.wav", (192, 128)),
        ("comparison", "data/demo/clips/a.mp4", (288, 128)),
    ],
)
def test_layouts(everything: Path, layout: str, song: str, size: tuple[int, int], capsys):
    info = probe(render_here("--layout", layout, "--song", song, "--seconds", "0.8"))
    assert ((info.width, info.height), info.has_audio) == (size, True)
    assert info.duration == pytest.approx(0.8)
    said = capsys.readouterr().out
    assert "y.mp4: 24 frames, " in said
    assert ("No panel 'real': song.wav is no video of data.clips" in said) == (size[0] == 192)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("shape", "layout", "size", "shown"),
    [
        ("portrait", "picture", (1080, 1920), (1080, 1080)),  # the pictures are squares
        ("landscape", "side_by_side", (1920, 1080), (1920, 960)),
        ("square", "skeleton", (1080, 1080), (1080, 1080)),
        ("square", "comparison", (1080, 1080), (720, 392)),  # of three panels one can't be shown; with captions
    ],
)
def test_formats(everything: Path, shape: str, layout: str, size: tuple[int, int], shown: tuple[int, int]):
    video = render_here("--format", shape, "--layout", layout, "--song", "song.wav", "--seconds", "0.6")
    info, frame = probe(video), next(read_frames(video, 30)).astype(int)
    assert (info.width, info.height) == size
    inside = np.abs(frame - plots.BACKGROUND).max(axis=-1) > 12
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    # Inside the panels, a skeleton doesn't reach the edges.
    assert np.ptp(columns) < shown[0] + 8  # encoding blurs the edges
    assert np.ptp(rows) < shown[1] + 8
    assert abs(rows[0] + rows[-1] - size[1]) < 0.4 * shown[1]
    if layout == "picture":
        assert (np.ptp(columns) + 1, np.ptp(rows) + 1) == pytest.approx(shown, abs=4)


@pytest.mark.slow
def test_a_video_starts_within_the_song(everything: Path):
    sound = np.concatenate([0.1 * np.sin(np.arange(44_100) / 9), clicks(2.0)])
    write_audio("late.wav", sound.astype(np.float32), 44_100)
    heard = read_audio(render_here("--song", "late.wav", "--start", "1", "--seconds", "1.5"), 44_100)
    song = clicks(2.0)[: len(heard)]
    lags = np.arange(-1500, 1501)
    fit = [np.dot(np.roll(heard, lag)[2000:-2000], song[2000 : len(heard) - 2000]) for lag in lags]
    assert abs(lags[int(np.argmax(fit))]) / 44_100 < 1 / 120
    assert np.abs(heard[:10_000]).max() < 0.05  # the tone before is left out
    with pytest.raises(UserError, match=r"late\.wav: is 3\.0 s long, render\.start is 5 s"):
        render_here("--song", "late.wav", "--start", "5")
    write_audio("silent.wav", np.concatenate([clicks(1.0), np.zeros(88_200, np.float32)]), 44_100)
    with pytest.raises(UserError, match=r"silent\.wav: silence from 1\.5 s to 2\.5 s"):
        render_here("--song", "silent.wav", "--start", "1.5", "--seconds", "1")
    clip = render_here(
        "--song", "data/demo/clips/a.mp4", "--start", "0.2", "--seconds", "0.2", "--layout", "comparison"
    )
    shown = [picture[panels.CAPTION_HEIGHT + 4 :, 4:92].mean() / 8 for picture in read_frames(clip, 30)]
    np.testing.assert_allclose(shown, range(6, 12), atol=0.4)


@pytest.mark.slow
def test_the_real_dance_is_in_step(everything: Path):
    pictures = read_frames(
        render_here("--layout", "comparison", "--song", "data/demo/clips/a.mp4", "--seconds", "0.8"), 30
    )
    shown = [picture[panels.CAPTION_HEIGHT + 4 :, 4:92].mean() / 8 for picture in pictures]
    np.testing.assert_allclose(shown, range(24), atol=0.4)


@pytest.mark.slow
def test_a_panel_that_is_missing_is_told(everything: Path, capsys):
    shutil.rmtree(everything / "models/gan/dense")
    render_here("--layout", "comparison", "--song", "data/demo/clips/a.mp4")
    assert (
        "No panel 'baseline': models/gan/dense/best.pt: no such checkpoint; the stage train_gan"
        in capsys.readouterr().out
    )
    (everything / "models/gan/none.txt").touch()
    assert probe(render_here("--song", "song.wav")).width == 128
    assert "No panel 'ours': gan.model is none" in capsys.readouterr().out
    with pytest.raises(UserError, match="nothing is left of the layout picture"):
        render_here("--layout", "picture", "--song", "song.wav")


@pytest.mark.slow
def test_choices_on_the_command_line_are_checked_as_params_are(everything: Path):
    with pytest.raises(UserError, match=r"(?s)2 faults.*render\.layout: expected 'side_by_side'.*render\.stills"):
        render_here("--layout", "side", "--stills", "0")


@pytest.mark.slow
def test_pictures_stay_after_a_clips_last(everything: Path):
    clip = everything / "data/demo/clips/a.mp4"
    pictures = list(panels.recording(clip, 30, 30, "letterbox", 40, 80))
    assert [picture.shape for picture in pictures] == [(40, 80, 3)] * 30
    assert not pictures[20][:, :20].any()  # the square clip, letterboxed
    np.testing.assert_allclose(
        [picture[:, 22:58].mean() / 8 for picture in pictures], [*range(24), *[23] * 6], atol=0.4
    )


@pytest.mark.slow
@pytest.mark.parametrize("fps", [24, 29.97, 60])
def test_another_frame_rate(everything: Path, fps: float):
    params = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(params.replace("fps: null", f"fps: {fps}"), encoding="utf-8")
    video = render_here("--song", "song.wav", "--seconds", "2")
    info, sound, song = probe(video), read_audio(video, 44_100), clicks(2.0)
    assert info.fps == pytest.approx(fps, rel=1e-4)
    assert info.duration == pytest.approx(2.0, abs=0.51 / fps)
    lags = np.arange(-1500, 1501)
    fit = [np.dot(np.roll(song, lag)[2000:80_000], sound[2000:80_000]) for lag in lags]
    assert abs(lags[int(np.argmax(fit))]) / 44_100 < 1 / 120
    with np.load("y.npz") as dance:
        assert (len(dance["landmarks"]), float(dance["fps"])) == (60, 30)


@pytest.mark.parametrize("fps", [24, 60])
def test_a_resampled_dance_is_the_same_in_time(fps: int):
    def swing(rate: int) -> np.ndarray:
        return np.tile(np.sin(5 * np.arange(2 * rate) / rate)[:, None, None], (1, 33, 2)).astype(np.float32)

    dance = panels.resample(swing(30), 30, fps)
    assert (dance.shape, dance.dtype) == ((2 * fps, 33, 2), np.float32)
    np.testing.assert_allclose(dance[: -fps // 30], swing(fps)[: -fps // 30], atol=1e-4)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_a_short_dance_is_resampled(frames: int):
    dance = np.repeat(standing()[None], frames, axis=0)
    np.testing.assert_allclose(panels.resample(dance, 30, 60), np.repeat(dance, 2, axis=0), atol=1e-6)
    assert len(panels.resample(dance, 30, 12)) == max(round(frames * 0.4), 1)


@pytest.mark.slow
def test_the_contact_sheet_has_so_many_stills_evenly_spaced(everything: Path):
    render_here("--layout", "skeleton", "--song", "song.wav", "--seconds", "1", "--stills", "7")
    with np.load("y.npz") as dance:
        chosen = [plots.draw_skeleton(dance["landmarks"][k], 128, 128) for k in (0, 4, 9, 14, 19, 24, 29)]
    with Image.open("y.png") as sheet:
        np.testing.assert_array_equal(np.asarray(sheet), plots.grid([chosen[:4], chosen[4:]]))


@pytest.mark.parametrize(
    ("count", "size", "rows", "columns"), [(10, (640, 720), 2, 5), (60, (640, 720), 6, 10), (1, (640, 360), 1, 1)]
)
def test_a_contact_sheet_is_about_twice_as_wide_as_high(count: int, size: tuple[int, int], rows: int, columns: int):
    still = plots.still(np.zeros((*size, 3), np.uint8))
    assert still.shape == (320, size[1] // 2, 3)
    assert plots.contact_sheet([still] * count).shape == (322 * rows - 2, (size[1] // 2 + 2) * columns - 2, 3)


@pytest.mark.slow
def test_panels_side_by_side(trained: Path):
    image_model, poses = load_generator(trained / "models/gan"), np.repeat(standing()[None], 3, axis=0)
    assert image_model is not None
    shown = {
        "skeleton": panels.skeletons(poses, 90, 80),
        "ours": panels.generated(poses, image_model, 90, 80),
    }
    pictures = list(panels.side_by_side(shown))
    assert [picture.shape for picture in pictures] == [(90, 160, 3)] * 3
    np.testing.assert_array_equal(pictures[0][:, :80], plots.draw_skeleton(poses[0], 90, 80))


@pytest.mark.parametrize(("width", "height", "panel"), [(72, 128, 360), (256, 144, 1138)])
def test_a_panel_has_the_shape_of_the_data(width: int, height: int, panel: int):
    space = PoseSpace.fit("picture", [np.repeat(standing()[None], 3, axis=0)], width, height)
    assert panels.panel_width(space, 640) == panel


def test_the_drawn_skeleton_shows_its_sides():
    picture = plots.draw_skeleton(standing(), 200, 200).astype(int)
    warm = picture[..., 0] - picture[..., 2]
    assert (warm[:, 100:] > 60).sum() > 50  # his left arm and leg, on the right of the picture, are orange
    assert (warm[:, :100] < -60).sum() > 50
    assert not (warm[:, :90] > 60).any()
