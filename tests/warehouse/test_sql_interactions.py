"""interactions.sql and cancelled_events.sql: a handful of rows in and out."""

from __future__ import annotations

import random
from itertools import groupby

import pytest

from bowerbird.errors import RecipeError
from tests.warehouse.log import columns, log, recipe, run


def evidence(text: str, *, cut_off: float) -> list[tuple[str, float, bool]]:
    rows = run(log(text), "interactions", cut_off=cut_off, recipe=recipe())
    return [(row["event"], row["weight"], row["is_target"]) for row in rows]


BOUGHT, TAKEN_BACK = ("purchase", 4.0, True), ("purchase", 0.0, False)


def test_rows_come_by_user_then_time_then_source_row_then_id() -> None:
    con = log("""
        2 bob tea view
        1 bob cup view
        1 ann tea view source_row=9
        1 ann cup view source_row=3 event_id=b
        1 ann pot view source_row=3 event_id=a
    """)
    rows = run(con, "interactions", cut_off=5, recipe=recipe())
    assert columns(rows, "user_id", "item_id") == [("ann", "pot"), ("ann", "cup"), ("ann", "tea"), ("bob", "cup"), ("bob", "tea")]


def test_weights_and_targets_come_from_the_recipe() -> None:
    assert evidence("1 ann tea view\n2 ann tea purchase", cut_off=3) == [("view", 1.0, False), BOUGHT]


def test_event_types_that_the_recipe_does_not_know_are_left_out() -> None:
    assert evidence("1 ann tea scroll\n2 ann tea view", cut_off=3) == [("view", 1.0, False)]


def test_event_at_the_cut_off_is_not_read() -> None:
    assert evidence("1 ann tea view\n2 ann tea purchase", cut_off=2) == [("view", 1.0, False)]


def test_full_cancellation_removes_evidence_from_its_own_time_on() -> None:
    text = "1 ann tea purchase quantity=3\n2 ann tea refund quantity=-3"
    assert evidence(text, cut_off=1.5) == [BOUGHT]
    assert evidence(text, cut_off=2) == [BOUGHT]
    assert evidence(text, cut_off=2.5) == [TAKEN_BACK]


def test_cancelled_purchase_stays_as_seen_and_the_cancellation_is_no_interaction() -> None:
    assert evidence("1 ann tea purchase\n2 ann tea refund", cut_off=3) == [TAKEN_BACK]


def test_partial_cancellation_removes_nothing() -> None:
    assert evidence("1 ann tea purchase quantity=3\n2 ann tea refund quantity=-2", cut_off=3) == [BOUGHT]


def test_partial_cancellations_add_up() -> None:
    text = "1 ann tea purchase quantity=3\n2 ann tea refund quantity=-2\n3 ann tea refund quantity=-1"
    assert evidence(text, cut_off=4) == [TAKEN_BACK]


def test_cancellation_before_any_purchase_does_nothing() -> None:
    assert evidence("1 ann tea refund quantity=-5\n2 ann tea purchase quantity=3", cut_off=3) == [BOUGHT]


def test_cancellation_takes_the_last_purchase_first() -> None:
    text = "1 ann tea purchase\n2 ann tea purchase\n3 ann tea refund"
    assert evidence(text, cut_off=4) == [BOUGHT, TAKEN_BACK]
    assert evidence(text + "\n4 ann tea refund", cut_off=5) == [TAKEN_BACK, TAKEN_BACK]


def test_purchase_after_the_cancellation_stands() -> None:
    assert evidence("1 ann tea purchase\n2 ann tea refund\n3 ann tea purchase", cut_off=4) == [TAKEN_BACK, BOUGHT]


def test_one_cancellation_can_take_back_two_purchases() -> None:
    text = "1 ann tea purchase quantity=1\n2 ann tea purchase quantity=2\n3 ann tea refund quantity=-3"
    assert evidence(text, cut_off=4) == [TAKEN_BACK, TAKEN_BACK]


def test_cancellation_of_more_than_was_bought_leaves_no_debt() -> None:
    text = "1 ann tea purchase quantity=1\n2 ann tea refund quantity=-9\n3 ann tea purchase quantity=2"
    assert evidence(text, cut_off=4) == [TAKEN_BACK, BOUGHT]


def test_cancellation_at_the_same_moment_follows_the_source_row() -> None:
    assert evidence("1 ann tea purchase\n1 ann tea refund", cut_off=2) == [TAKEN_BACK]
    assert evidence("1 ann tea refund\n1 ann tea purchase", cut_off=2) == [BOUGHT]


def test_cancellation_touches_only_its_user_item_and_type() -> None:
    text = "1 ann tea purchase\n1 bob tea purchase\n1 ann cup purchase\n1 ann tea view\n2 ann tea refund"
    rows = run(log(text), "interactions", cut_off=3, recipe=recipe())
    kept = [("ann", "cup", 4.0), ("ann", "tea", 1.0), ("bob", "tea", 4.0)]
    assert sorted(row for row in columns(rows, "user_id", "item_id", "weight") if row[2]) == kept


def test_fractions_of_a_quantity_add_up() -> None:
    text = "1 ann tea purchase quantity=0.3\n2 ann tea refund quantity=-0.1\n3 ann tea refund quantity=-0.2"
    assert evidence(text, cut_off=4) == [TAKEN_BACK]


def test_cancelled_events_come_once_with_their_cut_off() -> None:
    con = log("1 ann tea purchase\n2 ann tea refund\n3 ann cup purchase")
    rows = run(con, "cancelled_events", cut_off=4, recipe=recipe())
    assert columns(rows, "event_id") == [("e000",)]


def test_any_log_is_cancelled_as_a_stack_would_be() -> None:
    draw = random.Random(1)
    for _ in range(30):
        lines = [
            f"{draw.randrange(8)} {draw.choice('ab')} {draw.choice('xy')} {draw.choice(['purchase', 'purchase', 'refund'])}"
            f" quantity={draw.randint(1, 3)}"
            for _ in range(25)
        ]
        con = log("\n".join(lines))
        assert run_cancelled(con) == stacked(lines)


def run_cancelled(con) -> set[str]:
    return {row["event_id"] for row in run(con, "cancelled_events", cut_off=9, recipe=recipe())}


def stacked(lines: list[str]) -> set[str]:
    """Cancel with a stack of single pieces: an event is gone when all of its pieces are."""
    events = [(*line.split()[1:3], float(line.split()[0]), place, *line.split()[3:]) for place, line in enumerate(lines)]
    gone = set()
    for _, group in groupby(sorted(events), key=lambda event: event[:2]):
        stack: list[int] = []
        pieces: dict[int, int] = {}
        for _, _, _, place, event, amount in group:
            quantity = int(amount.removeprefix("quantity="))
            if event == "purchase":
                stack += [place] * quantity
                pieces[place] = quantity
                continue
            for taken in [stack.pop() for _ in range(min(quantity, len(stack)))]:
                pieces[taken] -= 1
        gone |= {f"e{place:03}" for place, left in pieces.items() if left == 0}
    return gone


def test_condition_leaves_low_ratings_as_seen() -> None:
    con = log("1 ann tea purchase rating=3.5\n2 ann cup purchase rating=3\n3 ann pot purchase")
    rows = run(con, "interactions", cut_off=4, recipe=recipe(target_when="rating >= 3.5"))
    assert columns(rows, "weight", "is_target") == [(4.0, True), (0.0, False), (0.0, False)]


def test_condition_compares_texts_as_data() -> None:
    con = log("1 ann tea purchase country=Côte-d'Or\n2 ann cup purchase country=x")
    rows = run(con, "interactions", cut_off=4, recipe=recipe(target_when="country = 'Côte-d''Or' and rating is null"))
    assert columns(rows, "is_target") == [(True,), (False,)]


def test_condition_on_an_unknown_column_names_the_closest() -> None:
    with pytest.raises(RecipeError, match=r"names the column 'ratings'.*did you mean 'rating'"):
        run(log("1 ann tea view"), "interactions", cut_off=4, recipe=recipe(target_when="ratings >= 3"))
