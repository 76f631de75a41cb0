"""Each rule on a list worked by hand: a to f by popularity, of a pool of six, so that relevance falls from 1 by sixths."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bowerbird.ranking import lists as lists_module
from tests.ranking.shelves import ITEMS, NOW, listed, made


def test_a_strength_of_0_leaves_the_models_order() -> None:
    assert listed({"diversity": {"strength": 0}}) == "abc"
    assert listed({"calibration": {"strength": 0}}, past=[("ann", "e")]) == "abc"


def test_diversity_puts_the_relevant_and_unlike_first() -> None:
    # weight 1: a, 1. Then c, 4/6 - 0, before b, 5/6 - 1. Then f, 1/6 - 0, before b, 5/6 - 1
    assert listed({"diversity": {"strength": 0.5}}) == "acf"


def test_a_weak_diversity_lets_relevance_win() -> None:
    # weight 1/9: b, 5/6 - 1/9 = 0.72, before c, 4/6; then c
    assert listed({"diversity": {"strength": 0.1}}) == "abc"


def test_items_that_share_one_of_two_values_are_half_alike() -> None:
    items = ITEMS.assign(categories=pd.Series([["x", "y"], ["x", "z"], ["y", "x"], ["q"], ["q"], ["q"]]))
    # weight 0.25: b costs 1/8: 0.708 before c, 4/6 - 1/4 = 0.417, and d, 0.5; then d, 0.5, before c
    assert listed({"diversity": {"strength": 0.2}}, items=items) == "abd"


def test_diversity_by_model_tells_apart_what_other_users_touched() -> None:
    # all who touched b touched a, and so on: the cosine of a and b is sqrt(5/6), that of a and f sqrt(1/6)
    assert listed({"diversity": {"strength": 0.6, "by": "model"}})[:2] == "af"


def test_a_quota_passes_over_what_is_too_much() -> None:
    assert listed({"quotas": [{"column": "categories", "most": 1}]}) == "acf"
    assert listed({"quotas": [{"column": "categories", "most": 2}]}, k=4) == "abce"


def test_two_quotas_hold_at_once_and_an_item_without_value_is_not_counted() -> None:
    quotas = [{"column": "categories", "most": 2}, {"column": "seller", "most": 1}]
    assert listed({"quotas": quotas}, k=6) == "acef", "b is ada's and d bob's; f is nobody's"


def test_a_quota_may_read_any_column() -> None:
    for column in ("item_id", "created_at", "price", "available_from"):
        assert listed({"quotas": [{"column": column, "most": 1}]}) == "abc", column


def test_a_quota_asks_for_more_candidates_where_the_pool_has_too_few() -> None:
    assert listed({"pool": 1, "quotas": [{"column": "categories", "most": 1}]}, k=2) == "ac"


def test_a_list_is_as_long_as_quotas_allow() -> None:
    assert listed({"quotas": [{"column": "categories", "most": 1}]}, k=6) == "acf"


def test_a_pin_stands_at_its_place_and_nowhere_else() -> None:
    assert listed({"pins": [{"item": "e", "place": 2}]}) == "aeb"
    assert listed({"pins": [{"item": "a", "place": 3}]}) == "bca"


def test_a_pinned_item_has_a_source_of_its_own() -> None:
    lists, _ = made({"pins": [{"item": "e", "place": 2}]}, past=[("ann", "f")])
    assert lists["source"].tolist() == ["popularity", "pinned", "popularity"]
    assert lists["score"].tolist()[1] == 0
    assert lists["propensity"].isna().all()


def test_a_pin_is_for_its_segment() -> None:
    lists, checks = made({"pins": [{"item": "e", "place": 1, "when": "country = 'FR'"}]}, users=["ann", "bob", "new"])
    assert [check for check in checks if check["failures"]] == []
    assert ["".join(one) for _, one in lists.groupby("user_id", sort=False)["item_id"]] == ["eab", "abc", "abc"]


def test_of_two_pins_at_a_place_the_first_that_applies_is_in_force() -> None:
    pins = [{"item": "f", "place": 1, "when": "country = 'DE'"}, {"item": "e", "place": 1, "when": "country = 'FR'"}]
    pins.append({"item": "d", "place": 1})
    lists, _ = made({"pins": pins}, users=["ann", "bob", "new"], k=1)
    assert lists["item_id"].tolist() == ["e", "f", "d"]


def test_what_was_bought_blocked_or_filtered_is_not_pinned() -> None:
    pins = [{"item": "e", "place": 1}]
    assert listed({"pins": pins}, past=[("ann", "e")]) == "abc"
    assert listed({"pins": pins, "where": ["price < 50"]}) == "abc"


def test_a_pin_that_the_model_does_not_know_is_shown() -> None:
    new = pd.concat([ITEMS, ITEMS.tail(1).assign(item_id="new")], ignore_index=True)
    assert listed({"pins": [{"item": "new", "place": 1}]}, items=new) == "newab"


def test_a_pin_beyond_the_end_of_a_short_list_moves_up() -> None:
    rules = {"pins": [{"item": "b", "place": 5}], "categories": ["x"]}
    assert listed(rules, k=5) == "adb"


def test_a_pin_counts_for_the_quota_and_for_diversity() -> None:
    pin = {"pins": [{"item": "e", "place": 3}]}
    assert listed(pin | {"quotas": [{"column": "categories", "most": 1}]}) == "afe"
    assert listed(pin | {"diversity": {"strength": 0.5}})[2] == "e"


def test_calibration_follows_what_a_user_had() -> None:
    # past: half x, half y. a; then c makes q = p; then b and e leave q equally far from p, and b is more relevant; then e
    rules = {"calibration": {"strength": 0.9}}
    assert listed(rules, k=4, past=[("ann", "d"), ("ann", "e")]) == "acbf"  # d and e were bought: no y is left
    assert listed(rules, k=3, past=[("ann", "c")]) == "eab"
    assert listed(rules, k=3) == "abc", "nothing is known of ann"


def test_freshness_lifts_new_items_and_halves_with_age() -> None:
    # d is new: 3/6 + 0.4 = 0.9, between a, 1, and b, 5/6
    assert listed({"freshness": {"boost": 0.4, "half_life": "7d"}}) == "adb"
    # e is 7 days old: 2/6 + 0.9 / 2 = 0.78, below b, 5/6; but 2/6 + 0.9 / sqrt(2) = 0.97, above b with 0.88
    assert listed({"freshness": {"boost": 0.9, "half_life": "7d"}}) == "dab"
    assert listed({"freshness": {"boost": 0.9, "half_life": "14d"}}) == "dae"


def test_an_item_from_the_future_or_without_a_date_is_not_fresh() -> None:
    dates = pd.Series([pd.NaT, pd.NaT, pd.NaT, NOW + pd.Timedelta(days=1), pd.NaT, pd.NaT]).astype("datetime64[us, UTC]")
    assert listed({"freshness": {"boost": 1.0}}, items=ITEMS.assign(created_at=dates)) == "abc"


def test_exploration_draws_from_what_comes_next_and_says_how_probable_it_was() -> None:
    users = [f"new{place}" for place in range(300)]
    lists, checks = made({"exploration": {"share": 0.3, "candidates": 2}}, users=users, k=2)
    assert [check for check in checks if check["failures"]] == []
    due = lists["item_id"] == lists["rank"].map({1: "a", 2: "b"})
    assert set(lists.loc[due, "propensity"].round(6)) == {0.7} and set(lists.loc[~due, "propensity"]) == {0.15}
    assert set(lists.loc[~due, "item_id"]) == {"c", "d"}


def test_a_policy_names_what_is_due_and_what_comes_next_with_their_probabilities() -> None:
    rules = {"exploration": {"share": 0.3, "candidates": 3}, "pins": [{"item": "e", "place": 1}]}
    lists, _ = made(rules, k=3, as_policy=True)
    assert "".join(lists["item_id"]) == "eabcdf" and lists["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert lists["propensity"].round(6).tolist() == [1, 0.7, 0.7, 0.1, 0.1, 0.1], "two free places, three candidates"


def test_exploration_keeps_quotas_and_pins() -> None:
    rules = {
        "exploration": {"share": 0.5, "candidates": 3},
        "quotas": [{"column": "categories", "most": 1}],
        "pins": [{"item": "e", "place": 1}],
    }
    lists, checks = made(rules, users=[f"new{place}" for place in range(100)], k=2)
    assert [check for check in checks if check["failures"]] == []
    assert set(lists.loc[lists["rank"] == 1, "item_id"]) == {"e"} and set(lists.loc[lists["rank"] == 2, "item_id"]) == {"a", "f"}


def test_another_seed_draws_otherwise_and_the_same_seed_the_same() -> None:
    rules, users = {"exploration": {"share": 0.5}}, [f"new{place}" for place in range(50)]
    first, again, other = (made(rules, users=users, seed=seed)[0] for seed in (1, 1, 2))
    pd.testing.assert_frame_equal(first, again)
    assert first["item_id"].tolist() != other["item_id"].tolist()


EVERYTHING: dict[str, Any] = {  # Any: sections
    "quotas": [{"column": "seller", "most": 1}],
    "pins": [{"item": "d", "place": 2, "when": "country = 'FR'"}],
    "diversity": {},
    "calibration": {},
    "freshness": {},
    "exploration": {"share": 0.3},
}


def test_blocks_of_users_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    users = ["ann", "bob", *(f"u{place}" for place in range(6)), "new"]
    whole, _ = made(EVERYTHING, users=users, past=[("ann", "a")])
    monkeypatch.setattr(lists_module, "BLOCK", 2)
    in_blocks, _ = made(EVERYTHING, users=users, past=[("ann", "a")])
    pd.testing.assert_frame_equal(whole, in_blocks)
    single = pd.concat([made(EVERYTHING, users=[user], past=[("ann", "a")])[0] for user in users], ignore_index=True)
    pd.testing.assert_frame_equal(whole, single)


def test_nobody_gets_an_empty_frame() -> None:
    lists, _ = made(EVERYTHING, users=[])
    assert lists.empty and "propensity" in lists


ANY_RULES = st.fixed_dictionaries(
    {},
    optional={
        "blocked_items": st.lists(st.sampled_from("abcdef"), max_size=3),
        "where": st.sampled_from([["price < 40"], ["seller != 'ada'"], ["price > 15", "seller != 'bob'"], ["price > 900"]]),
        "categories": st.lists(st.sampled_from("xyz"), min_size=1, max_size=2),
        "blocked_categories": st.lists(st.sampled_from("xyz"), min_size=1, max_size=1),
        "max_age": st.sampled_from(["1d", "30d", "70d"]),
        "pool": st.integers(1, 4),
        "pins": st.lists(
            st.fixed_dictionaries(
                {"item": st.sampled_from("abcdef"), "place": st.integers(1, 2)},
                optional={"when": st.sampled_from(["country = 'FR'", "country != 'FR'"])},
            ),
            max_size=3,
        ),
        "quotas": st.lists(
            st.fixed_dictionaries({"column": st.sampled_from(["categories", "seller"]), "most": st.integers(1, 3)}), max_size=2
        ),
        "diversity": st.sampled_from([{}, {"by": "model"}, {"columns": ["seller", "categories"], "strength": 0.7}]),
        "calibration": st.sampled_from([{}, {"column": "seller", "strength": 0.9}]),
        "freshness": st.sampled_from([{}, {"boost": 1.0, "half_life": "1d"}]),
        "exploration": st.sampled_from([{}, {"share": 0.5, "candidates": 1}]),
    },
)
PASTS = st.lists(st.tuples(st.sampled_from(["ann", "bob"]), st.sampled_from("abcdef")), max_size=8)


def forbidden(rules: dict[str, Any]) -> set[str]:  # Any: sections
    """What a reader of the rules would leave out, worked out without the code that is tested."""
    limits = {"1d": "d", "30d": "cde", "70d": "bcde"}
    conditions = {
        "price < 40": "abc",
        "seller != 'ada'": "cde",
        "price > 15": "bcde",
        "seller != 'bob'": "abe",
        "price > 900": "",
    }
    kinds = dict(zip("abcdef", "xxyxyz", strict=True))
    kept = set("abcdef") - set(rules.get("blocked_items", ()))
    kept = kept.intersection(*(conditions[one] for one in rules.get("where", ())))
    kept &= {item for item, kind in kinds.items() if kind in rules.get("categories", "xyz")}
    kept -= {item for item, kind in kinds.items() if kind in rules.get("blocked_categories", ())}
    return set("abcdef") - (kept & set(limits.get(rules.get("max_age", ""), "abcdef")))


@settings(max_examples=60, deadline=None)
@given(rules=ANY_RULES, past=PASTS, k=st.integers(1, 5), model=st.sampled_from(["popularity", "item_knn"]))
def test_no_forbidden_item_is_listed_and_ranks_have_no_gaps(
    rules: dict[str, Any],
    past: list[tuple[str, str]],
    k: int,
    model: str,  # Any: sections
) -> None:
    if k < 2:
        rules = {key: value for key, value in rules.items() if key != "pins"}
    lists, checks = made(rules, users=["ann", "bob", "new"], past=past, k=k, model=model)
    assert not set(lists["item_id"]) & forbidden(rules)
    assert not set(zip(lists["user_id"], lists["item_id"], strict=True)) & set(past)
    for _, ranks in lists.groupby("user_id")["rank"]:
        assert ranks.tolist() == list(range(1, len(ranks) + 1))
    assert [check for check in checks if check["failures"] and not check["name"].startswith("propensities")] == []
