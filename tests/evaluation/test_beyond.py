"""What lists are like beyond being right, against rows worked by hand (docs/reference/metrics.md) and slow definitions."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from bowerbird.data.interactions import Interactions
from bowerbird.evaluation import beyond
from bowerbird.evaluation.beyond import Catalogue
from bowerbird.evaluation.matching import match

# The catalogue a b c d e. Events: a 4, b 2, c 1, d 1, e none. Genres: a drama, b drama and comedy, c horror, d none, e drama.
ITEMS = pd.Index(list("abcde"))
WEIGHTS = np.asarray([4.0, 2.0, 1.0, 1.0, 0.0])
GENRES = csr_array(np.asarray([[1, 0, 0], [1, 1, 0], [0, 0, 1], [0, 0, 0], [1, 0, 0]], float))


def figures(lists, targets, catalogue, *, k=3, past=None):
    rows = [(user, item, rank) for user, items in lists.items() for rank, item in enumerate(items, 1)]
    wanted = [(user, item) for user, items in targets.items() for item in items]
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])
    matches = match(frame, pd.DataFrame(wanted, columns=["user_id", "item_id"]), k=k, items=ITEMS)
    past_UN = None if past is None else beyond.pasts(past, matches.user_ids)
    return beyond.list_figures(matches, catalogue, past_UN=past_UN)


def history(*rows):
    return Interactions.from_frame(
        pd.DataFrame([(*row, 0) for row in rows], columns=["user_id", "item_id", "weight", "timestamp"]), item_ids=list("abcde")
    )


def test_average_popularity_and_novelty_are_means_over_the_list():
    # Shares 4/8, 2/8, 1/8: their mean is 0.2917, in bits 1, 2 and 3.
    found = figures({"ann": "abc"}, {"ann": "a"}, Catalogue(WEIGHTS)).loc["ann"]
    assert found["average_popularity"] == pytest.approx((4 + 2 + 1) / 8 / 3)
    assert found["novelty"] == pytest.approx((1 + 2 + 3) / 3)


def test_novelty_gives_an_item_without_events_the_smallest_count():
    assert figures({"ann": "e"}, {"ann": "a"}, Catalogue(WEIGHTS)).loc["ann", "novelty"] == 3


def test_serendipity_counts_the_hits_that_are_none_of_the_k_most_popular():
    # k = 2, so a and b are what anybody would list. Ann's list a c hits both of her targets, of which c is a surprise.
    found = figures({"ann": "ac", "ben": "ab"}, {"ann": "ac", "ben": "ab"}, Catalogue(WEIGHTS), k=2)["serendipity"]
    assert found.to_dict() == {"ann": 1 / 2, "ben": 0}


def test_intra_list_diversity_is_one_less_the_mean_cosine_of_the_pairs():
    # a and b share a genre of one and two: 1 / sqrt(2); neither shares one with c. (0.7071 + 0 + 0) / 3 = 0.2357.
    found = figures({"ann": "abc"}, {"ann": "a"}, Catalogue(WEIGHTS, categories_NG=GENRES)).loc["ann", "intra_list_diversity"]
    assert found == pytest.approx(1 - 1 / math.sqrt(2) / 3)


def test_items_of_which_nothing_is_known_take_no_part_in_diversity():
    # d has no genre: the pair a, c is left for Ann, which has nothing in common; Ben's one item makes no pair.
    found = figures({"ann": "adc", "ben": "ad"}, {"ann": "a", "ben": "a"}, Catalogue(WEIGHTS, categories_NG=GENRES))
    assert found.loc["ann", "intra_list_diversity"] == pytest.approx(1)
    assert np.isnan(found.loc["ben", "intra_list_diversity"])


def test_diversity_by_vectors_is_taken_where_there_are_some():
    vectors = np.asarray([[1, 0], [3, 4], [0, 0], [0, 0], [0, 0]], float)
    found = figures({"ann": "abc"}, {"ann": "a"}, Catalogue(WEIGHTS, categories_NG=GENRES, vectors_ND=vectors))
    assert found.loc["ann", "intra_list_diversity"] == pytest.approx(1 - 3 / 5)


def test_miscalibration_agrees_with_a_row_worked_by_hand():
    # Past: a with weight 3, c with 1, so drama 0.75, horror 0.25. The list a b: drama (1 + 1/2) / 2 = 0.75, comedy 0.25.
    past = history(("ann", "a", 3.0), ("ann", "c", 1.0), ("ben", "d", 1.0))
    found = figures({"ann": "ab", "ben": "ab"}, {"ann": "a", "ben": "a"}, Catalogue(WEIGHTS, categories_NG=GENRES), past=past)
    drama = 0.75 * math.log(0.75 / (0.99 * 0.75 + 0.01 * 0.75))
    horror = 0.25 * math.log(0.25 / (0.01 * 0.25))
    assert found.loc["ann", "miscalibration"] == pytest.approx(drama + horror)  # 0 + 1.1513
    assert np.isnan(found.loc["ben", "miscalibration"])  # nothing in his past has a genre


def test_a_list_with_the_mix_of_the_past_is_calibrated():
    past = history(("ann", "a", 1.0), ("ann", "c", 1.0))
    found = figures({"ann": "ce"}, {"ann": "a", "ben": "a"}, Catalogue(WEIGHTS, categories_NG=GENRES), past=past)
    assert found.loc["ann", "miscalibration"] == pytest.approx(0, abs=1e-15)
    assert np.isnan(found.loc["ben", "miscalibration"])  # no list, and no past


def test_age_and_price_spread_read_what_is_known():
    # Ages 1 and 5 days, b's is not known. Prices 10 and 30: mean 20, deviation 10.
    catalogue = Catalogue(WEIGHTS, ages_N=np.asarray([1, np.nan, 5, 7, 9]), prices_N=np.asarray([10, 30, np.nan, 0, 0], float))
    found = figures({"ann": "abc", "ben": "c", "cid": "de"}, {"ann": "a", "ben": "a", "cid": "a"}, catalogue)
    assert found["age_days"].tolist() == [3, 5, 8]
    assert found.loc["ann", "price_spread"] == pytest.approx(10 / 20)
    assert found.loc[["ben", "cid"], "price_spread"].isna().all()  # one price; prices of nothing


def test_what_the_catalogue_does_not_tell_is_left_out():
    found = figures({"ann": "ab"}, {"ann": "a"}, Catalogue(WEIGHTS))
    assert found.columns.tolist() == ["average_popularity", "novelty", "serendipity"]


def test_user_without_a_list_has_no_figures():
    found = figures({"ann": "ab"}, {"ann": "a", "ben": "a"}, Catalogue(WEIGHTS, categories_NG=GENRES))
    assert found.loc["ben"].drop("serendipity").isna().all()
    assert found.loc["ben", "serendipity"] == 0


@pytest.mark.parametrize("num_genres", [6, beyond.NARROW + 6])
def test_figures_agree_with_their_definitions_on_random_data_block_by_block(num_genres, monkeypatch):
    monkeypatch.setattr(beyond, "CELLS", 8 * (beyond.NARROW + 6))  # several blocks
    rng = np.random.default_rng(num_genres)
    marks = (rng.random((40, num_genres)) < 2 / num_genres).astype(float)
    catalogue = Catalogue(rng.integers(0, 9, 40).astype(float), categories_NG=csr_array(marks), prices_N=rng.random(40) + 1)
    lists = pd.DataFrame(
        [(u, i, r) for u in range(50) for r, i in enumerate(rng.permutation(45)[: rng.integers(2, 7)], 1)],
        columns=["user_id", "item_id", "rank"],
    )
    events = pd.DataFrame({"user_id": rng.integers(0, 40, 300), "item_id": rng.integers(0, 40, 300), "timestamp": 0})
    past = Interactions.from_frame(events.assign(weight=rng.integers(0, 3, 300)), item_ids=np.arange(40))
    matches = match(lists, pd.DataFrame({"user_id": range(50), "item_id": 0}), k=6, items=pd.RangeIndex(40))
    found = beyond.list_figures(matches, catalogue, past_UN=beyond.pasts(past, matches.user_ids))
    frame = past.to_frame()
    for user, items in lists.groupby("user_id")["item_id"]:
        listed = [item for item in items if item < 40]
        mine = frame[frame["user_id"] == user]
        expected = slowly(listed, marks, catalogue.prices_N, mine["item_id"].to_numpy(), mine["weight"].to_numpy())
        assert found.loc[user, list(expected)].to_dict() == pytest.approx(expected, abs=1e-12, nan_ok=True)


def slowly(listed, marks, prices, past, weights):
    """Diversity, miscalibration and price spread of one list, as their definitions are written."""
    known = [marks[item] for item in listed if marks[item].any()]
    cosines = [one @ other / math.sqrt(one.sum() * other.sum()) for one, other in combinations(known, 2)]
    shares = marks / np.maximum(marks.sum(axis=1, keepdims=True), 1)
    p, q = weights @ shares[past], sum((one / one.sum() for one in known), np.zeros(marks.shape[1]))
    divergence = math.nan
    if p.sum() and q.sum():
        p, q = p / p.sum(), q / q.sum()
        divergence = sum(a * math.log(a / (0.99 * b + 0.01 * a)) for a, b in zip(p, q, strict=True) if a > 0)
    return {
        "intra_list_diversity": 1 - np.mean(cosines) if cosines else math.nan,
        "miscalibration": divergence,
        "price_spread": np.std(prices[listed]) / np.mean(prices[listed]) if len(listed) > 1 else math.nan,
    }


def test_figures_come_in_the_order_in_which_they_are_shown():
    past = history(("ann", "a", 1.0))
    catalogue = Catalogue(WEIGHTS, ages_N=WEIGHTS, prices_N=WEIGHTS, categories_NG=GENRES)
    found = figures({"ann": "ab"}, {"ann": "a"}, catalogue, past=past)
    assert [*found.columns, beyond.AGREEMENT] == list(beyond.FIGURES)
