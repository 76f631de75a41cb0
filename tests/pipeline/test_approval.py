"""A held run is answered by a person whom its policy names, in time, or by its deadline; an answer is given once."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bowerbird.cli import app
from bowerbird.errors import PublishConflictError, UserError
from bowerbird.pipeline import approval
from bowerbird.pipeline.approval import approve, decide_overdue, waiting
from bowerbird.pipeline.whole import run_all
from bowerbird.store import published
from bowerbird.store.home import Home
from bowerbird.store.runs import read_json, write_json
from bowerbird.store.tables import Table
from tests.conftest import shop_recipe
from tests.store.sets import publish, shown, write_lists

HELD = "20260101-030000-aaaaaa"
GIVEN = {"by": "Ada", "reason": "tried by hand"}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home in which something is published."""
    opened = Home.open(tmp_path / "home")
    opened.create_tables(retention_days=30)
    publish(opened, tmp_path, "before")
    return opened


def hold(home: Home, run_id: str = HELD, *, days_ago: float = 0, **asked: Any) -> Path:  # Any: keys of [gate.approval]
    """Leave what a held run leaves, made so many days ago."""
    folder = home.runs / run_id
    made_at = datetime.now(UTC) - timedelta(days=days_ago)
    gate = {"approval": asked} if asked else {}
    folder.mkdir(parents=True)
    write_lists(folder, "held").rename(folder / "recommendations.parquet")
    manifest = {"made_at": made_at.isoformat(timespec="seconds"), "champion_version": 1, "versions": {}}
    write_json(folder / "manifest.json", manifest | {"recipe": {"gate": gate}})
    write_json(folder / "outcome.json", {"outcome": "held", "run_id": run_id, "version": 1})
    return folder


def publish_another(home: Home, tmp_path: Path) -> None:
    publish(home, tmp_path, "another")


# ---- a person


def test_an_answer_publishes_the_runs_set_once_and_stands_in_its_manifest(home: Home) -> None:
    folder = hold(home)

    closed = approve(home, HELD, accept=True, **GIVEN)

    newest = published.history(home)[0]
    assert (closed["outcome"], closed["version"], shown(home)) == ("published", newest.version, {"held"})
    assert (newest.run_id, newest.kind, newest.by, newest.reason) == (HELD, "approve", "Ada", "tried by hand")
    answer = read_json(folder / "manifest.json")["answer"]
    assert answer == closed["answer"] and answer["accepted"] and answer["at"].endswith("+00:00")
    for accept in (True, False):
        with pytest.raises(UserError, match="has been answered by Ada"):
            approve(home, HELD, accept=accept, by="Bob", reason="")
    assert waiting(home) == [] and len(published.history(home)) == 2


def test_a_rejection_publishes_nothing_and_is_an_answer_too(home: Home) -> None:
    folder = hold(home)

    assert approve(home, HELD, accept=False, **GIVEN)["outcome"] == "rejected"

    assert shown(home) == {"before"} and not read_json(folder / "manifest.json")["answer"]["accepted"]
    with pytest.raises(UserError, match="has been answered by Ada"):
        approve(home, HELD, accept=True, by="Bob", reason="", force=True)


def test_only_those_whom_the_policy_names_may_answer(home: Home) -> None:
    hold(home, approvers=["Ada", "Grace"])

    for stranger, told in (("Adda", "'Adda' may not answer .*names: Ada, Grace; did you mean 'Ada'?"), ("", "'' may not answer")):
        for accept in (True, False):
            with pytest.raises(UserError, match=told):
                approve(home, HELD, accept=accept, by=stranger, reason="")
    assert shown(home) == {"before"} and "answer" not in read_json(home.runs / HELD / "manifest.json")
    assert approve(home, HELD, accept=True, by="Grace", reason="")["outcome"] == "published"


def test_an_unknown_run_and_one_that_is_not_held_are_named(home: Home) -> None:
    write_json(hold(home) / "outcome.json", {"outcome": "unchanged"})

    for run_id, told in ((HELD, "is not held: its outcome is 'unchanged'"), ("../x", "there is no run '../x'")):
        with pytest.raises(UserError, match=told):
            approve(home, run_id, accept=True, **GIVEN)


def test_a_newer_publish_makes_an_answer_stale_and_says_so(home: Home, tmp_path: Path) -> None:
    hold(home)
    publish_another(home, tmp_path)

    with pytest.raises(UserError, match=r"the answer is stale: version 2 has been published since .* decided against version 1"):
        approve(home, HELD, accept=True, **GIVEN)
    (held,) = waiting(home)
    assert held.sentence(published.current(home)).endswith("version 2 has been published since, so it can only be closed.")
    assert approve(home, HELD, accept=False, **GIVEN)["outcome"] == "rejected" and shown(home) == {"another"}


def test_who_publishes_at_the_same_moment_wins(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On an object store no lock keeps others out: the table's version does, as it was before the answer was checked."""
    folder = hold(home)
    check = approval._require_publishable

    def interrupted(*arguments: Any) -> None:
        check(*arguments)
        publish_another(home, tmp_path)

    monkeypatch.setattr(approval, "_require_publishable", interrupted)
    with pytest.raises(PublishConflictError):
        approve(home, HELD, accept=True, **GIVEN)
    assert shown(home) == {"another"} and read_json(folder / "outcome.json")["outcome"] == "held"
    assert "answer" not in read_json(folder / "manifest.json")


# ---- a deadline


def test_before_its_deadline_a_run_waits(home: Home) -> None:
    hold(home, days_ago=2.9, approvers=["Ada", "Grace"], deadline="3d")

    assert decide_overdue(home) == [] and shown(home) == {"before"}
    (held,) = waiting(home)
    told = held.sentence(published.current(home))
    assert told.startswith(f"Run {HELD} waits for an answer of Ada or Grace until ")
    assert told.endswith(" UTC, then it is closed.")
    assert approve(home, HELD, accept=True, **GIVEN)["outcome"] == "published"


@pytest.mark.parametrize(
    ("on_deadline", "outcome", "lists"), [("reject", "rejected", "before"), ("publish", "published", "held")]
)
def test_a_deadline_decides_without_an_answer(home: Home, on_deadline: str, outcome: str, lists: str) -> None:
    folder = hold(home, days_ago=3.1, deadline="3d", on_deadline=on_deadline)

    (closed,) = decide_overdue(home)

    assert (closed["outcome"], shown(home)) == (outcome, {lists})
    answer = read_json(folder / "manifest.json")["answer"]
    assert (answer["by"], answer["reason"], answer["kind"]) == ("the deadline", "nobody answered within 3d", "deadline")
    assert decide_overdue(home) == []
    assert published.history(home)[0].kind == ("deadline" if lists == "held" else "publish")


def test_a_set_that_is_stale_at_its_deadline_is_closed_and_says_why(home: Home, tmp_path: Path) -> None:
    hold(home, days_ago=2, deadline="1d", on_deadline="publish")
    publish_another(home, tmp_path)

    (closed,) = decide_overdue(home)

    assert (closed["outcome"], shown(home)) == ("rejected", {"another"})
    assert closed["answer"]["reason"].startswith("nobody answered within 1d; the answer is stale: version 2")


def test_an_answer_after_the_deadline_is_refused_and_the_deadline_stands(home: Home) -> None:
    hold(home, days_ago=2, deadline="1d")

    with pytest.raises(UserError, match=r"the answer comes too late: .* had to be answered until .* UTC, and is rejected"):
        approve(home, HELD, accept=True, **GIVEN)
    with pytest.raises(UserError, match="has been answered by the deadline"):
        approve(home, HELD, accept=True, **GIVEN)
    assert shown(home) == {"before"}


def test_an_answer_that_was_killed_after_its_commit_is_finished_by_the_deadline_not_turned_round(home: Home) -> None:
    folder = hold(home, days_ago=0.9, deadline="1d")
    outcome = (folder / "outcome.json").read_bytes()
    approve(home, HELD, accept=True, **GIVEN)
    (folder / "outcome.json").write_bytes(outcome)  # as a kill before the last write leaves it
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", manifest | {"made_at": "2026-01-01T00:00:00+00:00"})

    (closed,) = decide_overdue(home)

    assert (closed["outcome"], closed["answer"]["by"], len(published.history(home))) == ("published", "Ada", 2)


def test_a_deadline_that_was_killed_before_its_commit_is_repeated(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = hold(home, days_ago=2, deadline="1d", on_deadline="publish")

    def killed(*_: Any, **__: Any) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Table, "overwrite", killed)
        with pytest.raises(KeyboardInterrupt):
            decide_overdue(home)
    assert shown(home) == {"before"} and read_json(folder / "outcome.json")["outcome"] == "held"

    assert [closed["outcome"] for closed in decide_overdue(home)] == ["published"]
    assert shown(home) == {"held"}


def test_the_next_run_decides_what_is_overdue(home: Home, source: Path) -> None:
    hold(home, days_ago=2, deadline="1d", on_deadline="publish")

    assert run_all(home, shop_recipe(models=[]), source)["outcome"] == "ingested"

    assert waiting(home) == [] and shown(home) == {"held"}


# ---- the command line


def invoke(home: Home, *arguments: str) -> Any:  # Any: typer's result
    return CliRunner().invoke(app, [*arguments, "--home", str(home.path)])


def test_the_command_line_shows_what_waits_and_carries_an_answer_out(home: Home) -> None:
    hold(home, approvers=["Ada"], deadline="2d")

    told, listed = invoke(home, "status"), json.loads(invoke(home, "status", "--json").stdout)
    refused = invoke(home, "approve", HELD, "--by", "Bob")
    done = invoke(home, "approve", HELD, "--by", "Ada", "--reason", "fine", "--json")

    assert f"Run {HELD} waits for an answer of Ada until" in " ".join(told.stderr.split())
    assert [one["run_id"] for one in listed["waiting"]] == [HELD]
    assert isinstance(refused.exception, UserError) and refused.exception.exit_code == 2
    assert json.loads(done.stdout)["answer"]["reason"] == "fine" and shown(home) == {"held"}
    assert json.loads(invoke(home, "status", "--json").stdout)["waiting"] == []


def test_the_command_line_closes_a_run(home: Home) -> None:
    hold(home)

    done = invoke(home, "approve", HELD, "--reject", "--by", "Ada", "--reason", "odd lists")

    assert done.exit_code == 0 and f"Run {HELD} is closed, nothing was published." in " ".join(done.stderr.split())
    assert read_json(home.runs / HELD / "manifest.json")["answer"]["reason"] == "odd lists"
