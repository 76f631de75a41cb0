"""targets.sql, through ``load_targets``: a handful of rows in and out."""

from __future__ import annotations

from bowerbird.warehouse.features import load_targets
from tests.warehouse.log import day, log, recipe


def targets(text: str, *, start: float, end: float, **events: str) -> list[tuple[str, str, bool]]:
    frame = load_targets(log(text), recipe(**events), start=day(start), end=day(end))
    return [tuple(row) for row in frame.itertuples(index=False)]


def test_targets_are_different_pairs_in_the_window_with_its_start_and_without_its_end() -> None:
    text = "1 ann tea purchase\n2 ann cup purchase\n2 ann cup purchase\n3 bob tea purchase\n4 bob cup purchase"
    assert targets(text, start=2, end=4) == [("ann", "cup", False), ("bob", "tea", False)]


def test_pair_bought_before_the_start_is_a_repeat() -> None:
    assert targets("1 ann tea purchase\n3 ann tea purchase", start=2, end=4) == [("ann", "tea", True)]


def test_pair_only_seen_before_the_start_is_no_repeat() -> None:
    assert targets("1 ann tea view\n3 ann tea purchase", start=2, end=4) == [("ann", "tea", False)]


def test_a_target_may_be_worth_the_largest_weight_of_its_events() -> None:
    text = "2 ann tea view\n3 ann tea purchase\n3 ann cup view\n9 ann cup purchase"
    asked = recipe(gains="weight", targets=("view", "purchase"))
    frame = load_targets(log(text), asked, start=day(2), end=day(4))
    assert frame[["item_id", "gain"]].to_numpy().tolist() == [["cup", 1.0], ["tea", 4.0]]
    assert "gain" not in load_targets(log(text), recipe(), start=day(2), end=day(4))


def test_a_purchase_that_is_taken_back_leaves_what_the_view_is_worth() -> None:
    asked = recipe(gains="weight", targets=("view", "purchase"))
    frame = load_targets(log("2 ann tea view\n2 ann tea purchase\n3 ann tea refund"), asked, start=day(2), end=day(4))
    assert frame["gain"].tolist() == [1.0]


def test_views_are_no_targets() -> None:
    assert targets("3 ann tea view", start=2, end=4) == []


def test_target_taken_back_before_the_end_is_none() -> None:
    text = "2 ann tea purchase\n3 ann tea refund"
    assert targets(text, start=2, end=4) == []
    assert targets(text, start=2, end=3) == [("ann", "tea", False)]


def test_pair_taken_back_before_the_start_is_no_repeat() -> None:
    assert targets("0 ann tea purchase\n1 ann tea refund\n3 ann tea purchase", start=2, end=4) == [("ann", "tea", False)]


def test_past_purchase_taken_back_within_the_window_was_known_at_the_start() -> None:
    text = "0 ann tea purchase\n2.5 ann tea refund\n3 ann tea purchase"
    assert targets(text, start=2, end=4) == [("ann", "tea", True)]


def test_events_that_the_condition_rules_out_are_no_targets() -> None:
    text = "1 ann tea purchase rating=1\n3 ann tea purchase rating=5\n3 ann cup purchase rating=1"
    assert targets(text, start=2, end=4, target_when="rating >= 3") == [("ann", "tea", False)]
