from math import log

import numpy as np
import pytest

from bowerbird import build_model
from bowerbird.models.naive_bayes import binned, quantile_edges
from tests.models.pointwise import PointwiseAccuracy, PointwiseConformance, trained


class TestNaiveBayes(PointwiseConformance):
    name = "naive_bayes"


class TestNaiveBayesAccuracy(PointwiseAccuracy):
    name = "naive_bayes"
    expected_ndcg = 0.0104


def test_log_odds_are_those_of_scikit_learn() -> None:
    from sklearn.naive_bayes import CategoricalNB

    model, x_PF, labels = trained("naive_bayes")
    bins = binned(x_PF, quantile_edges(x_PF, 16)).T
    joint = CategoricalNB(alpha=1, min_categories=17).fit(bins, labels).predict_joint_log_proba(bins)
    np.testing.assert_allclose(model._log_odds(x_PF), joint[:, 1] - joint[:, 0], rtol=1e-9, atol=1e-9)


def test_log_odds_by_hand() -> None:
    model = build_model("naive_bayes", num_bins=2)
    x_PF = np.array([[1], [1], [3], [3], [np.nan]], np.float32)
    model._learned = model._train(x_PF, np.array([True, False, True, True, False]))
    prior, low, high = log(3 / 2), log((2 / 6) / (2 / 5)), log((3 / 6) / (1 / 5))
    missing = log((1 / 6) / (2 / 5))
    assert model._log_odds(x_PF[[0, 2, 4]]).tolist() == pytest.approx([prior + low, prior + high, prior + missing])
