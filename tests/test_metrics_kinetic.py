"""Distributions of motion: distances that can be computed by hand, and estimates that are right on average."""

import numpy as np
import pytest
from conftest import dance, real_data

from dancing.metrics import controls
from dancing.metrics.kinetic import WINDOW, KineticSpace, distances, frechet, kinetic_features, window_features
from dancing.metrics.motion import FPS, JOINTS, Motion, prepare
from dancing.metrics.table import Reference, kinetic_row

Clip = tuple[np.ndarray, np.ndarray, float, int, int]  # landmarks, visibility, fps, width, height


def test_frechet_of_known_gaussians_and_of_too_few_windows():
    rng = np.random.default_rng(2)
    one, other = rng.normal(0, 1, (20000, 2)), rng.normal([3, 0], 2, (20000, 2))
    assert frechet(one, other) == pytest.approx(3**2 + 2 * (2 - 1) ** 2, rel=0.03)
    assert frechet(one[:20], one[:20]) == pytest.approx(0, abs=1e-6)
    assert np.isnan(frechet(one[:19], other))


def swinging(amplitude, seconds=12.0, pace=1.0):
    """Every joint but mid-hip goes from side to side."""
    t = np.arange(round(seconds * FPS)) / FPS
    landmarks = np.zeros((len(t), 33, 2))
    landmarks[:, :23, 0] = amplitude * np.sin(2 * np.pi * pace * t)[:, None]
    return Motion(landmarks, torso=1.0)


def test_windows_are_half_overlapping_and_hold_what_the_whole_does():
    motion = swinging(0.2)
    windows = window_features(motion)
    assert windows.shape == (2 * 12 / WINDOW - 1, 39)
    np.testing.assert_allclose(windows, np.repeat(kinetic_features(motion)[None], len(windows), 0), atol=0.01)
    assert window_features(swinging(0.2, 1.0)).shape == (1, 39)
    assert window_features(swinging(0.2, 2 / FPS)).shape == (0, 39)
    first = motion.cut(0, round(WINDOW * FPS))
    np.testing.assert_allclose(windows[0], kinetic_features(first), atol=0.02)


def test_standardised_features_leave_out_what_real_dance_does_not_show():
    features = np.array([[1.0, 5, np.nan], [3, 5, np.nan]])
    space = KineticSpace.fit(features)
    standard = space.standardise(np.array([[1.0, 5.1, 7], [np.nan, 5, 7]]))
    np.testing.assert_allclose(standard, [[-1, 2], [0, 0]])  # 5.1: by the least spread, 0.05; unseen is average


def row_of(takes, clips, reference):
    return kinetic_row(takes, clips, reference, seed=0)


@pytest.fixture(scope="module")
def reference():
    real = [
        swinging(a, pace=p) for a, p in zip(np.linspace(0.1, 0.4, 8), (1, 0.8, 1.3, 0.9, 1.1, 0.7, 1.2, 1), strict=True)
    ]
    return Reference.of(real[:3], list("abc"), real, list("stuvwxyz"), seed=0)


def test_diversity_is_over_songs_and_multimodality_over_takes(reference):
    songs = [[swinging(a), swinging(b)] for a, b in ((0.1, 0.3), (0.2, 0.2), (0.4, 0.1))]
    row = row_of(songs, list("abc"), reference)
    vectors = np.array([[reference.space.standardise(kinetic_features(take)) for take in song] for song in songs])
    between = [np.linalg.norm(vectors[i, k] - vectors[j, k]) for i, j in ((0, 1), (0, 2), (1, 2)) for k in (0, 1)]
    assert row["diversity"]["mean"] == pytest.approx(np.mean(between))
    within = [np.linalg.norm(song[0] - song[1]) for song in vectors]
    assert row["multimodality"]["mean"] == pytest.approx(np.mean(within))
    assert within[1] == 0
    assert row["multimodality"]["n"] == row["diversity"]["n"] == 3
    assert row["diversity"]["ci95"][0] <= row["diversity"]["mean"] <= row["diversity"]["ci95"][1]
    assert row["frechet"] == {"mean": None, "n": 3, "ci95": None}


def test_frechet_where_there_are_windows_enough():
    def one_arm(amplitude, seed):
        """Two minutes of one wrist that wanders; of 15 features, 150 windows are enough, and four dances have 236."""
        path = np.random.default_rng(seed).normal(0, amplitude, (7200, 2)).cumsum(axis=0)
        landmarks = np.full((7200, 33, 2), np.nan)
        landmarks[:, [11, 12, 23, 24]] = 0.0
        landmarks[:, 15] = path
        return Motion(landmarks, torso=1.0)

    train = [one_arm(0.01, seed) for seed in range(4)]
    reference = Reference.of(train, list("abcd"), train, list("wxyz"), seed=0)
    alike, other = (
        row_of([[one_arm(size, seed)] for seed in range(10, 14)], list("abcd"), reference)["frechet"]
        for size in (0.01, 0.02)
    )
    assert 0 < 10 * alike["mean"] < other["mean"]
    assert alike["ci95"][0] < alike["mean"] < other["ci95"][0]


def test_one_song_has_no_pairs_and_one_take_no_others(reference):
    row = row_of([[swinging(0.2)], [swinging(0.3)]], ["a", "a"], reference)  # two pieces of one clip
    assert {name for name, cell in row.items() if cell["mean"] is None} == {
        "mmd", "mmd_ratio", "frechet", "diversity", "multimodality"
    }  # fmt: skip
    two = row_of([[swinging(0.2)], [swinging(0.3)]], ["a", "b"], reference)
    assert two["mmd_ratio"]["mean"] is not None
    assert two["mmd_ratio"]["ci95"] is None  # two songs make a single pair


def test_distances_are_euclidean():
    np.testing.assert_allclose(distances(np.array([[0.0, 0], [3, 4]])), [[0, 5], [5, 0]])


def captured_clips() -> list[Clip]:
    """Half a minute of 14 waltzes, captured."""
    clips = []
    for path in sorted(real_data("mocap").glob("DANCE_W_*.npz"))[:14]:
        with np.load(path) as file:
            frames = slice(0, 25 * 30)
            clips.append((file["landmarks"][frames], file["visibility"][frames], 25.0, 1280, 720))
    return clips


def made_clips() -> list[Clip]:
    """Half a minute of 14 dances of one style: every joint sways slowly on a path of its own. No marker on the nose."""
    clips = []
    t = np.arange(25 * 30)[:, None, None] / 25
    for seed in range(14):
        rng = np.random.default_rng(seed)
        rates, phases = rng.uniform(0.2, 1.2, (6, 1, 33, 2)), rng.uniform(0, 2 * np.pi, (6, 1, 33, 2))
        sway = sum(np.sin(2 * np.pi * rate * t + phase) for rate, phase in zip(rates, phases, strict=True))
        visibility = np.ones((len(t), 33), np.float32)
        visibility[:, 0] = 0
        clips.append((dance(len(t), fps=25, phase=seed) + 0.01 * sway, visibility, 25.0, 1280, 720))
    return clips


@pytest.mark.parametrize("source", [made_clips, captured_clips])
def test_dancers_are_near_each_other_and_the_controls_are_not(source):
    clips = source()
    dances = [prepare(*clip) for clip in clips]
    names = list(map(str, range(14)))
    reference = Reference.of(dances[:4], names[:4], dances[4:], names[4:], seed=0)
    seen = reference.seen
    assert seen[list(JOINTS[1:])].all()  # there is no marker on the nose
    trembling = [[prepare(controls.jitter(*clip, seed=0), *clip[1:]).only(seen)] for clip in clips[:4]]
    still = [[prepare(controls.frozen(clip[0]), *clip[1:]).only(seen)] for clip in clips[:4]]
    ratios = [
        row_of(takes, names[:4], reference)["mmd_ratio"]["mean"]
        for takes in ([[dance.only(seen)] for dance in dances[:4]], trembling, still)
    ]
    assert abs(ratios[0]) < 4
    assert min(ratios[1:]) > 8, ratios
