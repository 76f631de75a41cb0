"""Accuracy and list metrics, against rows worked by hand (they stand in docs/reference/metrics.md) and the peer benchmark."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import DataError
from bowerbird.evaluation import matching, metrics
from bowerbird.evaluation.wording import METRIC_NAMES
from bowerbird.recipe_gate import Metric

PEER_METRICS = Path(__file__).parents[3] / "shared" / "bench" / "metrics.py"


def frame_of_lists(lists, id_of=lambda item: item):
    rows = [(user, id_of(item), rank) for user, items in lists.items() for rank, item in enumerate(items, 1)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])


def frame_of_targets(targets):
    return pd.DataFrame([(user, item) for user, items in targets.items() for item in items], columns=["user_id", "item_id"])


@pytest.fixture
def by_hand():
    """Ann's list a b c d e holds two of her three targets (b, d, z); Ben's holds none; Cid has no list."""
    lists = frame_of_lists({"ann": "abcde", "ben": "abcde"})
    return metrics.per_user_metrics(lists, frame_of_targets({"ann": "bdz", "ben": "z", "cid": "a"}), k=5)


def test_metrics_agree_with_a_row_worked_by_hand(by_hand):
    # Hits at ranks 2 and 4; three targets, so the best list has its hits at ranks 1, 2, 3.
    gain = 1 / math.log2(3) + 1 / math.log2(5)
    best = 1 / math.log2(2) + 1 / math.log2(3) + 1 / math.log2(4)
    expected = {
        "ndcg": gain / best,  # 1.0616 / 2.1309 = 0.4982
        "recall": 2 / 3,
        "precision": 2 / 5,
        "mrr": 1 / 2,
        "map": (1 / 2 + 2 / 4) / 3,
        "hit_rate": 1.0,
        "r_precision": 1 / 3,  # b among the first three places
    }
    assert by_hand.loc["ann"].to_dict() == pytest.approx(expected, abs=1e-15)
    assert by_hand.loc["ann", "ndcg"] == pytest.approx(0.4982, abs=5e-5)


def test_user_without_hit_and_user_without_list_count_zero(by_hand):
    assert (by_hand.loc[["ben", "cid"]] == 0).all(axis=None)
    assert by_hand.index.tolist() == ["ann", "ben", "cid"]
    assert by_hand.index.name == "user_id"


def test_more_targets_than_places_limit_ndcg_and_map_but_not_recall():
    # k = 2, both places hit, four targets: the best possible list.
    found = metrics.per_user_metrics(frame_of_lists({"ann": "ab"}), frame_of_targets({"ann": "abcd"}), k=2).loc["ann"]
    assert found["ndcg"] == pytest.approx(1, abs=1e-15)
    assert found["map"] == 1
    assert found["recall"] == 0.5


def test_places_beyond_k_do_not_count():
    lists, targets = frame_of_lists({"ann": "abc"}), frame_of_targets({"ann": "c"})
    assert metrics.per_user_metrics(lists, targets, k=2, metrics=["hit_rate"]).loc["ann", "hit_rate"] == 0
    assert metrics.per_user_metrics(lists, targets, k=3, metrics=["hit_rate"]).loc["ann", "hit_rate"] == 1


def test_equal_targets_count_once_and_order_of_rows_does_not_matter():
    lists = frame_of_lists({"ann": "abc", "ben": "cba"})
    targets = frame_of_targets({"ben": "aab", "ann": "cc"})
    once = metrics.per_user_metrics(lists, targets.drop_duplicates(), k=3)
    shuffled = metrics.per_user_metrics(lists.sample(frac=1, random_state=1), targets.iloc[::-1], k=3)
    pd.testing.assert_frame_equal(shuffled, once)


def test_whole_number_ids_and_text_ids_give_the_same_figures():
    rng = np.random.default_rng(3)
    lists, targets = random_case(rng, num_users=50, num_items=40, k=10)
    as_text = metrics.per_user_metrics(with_text_ids(lists), with_text_ids(targets), k=10)
    as_numbers = metrics.per_user_metrics(lists, targets, k=10)
    np.testing.assert_array_equal(as_text.to_numpy(), as_numbers.to_numpy())


def with_text_ids(frame):
    return frame.assign(user_id=frame["user_id"].map("u{:06d}".format), item_id=frame["item_id"].map("i{:06d}".format))


def random_case(rng, *, num_users, num_items, k):
    lists = {user: rng.permutation(num_items)[: rng.integers(1, k + 1)] for user in range(num_users) if rng.random() < 0.9}
    targets = {user: rng.integers(0, num_items, rng.integers(1, 2 * k)) for user in range(num_users) if rng.random() < 0.9}
    return frame_of_lists(lists), frame_of_targets(targets).drop_duplicates()


@pytest.mark.parametrize("k", [1, 5, 10])
@pytest.mark.parametrize("seed", range(5))
def test_means_agree_with_the_peer_benchmark_on_random_data(seed, k):
    if not PEER_METRICS.exists():
        pytest.skip(f"the peer benchmark's metrics are not at {PEER_METRICS}")
    spec = importlib.util.spec_from_file_location("peer_metrics", PEER_METRICS)
    peer = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(peer)
    lists, targets = random_case(np.random.default_rng(seed), num_users=200, num_items=60, k=10)
    names = {"user_id": "user", "item_id": "item"}
    theirs = peer.evaluate(lists.rename(columns=names), targets.rename(columns=names), 60, k)
    ours = metrics.per_user_metrics(lists, targets, k=k)
    assert len(ours) == theirs["users"]
    for name in ("ndcg", "recall", "mrr"):
        assert ours[name].mean() == pytest.approx(theirs[f"{name}@{k}"], abs=1e-12)
    assert metrics.coverage(lists, 60, k=k) == pytest.approx(theirs[f"coverage@{k}"], abs=1e-12)


def test_map_agrees_with_its_definition_on_random_data():
    lists, targets = random_case(np.random.default_rng(9), num_users=100, num_items=30, k=10)
    ours = metrics.per_user_metrics(lists, targets, k=10, metrics=["map"])["map"]
    wanted = targets.groupby("user_id")["item_id"].agg(set)
    listed = lists.groupby("user_id")["item_id"].agg(list)
    for user, items in wanted.items():
        is_hit = [item in items for item in listed.get(user, [])]
        precisions = [sum(is_hit[: place + 1]) / (place + 1) for place, hit in enumerate(is_hit) if hit]
        assert ours[user] == pytest.approx(sum(precisions) / min(10, len(items)), abs=1e-12)


def test_repeat_and_novel_targets_are_scored_apart():
    lists = frame_of_lists({"ann": "ab", "ben": "ab"})
    targets = frame_of_targets({"ann": "ab", "ben": "b"}).assign(is_repeat=[True, False, False])
    sides = metrics.by_repeat(lists, targets, k=2)
    assert sides["repeat"]["ndcg"].to_dict() == {"ann": 1.0}  # a at rank 1
    assert sides["novel"]["ndcg"].to_dict() == pytest.approx({"ann": 1 / math.log2(3), "ben": 1 / math.log2(3)})


def test_a_user_of_two_windows_is_one_row_with_the_mean():
    first = pd.DataFrame({"ndcg": [1.0, 0.5]}, index=pd.Index(["ann", "ben"], name="user_id"))
    second = pd.DataFrame({"ndcg": [0.0]}, index=pd.Index(["ann"], name="user_id"))
    assert metrics.pool_windows([first, second])["ndcg"].to_dict() == {"ann": 0.5, "ben": 0.5}


def test_no_targets_and_no_lists_give_no_rows_and_zeros():
    nothing = frame_of_lists({})
    assert len(metrics.per_user_metrics(frame_of_lists({"ann": "ab"}), frame_of_targets({}), k=2)) == 0
    assert metrics.per_user_metrics(nothing, frame_of_targets({"ann": "a"}), k=2).loc["ann"].sum() == 0
    assert metrics.coverage(nothing, 5, k=2) == metrics.gini(nothing, 5, k=2) == 0


# Lists of the catalogue a b c d (k = 2): ann a b, ben a c. Exposure: a 2, b 1, c 1, d 0.
LISTS = frame_of_lists({"ann": "abd", "ben": "acd"})


def test_coverage_is_the_share_of_the_catalogue_in_the_lists():
    assert metrics.coverage(LISTS, 4, k=2) == 3 / 4
    assert metrics.coverage(LISTS, 4, k=3) == 1


def test_gini_agrees_with_a_row_worked_by_hand():
    # Counts in rising order 0 1 1 2, N = 4: (-3 * 0 - 1 * 1 + 1 * 1 + 3 * 2) / (4 * 4) = 6 / 16.
    assert metrics.gini(LISTS, 4, k=2) == 6 / 16


def test_gini_is_zero_for_even_exposure_and_near_one_for_a_single_item():
    assert metrics.gini(frame_of_lists({"ann": "ab", "ben": "cd"}), 4, k=2) == 0
    assert metrics.gini(frame_of_lists({"ann": "a", "ben": "a"}), 4, k=1) == 1 - 1 / 4


def test_overlap_is_the_mean_share_of_common_items():
    others = frame_of_lists({"ann": "bxa", "ben": "xyz", "dan": "a"})
    # k = 2: ann has b of (a, b) and (b, x): 1 of 2; ben none; dan has no other list.
    assert metrics.overlap(LISTS, others, k=2) == 1 / 4
    assert metrics.overlap(LISTS, LISTS, k=2) == 1


def test_overlap_of_lists_of_different_length_is_over_the_longer():
    assert metrics.overlap(frame_of_lists({"ann": "a"}), frame_of_lists({"ann": "ab"}), k=2) == 1 / 2


def test_overlap_without_a_common_user_is_none():
    assert metrics.overlap(LISTS, frame_of_lists({"dan": "a"}), k=2) is None


def test_rank_biased_overlap_agrees_with_a_row_worked_by_hand():
    # a b beside b c, p = 0.5: nothing in common at depth 1, b at depth 2. (1 - p) / p * (0 + 1/2 p^2) + 1/2 p^2.
    found = metrics.rank_biased_overlap(frame_of_lists({"ann": "ab"}), frame_of_lists({"ann": "bc"}), k=2, persistence=0.5)
    assert found.to_dict() == pytest.approx({"ann": 0.125 + 0.125})


def test_rank_biased_overlap_counts_early_places_more():
    lists = frame_of_lists({"ann": "abcd", "ben": "abcd"})
    early, late = metrics.rank_biased_overlap(lists, frame_of_lists({"ann": "abxy", "ben": "xycd"}), k=4)
    assert early > 0.5 > late


def test_rank_biased_overlap_is_one_for_equal_lists_and_zero_for_strangers():
    others = frame_of_lists({"ann": "abd", "ben": "xyz", "dan": "a"})
    assert metrics.rank_biased_overlap(LISTS, others, k=3).to_dict() == pytest.approx({"ann": 1, "ben": 0})


def test_rank_biased_overlap_of_a_list_that_is_the_beginning_of_the_other_is_one():
    assert metrics.rank_biased_overlap(frame_of_lists({"ann": "ab"}), frame_of_lists({"ann": "abcde"}), k=5)[
        "ann"
    ] == pytest.approx(1)


@pytest.mark.parametrize("seed", range(3))
def test_rank_biased_overlap_agrees_with_the_paper_s_equation_on_random_lists(seed):
    rng = np.random.default_rng(seed)
    ours, theirs = ({user: rng.permutation(12)[: rng.integers(1, 9)] for user in range(50)} for _ in range(2))
    found = metrics.rank_biased_overlap(frame_of_lists(ours), frame_of_lists(theirs), k=8, persistence=0.8)
    assert found.index.tolist() == list(range(50))
    for user in range(50):
        assert found[user] == pytest.approx(equation_32(list(ours[user]), list(theirs[user]), 0.8), abs=1e-12)


def equation_32(first, second, p):
    """Webber, Moffat and Zobel, 2010, as it is printed: S the shorter list, L the longer, X the size of the overlap."""
    s, l = sorted([len(first), len(second)])  # noqa: E741
    X = [len(set(first[:d]) & set(second[:d])) for d in range(l + 1)]
    seen = sum(X[d] / d * p**d for d in range(1, l + 1))
    assumed = sum(X[s] * (d - s) / (s * d) * p**d for d in range(s + 1, l + 1))
    return (1 - p) / p * (seen + assumed) + ((X[l] - X[s]) / l + X[s] / s) * p**l


def test_one_match_at_several_k_equals_a_match_at_each():
    lists, targets = random_case(np.random.default_rng(4), num_users=80, num_items=30, k=10)
    together = metrics.at_each_k(matching.match(lists, targets, k=10), ks=(1, 5, 10))
    for k in (1, 5, 10):
        alone = metrics.per_user_metrics(lists, targets, k=k).add_suffix(f"@{k}")
        pd.testing.assert_frame_equal(together[alone.columns], alone)


def test_a_k_above_what_was_matched_is_refused():
    with pytest.raises(DataError, match="k is 3, and 2 places were matched"):
        matching.match(LISTS, frame_of_targets({"ann": "a"}), k=2).first(3)


def test_full_lists_in_order_and_the_same_rows_shuffled_are_laid_out_alike():
    rng = np.random.default_rng(6)
    lists = frame_of_lists({user: rng.permutation(20)[:5] for user in range(30)})
    items, users = pd.Index(np.arange(18)), pd.Index(np.arange(40)[::-1])  # items that are not known, users without a list
    for k in (3, 5, 7):
        folded = matching.lay_out(lists, users=users, items=items, k=k)
        scattered = matching.lay_out(lists.sample(frac=1, random_state=1), users=users, items=items, k=k)
        np.testing.assert_array_equal(folded, scattered)
        assert (folded[:10] == matching.EMPTY).all() and (folded[10:] >= 0).any(axis=1).all()


def test_items_of_a_match_come_first_and_targets_beyond_them_are_still_found():
    items = pd.Index(["c", "b", "a"])
    found = matching.match(frame_of_lists({"ann": "abxz"}), frame_of_targets({"ann": "bx"}), k=4, items=items)
    assert found.item_ids.tolist() == ["c", "b", "a", "x"]
    assert found.table_UK.tolist() == [[2, 1, 3, matching.EMPTY]]
    assert found.hit_places.tolist() == [1, 2]
    assert found.hit_items.tolist() == [1, 3]


def test_ndcg_reads_what_a_target_is_worth_and_the_other_metrics_do_not():
    """The list a b c d e, targets b (worth 1), d (4) and z (2): (1/log2 3 + 4/log2 5) / (4 + 2/log2 3 + 1/log2 4)."""
    targets = frame_of_targets({"ann": "bdz"}).assign(gain=[1.0, 4.0, 2.0])
    found = metrics.per_user_metrics(frame_of_lists({"ann": "abcde"}), targets, k=5)
    by_hand = (1 / np.log2(3) + 4 / np.log2(5)) / (4 + 2 / np.log2(3) + 1 / 2)
    assert found["ndcg"].item() == pytest.approx(by_hand)
    plain = metrics.per_user_metrics(frame_of_lists({"ann": "abcde"}), targets.drop(columns="gain"), k=5)
    pd.testing.assert_frame_equal(found.drop(columns="ndcg"), plain.drop(columns="ndcg"))


def test_gains_that_are_all_alike_change_nothing_and_of_a_pair_twice_the_larger_counts():
    targets = frame_of_targets({"ann": "bdz", "ben": "abcdefg", "cid": "a"})
    lists = frame_of_lists({"ann": "abcde", "ben": "abcde"})
    plain = metrics.per_user_metrics(lists, targets, k=3)
    pd.testing.assert_frame_equal(metrics.per_user_metrics(lists, targets.assign(gain=4.0), k=3), plain)
    twice = pd.concat([targets.assign(gain=4.0), targets.assign(gain=1.0)])
    pd.testing.assert_frame_equal(metrics.per_user_metrics(lists, twice, k=3), plain)


@pytest.mark.parametrize("gain", [0.0, -1.0, np.nan, np.inf])
def test_a_gain_that_is_worth_nothing_is_refused(gain):
    targets = frame_of_targets({"ann": "ab"}).assign(gain=[1.0, gain])
    with pytest.raises(DataError, match="a target's gain is"):
        metrics.per_user_metrics(LISTS, targets, k=2)


def test_every_metric_may_be_the_gate_s_and_has_a_name_in_words():
    assert set(get_args(Metric)) == set(metrics.METRICS) == set(METRIC_NAMES)


def test_unknown_metric_is_named_with_the_closest_known_one():
    with pytest.raises(DataError, match=r"no metric 'ndgc'.*did you mean 'ndcg'"):
        metrics.per_user_metrics(LISTS, frame_of_targets({"ann": "a"}), k=2, metrics=["ndgc"])


def test_ids_of_two_kinds_are_refused_rather_than_scored_zero():
    with pytest.raises(DataError, match=r"user_id is .* in the lists and int64 in the targets"):
        metrics.per_user_metrics(LISTS, pd.DataFrame({"user_id": [1], "item_id": ["a"]}), k=2)


def test_a_missing_id_is_refused():
    with pytest.raises(DataError, match="1 rows of the targets have no item_id"):
        metrics.per_user_metrics(LISTS, pd.DataFrame({"user_id": ["ann", "ben"], "item_id": ["a", None]}), k=2)


@pytest.mark.parametrize(("ranks", "message"), [([0, 1], "a rank is 0"), ([1, 1], "1 ranks stand twice")])
def test_wrong_ranks_are_refused(ranks, message):
    lists = pd.DataFrame({"user_id": ["ann", "ann"], "item_id": ["a", "b"], "rank": ranks})
    with pytest.raises(DataError, match=message):
        metrics.per_user_metrics(lists, frame_of_targets({"ann": "a"}), k=2)


def test_k_below_one_is_refused():
    with pytest.raises(DataError, match="k is 0"):
        metrics.per_user_metrics(LISTS, frame_of_targets({"ann": "a"}), k=0)


def test_a_match_with_its_own_hits_hits_the_same() -> None:
    """So hits stand in for lists where parts of the targets are scored."""
    rng = np.random.default_rng(4)
    lists = pd.concat([pd.DataFrame({"user_id": u, "item_id": rng.permutation(30)[:6], "rank": range(1, 7)}) for u in range(40)])
    targets = pd.DataFrame({"user_id": rng.integers(0, 45, 150), "item_id": rng.integers(0, 30, 150)})
    found = matching.match(lists, targets, k=5)
    again = matching.match(found.hits, targets, k=5)
    assert len(found.hit_users) > 20 and len(found.hits) == len(found.hit_users)
    pd.testing.assert_frame_equal(metrics.score_matches(again), metrics.score_matches(found), check_exact=True)
