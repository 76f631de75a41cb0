"""A decision tree: pairs of a leaf share one probability, the part of them that came true.

    split        the feature and threshold that lower the log loss of the children most; missing values go to the better side
    log odds(leaf) = log((positives + m * base rate) / (negatives + m * (1 - base rate))), m = 1

Breiman, Friedman, Olshen and Stone, "Classification and Regression Trees", 1984. ``pointwise`` says how rows, labels and weights
enter. Items that end in one leaf are tied for a user, and then ordered by id. P pairs, F features, T nodes.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bowerbird.extras import import_extra
from bowerbird.models.base import Arrays, ModelConfig
from bowerbird.models.pointwise import Pointwise, PointwiseConfig

LEAF = -1


class DecisionTreeConfig(PointwiseConfig):
    """How far the tree grows."""

    max_depth: Annotated[int, Field(ge=1, le=30)] = 8
    """So many questions from the root to a leaf at most."""
    min_samples_leaf: Annotated[int, Field(ge=1)] = 50
    """So many pairs of the sample in each leaf at least."""


class DecisionTree(Pointwise):
    """A tree, as arrays of its nodes."""

    name: ClassVar[str] = "decision_tree"
    Config: ClassVar[type[ModelConfig]] = DecisionTreeConfig
    config: DecisionTreeConfig

    def _train(self, x_PF: NDArray[np.float32], labels_P: NDArray[np.bool_]) -> Arrays:
        kind = import_extra("sklearn.tree", "scikit-learn", extra="boosting").DecisionTreeClassifier
        config = self.config
        fitted = kind(
            criterion="log_loss", max_depth=config.max_depth, min_samples_leaf=config.min_samples_leaf, random_state=self.seed
        ).fit(x_PF, labels_P)
        nodes = fitted.tree_.__getstate__()["nodes"]
        return {
            "left": nodes["left_child"].astype(np.int32),
            "right": nodes["right_child"].astype(np.int32),
            "feature": nodes["feature"].astype(np.int32),
            "threshold": nodes["threshold"].astype(np.float64),
            "missing_goes_left": nodes["missing_go_to_left"].astype(bool),
            "num_samples": nodes["n_node_samples"].astype(np.float64),
            "share": fitted.tree_.value[:, 0, 1].copy(),
        }

    def _log_odds(self, x_PF: NDArray[np.float32]) -> NDArray[np.float64]:
        learned = self._learned
        base_rate, num_samples = learned["share"][0], learned["num_samples"]
        positives_T = learned["share"] * num_samples + base_rate
        negatives_T = (1 - learned["share"]) * num_samples + (1 - base_rate)
        log_odds_T: NDArray[np.float64] = np.log(positives_T / negatives_T)
        return log_odds_T[leaves(learned, x_PF)]


def leaves(nodes: Arrays, x_PF: NDArray[np.float32]) -> NDArray[np.int32]:
    """Walk each pair down to its leaf, all pairs of a node together; int32 [P]."""
    found_P = np.zeros(len(x_PF), np.int32)
    waiting = [(0, np.arange(len(x_PF)))]
    while waiting:
        node, pairs = waiting.pop()
        if nodes["left"][node] == LEAF:
            found_P[pairs] = node
            continue
        values = x_PF[pairs, nodes["feature"][node]]
        goes_left = (values <= nodes["threshold"][node]) | (np.isnan(values) & nodes["missing_goes_left"][node])
        waiting += [(int(nodes["left"][node]), pairs[goes_left]), (int(nodes["right"][node]), pairs[~goes_left])]
    return found_P
