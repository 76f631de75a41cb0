import numpy as np
import pytest

from bowerbird import build_model
from bowerbird.models.decision_tree import leaves
from tests.models.pointwise import PointwiseAccuracy, PointwiseConformance, trained


class TestDecisionTree(PointwiseConformance):
    name = "decision_tree"


class TestDecisionTreeAccuracy(PointwiseAccuracy):
    name = "decision_tree"
    expected_ndcg = 0.0049


def test_shares_of_the_leaves_are_the_probabilities_of_scikit_learn() -> None:
    from sklearn.tree import DecisionTreeClassifier

    model, x_PF, labels = trained("decision_tree")
    theirs = DecisionTreeClassifier(criterion="log_loss", max_depth=8, min_samples_leaf=50, random_state=1).fit(x_PF, labels)
    ours = model._learned["share"][leaves(model._learned, x_PF)]
    np.testing.assert_allclose(ours, theirs.predict_proba(x_PF)[:, 1], rtol=1e-12)
    assert len(np.unique(ours)) > 5


def test_a_leaf_is_drawn_towards_the_base_rate_by_one_observation() -> None:
    model = build_model("decision_tree", min_samples_leaf=2, max_depth=1)
    x_PF = np.array([[0], [0], [5], [5]], np.float32)
    model._learned = model._train(x_PF, np.array([False, False, True, True]))
    assert model._log_odds(x_PF).tolist() == pytest.approx([np.log(0.5 / 2.5)] * 2 + [np.log(2.5 / 0.5)] * 2)
