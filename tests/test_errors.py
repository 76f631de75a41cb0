"""The tree of errors in the docstring is the tree of classes, with their exit codes."""

from __future__ import annotations

import re

import pytest

from bowerbird import errors
from bowerbird.errors import BowerbirdError, MissingExtraError, RecipeError, did_you_mean, is_interruption

LINE = re.compile(r"(?P<branch>[│├└─ ]*)(?P<name>[A-Za-z]+Error)(?: +(?P<says>.*?))?(?: +exit code (?P<code>[0-9]+))?$")


def drawn() -> dict[str, tuple[str | None, int | None]]:
    """Name to its parent's name and the exit code beside it, as the docstring draws them."""
    found: dict[str, tuple[str | None, int | None]] = {}
    above: list[str] = []
    assert errors.__doc__ is not None
    for line in filter(None, map(LINE.fullmatch, errors.__doc__.splitlines())):
        depth = len(line["branch"]) // 4
        above[depth:] = [line["name"]]
        found[line["name"]] = (above[depth - 1] if depth else None, int(line["code"]) if line["code"] else None)
    return found


def classes(root: type[BowerbirdError]) -> list[type[BowerbirdError]]:
    """The class and those of this module that come from it; other modules have more specific ones."""
    own = [one for one in root.__subclasses__() if one.__module__ == errors.__name__]
    return [root, *(below for one in own for below in classes(one))]


def test_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    parents = {one.__name__: None if one is BowerbirdError else one.__bases__[0].__name__ for one in classes(BowerbirdError)}
    assert {name: parent for name, (parent, _) in drawn().items()} == parents
    assert set(parents) == {name for name in vars(errors) if name.endswith("Error")}


def test_exit_codes_in_the_docstring_are_those_of_the_classes() -> None:
    by_name = {one.__name__: one for one in classes(BowerbirdError)}
    for name, (parent, code) in drawn().items():
        if code is not None:
            assert by_name[name].exit_code == code
        elif parent is not None:  # a class without one takes its parent's
            assert by_name[name].exit_code == by_name[parent].exit_code


def test_each_class_is_described() -> None:
    assert all(one.__doc__ and one.__doc__.splitlines()[0].endswith(".") for one in classes(BowerbirdError))


def test_error_says_what_is_wrong_and_what_to_do() -> None:
    error = RecipeError("k is 0", next_step="choose a k from 1 on")
    assert str(error) == "k is 0. Next: choose a k from 1 on"
    assert (error.message, error.next_step, error.outcome) == ("k is 0", "choose a k from 1 on", None)
    assert str(BowerbirdError("k is 0")) == "k is 0"


def test_missing_extra_names_the_command_that_installs_it() -> None:
    assert str(MissingExtraError("optuna", extra="tune")).endswith("Next: pip install 'bowerbird[tune]'")


@pytest.mark.parametrize(
    ("value", "expected"),
    [("sasrc", "; did you mean 'sasrec'?"), ("item-knn", "; did you mean 'item_knn'?"), ("x", ""), ("", "")],
)
def test_closest_name_is_suggested(value: str, expected: str) -> None:
    assert did_you_mean(value, ["sasrec", "item_knn", "popularity"]) == expected


def test_what_fails_while_ctrl_c_is_handled_is_an_interruption_and_nothing_else_is() -> None:
    try:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            raise ValueError("Task run is not set")  # noqa: B904 - as Prefect's engine does
    except ValueError as error:
        assert is_interruption(error)
    assert is_interruption(KeyboardInterrupt())
    assert not is_interruption(ValueError("Task run is not set"))
