"""Decisions in words: for artifacts, for the command line, for the pictures' texts."""

from __future__ import annotations

from bowerbird.report.content_decision import Check
from bowerbird.report.terminal import findings
from bowerbird.report.words import check_in_words, decision_text, signed, slice_in_words
from tests.report.example import full


def test_differences_keep_their_sign_and_never_vanish() -> None:
    assert [signed(value) for value in (0.0105, -0.0044, 0.0, 0.00012, -0.00000034)] == [
        "+0.0105",
        "-0.0044",
        "0.0000",
        "+0.00012",
        "-3.4e-07",
    ]


def test_a_decision_as_markdown_says_what_it_takes_to_pass() -> None:
    rule = {"rule": 2, "name": "better", "asked": "a | b", "found": "less", "passed": False, "to_pass": "more users"}
    text = decision_text({"sentence": "It is held.", "rules": [rule]})
    assert text.splitlines()[0] == "## It is held."
    assert text.splitlines()[-1] == "| 2 better | a \\| b | less | not passed | more users |"


def test_a_part_of_the_users_is_told_with_its_interval_and_its_number() -> None:
    view = full().view
    assert view is not None
    told = [slice_in_words(one, "NDCG@10") for one in view.slices]
    assert told[0] == (
        "activity: 1 to 2 events, NDCG@10 -0.0312 (-0.0713 to +0.0089) to cooccurrence over 61 users, too few to decide anything"
    )
    assert told[1] == "kind: new users, NDCG@10 -0.0151 (-0.0253 to -0.0049) to cooccurrence over 138 users"


def test_the_worst_part_is_one_that_may_decide_where_there_is_one() -> None:
    view = full().view
    assert view is not None and view.worst_slice is not None
    assert view.worst_slice.value == "new users"
    tiny = view.model_copy(update={"slices": view.slices[:1]})
    assert tiny.worst_slice == view.slices[0]
    assert view.model_copy(update={"slices": ()}).worst_slice is None


def test_broken_checks_say_whether_they_decide() -> None:
    view = full().view
    assert view is not None
    assert [check_in_words(check) for check in view.broken] == [
        "gini: 0.93: few items take most places (shown, decides nothing)",
        "deterministic: 3 of 200 lists differ",
    ]
    assert check_in_words(Check(name="leak", found="2 events", passed=False)) == "leak: 2 events"


def test_the_command_line_shows_the_worst_part_and_broken_checks_in_a_line_each() -> None:
    assert findings({"worst_slice": "kind: new users, -0.02", "broken_checks": ["gini: 0.93", "full: 3 short"]}) == [
        "Worst slice: kind: new users, -0.02",
        "Broken check: gini: 0.93",
        "Broken check: full: 3 short",
    ]
    assert findings({}) == findings({"worst_slice": None, "broken_checks": []}) == []
