"""``bowerbird approve`` is killed at several moments, and given again: the run's set is published once or not at all."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bowerbird.store import published
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.runs import read_json
from tests.pipeline.test_approval import HELD, hold
from tests.store.sets import publish, shown, write_lists

USERS = 20_000
"""Enough that writing the set takes longer than looking for it."""


def answered(home: Home) -> bool:
    return "answer" in read_json(home.runs / HELD / "manifest.json")


def began_to_write(home: Home) -> bool:
    return len(list((home.path / "recommendations").glob("*.parquet"))) > 1


def committed(home: Home) -> bool:
    return home.recommendations.version() > 1


def begun(home: Home) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "bowerbird", "approve", HELD, "--by", "Ada", "--reason", "fine", "--home", str(home.path)]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "seconds_later"), [(answered, 0), (answered, 0.02), (answered, 0.05), (began_to_write, 0), (committed, 0)]
)
def test_an_answer_that_is_killed_publishes_once_or_not_at_all_and_can_be_given_again(
    tmp_path: Path, moment: Callable[[Home], bool], seconds_later: float
) -> None:
    home = Home.open(tmp_path / "home é")
    home.create_tables(retention_days=30)
    publish(home, tmp_path, "before")
    folder = hold(home, approvers=["Ada"])
    write_lists(tmp_path, "held", users=USERS).replace(folder / "recommendations.parquet")

    process = begun(home)
    while not moment(home) and process.poll() is None:
        time.sleep(0.001)
    time.sleep(seconds_later)
    process.kill()
    process.communicate(timeout=60)

    assert answered(home)
    runs = [one.run_id for one in published.history(home)]
    assert shown(home) == ({"held"} if HELD in runs else {"before"}) and runs.count(HELD) <= 1
    assert moment is not committed or HELD in runs
    with writer_lock(home.lock, wait_seconds=0):
        pass
    is_closed = read_json(folder / "outcome.json")["outcome"] == "published"
    again = begun(home)
    _, told = again.communicate(timeout=120)
    assert again.returncode == (2 if is_closed else 0), told.decode()
    assert [one.run_id for one in published.history(home)].count(HELD) == 1 and shown(home) == {"held"}
    outcome = read_json(folder / "outcome.json")
    assert (outcome["outcome"], outcome["answer"]["by"]) == ("published", "Ada")
