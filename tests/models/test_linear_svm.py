import numpy as np

from bowerbird.models.linear_svm import distances, standardized
from tests.models.pointwise import PointwiseAccuracy, PointwiseConformance, trained


class TestLinearSvm(PointwiseConformance):
    name = "linear_svm"


class TestLinearSvmAccuracy(PointwiseAccuracy):
    name = "linear_svm"
    expected_ndcg = 0.0324


def test_distances_are_those_of_scikit_learn() -> None:
    from sklearn.svm import LinearSVC

    model, x_PF, labels = trained("linear_svm")
    scales = zip(model._learned["mean"], model._learned["deviation"], strict=True)
    z_PF = np.stack([standardized(x_P, *scale) for x_P, scale in zip(x_PF.T, scales, strict=True)], axis=1)
    theirs = LinearSVC(C=0.1, dual=False, max_iter=200, random_state=1).fit(z_PF, labels)
    np.testing.assert_allclose(distances(model._learned, x_PF), theirs.decision_function(z_PF), rtol=1e-9, atol=1e-9)
    assert z_PF[:, 2:4].any() == np.False_, "what is constant or missing stands at 0"
