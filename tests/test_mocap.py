"""Songs with landmark files: read, checked, brought to the clock, and extracted like any clip."""

import io
import json
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import dance, real_data
from drawn_dancer import draw, write_clip

from dancing.body import mocap
from dancing.body.mocap import Capture, LandmarkFileError
from dancing.clips import build
from dancing.clips.dataset import open_dataset, write_dataset
from dancing.clips.extraction import ExtractionSettings, extract_clip, extract_folder
from dancing.clips.listing import list_clips
from dancing.media.sound import write_audio
from dancing.params import Data

RATE = 48_000
SETTINGS = ExtractionSettings(
    fps=30, n_mfcc=4, detect_every=1, smooth_cutoff=5.0, max_gap_s=0.2, min_length_s=0.5, min_detected=0.5
)


def arrays(frames: int = 50, fps: object = 25, **changes) -> dict:
    """What a landmark file holds; a change to None leaves the array out."""
    whole = {
        "landmarks": dance(frames),
        "visibility": np.ones((frames, 33), np.float32),
        "fps": fps,
        "width": 360,
        "height": 640,
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def clip(folder: Path, name: str, seconds: float = 2.0, **contents) -> Path:
    """A song that clicks every half second, in pitches of its own, and its landmark file; returns the song."""
    sound = np.zeros(round(seconds * RATE), np.float32)
    pitches = np.random.default_rng(zlib.crc32(name.encode())).uniform(0.1, 0.4, len(sound))
    for start in range(RATE // 4, len(sound) - 500, RATE // 2):
        sound[start : start + 500] = 0.7 * np.sin(np.arange(500) * pitches[start])
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / f"{name}.npz", **(contents or arrays()))
    write_audio(folder / f"{name}.wav", sound, RATE)
    return folder / f"{name}.wav"


def waving(times: np.ndarray) -> np.ndarray:
    """Landmarks (n, 33, 2) that swing once a second, known at any time."""
    phase = 2 * np.pi * times[:, None] + np.arange(33) / 10
    return np.stack([0.5 + 0.1 * np.sin(phase), 0.5 + 0.2 * np.cos(phase)], axis=2)


def capture(landmarks: np.ndarray, fps: float) -> Capture:
    seen = np.isfinite(landmarks).all(axis=(1, 2))
    visibility = np.repeat(seen[:, None], 33, axis=1).astype(np.float32)
    return Capture(landmarks.astype(np.float32), visibility, fps, 360, 640)


@pytest.mark.parametrize("fps", [24, 29.97, 60, 120])
def test_poses_come_to_the_clock_by_time(fps):
    source = capture(waving(np.arange(round(4 * fps)) / fps), fps)
    landmarks, visibility = mocap.resample(source, 30, 120)
    wanted = waving(np.arange(120) / 30)
    inside = slice(3, 116)  # a spline knows less at its ends
    np.testing.assert_allclose(landmarks[inside], wanted[inside], atol=3e-4)
    np.testing.assert_allclose(landmarks, wanted, atol=0.05)
    assert (landmarks.shape, landmarks.dtype, visibility.shape) == ((120, 33, 2), np.float32, (120, 33))
    assert (visibility == 1).all()


def test_at_its_own_rate_nothing_changes():
    noise = np.random.default_rng(0).random((70, 33, 2)).astype(np.float32)
    landmarks, _ = mocap.resample(capture(noise, 30), 30, 70)
    np.testing.assert_array_equal(landmarks, noise)


def test_nan_stays_where_it_is():
    poses = waving(np.arange(50) / 25)
    poses[20:25] = np.nan
    landmarks, visibility = mocap.resample(capture(poses, 25), 50, 100)
    unknown = np.isnan(landmarks).any(axis=(1, 2))
    assert np.flatnonzero(unknown).tolist() == [*range(39, 50)]  # from after pose 19 to before pose 25
    assert not visibility[unknown].any()
    np.testing.assert_allclose(landmarks[52:90], waving(np.arange(52, 90) / 50), atol=2e-3)


def test_a_file_is_read(tmp_path):
    landmarks = waving(np.arange(50) / 25)
    landmarks[3, 5] = np.nan
    np.savez(tmp_path / "a.npz", **arrays(landmarks=landmarks, beats=np.arange(4)))
    read = mocap.read(tmp_path / "a.npz")
    assert (read.fps, read.width, read.height, read.duration) == (25.0, 360, 640, 2.0)
    assert np.flatnonzero(np.isnan(read.landmarks).all(axis=(1, 2))).tolist() == [3]
    assert np.flatnonzero(read.visibility.min(axis=1) == 0).tolist() == [3]
    np.testing.assert_allclose(read.landmarks[4:], landmarks[4:], rtol=1e-6)


NAN = np.full((50, 33, 2), np.nan)
HANDLESS = dance(50)
HANDLESS[:, 17:23] = np.nan


@pytest.mark.parametrize(
    ("contents", "reason"),
    [
        (arrays(fps=None), "lacks fps; expected landmarks, visibility, fps, width, height"),
        (arrays(landmarks=dance(50)[:, :17]), r"landmarks is \(50, 17, 2\), expected \(n, 33, 2\)"),
        (arrays(landmarks=np.zeros((50, 33, 3))), r"landmarks is \(50, 33, 3\), expected \(n, 33, 2\)"),
        (arrays(landmarks=np.float32(1)), r"landmarks is \(\), expected \(n, 33, 2\)"),
        (arrays(frames=0, landmarks=np.zeros((0, 33, 2))), "0 of 0 poses are free of NaN"),
        (arrays(landmarks=NAN), "0 of 50 poses are free of NaN.*estimate what was not measured"),
        (
            arrays(landmarks=HANDLESS),
            r"0 of 50 poses are free of NaN .landmarks that never are: \[17, 18, 19, 20, 21, 22\]",
        ),
        (arrays(landmarks=dance(50) * 640), "landmarks reach from .* to .*divide pixels by width and height"),
        (arrays(landmarks=np.full((50, 33, 2), "x")), "landmarks holds <U1, expected numbers"),
        (arrays(visibility=np.ones(50)), r"visibility is \(50,\), expected \(50, 33\)"),
        (arrays(visibility=np.full((50, 33), 100.0)), "visibility must be from 0"),
        (arrays(fps=0), "fps is 0, expected one number, 1 at least"),
        (arrays(fps=np.nan), "fps is nan, expected one number"),
        (arrays(fps=[25, 30]), r"fps is \[25, 30\], expected one number"),
        (arrays(width=-1), "width is -1, expected one number"),
        (arrays(visibility=np.array({"a": 1})), "visibility.npy holds Python objects.*without Python objects"),
    ],
)
def test_a_bad_file_says_what_was_expected(tmp_path, contents, reason):
    np.savez(tmp_path / "a.npz", **contents)
    with pytest.raises(LandmarkFileError, match=rf"a\.npz: {reason}"):
        mocap.read(tmp_path / "a.npz")


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((5, 33, 2)))
    return file.getvalue()


def cut() -> bytes:
    file = io.BytesIO()
    np.savez_compressed(file, **arrays())
    return file.getvalue()[:-50]


@pytest.mark.parametrize("content", [b"", b"poses", npy(), cut()], ids=["empty", "text", "npy", "cut"])
def test_what_is_no_npz_is_told(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(LandmarkFileError, match=r"a\.npz: not an \.npz file"):
        mocap.read(tmp_path / "a.npz")


@pytest.mark.slow
def test_a_song_with_landmarks_is_a_clip(tmp_path):
    features = extract_clip(clip(tmp_path, "a"), SETTINGS)
    assert features.pose.landmarks.shape == (60, 33, 2)
    assert len(features.audio.mfcc) == 60
    assert features.pose.segments == [(0, 60)]
    assert (features.width, features.height) == (360, 640)
    assert features.report["has_frames"] is False
    assert features.report["notes"] == []
    np.testing.assert_allclose(features.audio.beats % 0.5, 0.25, atol=0.02)


@pytest.mark.slow
def test_measured_landmarks_are_not_smoothed(tmp_path):
    noise = np.random.default_rng(0).random((60, 33, 2)).astype(np.float32)
    features = extract_clip(clip(tmp_path, "a", **arrays(60, 30, landmarks=noise)), SETTINGS)
    np.testing.assert_array_equal(features.pose.landmarks, noise)


@pytest.mark.slow
def test_gaps_are_treated_as_in_a_video(tmp_path):
    landmarks = waving(np.arange(150) / 30)
    landmarks[40:44] = landmarks[80:110] = np.nan  # 0.13 s: bridged; 1 s: parts the clip
    features = extract_clip(clip(tmp_path, "a", 5.0, **arrays(150, 30, landmarks=landmarks)), SETTINGS)
    assert features.pose.segments == [(0, 80), (110, 150)]
    assert np.isfinite(features.pose.landmarks[:80]).all()
    assert not features.pose.visibility[40:44].any()
    assert (features.report["gaps"], features.report["longest_gap"]) == (2, 1.0)


@pytest.mark.slow
@pytest.mark.parametrize(("song", "poses", "rows"), [(2.0, 100, 60), (4.0, 50, 60), (2.5, 50, 60)])
def test_what_song_and_landmarks_both_cover_is_used(tmp_path, song, poses, rows):
    features = extract_clip(clip(tmp_path, "a", song, **arrays(poses)), SETTINGS)
    assert len(features.pose.landmarks) == rows
    expected = f"song {song:.1f} s, landmarks {poses / 25:.1f} s: the first 2.0 s are used"
    assert features.report["notes"] == ([expected] if abs(song - poses / 25) > 1 else [])


@pytest.mark.slow
def test_a_mixed_folder_uses_what_can_serve_and_says_why_not(tmp_path):
    clips, out = tmp_path / "clips", tmp_path / "out"
    write_clip(clips / "video.mp4", [draw(k / 5) for k in range(20)])
    np.savez(clips / "video.npz", landmarks=1)  # a video's own affair
    clip(clips / "b", "good")
    clip(clips, "pixels", **arrays(landmarks=dance(50) * 640))
    clip(clips, "short", 0.3)
    clip(clips, "gone", **arrays(landmarks=np.where(np.arange(50)[:, None, None] < 20, dance(50), np.nan)))
    clip(clips, "stray").with_suffix(".npz").unlink()
    clip(clips, "mute").unlink()

    reports = {report["file"]: report for report in extract_folder(clips, out, SETTINGS, tmp_path / "cache", jobs=1)}
    assert {file: report["has_frames"] for file, report in reports.items() if report["used"]} == {
        "b/good.wav": False,
        "video.mp4": True,
    }
    reasons = {file: report["reason"] for file, report in reports.items() if not report["used"]}
    assert set(reasons) == {"pixels.wav", "short.wav", "gone.wav", "stray.wav", "mute.npz"}
    assert "pixels.npz: landmarks reach from" in reasons["pixels.wav"]
    assert "0.30 s long" in reasons["short.wav"]
    assert "somebody is seen in 38%" in reasons["gone.wav"]
    assert "NaN" in reasons["gone.wav"]
    assert "needs its landmarks beside it (stray.npz)" in reasons["stray.wav"]
    assert "put it beside them, named mute.mp3" in reasons["mute.npz"]
    assert {path.name for path in out.glob("*.npz")} == {"b__good.npz", "video.npz"}
    json.dumps(reports)


@pytest.mark.slow
def test_song_and_landmarks_both_count(tmp_path):
    clips, out, cache = tmp_path / "clips", tmp_path / "out", tmp_path / "cache"

    def extracted() -> int:
        before = len(list(cache.glob("*.npz")))
        extract_folder(clips, out, SETTINGS, cache, jobs=1)
        return len(list(cache.glob("*.npz"))) - before

    clip(clips, "a")
    cache.mkdir()
    assert (extracted(), extracted()) == (1, 0)
    clip(clips, "a", 1.9)
    assert extracted() == 1
    clip(clips, "a", 1.9, **arrays(landmarks=dance(50) + 0.01))
    assert extracted() == 1


def test_two_songs_of_one_dance_are_told(tmp_path):
    song = clip(tmp_path, "a")
    song.with_suffix(".mp3").touch()
    assert list_clips(tmp_path).clips == {}
    assert set(list_clips(tmp_path).refused) == {"a.mp3", "a.wav"}


@pytest.fixture(params=["made", "real"])
def captured(request: pytest.FixtureRequest, tmp_path: Path) -> list[Path]:
    """Songs that begin with a cover that a converter wrote as a film, landmark files beside them."""
    if request.param == "real":
        return [real_data("mocap") / f"{name}.ogg" for name in ("DANCE_C_4", "DANCE_W_24")]
    cover = write_clip(tmp_path / "cover.mp4", [draw(0.0)] * 300)
    np.savez(tmp_path / "a.npz", **arrays(250))
    return [cover.rename(tmp_path / "a.ogg")]


@pytest.mark.slow
def test_motion_capture_beside_songs_with_covers(captured: list[Path]):
    settings = replace(SETTINGS, fps=25)
    for song in captured:
        features = extract_clip(song, settings)
        stored = np.load(song.with_suffix(".npz"))["landmarks"]
        np.testing.assert_array_equal(features.pose.landmarks, stored)
        assert features.report["notes"] == []
        assert 60 < features.audio.tempo < 220


@pytest.mark.slow
def test_each_subject_is_split_as_if_alone(tmp_path):
    """Anna has enough for whole clips to be held out, Ben and who is in no folder are cut in time."""
    clips, features = tmp_path / "clips", tmp_path / "features"
    for k in range(5):
        clip(clips / "anna", f"{k}", **arrays(landmarks=dance(50, phase=k)))
    clip(clips / "ben" / "garden", "0")
    clip(clips, "loose")
    clip(clips / "cleo", "short", 0.3)
    (clips / "nobody").mkdir()
    reports = extract_folder(clips, features, SETTINGS, tmp_path / "cache", jobs=1)
    build.write_report(features, reports)
    data = Data(
        clips=str(clips), height=64, width=64, fit="letterbox", split="auto", val=0.2, test=0.2, seed=1
    )  # fmt: skip
    pieces = [piece for piece, _ in build.pieces(features, data, 30)]
    parts = {
        subject: sorted(piece.split for piece in pieces if piece.subject == subject)
        for subject in {piece.subject for piece in pieces}
    }
    whole, cut = ["test", "train", "train", "train", "val"], ["test", "train", "val"]
    assert parts == {"anna": whole, "ben": cut, "": cut}
    build.write_report(features, [report for report in reports if report["file"].startswith("anna/")])
    alone = [piece for piece, _ in build.pieces(features, data, 30)]
    assert [(p.clip, p.split) for p in alone] == [(p.clip, p.split) for p in pieces if p.subject == "anna"]


@pytest.mark.slow
def test_the_mixed_folder_becomes_a_dataset(tmp_path):
    clips, features = tmp_path / "clips", tmp_path / "features"
    write_clip(clips / "video.mp4", [draw(k / 5) for k in range(60)])
    for k in range(5):
        clip(clips, f"song{k}", **arrays(landmarks=dance(50, phase=k)))
    build.write_report(features, extract_folder(clips, features, SETTINGS, tmp_path / "cache", jobs=1))
    data = Data(
        clips=str(clips), height=64, width=64, fit="letterbox", split="auto", val=0.2, test=0.2, seed=1
    )  # fmt: skip
    attributes = {"fps": 30, "width": 64, "height": 64, "fit": "letterbox", "n_mfcc": 4}
    for name in ("one.h5", "two.h5"):
        write_dataset(tmp_path / name, attributes, build.pieces(features, data, 30))
    assert (tmp_path / "one.h5").read_bytes() == (tmp_path / "two.h5").read_bytes()
    with open_dataset(tmp_path / "one.h5") as dataset:
        songs = [piece for piece in dataset.pieces if not dataset.has_frames(piece)]
        # Whole songs are held out; the only video is cut in time, so that each part has pictures.
        assert sorted(piece.split for piece in songs) == ["test", "train", "train", "train", "val"]
        assert sorted(piece.split for piece in dataset.with_frames().pieces) == ["test", "train", "val"]
        # 360 x 640 in a square of 64: 36 px wide, in the middle; one shape in both directions.
        first = next(piece for piece in songs if piece.clip == "song0.wav").landmarks[0] * 64
        np.testing.assert_allclose(first, dance(50)[0] * [36, 64] + [14, 0], atol=1e-3)
