"""Motion metrics on dances whose answer is known by hand."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dancing.metrics import controls
from dancing.metrics.bootstrap import interval
from dancing.metrics.kinetic import kinetic_features
from dancing.metrics.motion import (
    FPS,
    HIPS,
    JOINTS,
    SHOULDERS,
    Motion,
    drift,
    freeze_ratio,
    jerk,
    magnitude,
    median_speed,
    prepare,
)
from dancing.metrics.rhythm import (
    STRETCHES,
    WRONG,
    beat_alignment,
    beat_f1,
    beat_phase,
    locking_spectrum,
    motion_beats,
    tempo_locking,
)
from dancing.metrics.table import KINETIC, METRICS, Reference, motion_row

RATES = (24.0, 25.0, 30.0, 60.0)
SECONDS = 32.0
BEATS = np.arange(0.25, SECONDS, 0.5)  # 120 BPM
WIDTH, HEIGHT, TORSO = 360, 640, 128  # px

rng = np.random.default_rng(5)
STANDING = np.zeros((33, 2))
STANDING[list(JOINTS)] = [  # px: nose, shoulders, elbows, wrists, hips, knees, ankles
    (180, 130), (210, 192), (150, 192), (235, 250), (125, 250), (245, 310), (115, 310),
    (200, 320), (160, 320), (205, 420), (155, 420), (208, 520), (152, 520),
]  # fmt: skip
SWING = rng.uniform(-25, 25, (33, 2))  # px, how far and which way each landmark swings
SWAY = rng.uniform(-1, 1, (200, 33, 2))  # px, at many paces
PACES = rng.uniform(1, 20, 200)  # rad/s
SWING[[11, 12, 23, 24]] = SWAY[:, [11, 12, 23, 24]] = 0  # the torso stands, so that a torso length is known


def dance(swing, fps=30.0, seconds=SECONDS, loose=0.0):
    """A figure whose landmarks swing along SWING by swing(t) in [-1, 1] -> the arguments of `prepare`.

    loose: how much each also sways to no rhythm, since a tempo can only be weighed against what is not in it.
    """
    t = np.arange(round(seconds * fps)) / fps
    sway = np.tensordot(np.sin(np.outer(t, PACES)), SWAY, axes=1)  # (T, 33, 2) px
    pixels = STANDING + swing(t)[:, None, None] * SWING + loose * sway
    return pixels / [WIDTH, HEIGHT], np.ones((len(t), 33)), fps, WIDTH, HEIGHT


def steps(beats_per_step=1.0, late=0.0, faster=1.0):
    """From side to side, at rest on every (second, ...) beat of BEATS: the speed goes as |sin|."""
    return lambda t: np.cos(np.pi * ((t - late) * faster - BEATS[0]) / (0.5 * beats_per_step))


def on_beat(fps=30.0):
    return prepare(*dance(steps(), fps))


def jitter(fps=30.0, seed=0, seconds=SECONDS):
    landmarks, *rest = dance(np.zeros_like, fps, seconds)
    return prepare(landmarks + np.random.default_rng(seed).normal(0, 0.01, landmarks.shape), *rest)


def frozen(fps=30.0):
    return prepare(*dance(np.zeros_like, fps))


def tempo_scores(motion, beats):
    return tempo_locking(locking_spectrum(motion, beats))


def row_of(motions, beats, real, seed=0):
    """The row of dances to different songs, one take each, beside real ones."""
    clips = [f"real {k}" for k in range(len(real))]
    reference = Reference.of(real, clips, real, clips, seed)
    motions = [dance.only(reference.seen) for dance in motions]
    spectra = [[locking_spectrum(dance, music)] for dance, music in zip(motions, beats, strict=True)]
    songs = [f"song {k}" for k in range(len(motions))]
    return motion_row([[dance] for dance in motions], spectra, beats, songs, reference, seed)


# -------------------------------------------------------------------------------------------------- preparation


@pytest.mark.parametrize("fps", RATES)
def test_preparation_is_in_torso_lengths_at_60_hz(fps):
    motion = on_beat(fps)
    t = np.arange(len(motion.q)) / FPS
    pixels = STANDING + steps()(t)[:, None, None] * SWING
    root = pixels[:, [23, 24]].mean(axis=1)
    assert motion.torso == pytest.approx(TORSO)
    assert motion.duration == pytest.approx(SECONDS, abs=1 / 24)
    np.testing.assert_allclose(motion.q, (pixels[:, JOINTS] - root[:, None]) / TORSO, atol=2e-3)
    np.testing.assert_allclose(motion.root, root / TORSO, atol=2e-3)


@given(scale=st.floats(0.2, 2), left=st.floats(-1, 1), tall=st.integers(90, 1000))
@settings(max_examples=20, deadline=None)
def test_body_does_not_depend_on_camera_or_picture(scale, left, tall):
    landmarks, visibility, fps, *_ = dance(steps(), seconds=2.0)
    pixels = landmarks * [WIDTH, HEIGHT] * scale + [left * WIDTH, 0]
    there = prepare(pixels / [500, tall], visibility, fps, 500, tall)
    np.testing.assert_allclose(there.q, prepare(landmarks, visibility, fps, WIDTH, HEIGHT).q, atol=1e-9)


def test_unseen_landmarks_leave_no_trace():
    landmarks, visibility, *rest = dance(steps())
    whole = prepare(landmarks, visibility, *rest)
    lost = np.random.default_rng(1).random(visibility.shape) < 0.05  # a twentieth is anywhere
    lost[300:330, 15] = True  # and the left wrist for a second
    lost[:, 16] = True  # and the right one always
    lost[:, 23:25] = False
    garbage = np.where(lost[..., None], 9.0, landmarks)
    hidden = prepare(garbage, np.where(lost, 0.3, 1.0), *rest)
    assert np.isnan(hidden.q[:, JOINTS.index(16)]).all()
    assert np.isnan(hidden.q[603:657, JOINTS.index(15)]).all()
    assert np.nanmax(abs(hidden.q - whole.q)) < 0.01
    # The left wrist is measured in all but the hidden second, the right one not at all: like is compared with like.
    like = whole.only(np.isfinite(hidden.landmarks).any(axis=(0, 2)))
    assert magnitude(hidden) == pytest.approx(magnitude(like), rel=0.03)
    assert beat_f1(hidden, BEATS)["f1"] == pytest.approx(1.0, abs=0.02)
    shares = [tempo_scores(motion, BEATS)["tempo_share"] for motion in (hidden, like)]
    assert shares[0] == pytest.approx(shares[1], rel=0.1)


def test_a_joint_seen_in_few_frames_is_left_out():
    landmarks, visibility, *rest = dance(steps())
    visibility[60:, 0] = 0.2  # the nose is seen in a sixteenth
    motion = prepare(landmarks, visibility, *rest)
    assert np.isnan(motion.q[:, 0]).all()
    assert np.isfinite(motion.q[:, 1:]).all()


def test_nothing_is_known_without_hips():
    landmarks, visibility, *rest = dance(steps())
    motion = prepare(landmarks, np.where(np.arange(33) == 23, 0.1, visibility), *rest)
    assert np.isnan(motion.q).all()
    assert np.isnan(magnitude(motion))
    assert np.isnan(tempo_scores(motion, BEATS)["tempo_locking_sum"])


@pytest.mark.parametrize("frames", [0, 1, 2, 3, 20])
def test_the_shortest_dances_do_not_crash(frames):
    landmarks, visibility, fps, width, height = dance(steps())
    motion = prepare(landmarks[:frames], visibility[:frames], fps, width, height)
    row = row_of([motion], [BEATS], [on_beat()], seed=0)
    assert set(row) == set(METRICS)
    assert row["tempo_locking_1"] == {"mean": None, "n": 0, "ci95": None}
    assert row["drift"]["mean"] is None
    json.dumps(row, allow_nan=False)
    assert kinetic_features(motion).shape == (39,)


@pytest.mark.parametrize(
    ("landmarks", "visibility", "fps", "message"),
    [
        (np.zeros((5, 13, 2)), np.ones((5, 13)), 30, "landmarks"),
        (np.zeros((5, 33, 2)), np.ones((4, 33)), 30, "visibility"),
        (np.zeros((5, 33, 2)), np.ones((5, 33)), 0, "fps"),
    ],
)
def test_wrong_shapes_are_named(landmarks, visibility, fps, message):
    with pytest.raises(ValueError, match=message):
        prepare(landmarks, visibility, fps, WIDTH, HEIGHT)


# ------------------------------------------------------------------------------------------------ beats and tempo


@pytest.mark.parametrize("fps", RATES)
def test_on_the_beat(fps):
    motion = on_beat(fps)
    inner = BEATS[1:-1]
    np.testing.assert_allclose(motion_beats(motion)[: len(inner)], BEATS[: len(inner)], atol=0.5 / FPS)
    alignment = beat_alignment(motion, BEATS)
    assert alignment["bas"] > 0.97
    # exp(-d^2 / 18) over a beat of 30 frames has the mean sqrt(18 pi) / 30 = 0.25.
    assert alignment["bas_null"] == pytest.approx(np.sqrt(18 * np.pi) / 30, abs=0.08)
    assert alignment["bas_gain"] == pytest.approx(0.74, abs=0.08)
    assert alignment["bas_motion_gain"] == pytest.approx(0.74, abs=0.08)
    assert alignment["bas_gain_z"] > 1
    f1 = beat_f1(motion, BEATS)
    assert f1["f1"] == 1.0
    assert f1["f1_null"] == pytest.approx(0.28, abs=0.1)  # a window of 140 ms in a beat of 500
    locking = tempo_scores(prepare(*dance(steps(), fps, loose=0.3)), BEATS)
    assert locking["tempo_locking_1"] > 2  # the speeds
    assert locking["tempo_locking_2"] > 5  # the velocities, that change sign
    assert locking["tempo_locking_rank"] == 1
    assert locking["tempo_locking_z"] > 3
    assert locking["tempo_locking_lag"] == pytest.approx(0, abs=0.05)


def test_share_of_a_pure_rhythm():
    # Two of three channels are velocities, all of whose variance is at two beats. The speeds, |sin|, have 0.855 of
    # theirs at one: coefficient 4 / (3 pi) of cos, over the variance 1/2 - 4 / pi^2.
    share = tempo_scores(on_beat(), BEATS)["tempo_share"]
    speeds = (4 / (3 * np.pi)) ** 2 / 2 / (0.5 - 4 / np.pi**2)
    still = 4  # of 13 joints: shoulders and hips
    moving = 13 - still
    assert share == pytest.approx((2 * moving + moving * speeds) / (3 * 13 + 2), rel=0.1)


@pytest.mark.parametrize("fps", RATES)
def test_100_ms_late_is_off_the_beat_but_in_tempo(fps):
    motion = prepare(*dance(steps(late=0.1), fps))
    assert beat_f1(motion, BEATS)["f1"] == 0
    assert beat_alignment(motion, BEATS)["bas_gain"] < 0
    late, punctual = (tempo_scores(prepare(*dance(steps(late=delay), fps, loose=0.3)), BEATS) for delay in (0.1, 0))
    for name in ("tempo_locking_1", "tempo_locking_2", "tempo_locking_sum"):
        assert late[name] == pytest.approx(punctual[name], rel=0.1)
    assert late["tempo_locking_lag"] == pytest.approx(0.1 / 0.5, abs=0.05)


@pytest.mark.parametrize("fps", RATES)
def test_every_second_beat(fps):
    motion = prepare(*dance(steps(beats_per_step=2), fps))
    f1 = beat_f1(motion, BEATS)
    assert (f1["precision"], f1["recall"]) == (1, 0.5)
    assert f1["f1"] == pytest.approx(2 / 3)
    locking = tempo_scores(prepare(*dance(steps(beats_per_step=2), fps, loose=0.3)), BEATS)
    assert locking["tempo_locking_1"] < 1.5
    assert locking["tempo_locking_2"] > 2  # the speeds
    assert locking["tempo_locking_3"] < 1.5
    assert locking["tempo_locking_4"] > 2  # the velocities; in 15 s four beats are hard to tell from four and a half


@pytest.mark.parametrize("fps", RATES)
def test_7_percent_too_fast_is_out_of_tempo(fps):
    motion = prepare(*dance(steps(faster=1.07), fps))
    locking = tempo_scores(prepare(*dance(steps(faster=1.07), fps, loose=0.3)), BEATS)
    assert locking["tempo_locking_1"] < 1.1  # under 1, as its own tempo is among the wrong ones
    assert locking["tempo_locking_sum"] == pytest.approx(1, abs=0.3)
    assert locking["tempo_locking_rank"] < 0.95
    assert abs(beat_alignment(motion, BEATS)["bas_gain"]) < 0.1
    assert beat_f1(motion, BEATS)["f1"] == pytest.approx(0.28, abs=0.1)


@pytest.mark.parametrize("fps", RATES)
def test_frozen(fps):
    motion = frozen(fps)
    assert magnitude(motion) == pytest.approx(0, abs=1e-9)
    assert freeze_ratio(motion, median_speed([on_beat(fps)])) == 1
    assert jerk(motion) == pytest.approx(0, abs=1e-6)
    assert np.isnan(drift(motion))
    assert len(motion_beats(motion)) == 0
    assert beat_alignment(motion, BEATS)["bas"] == 0
    assert beat_f1(motion, BEATS)["f1"] == 0
    assert np.isnan(tempo_scores(motion, BEATS)["tempo_locking_sum"])
    np.testing.assert_allclose(kinetic_features(motion), 0, atol=1e-6)


@pytest.mark.parametrize("fps", RATES)
def test_white_jitter_scores_high_raw_and_nothing_over_its_chance(fps):
    dances = [jitter(fps, seed, seconds=60.0) for seed in range(4)]
    row = row_of(dances, [np.arange(0.25, 60, 0.5)] * 4, dances, seed=0)
    assert row["bas"]["mean"] > 0.2
    assert row["bas_gain"]["mean"] == pytest.approx(0, abs=0.05)
    assert row["f1"]["mean"] == pytest.approx(row["f1_null"]["mean"], abs=0.07)
    assert row["tempo_locking_sum"]["mean"] == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("fps", RATES)
@pytest.mark.parametrize("faster", [1.0, 1.07, 0.9])
def test_the_spectrum_peaks_at_the_dance_s_own_tempo(fps, faster):
    spectrum = locking_spectrum(prepare(*dance(steps(faster=faster), fps, loose=0.3)), BEATS)
    assert spectrum.relative.shape == (len(STRETCHES), 5)
    for period in (1, 2):
        assert STRETCHES[spectrum.energy[:, period - 1].argmax()] == pytest.approx(faster, rel=0.02)
    np.testing.assert_allclose(spectrum.energy[:, -1], spectrum.energy[:, :-1].sum(axis=1))
    np.testing.assert_allclose(spectrum.relative[WRONG].mean(axis=0), 1)


def test_no_beats_no_scores():
    for none in ([], [-3.0, 99.0]):  # none at all, none within
        assert np.isnan(list(beat_alignment(on_beat(), none).values())).all()
        assert np.isnan(list(beat_f1(on_beat(), none).values())).all()
    assert np.isnan(list(tempo_scores(on_beat(), [1.0]).values())).all()


def test_f1_within_70_ms_and_no_further():
    rests = motion_beats(on_beat())
    assert beat_f1(on_beat(), rests + 0.07)["f1"] == 1
    assert beat_f1(on_beat(), rests + 0.071)["f1"] == 0


def test_phase_runs_on_beyond_the_beats():
    phase = beat_phase(np.array([1.0, 1.5, 2.5]), np.array([0.25, 1.0, 1.25, 2.0, 2.5, 4.0]))
    np.testing.assert_allclose(phase, [-1, 0, 0.5, 1.5, 2, 4])


def test_locking_follows_a_tempo_that_changes():
    beats = np.cumsum(np.linspace(0.62, 0.42, 60))
    motion = prepare(*dance(lambda t: np.cos(np.pi * beat_phase(beats, t)), seconds=float(beats[-1])))
    locking = tempo_scores(motion, beats)
    assert locking["tempo_locking_1"] > 4
    assert locking["tempo_locking_rank"] == 1


def test_scores_are_the_same_at_every_frame_rate():
    def both(t):  # two rhythms and some wandering, so that no score is at its end stop
        return 0.5 * steps()(t) + 0.3 * np.sin(3.1 * t) + 0.2 * np.sin(7.7 * t + 1)

    real = [prepare(*dance(steps(), 60.0))]
    rows = [row_of([prepare(*dance(both, fps))], [BEATS], real, seed=0) for fps in RATES]
    for one, other in pairwise(rows):
        for name in METRICS:
            if name not in KINETIC:  # of one song there are no pairs
                assert one[name]["mean"] == pytest.approx(other[name]["mean"], rel=0.05, abs=0.02), name


# ---------------------------------------------------------------------------------------------- amount of motion


def test_magnitude_and_jerk_of_a_known_swing():
    # Joint k moves as a_k cos(2 pi t), a_k = |SWING_k| / TORSO: mean |sin| is 2 / pi, the n-th derivative has (2 pi)^n.
    motion = on_beat()
    mean_swing = np.linalg.norm(SWING[list(JOINTS)], axis=1).mean() / TORSO
    assert magnitude(motion) == pytest.approx(mean_swing * (2 * np.pi) * (2 / np.pi), rel=0.01)
    assert jerk(motion) == pytest.approx(mean_swing * (2 * np.pi) ** 3 * (2 / np.pi), rel=0.02)


def test_freeze_and_drift_of_a_dance_that_stops():
    motion = prepare(*dance(lambda t: np.where(t < SECONDS / 2, steps()(t), steps()(SECONDS / 2))))
    assert freeze_ratio(motion, median_speed([on_beat()])) == pytest.approx(0.5, abs=0.02)
    assert drift(motion) == pytest.approx(0, abs=0.01)
    assert drift(on_beat()) == pytest.approx(1, abs=0.01)


def test_kinetic_features_tell_directions_apart():
    landmarks = np.zeros((121, 33, 2))
    t = np.arange(121) / FPS
    landmarks[:, JOINTS[3], 0] = t**2 / 2  # one joint goes right at 1 L/s^2: its energy over 2 s is the mean of t^2
    features = np.expm1(kinetic_features(Motion(landmarks, torso=1.0))).reshape(13, 3)
    np.testing.assert_allclose(features[3], [4 / 3, 0, 1], atol=0.02)
    assert not np.delete(features, 3, axis=0).any()


# ------------------------------------------------------------------------------------------------------ the table


def test_real_is_its_own_measure_and_shuffled_music_is_at_chance():
    tempi = (0.5, 0.6, 0.43, 0.5)  # s a beat, the last like the first
    songs = [np.arange(0.3, 40, period) for period in tempi]
    dances = [prepare(*dance(lambda t, p=period: np.cos(np.pi * (t - 0.3) / p), seconds=40.0)) for period in tempi]
    real = row_of(dances, songs, dances, seed=0)
    assert [real["magnitude"]["mean"], real["jerk"]["mean"]] == pytest.approx([1, 1])
    assert real["f1"]["mean"] > 0.99  # one song's last beat is too near the end to see a minimum at
    assert real["freeze"]["mean"] == 0
    low, high = real["magnitude"]["ci95"]
    assert low < 1 < high
    assert real["bas"]["n"] == 4

    wrong = controls.wrong_beats(songs, [m.duration for m in dances], np.random.default_rng(0))
    chance = row_of(dances, wrong, dances, seed=0)
    assert chance["bas_gain"]["mean"] == pytest.approx(0, abs=0.06)
    assert chance["tempo_locking_sum"]["mean"] < 1.2
    assert chance["magnitude"] == real["magnitude"]


@pytest.mark.parametrize("songs", [1, 2, 5])
def test_shuffled_beats_are_never_at_a_harmonic_of_the_own_tempo(songs):
    beats = [np.arange(0.1, 20, 0.5 + 0.01 * k) for k in range(songs)]
    for seed in range(5):
        wrong = controls.wrong_beats(beats, [25.0] * songs, np.random.default_rng(seed))
        for own, other in zip(beats, wrong, strict=True):
            assert other[-1] > 23.5  # they go on to the dance's end, past the song's
            ratio = np.median(np.diff(other)) / np.median(np.diff(own))
            assert min(abs(ratio / harmonic - 1) for harmonic in (1 / 2, 2 / 3, 3 / 4, 1, 4 / 3, 3 / 2, 2)) > 0.059


def test_shuffled_without_a_pulse_is_empty():
    assert [len(b) for b in controls.wrong_beats([np.zeros(0)], [5.0], np.random.default_rng(0))] == [0]


def test_one_song_has_no_interval_and_seeds_repeat():
    args = [jitter()], [BEATS], [on_beat()]
    row = row_of(*args, seed=3)
    assert row == row_of(*args, seed=3)
    assert all(cell["ci95"] is None and cell["n"] in (0, 1) for cell in row.values())


def test_only_joints_seen_in_real_dances_are_compared():
    landmarks, visibility, *rest = dance(steps())
    handless = prepare(landmarks, np.where(np.isin(np.arange(33), [15, 16]), 0.3, visibility), *rest)
    row = row_of([on_beat()], [BEATS], [handless], seed=0)
    assert row["magnitude"]["mean"] == pytest.approx(1)
    assert row["jerk"]["mean"] == pytest.approx(1)


def test_summarise_wants_beats_for_every_motion():
    with pytest.raises(ValueError, match="zip"):
        motion_row(
            [[on_beat()]], [[]], [BEATS], ["song"], Reference.of([on_beat()], ["song"], [on_beat()], ["a"], 0), 0
        )


def test_interval_holds_the_mean_of_a_known_sample():
    values = np.random.default_rng(0).normal(3, 1, 400)
    low, high = interval(values, np.ones(400), seed=0) or [np.nan, np.nan]
    assert low < values.mean() < high
    assert high - low == pytest.approx(2 * 1.96 / 20, rel=0.1)
    assert interval(values[:1], np.ones(1), seed=0) is None


def test_hips_are_where_the_constants_say():
    assert [JOINTS[k] for k in HIPS] == [23, 24]
    assert [JOINTS[k] for k in SHOULDERS] == [11, 12]
