"""Accuracy metrics beside those of ir-measures (trec_eval), on random lists and targets, to 1e-9.

Where definitions differ, honest equivalents are compared: trec_eval's average precision divides by all targets, ours by what a
list of k places can hold; its R-precision and reciprocal rank know no k, so they are given the first k places only.
"""

from __future__ import annotations

import ir_measures
import numpy as np
import pandas as pd
import pytest
from ir_measures import AP, RR, P, R, Rprec, Success, nDCG

from bowerbird.evaluation import matching, metrics


def random_case(seed, *, k, num_users=150, num_items=60):
    """Lists of 1 to k items, some users without one, and 1 to 2 k targets, so that there are more than places, too."""
    rng = np.random.default_rng(seed)
    lists = [(user, item, rank) for user in range(num_users - 5) for rank, item in enumerate(some_items(rng, num_items, k), 1)]
    targets = [(user, item) for user in range(num_users) for item in some_items(rng, num_items, 2 * k)]
    as_text = {"user_id": str, "item_id": str}
    return (
        pd.DataFrame(lists, columns=["user_id", "item_id", "rank"]).astype(as_text),
        pd.DataFrame(targets, columns=["user_id", "item_id"]).astype(as_text),
    )


def some_items(rng, num_items, most):
    return rng.permutation(num_items)[: rng.integers(1, most + 1)]


@pytest.mark.parametrize("k", [1, 5, 20])
def test_graded_ndcg_equals_that_of_ir_measures(k):
    lists, targets = random_case(7, k=k)
    targets["gain"] = np.random.default_rng(8).integers(1, 5, len(targets)).astype(float)
    names = {"user_id": "query_id", "item_id": "doc_id"}
    run = lists.rename(columns=names).assign(score=-lists["rank"].astype(float))
    graded = targets.rename(columns=names).assign(relevance=targets["gain"].astype(int))
    measured = {one.query_id: one.value for one in ir_measures.iter_calc([nDCG @ k], graded, run)}
    ours = metrics.per_user_metrics(lists, targets, k=k, metrics=["ndcg"])["ndcg"]
    np.testing.assert_allclose(ours, [measured[user] for user in ours.index], atol=1e-9, rtol=0)
    as_cut = metrics.at_each_k(matching.match(lists, targets, k=20), ks=[k], metrics=["ndcg"])[f"ndcg@{k}"]
    np.testing.assert_allclose(as_cut, ours, atol=1e-12)


@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("seed", range(3))
def test_every_accuracy_metric_equals_that_of_ir_measures(seed, k):
    lists, targets = random_case(seed, k=k)
    names = {"user_id": "query_id", "item_id": "doc_id"}
    run = lists.rename(columns=names).assign(score=-lists["rank"].astype(float))  # no ties, which trec_eval breaks by name
    theirs = {"ndcg": nDCG @ k, "recall": R @ k, "precision": P @ k, "mrr": RR @ k, "hit_rate": Success @ k, "r_precision": Rprec}
    theirs["map"] = AP @ k
    measured = ir_measures.iter_calc(theirs.values(), targets.rename(columns=names).assign(relevance=1), run)
    values = pd.DataFrame([(one.query_id, str(one.measure), one.value) for one in measured], columns=["user_id", "name", "value"])
    wide = values.pivot(index="user_id", columns="name", values="value").sort_index()
    ours = metrics.per_user_metrics(lists, targets, k=k)
    assert set(theirs) == set(metrics.METRICS)
    assert wide.index.tolist() == ours.index.tolist()
    num_targets = targets.groupby("user_id").size().reindex(ours.index)
    ours["map"] *= np.minimum(num_targets, k) / num_targets
    for name, measure in theirs.items():
        np.testing.assert_allclose(ours[name], wide[str(measure)], atol=1e-9, rtol=0, err_msg=name)
