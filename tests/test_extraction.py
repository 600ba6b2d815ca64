"""A folder of clips becomes a file of features a clip; what cannot serve is named with its reason."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawn_dancer import draw, empty_room, write_clip

from dancing.clips import extraction, report
from dancing.clips.extraction import (
    ClipFeatures,
    ClipRejectedError,
    ExtractionSettings,
    extract_clip,
    extract_folder,
)
from dancing.clips.listing import list_clips
from dancing.media.container import MediaError
from dancing.media.video_writer import VideoWriter

SETTINGS = ExtractionSettings(
    fps=30, n_mfcc=13, detect_every=2, smooth_cutoff=5.0, max_gap_s=0.2, min_length_s=0.5, min_detected=0.5
)
DANCE = [draw(k / 5) for k in range(36)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.slow
def test_paths_are_those_of_the_caller_also_in_workers_that_were_started_elsewhere(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        write_clip(Path("clips/x.mp4"), DANCE)
        reports = extract_folder("clips", "out", SETTINGS, f"cache_{name}")
        assert [report["reason"] for report in reports] == [""]
        assert Path("out/x.npz").is_file()


@pytest.mark.slow
@pytest.mark.parametrize(("fps", "rows"), [(30, 36), (24, 29)])
def test_every_array_has_a_row_a_frame(tmp_path, fps, rows):
    features = extract_clip(write_clip(tmp_path / "a.mp4", DANCE), replace(SETTINGS, fps=fps))
    audio, pose = features.audio, features.pose
    for array in (audio.mfcc, audio.onset_strength, audio.chroma, audio.beat_phase, audio.beat_nearness):
        assert len(array) == rows
    assert pose.landmarks.shape == (rows, 33, 2)
    assert pose.detected.all()
    assert pose.segments == [(0, rows)]
    assert (features.width, features.height, features.fps) == (180, 320, fps)
    assert features.report["has_sound"]
    assert features.report["detected"] == 1.0
    assert features.report["source_fps"] == pytest.approx(30)


@pytest.mark.slow
def test_saved_features_come_back(tmp_path):
    features = extract_clip(write_clip(tmp_path / "a.mp4", DANCE), SETTINGS)
    features.save(tmp_path / "a.npz")
    loaded = ClipFeatures.load(tmp_path / "a.npz")
    assert loaded.report == features.report
    assert loaded.pose.segments == features.pose.segments
    assert loaded.audio.tempo == features.audio.tempo
    np.testing.assert_array_equal(loaded.pose.landmarks, features.pose.landmarks)
    np.testing.assert_array_equal(loaded.audio.beats, features.audio.beats)
    loaded.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "a.npz").read_bytes()


@pytest.mark.slow
def test_a_silent_part_is_left_out(tmp_path):
    pictures = [draw(k / 5) for k in range(150)]
    sound = np.zeros(5 * 48_000, np.float32)
    for start in (*range(0, 60_000, 24_000), *range(170_000, 240_000, 24_000)):
        sound[start : start + 500] = 0.7 * np.sin(np.arange(500) / 5)
    with VideoWriter(tmp_path / "a.mp4", 30, 180, 320, sound, 48_000) as writer:
        for picture in pictures:
            writer.write(picture)
    features = extract_clip(tmp_path / "a.mp4", SETTINGS)
    (first, last) = features.pose.segments
    assert first[0] == 0
    assert first[1] == pytest.approx(48_500 / 1600, abs=1)
    assert last[0] == pytest.approx(170_000 / 1600, abs=1)
    assert "silent from 1.0 s to 3.5 s" in features.report["notes"][0]


@pytest.mark.slow
def test_an_absence_parts_the_clip(tmp_path):
    pictures = DANCE[:24] + [empty_room()] * 20 + DANCE[:24]
    features = extract_clip(write_clip(tmp_path / "a.mp4", pictures), SETTINGS)
    (first, leaves), (returns, last) = features.pose.segments
    assert (first, last) == (0, 68)
    assert leaves == pytest.approx(24, abs=2)
    assert returns == pytest.approx(44, abs=2)
    assert np.isnan(features.pose.landmarks[leaves:returns]).all()
    assert np.isfinite(features.pose.landmarks[first:leaves]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("pictures", "sound", "reason"),
    [
        (DANCE[:9], True, r"0\.30 s long, at least 0\.5 s needed"),
        (DANCE, False, "has no sound track"),
        ([empty_room()] * 20, True, "somebody is seen in 0% of its frames, at least 50% needed"),
        ((DANCE[:9] + [empty_room()] * 8) * 2 + DANCE[:9], True, r"no stretch of 0\.5 s"),
    ],
)
def test_a_clip_that_cannot_serve_says_why(tmp_path, pictures, sound, reason):
    with pytest.raises(ClipRejectedError, match=reason):
        extract_clip(write_clip(tmp_path / "a.mp4", pictures, sound=sound), SETTINGS)


@pytest.mark.slow
def test_the_good_clips_of_a_folder_are_used(tmp_path):
    clips, out, cache = tmp_path / "clips", tmp_path / "out", tmp_path / "cache"
    write_clip(clips / "b.mp4", DANCE)
    write_clip(clips / "a" / "b.mp4", DANCE[:20])
    write_clip(clips / "silent.mp4", DANCE, sound=False)
    (clips / "broken.mp4").write_text("no film")
    (clips / "notes.txt").write_text("no clip")
    out.mkdir()
    (out / "gone.npz").write_text("of a clip that is no more")

    reports = extract_folder(clips, out, SETTINGS, cache, jobs=1)
    assert [(report["clip"], report["file"], report["used"]) for report in reports] == [
        ("a__b", "a/b.mp4", True),
        ("b", "b.mp4", True),
        ("broken", "broken.mp4", False),
        (None, "notes.txt", False),
        ("silent", "silent.mp4", False),
    ]
    assert "not a media file" in reports[2]["reason"]
    assert "not a kind of file" in reports[3]["reason"]
    assert "no sound" in reports[4]["reason"]
    assert reports[1]["duration"] == pytest.approx(1.2)
    assert set(contents(out)) == {"a__b.npz", "b.npz"}


@pytest.mark.slow
def test_a_new_clip_costs_one_clip(tmp_path, monkeypatch):
    clips, out, cache = tmp_path / "clips", tmp_path / "out", tmp_path / "cache"
    extracted: list[str] = []

    def counted(path, settings):
        extracted.append(path.name)
        return extract_clip(path, settings)

    monkeypatch.setattr(extraction, "extract_clip", counted)
    write_clip(clips / "a.mp4", DANCE)
    extract_folder(clips, out, SETTINGS, cache, jobs=1)
    before = contents(out)
    write_clip(clips / "b.mp4", DANCE[:20])
    extract_folder(clips, out, SETTINGS, cache, jobs=1)
    assert extracted == ["a.mp4", "b.mp4"]
    assert contents(out)["a.npz"] == before["a.npz"]
    (clips / "a.mp4").rename(clips / "c.mp4")  # content counts, not the name
    extract_folder(clips, out, SETTINGS, cache, jobs=1)
    assert extracted == ["a.mp4", "b.mp4"]
    extract_folder(clips, out, replace(SETTINGS, n_mfcc=20), cache, jobs=1)
    assert extracted == ["a.mp4", "b.mp4", "c.mp4", "b.mp4"]  # the largest first


@pytest.mark.slow
def test_two_workers_find_the_same(tmp_path):
    clips = tmp_path / "clips"
    write_clip(clips / "a.mp4", DANCE)
    write_clip(clips / "b.mp4", DANCE[:20])
    reports = [extract_folder(clips, tmp_path / f"out{n}", SETTINGS, tmp_path / f"cache{n}", jobs=n) for n in (1, 2)]
    assert reports[0] == reports[1]
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")


@pytest.mark.slow
def test_a_clip_that_crashes_the_reader_is_refused(tmp_path, monkeypatch):
    """A native crash can't be caught; the other clips go on."""
    write_clip(tmp_path / "clips" / "a.mp4", DANCE)
    write_clip(tmp_path / "clips" / "b.mp4", DANCE[:20])
    monkeypatch.setattr(extraction, "_extract_cached", _crash_on_a)
    reports = extract_folder(tmp_path / "clips", tmp_path / "out", SETTINGS, tmp_path / "cache")
    assert [report["used"] for report in reports] == [False, True]
    assert "crashed" in reports[0]["reason"]


def _crash_on_a(path, settings, cached):
    if path.name == "a.mp4":
        os.kill(os.getpid(), signal.SIGSEGV)
    return ORIGINAL(path, settings, cached)


ORIGINAL = extraction._extract_cached


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), MemoryError(), ZeroDivisionError()])
def test_a_fault_of_the_machine_is_not_a_clip_s(tmp_path, monkeypatch, error):
    """A full disk was reported as skipped clips, and they stayed lost when there was room again."""

    def fail(path, settings):
        raise error

    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_text("no film")
    monkeypatch.setattr(extraction, "extract_clip", fail)
    with pytest.raises(type(error)) as raised:
        extract_folder(tmp_path / "clips", tmp_path / "out", SETTINGS, tmp_path / "cache", jobs=1)
    assert "a.mp4" in raised.value.__notes__[0]


@pytest.mark.slow
def test_the_report_shows_what_was_used_and_harms_nobody(tmp_path):
    clips, out = tmp_path / "clips", tmp_path / "out"
    write_clip(clips / "<script>alert(1)<.mp4", DANCE)
    (clips / "b\n.mov").write_text("no film")
    reports = extract_folder(clips, out, SETTINGS, tmp_path / "cache", jobs=1)
    page = report.page(reports, out)
    assert "<script" not in page
    assert page.count("data:image/jpeg;base64,") == 1
    assert page.count("L") > 20  # the skeleton's lines
    text = list(report.lines(reports))
    assert text[-1] == "1 used, 1 skipped"
    assert not any(set(line) & {"\n", "\x1b"} for line in text)


@pytest.mark.slow
def test_nothing_to_use_is_reported(tmp_path):
    write_clip(tmp_path / "clips" / "a.mp4", DANCE[:4])
    reports = extract_folder(tmp_path / "clips", tmp_path / "out", SETTINGS, tmp_path / "cache", jobs=1)
    assert not reports[0]["used"]
    (tmp_path / "empty").mkdir()
    assert extract_folder(tmp_path / "empty", tmp_path / "out", SETTINGS, tmp_path / "cache") == []
    with pytest.raises(MediaError, match="absent is no folder: put dance clips there"):
        extract_folder(tmp_path / "absent", tmp_path / "out", SETTINGS, tmp_path / "cache")


# ------------------------------------------------------------------------------------------------------------- names


def test_names_of_clips(tmp_path):
    long = "x" * 240
    for name in (
        "b.mp4", "a.mp4", "a.MOV", "z/a.webm", "z__a.webm", ".hidden.mp4", "normalisation.mp4", "b.0.mp4",
        f"{long}.mp4",
        "two\nlines.mp4", "-dash.mp4", "it's \"x\".mp4", "Grüße.mts", "film.mp4/inside.mkv",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    names = {path.relative_to(tmp_path).as_posix(): name for name, path in list_clips(tmp_path).clips.items()}
    plain = {"b.mp4": "b", "a.mp4": "a.mp4", "a.MOV": "a.MOV", "-dash.mp4": "-dash", "Grüße.mts": "Grüße",
             "film.mp4/inside.mkv": "film.mp4__inside"}  # fmt: skip
    assert {file: names[file] for file in plain} == plain
    assert len(set(names.values())) == len(names) == 13
    assert all(len(name.encode()) < 120 and name.isprintable() and "/" not in name for name in names.values())
    assert {"normalisation", "b.0"}.isdisjoint(names.values())  # groups of the dataset, and b's first piece


def test_what_is_no_clip_is_told(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "a.mp4").touch()
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "linked").symlink_to(tmp_path / "sub")
    (tmp_path / "dangling.mp4").symlink_to(tmp_path / "nowhere")
    (tmp_path / "picture.jpg").touch()
    os.mkfifo(tmp_path / "pipe.mp4")
    (tmp_path / os.fsdecode(b"bad\xff.mp4")).touch()
    listing = list_clips(tmp_path)
    assert set(listing.clips) == {"sub__a"}
    assert {file: reason.split(":")[0].split(" (")[0] for file, reason in listing.refused.items()} == {
        "dangling.mp4": "a link to nothing",
        "linked/a.mp4": "the same file as sub/a.mp4",
        "picture.jpg": "not a kind of file that is used here",
        "pipe.mp4": "no regular file",
        "bad\\xff.mp4": "its name is not UTF-8",
    }
