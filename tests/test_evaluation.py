"""The table of motion on datasets whose answer is known: a library that holds the song, a dancer who ignores it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import make_piece, standing

from dancing.clips.dataset import Dataset
from dancing.errors import UserError
from dancing.evaluation.motion import evaluate_motion
from dancing.metrics.bootstrap_cells import means
from dancing.metrics.motion import jerk, magnitude, prepare
from dancing.metrics.rhythm import STRETCHES, beat_f1
from dancing.metrics.table import AMOUNT, METRICS, RHYTHM
from dancing.music_to_pose.retrieval import Retrieval

FPS, FRAMES = 30, 420
SIZE = (FPS, 64, 96)
TEMPI = (0.5, 0.56, 0.44, 0.62, 0.48, 0.53)  # s a beat
LIMBS = {  # which landmarks go how far
    "arms": ([13, 15, 17, 19, 21, 14, 16, 18, 20, 22], (0.08, 0.05)),
    "head": (list(range(11)), (0.03, 0.0)),
    "knees": ([25, 26], (0.03, 0.02)),
}


def dance(period, offset, seed, frames=FRAMES):
    """From side to side, at rest on every beat, each limb as far as this dancer likes; (T, 33, 2) in [0, 1]."""
    rng = np.random.default_rng(seed)
    swing = np.cos(np.pi * (np.arange(frames) / FPS - offset) / period)
    landmarks = np.repeat(standing()[None], frames, axis=0)
    for limb, way in LIMBS.values():
        landmarks[:, limb] += swing[:, None, None] * np.array(way) * rng.uniform(0.5, 1.5)
    return landmarks + np.array([0.02, 0.01]) * np.sin(rng.uniform(1, 2) * np.arange(frames) / FPS)[:, None, None]


def song(number, split, name):
    """A piece with its own tempo and timbre, whose dancer is on the beat."""
    piece = make_piece(name, split, FRAMES, seed=number)
    period, offset = TEMPI[number], 0.2 + 0.01 * number
    timbre = np.random.default_rng(100 + number).normal(size=4)
    mfcc = piece.sequences["audio_mfcc_sequences"] + timbre
    return replace(
        piece,
        tempo=60 / period,
        beats=np.arange(offset, FRAMES / FPS, period),
        sequences={**piece.sequences, "audio_mfcc_sequences": mfcc.astype(np.float32)},
        landmarks=dance(period, offset, number).astype(np.float32),
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """Five songs to learn from, three held out, of which the first is the second of the training part again."""
    train = [song(number, "train", f"train_{number}") for number in range(5)]
    test = [replace(song(number, "test", f"test_{number}"), clip=f"test_{number}.mp4") for number in (1, 4, 5)]
    audio = np.concatenate([piece.audio for piece in train])
    path = tmp_path_factory.mktemp("data") / "dataset.h5"
    return Dataset(path, FPS, *SIZE[1:], 4, audio.mean(axis=0), audio.std(axis=0) + 1e-3, [*train, *test], _file=None)


class Swinger:
    """A dancer at 120 BPM whatever the music."""

    def generate(self, audio, seed, temperature):
        return dance(0.5, 0.1 * seed, seed, len(audio))


@pytest.fixture(scope="module")
def result(dataset):
    return evaluate_motion(dataset, {"ours": Swinger(), "lstm": Swinger()}, temperature=1.0, seeds=2, seed=0)


# -------------------------------------------------------------------------------------------------------- retrieval


def test_a_song_of_the_library_gets_its_own_dance(dataset):
    own = dataset.pieces[1]
    danced = Retrieval.fit(dataset).generate(own.audio, own.beats)
    assert danced.shape == own.landmarks.shape
    # Body and way are the clip's; size and place are the training part's.
    real, got = (prepare(x, own.visibility, *SIZE) for x in (own.landmarks, danced))
    np.testing.assert_allclose(got.q, real.q, atol=0.02)
    np.testing.assert_array_equal(danced, Retrieval.fit(dataset).generate(own.audio, own.beats))


def test_a_new_song_gets_a_real_dance_on_its_own_beats(dataset):
    piece = dataset.pieces[-1]
    retrieval = Retrieval.fit(dataset)
    for stretch in (1.0, 0.9):
        beats = piece.beats * stretch
        danced = prepare(retrieval.generate(piece.audio, beats), piece.visibility, *SIZE)
        assert beat_f1(danced, beats)["f1"] > 0.75
        assert magnitude(danced) == pytest.approx(magnitude(prepare(piece.landmarks, piece.visibility, *SIZE)), rel=0.5)


@pytest.mark.parametrize("beats", [[], [3.0]])
def test_a_song_without_beats_is_danced_in_time(dataset, beats):
    piece = dataset.pieces[-1]
    danced = Retrieval.fit(dataset).generate(piece.audio, np.array(beats))
    motion = prepare(danced, piece.visibility, *SIZE)
    assert danced.shape == (FRAMES, 33, 2)
    assert magnitude(motion) > 0.5 * magnitude(prepare(piece.landmarks, piece.visibility, *SIZE))


@pytest.mark.parametrize("frames", [1, 7, 40])
def test_the_shortest_songs_and_clips_do_not_crash(dataset, frames):
    def short(piece):
        sequences = {key: values[:frames] for key, values in piece.sequences.items()}
        rows = {"landmarks": piece.landmarks[:frames], "visibility": piece.visibility[:frames]}
        return replace(piece, sequences=sequences, beats=piece.beats[piece.beats < frames / FPS], **rows)

    for part in (dataset, replace(dataset, pieces=[short(p) if p.split == "test" else p for p in dataset.pieces])):
        piece = short(dataset.pieces[-1])
        danced = Retrieval.fit(part).generate(piece.audio, piece.beats)
        assert np.isfinite(danced).all()
        assert danced.shape == (frames, 33, 2)
    if frames > 1:
        brief = replace(dataset, pieces=[short(piece) for piece in dataset.pieces])
        rows = evaluate_motion(brief, {"ours": Swinger()}, temperature=1.0, seeds=1, seed=0).rows
        json.dumps(rows, allow_nan=False)


def test_joins_are_smooth(dataset):
    piece = dataset.pieces[-1]
    got = prepare(Retrieval.fit(dataset).generate(piece.audio, piece.beats), piece.visibility, *SIZE)
    assert jerk(got) < 2 * jerk(prepare(piece.landmarks, piece.visibility, *SIZE))


# -------------------------------------------------------------------------------------------------------- the table


def test_rows_and_what_lies_behind_them(result):
    whole = {"ours", "lstm", "ours_beat_warped", "retrieval", "frozen", "jitter", "real"}
    wrong = {"ours_to_other_music", "real_to_other_music"}
    assert set(result.rows) == whole | wrong | {"ours_60s"}
    assert all(set(result.rows[name]) == set(METRICS) for name in whole)
    assert all(set(result.rows[name]) == set(RHYTHM) for name in wrong)
    assert set(result.rows["ours_60s"]) == set(AMOUNT)
    assert set(result.dances) == whole
    assert all(dance.shape == (FRAMES, 33, 2) for dances in result.dances.values() for dance in dances)
    assert {len(dances) for dances in result.dances.values()} == {3}
    assert set(result.locking) == whole | wrong
    assert result.locking["real"].shape == (len(STRETCHES), 5)
    json.dumps(result.rows, allow_nan=False)


def test_songs_are_the_units_not_takes(result):
    assert {row["f1"]["n"] for row in result.rows.values() if "f1" in row} == {3}
    assert result.rows["ours"]["magnitude"]["ci95"] is not None


def test_every_row_stands_where_it_must(result):
    def mean(row, metric):
        return result.rows[row][metric]["mean"]

    assert mean("real", "f1") > 0.95
    assert mean("retrieval", "f1") > 0.9
    assert mean("real", "magnitude") == pytest.approx(1)
    assert mean("jitter", "magnitude") == pytest.approx(1, rel=0.1)
    assert mean("frozen", "magnitude") == pytest.approx(0, abs=1e-6)
    assert (mean("frozen", "freeze"), mean("real", "freeze")) == (1, 0)
    assert abs(mean("real_to_other_music", "bas_gain")) < 0.15 < mean("real", "bas_gain")
    assert mean("ours_beat_warped", "bas_gain") > mean("ours", "bas_gain")
    assert mean("jitter", "mmd_ratio") > 10 > abs(mean("real", "mmd_ratio"))
    assert mean("frozen", "mmd_ratio") > 10
    assert mean("ours", "multimodality") > 0
    assert mean("frozen", "diversity") < 1e-3 < mean("real", "diversity")
    assert mean("real", "long_bones") == 0
    assert mean("ours_60s", "drift") == pytest.approx(1, abs=0.1)
    assert result.rows["ours"] == result.rows["lstm"]  # the same dancer


def test_a_dance_shorter_than_a_minute_goes_on(dataset):
    lengths = []

    class Listener(Swinger):
        def generate(self, audio, seed, temperature):
            lengths.append(len(audio))
            swing = super().generate(audio, seed, temperature)
            return np.where(np.arange(len(audio))[:, None, None] < 20 * FPS, swing, swing[:1])  # stops after 20 s

    rows = evaluate_motion(dataset, {"ours": Listener()}, temperature=1.0, seeds=1, seed=0).rows
    assert max(lengths) >= 60 * FPS
    assert rows["ours"]["freeze"]["mean"] == 0
    assert rows["ours_60s"]["freeze"]["mean"] > 0.6
    assert rows["ours_60s"]["drift"]["mean"] < 0.1


def test_without_a_test_part_there_is_nothing_to_measure(dataset):
    training = replace(dataset, pieces=dataset.split("train"))
    with pytest.raises(UserError, match="no test part"):
        evaluate_motion(training, {"ours": Swinger()}, temperature=1.0, seeds=1, seed=0)


def test_means_leave_out_what_is_not_known():
    rows = {"ours": {"f1": {"mean": 0.123456}, "drift": {"mean": None}}}
    assert means(rows, ("f1", "drift", "jerk")) == {"ours": {"f1": 0.1235}}
