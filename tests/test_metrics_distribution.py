"""Distances between sets of features: by hand, by formula, against torchmetrics, and on average."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.image.kid import poly_mmd

from dancing.metrics.distribution import kernel_means, knn_coverage, mmd2, mmd2_floor, over_pairs

ONE, OTHER = np.array([1.0, 1, 0, 0]), np.array([0.0, 0, 1, 1])  # the first two units, the last two


def column(*values):
    return np.array(values, dtype=float)[:, None]


def mmd_of(one, other):
    """Between two sets, every feature its own unit."""
    group = np.repeat([1.0, 0.0], [len(one), len(other)])
    return mmd2(kernel_means(list(np.concatenate([one, other])[:, None])), group, 1 - group)


def test_mmd_by_hand():
    # k(1, 0) = k(0, 0) = 1, k(1, 1) = 8. Within the first group: units {1, 0} and {1}, (8 + 1) / 2; all others 1.
    means = kernel_means([column(1, 0), column(1), column(0), column(0)])
    assert mmd2(means, ONE, OTHER) == pytest.approx(4.5 + 1 - 2)
    # k(1, -1) = 0: opposite poles seem closer to the middle than the middle to itself. Unbiased may be negative.
    means = kernel_means([column(1), column(-1), column(0), column(0)])
    assert mmd2(means, ONE, OTHER) == pytest.approx(0 + 1 - 2)


def test_mmd_weighs_units_and_never_pairs_a_unit_with_itself():
    means = kernel_means([column(1), column(2), column(0), column(0)])
    twice = mmd2(means, np.array([[2.0, 1, 0, 0], [1, 1, 0, 0], [2, 0, 0, 0]]), OTHER)
    cross = over_pairs(means, np.array([2.0, 1, 0, 0]), OTHER)
    assert twice[0] == pytest.approx(27 + 1 - 2 * cross)  # k(1, 2) = 27 is the only pair within
    assert twice[1] == pytest.approx(27 + 1 - 2 * 1)
    assert np.isnan(twice[2])  # one unit has no pair


def test_mmd_is_unbiased_although_a_dance_resembles_itself():
    rng = np.random.default_rng(0)
    by_dance, by_window = [], []
    for _ in range(1500):
        dances = rng.normal(0, 0.5, (5, 1, 2)) + rng.normal(0, 0.5, (5, 4, 2))  # four windows about each dance's own
        group = np.array([1.0, 1, 0, 0, 0])
        by_dance.append(mmd2(kernel_means(list(dances)), group, 1 - group))
        each = np.repeat(group, 4)
        by_window.append(mmd2(kernel_means(list(dances.reshape(20, 1, 2))), each, 1 - each))
    error = np.std(by_dance) / np.sqrt(len(by_dance))
    assert abs(np.mean(by_dance)) < 3 * error
    assert np.mean(by_window) > 10 * error  # what windows taken for independent would have said


def test_floor_is_the_usual_size_of_an_estimate_where_nothing_differs():
    rng = np.random.default_rng(1)
    units = list(rng.normal(0, 1, (24, 6, 3)))
    floor = mmd2_floor(kernel_means(units), 3, seed=0)
    old, new = np.repeat([1.0, 0.0], [24, 3]), np.repeat([0.0, 1.0], [24, 3])
    fresh = [mmd2(kernel_means([*units, *rng.normal(0, 1, (3, 6, 3))]), old, new) for _ in range(200)]
    assert floor == pytest.approx(np.abs(fresh).mean(), rel=0.4)
    assert floor == mmd2_floor(kernel_means(units), 3, seed=0)
    assert np.isnan(mmd2_floor(kernel_means(units[:3]), 3, seed=0))


def test_mmd_is_torchmetrics_where_every_feature_is_its_own_unit():
    rng = np.random.default_rng(3)
    one, other = rng.normal(0, 1, (20, 7)), rng.normal(0.3, 1, (20, 7))
    assert mmd_of(one, other) == pytest.approx(float(poly_mmd(torch.from_numpy(one), torch.from_numpy(other))))


def test_mmd_of_gaussians_by_formula():
    # E (1 + xy)^3 is a sum over moments, so MMD^2 is 3 (m1 - m2)^2 + 3 (second moments)^2 + (third moments)^2:
    # of N(0, 1), 0, 1, 0; of N(1, 1), 1, 2, 4.
    rng = np.random.default_rng(4)
    draws = [mmd_of(rng.normal(0, 1, (60, 1)), rng.normal(1, 1, (60, 1))) for _ in range(200)]
    assert np.mean(draws) == pytest.approx(3 * 1 + 3 * 1 + 16, abs=4 * np.std(draws) / np.sqrt(len(draws)))
    same = [mmd_of(rng.normal(0, 1, (60, 1)), rng.normal(0, 1, (60, 1))) for _ in range(200)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(len(same))


# ---------------------------------------------------------------------------------------------- density and coverage


def test_reach_is_the_distance_to_the_kth_neighbour():
    real = column(0, 1, 3, 7)
    near = knn_coverage(real, column(-1, 4, 11.5), k=1)  # reaches 1, 1, 2 and 4
    assert near.tolist() == [[True, False, False], [False, False, False], [False, True, False], [False, True, False]]
    wider = knn_coverage(real, column(-1, 4, 11.5), k=2)  # 3, 2, 3 and 6
    assert wider.tolist() == [[True, False, False], [True, False, False], [False, True, False], [False, True, True]]


def test_alike_sets_have_the_density_and_coverage_of_the_paper():
    rng = np.random.default_rng(5)
    near = knn_coverage(rng.normal(size=(600, 6)), rng.normal(size=(600, 6)))
    assert near.sum() / (5 * 600) == pytest.approx(1, abs=0.08)
    assert near.any(axis=1).mean() == pytest.approx(1 - 0.5**5, abs=0.03)


def test_a_system_that_paints_one_picture_is_dense_and_covers_little():
    rng = np.random.default_rng(6)
    real = np.concatenate([rng.normal(size=(50, 3)), rng.normal(20, 1, (50, 3))])
    near = knn_coverage(real, np.zeros((100, 3)))
    assert near.sum() / (5 * 100) > 1
    assert near.any(axis=1).mean() <= 0.5
    assert not knn_coverage(real, np.full((100, 3), 1e3)).any()


@given(
    arrays(np.float64, st.tuples(st.integers(6, 20), st.just(3)), elements=st.floats(-1e3, 1e3)),
    arrays(np.float64, st.tuples(st.integers(1, 9), st.just(3)), elements=st.floats(-1e3, 1e3)),
)
def test_any_features_can_be_counted(real, made):
    near = knn_coverage(real, made)
    assert near.shape == (len(real), len(made))
    assert (knn_coverage(real, real).any(axis=1)).all()  # each has itself within reach


def test_too_few_real_features_are_told():
    with pytest.raises(ValueError, match="more than 5 real features, got 5"):
        knn_coverage(np.zeros((5, 2)), np.zeros((1, 2)))
