"""Metrics of classified images on inputs whose answer is known."""

import numpy as np
import pytest

from dancing.metrics.classes import FrechetReference, accuracy_row, class_row, classifier_score


def test_classifier_score_by_hand():
    certain, all_rows = np.eye(4).repeat(5, axis=0), np.ones(20)
    assert classifier_score(certain, all_rows) == pytest.approx(4)
    assert classifier_score(np.full((20, 4), 0.25), all_rows) == pytest.approx(1)
    assert classifier_score(certain, np.r_[np.ones(10), np.zeros(10)]) == pytest.approx(2)  # two classes of the four
    row = class_row(np.eye(4)[[0, 0, 0, 1]], seed=1)
    assert (row["rarest_class"]["mean"], row["commonest_class"]["mean"]) == (0, 0.75)
    assert accuracy_row(np.eye(4), np.array([0, 1, 2, 0]), 1)["accuracy"]["mean"] == 0.75


def test_frechet_ratio_is_one_for_the_same_distribution_and_grows_with_distance():
    rng = np.random.default_rng(0)
    reference = FrechetReference.of(rng.normal(size=(2000, 4)), 500, 1)
    same, other = (reference.row(rng.normal(m, size=(500, 4)), 1)["frechet_ratio"]["mean"] for m in (0, 1))
    assert 0.2 < same < 5
    assert other > 50
    assert reference.row(rng.normal(size=(20, 4)), 1)["frechet"]["mean"] is None  # too few
