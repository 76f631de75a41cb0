"""What the tests of the pointwise rankers share."""

from __future__ import annotations

import sys
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from bowerbird import Interactions, build_model
from bowerbird.errors import MissingExtraError
from bowerbird.testing import ModelConformance
from bowerbird.testing.accuracy import AccuracyConformance
from bowerbird.testing.datasets import small_log


class PointwiseConformance(ModelConformance):
    """The suite with a horizon that fits logs of hours; accuracy is measured apart, with the default horizon."""

    config: ClassVar = {"horizon_days": 0.25, "num_cut_offs": 1}
    solves_checkerboard = False  # its users come one after the other, so nobody has a past and a future

    def test_something_was_learned_from_the_small_log(self, fitted) -> None:
        pairs = small_log()[["user_id", "item_id"]]
        p = fitted.predict_proba(pairs)
        assert ((p > 0) & (p < 1)).all()
        np.testing.assert_array_equal(p, fitted.score(pairs))

    def test_without_scikit_learn_the_extra_is_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("sklearn.naive_bayes", "sklearn.tree", "sklearn.svm"):
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingExtraError, match=r"bowerbird\[boosting\]"):
            self.fit(small_log())


class PointwiseAccuracy(AccuracyConformance):
    """The metric on MovieLens small."""

    solves_checkerboard = False


def random_pairs(num_pairs: int = 3000) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Draw features, one constant, one always missing, one at times, and labels that depend on two."""
    generator = np.random.default_rng(3)
    x_PF = generator.normal(size=(num_pairs, 6)).astype(np.float32)
    x_PF[:, 2], x_PF[:, 3] = 7, np.nan
    x_PF[generator.random(num_pairs) < 0.3, 4] = np.nan
    x_PF[:, 5] = np.round(np.exp(x_PF[:, 5]))
    labels = generator.random(num_pairs) < 1 / (1 + np.exp(2 - x_PF[:, 0] - np.nan_to_num(x_PF[:, 4])))
    return x_PF, labels


def trained(name: str):
    """Build a model and let it learn from random pairs."""
    model, (x_PF, labels) = build_model(name), random_pairs()
    model._learned = model._train(x_PF, labels)
    return model, x_PF, labels


def log_of(rows: list[tuple[str, str, float]]) -> Interactions:
    """Make a log of rows ``user, item, day``."""
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "day"])
    return Interactions.from_frame(frame.assign(timestamp=frame["day"] * 86400))
