"""What the gate has decided is told rule by rule, of runs of older versions too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from bowerbird.cli import app
from bowerbird.errors import UserError
from bowerbird.pipeline.explain import explanation
from bowerbird.store.home import Home
from bowerbird.store.runs import write_json

OLD, NEW, ENDED = "20260101-030000-aaaaaa", "20260102-030000-bbbbbb", "20260103-030000-cccccc"
RULE = {
    "rule": 2,
    "name": "better than the champion",
    "asked": "the lower 95 % bound of candidate minus champion is above 0",
    "found": "it is not proven better than als",
    "passed": False,
    "if_failed": "hold",
}


def write_run(home: Home, run_id: str, **decision: Any) -> None:  # Any: JSON
    """Write what a decided run leaves behind."""
    about = {"outcome": "hold", "nominee": "ease", "publish": None, "sentence": "ease is held.", "rules": [RULE]}
    write_json(home.runs / run_id / "gate.json", about | decision)
    write_json(home.runs / run_id / "outcome.json", {"outcome": "held"})
    write_json(home.runs / run_id / "recipe.json", {"name": "small", "gate": {"min_users": 70}})


def test_a_run_of_an_older_version_is_told_by_its_recipe(home: Home) -> None:
    write_run(home, OLD)

    found = explanation(home, OLD)

    assert found["rules"] == [RULE | {"to_pass": None}]
    assert (found["policy"], found["answer"], found["outcome"]) == ({"min_users": 70}, None, "held")


def test_the_latest_is_the_newest_that_was_decided(home: Home) -> None:
    with pytest.raises(UserError, match="has not decided on any run yet"):
        explanation(home, "latest")
    write_run(home, OLD)
    write_run(home, NEW, policy={"min_users": 80})
    write_json(home.runs / ENDED / "outcome.json", {"outcome": "unchanged"})

    found = explanation(home, "latest")

    assert (found["run_id"], found["policy"]) == (NEW, {"min_users": 80})
    with pytest.raises(UserError, match=f"has not decided on run {ENDED}: its outcome is 'unchanged'"):
        explanation(home, ENDED)
    with pytest.raises(UserError, match="there is no run 'nonsense'"):
        explanation(home, "nonsense")


def test_the_command_line_tells_it_to_people_and_to_programs(home: Home) -> None:
    to_pass = "raise the lower bound by more than 0.0040"
    write_run(home, NEW, rules=[RULE | {"to_pass": to_pass}])
    answer = {"accepted": False, "by": "Ada", "reason": "odd lists"}
    write_json(home.runs / NEW / "manifest.json", {"answer": answer})

    told = CliRunner().invoke(app, ["gate", "--explain", NEW, "--home", str(home.path)])
    given = CliRunner().invoke(app, ["gate", "--json", "--home", str(home.path)])

    assert told.exit_code == 0 and given.exit_code == 0
    said = " ".join(told.stderr.split())
    assert f"Run {NEW}: ease is held." in said
    assert "2 better than the champion: not passed" in said and f"change {to_pass}" in said
    assert "Answered by Ada: closed. odd lists" in said
    assert json.loads(given.stdout) == explanation(home, NEW)
