"""Each command and each of its options stands in the reference, and none that is gone."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import typer

from bowerbird.cli import EXIT_CODES, app
from tests.docs.pages import rows, sections

PAGE = sections("cli.md")


def commands(command: Any, name: str) -> dict[str, Any]:  # Any: typer keeps its own copy of click's classes private
    """Find the commands below a group, by their full name."""
    children = getattr(command, "commands", None)
    if children is None:
        return {name: command}
    return {full: leaf for child in children.values() for full, leaf in commands(child, f"{name} {child.name}").items()}


COMMANDS = commands(typer.main.get_command(app), "bowerbird")


def test_commands_stand_in_the_reference() -> None:
    assert sorted(COMMANDS) == sorted(PAGE.keys() - {""})


@pytest.mark.parametrize("name", COMMANDS)
def test_options_stand_under_their_command(name: str) -> None:
    known = {option for parameter in COMMANDS[name].params for option in parameter.opts if option.startswith("--")}
    assert set(re.findall(r"--[a-z][a-z-]*", PAGE[name])) == known - {"--help"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_each_command_is_worth_reading(name: str) -> None:
    command = COMMANDS[name]
    assert (command.help or "").strip().endswith("."), "a command's help ends with a full stop"
    assert [p.name for p in command.params if not getattr(p, "help", None)] == []


def test_exit_codes_stand_in_the_reference() -> None:
    documented = {
        outcome: int(code)
        for code, outcomes in re.findall(r"^\| (\d+) \| (.+) \|$", PAGE[""], re.M)
        for outcome in outcomes.split(", ")
    }
    assert {outcome.split(" ")[0].rstrip(":"): code for outcome, code in documented.items()}.items() >= EXIT_CODES.items()
    assert rows(PAGE[""]) == {}


def test_the_command_line_is_a_module_too() -> None:
    command = [sys.executable, "-m", "bowerbird", "status", "--no-such"]
    asked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (asked.returncode, "no-such" in asked.stderr) == (2, True)
