"""Ctrl-C or a kill as any step of a run begins: readers see the old set, and the next run makes the lists of an undisturbed one.

The runs are processes of their own, forked from one that has imported all and done nothing else.
"""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from bowerbird.pipeline.whole import run_all
from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.published import Publish, current, history
from bowerbird.store.runs import OUTCOME, list_runs, read_json
from tests.conftest import shop_recipe, write_items, write_log

pytestmark = pytest.mark.slow
STEPS = {
    "ingest": ("bowerbird.pipeline.whole", "ingest_source"),
    "append to a table": ("bowerbird.store.tables", "Table.append"),
    "pin versions": ("bowerbird.pipeline.whole", "pin_versions"),
    "is it unchanged": ("bowerbird.pipeline.release", "is_unchanged"),
    "plan": ("bowerbird.pipeline.prepare", "make_plan"),
    "features": ("bowerbird.pipeline.prepare", "build_features"),
    "champion": ("bowerbird.pipeline.prove", "champion"),
    "fit": ("bowerbird.pipeline.prove", "fit"),
    "save a model": ("bowerbird.models.base", "Model.save"),
    "score": ("bowerbird.pipeline.prove", "score"),
    "choose": ("bowerbird.pipeline.judge", "choose_nominee"),
    "evaluate": ("bowerbird.pipeline.judge", "evaluate"),
    "decide": ("bowerbird.pipeline.judge", "decide"),
    "recommend": ("bowerbird.pipeline.release", "prepare_lists"),
    "check": ("bowerbird.pipeline.release", "check_lists"),
    "confirm": ("bowerbird.pipeline.judge", "confirm"),
    "manifest": ("bowerbird.pipeline.release", "write_manifest"),
    "publish": ("bowerbird.pipeline.release", "publish"),
    "overwrite the set": ("bowerbird.store.tables", "Table.overwrite"),
    "report": ("bowerbird.pipeline.tell", "finish"),
}
PUBLISHED_BEFORE = ("report",)
"""Steps after the commit: what is published is the new set."""
context = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Nights:
    """A home after its first night, the source of the second, and what an undisturbed second night publishes."""

    home: Path
    source: Path
    first: Publish
    second: Publish


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    folder = tmp_path_factory.mktemp("nights")
    source, home = folder / "source", Home.open(folder / "home é")
    source.mkdir()
    write_items(source / "items.csv")
    write_log(source / "events.csv", days=range(35))
    run_all(home, shop_recipe(), source)
    write_log(source / "events2.csv", days=range(35, 41))
    shutil.copytree(home.path, folder / "undisturbed")
    undisturbed = Home.open(folder / "undisturbed")
    assert run_all(undisturbed, shop_recipe(), source)["outcome"] == "published"
    first, second = current(home), current(undisturbed)
    assert first is not None and second is not None and first.checksum != second.checksum
    return Nights(home.path, source, first, second)


def signalled(function: Callable[..., Any], number: int) -> Callable[..., Any]:  # Any: any step
    """Return the step with a signal to its own process before it."""

    @wraps(function)
    def step(*given: Any, **named: Any) -> Any:  # Any: any step
        os.kill(os.getpid(), number)
        return function(*given, **named)

    return step


def run_until(place: str, number: int, home: Path, source: Path) -> None:
    """Run a night that gets a signal as a step begins."""
    module, name = STEPS[place]
    owner: Any = import_module(module)  # Any: a module or a class
    *inside, name = name.split(".")
    for part in inside:
        owner = getattr(owner, part)
    setattr(owner, name, signalled(getattr(owner, name), number))
    run_all(Home.open(home), shop_recipe(), source)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL], ids=["ctrl_c", "kill"])
@pytest.mark.parametrize("place", STEPS)
def test_readers_see_the_old_set_and_the_next_run_ends_as_if_nothing_had_been(
    nights: Nights, tmp_path: Path, place: str, number: int
) -> None:
    shutil.copytree(nights.home, tmp_path / "home é")
    home = Home.open(tmp_path / "home é")
    context.set_forkserver_preload([module for module, _ in STEPS.values()])
    process = context.Process(target=run_until, args=(place, number, home.path, nights.source))
    process.start()
    process.join(timeout=120)

    assert process.exitcode == (-signal.SIGKILL if number == signal.SIGKILL else 1), "the step was not reached"
    outcome = home.runs / list_runs(home.runs)[-1] / OUTCOME
    assert read_json(outcome)["outcome"] == "interrupted" if number == signal.SIGINT else not outcome.exists()
    present = current(home)
    assert present is not None
    assert present.checksum == (nights.second if place in PUBLISHED_BEFORE else nights.first).checksum
    with writer_lock(home.lock, wait_seconds=0):
        pass
    after = run_all(home, shop_recipe(), nights.source)
    assert after["outcome"] == ("unchanged" if place in PUBLISHED_BEFORE else "published")
    assert [one.checksum for one in history(home)] == [nights.second.checksum, nights.first.checksum]
