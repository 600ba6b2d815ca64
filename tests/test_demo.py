"""The demo's data: does the dancer dance, on the beat, within the picture, as a body does, and is he seen?"""

import contextlib
import os
from pathlib import Path

import av
import librosa
import numpy as np
import pytest

from dancing.body import skeleton
from dancing.media import audio, video
from dancing.media.sound import read_audio
from dancing.metrics.motion import prepare
from dancing.metrics.rhythm import beat_alignment, beat_f1
from data.demo import body as bodies
from data.demo.camera import Camera
from data.demo.dance import ease, perform, plan
from data.demo.make import main
from data.demo.moves import REPERTOIRE, mirrored, pose
from data.demo.music import SAMPLE_RATE, Song, compose

FPS = 30
TEMPI = (92, 104, 117, 129, 140)


def dance(bpm: float, seed: int, seconds: float = 13.0) -> tuple[Song, bodies.Body]:
    rng = np.random.default_rng(seed)
    song = compose(bpm, seconds, rng)
    return song, perform(song, plan(song, rng), FPS, rng)


@pytest.fixture(scope="module")
def dances() -> list[tuple[Song, bodies.Body]]:
    return [dance(bpm, seed) for seed, bpm in enumerate(TEMPI)]


def make_clips(out: Path, *arguments: str) -> Path:
    size = ["--width", "90", "--height", "160", "--seconds", "2", "2", "--count", "1", "--jobs", "1"]
    main(["clips", "--out", str(out), *size, *arguments])
    return out


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


# ----------------------------------------------------------------------------------------------------------- dance


@pytest.mark.slow
def test_motion_beats_fall_on_the_music_s_beats(dances):
    gains, scores = [], []
    for song, body in dances:
        landmarks = Camera(360, 640).project(body.landmarks()) / [360, 640]
        motion = prepare(landmarks, np.ones(landmarks.shape[:2]), FPS, 360, 640)
        gains.append(beat_alignment(motion, song.beats)["bas_gain"])
        scores.append(beat_f1(motion, song.beats)["f1"])
    assert np.mean(gains) >= 0.45, gains
    assert np.mean(scores) >= 0.75, scores


def test_dance_moves_all_the_time_without_jumps(dances):
    for _, body in dances:
        joints = body.landmarks()[:, [0, *range(11, 17), *range(23, 29)]]  # (T, 13, 3)
        speed = np.linalg.norm(np.diff(joints, axis=0), axis=-1) * FPS  # m/s
        assert speed.max() < 9  # a fast hand
        windows = np.lib.stride_tricks.sliding_window_view(speed.mean(axis=1), FPS // 2).mean(axis=1)
        assert windows.min() > 0.1  # from the first half second to the last


def test_bones_keep_their_lengths(dances):
    pairs = [("hip", "knee"), ("knee", "ankle"), ("shoulder", "elbow"), ("elbow", "wrist"), ("wrist", "index"),
             ("ankle", "heel"), ("heel", "ball"), ("ball", "foot_index")]  # fmt: skip
    bones = [(f"{side}_{a}", f"{side}_{b}") for side, _ in bodies.SIDES for a, b in pairs]
    bones += [("left_hip", "right_hip"), ("left_shoulder", "right_shoulder"), ("hips", "waist"), ("waist", "shoulders")]
    for _, body in dances:
        for a, b in bones:
            length = np.linalg.norm(body.joints[a] - body.joints[b], axis=-1)
            assert np.ptp(length) < 1e-6, (a, b)


def test_planted_feet_do_not_slide(dances):
    planted = 0
    for _, body in dances:
        for side, _ in bodies.SIDES:
            ball = body.joints[f"{side}_ball"]
            down = ball[:, 1] < bodies.BALL_HEIGHT + 0.002
            still = down[1:] & down[:-1]
            slide = np.linalg.norm(np.diff(ball[:, [0, 2]], axis=0), axis=-1) * FPS
            assert slide[still].max() < 0.25  # m/s, at the very start and end of a step
            planted += still.mean()
            lowest = np.min([body.joints[f"{side}_{part}"][:, 1] for part in ("ball", "heel", "foot_index")])
            assert lowest > 0  # not through the floor
    assert planted / (2 * len(dances)) > 0.4


def test_whole_dancer_stays_in_the_picture_and_faces_it(dances):
    for _, body in dances:
        names = [name for name in body.joints if not name.endswith("_hand")]
        places = Camera(360, 640).project(np.stack([body.joints[name] for name in names])) / [360, 640]
        assert places.min() > 0.02
        assert places.max() < 0.98
        assert np.degrees(np.arccos(body.chest[:, 2, 2])).max() < 60
        assert (body.joints["left_shoulder"][:, 0] > body.joints["right_shoulder"][:, 0]).all()


def test_repertoire_belongs_to_the_section_and_chance_chooses_from_it():
    verse, chorus = (set(REPERTOIRE[kind]) for kind in ("verse", "chorus"))
    assert len(verse | chorus) >= 8
    assert not verse & chorus
    song, _ = dance(120, seed=5, seconds=16)
    seen, plans = set(), set()
    for seed in range(30):
        calls = plan(song, np.random.default_rng(seed))
        assert sum(call.beats for call in calls) == len(song.beats)
        ends = np.cumsum([call.beats for call in calls])
        for call, end in zip(calls, ends, strict=True):
            (section,) = (s for s in song.sections if s.start < end <= s.start + s.beats)
            assert call.move in REPERTOIRE[section.kind]
        seen |= {call.move for call in calls}
        plans.add(tuple(call.move for call in calls))
    assert seen == verse | chorus  # nothing is never danced
    assert len(plans) > 20  # a song has more than one dance


@pytest.mark.slow
def test_other_seed_other_dance():
    song, _ = dance(120, seed=5)

    def landmarks(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return perform(song, plan(song, rng), FPS, rng).landmarks()

    assert np.array_equal(landmarks(1), landmarks(1))
    assert np.abs(landmarks(1) - landmarks(2)).mean() > 0.05


def test_ease_meets_its_keys_smoothly():
    times, keys = np.arange(6.0), np.array([0.0, 1.0, 3.0, 2.0, 2.0, 5.0])
    assert np.allclose(ease(keys, times, times, 0.4), keys)
    t = np.linspace(0, 5, 5001)
    path = ease(keys, times, t, 0.4)
    acceleration = np.diff(path, 2) / 1e-6
    assert np.abs(np.diff(acceleration)).max() < 0.01 * np.abs(acceleration).max() + 0.1  # no steps: C2
    assert np.allclose(ease(keys, times, np.linspace(3, 4, 50), 0.0), 2.0)  # equal keys: at rest


def test_mirrored_pose():
    given = pose(weight=0.5, dip=0.1, chest=(10, 5, 3), left_arm=(90, 10))
    assert mirrored(given) == pose(weight=-0.5, dip=0.1, chest=(-10, -5, 3), right_arm=(90, 10))
    assert mirrored(mirrored(given)) == given


def test_landmarks_are_mediapipe_s():
    assert bodies.LANDMARKS == skeleton.LANDMARKS


# ----------------------------------------------------------------------------------------------------------- music


def test_librosa_hears_tempo_and_beats(dances):
    audio.load_compiled_functions()
    for song, _ in dances[::2]:
        sound = librosa.resample(song.sound.mean(axis=1), orig_sr=SAMPLE_RATE, target_sr=22050)
        tempo = float(np.atleast_1d(librosa.feature.tempo(y=sound, sr=22050))[0])
        assert min(abs(np.log2(tempo / song.bpm) - octave) for octave in (-1, 0, 1)) < np.log2(1.04), (tempo, song.bpm)
        onset = librosa.onset.onset_strength(y=sound, sr=22050)
        at = librosa.time_to_frames(song.beats, sr=22050)
        on_beat = np.mean([onset[max(k - 2, 0) : k + 3].max() for k in at])
        assert on_beat > 2 * onset.mean()


def test_song_is_clean_and_its_sections_cover_it(dances):
    for song, _ in dances:
        assert song.sound.shape == (round(song.seconds * SAMPLE_RATE), 2)
        assert 0.5 < np.abs(song.sound).max() < 1
        assert song.beats[0] < 0.5
        assert np.allclose(np.diff(song.beats), 60 / song.bpm)
        assert [s.start for s in song.sections] == list(np.cumsum([0] + [s.beats for s in song.sections[:-1]]))
        assert sum(s.beats for s in song.sections) == len(song.beats)
        assert {s.kind for s in song.sections} == {"verse", "chorus"}


# ----------------------------------------------------------------------------------------------------------- files


@pytest.mark.slow
def test_same_seed_same_bytes(tmp_path):
    first, second = (contents(make_clips(tmp_path / name, "--seed", "3")) for name in ("a", "b"))
    assert sorted(first) == ["clips/01_apricot.mp4", "truth/01_apricot.npz"]
    assert first == second
    other = contents(make_clips(tmp_path / "c", "--seed", "4"))
    assert all(first[name] != other[name] for name in first)


@pytest.mark.slow
def test_clip_and_truth_agree(tmp_path):
    make_clips(tmp_path)
    clip = tmp_path / "clips/01_apricot.mp4"
    with av.open(str(clip)) as container:
        picture, sound = container.streams.video[0], container.streams.audio[0]
        assert (picture.codec_context.name, sound.codec_context.name) == ("h264", "aac")
        lengths = [float(stream.duration * stream.time_base) for stream in (picture, sound)]
    assert lengths[0] == pytest.approx(2, abs=1 / FPS)
    assert lengths[1] == pytest.approx(lengths[0], abs=1024 / SAMPLE_RATE + 1e-3)
    frames = list(video.read_frames(clip, FPS))
    with np.load(tmp_path / "truth/01_apricot.npz") as truth:
        assert truth["landmarks"].shape == (len(frames), 33, 2)
        assert truth["landmarks"].dtype == np.float32
        assert truth["visibility"].shape == (len(frames), 33)
        assert (truth["fps"], truth["width"], truth["height"]) == (30, 90, 160)
        assert (np.diff(truth["beats"]) > 0.4).all()
        wrists = truth["landmarks"][:, [15, 16]] * [90, 160]
    # where the wrists have been, the picture has changed
    room = np.median(frames, axis=0)
    moved = [np.abs(frame - room).sum(axis=-1) for frame in frames]
    hit = [moved[t][int(y), int(x)] > 20 for t in range(len(frames)) for x, y in wrists[t]]
    assert np.mean(hit) > 0.5


def test_songs(tmp_path):
    main(["songs", "--out", str(tmp_path), "--seconds", "3", "3", "--jobs", "1"])
    songs = sorted((tmp_path / "songs").iterdir())
    assert [song.name for song in songs] == ["song_1.mp3", "song_2.mp3"]
    for song in songs:
        sound = read_audio(song, 22050)
        assert len(sound) / 22050 == pytest.approx(3, abs=0.1)
        assert np.abs(sound).max() > 0.3


@contextlib.contextmanager
def silenced():
    """MediaPipe's C++ logs to the process's stderr whatever it is told."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


@pytest.mark.slow
def test_mediapipe_sees_what_was_drawn(tmp_path):
    make_clips(tmp_path, "--width", "360", "--height", "640", "--seconds", "2.5", "2.5", "--seed", "2")
    with silenced():
        import mediapipe

        with mediapipe.solutions.pose.Pose(model_complexity=1) as detector:
            found = [detector.process(frame).pose_landmarks for frame in video.read_frames(*_clip(tmp_path))]
    seen = np.array([pose is not None for pose in found])
    assert seen.mean() >= 0.98
    with np.load(tmp_path / "truth/01_apricot.npz") as file:
        truth = file["landmarks"][seen] * [360 / 640, 1]  # in picture heights
    detected = np.array([[(p.x * 360 / 640, p.y) for p in pose.landmark] for pose in found if pose is not None])
    error = np.linalg.norm(detected - truth, axis=-1).mean(axis=0)  # (33,)
    assert error[[11, 12, 23, 24]].max() < 0.02
    assert error[[13, 14, 15, 16, 25, 26, 27, 28]].max() < 0.04
    for left, right in ((11, 12), (23, 24)):  # MediaPipe's left is the dancer's
        assert (
            (detected[:, left, 0] > detected[:, right, 0]) == (truth[:, left, 0] > truth[:, right, 0])
        ).mean() > 0.95


def _clip(folder: Path) -> tuple[Path, float]:
    return folder / "clips/01_apricot.mp4", FPS
