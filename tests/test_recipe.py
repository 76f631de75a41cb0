"""A recipe reads, says what is wrong with it, and comes back equal from its dump."""

from __future__ import annotations

import json
import math
from copy import deepcopy
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bowerbird.errors import RecipeError
from bowerbird.recipe import Recipe, Split, load_recipe, read_recipe

FULL = """
name = "full"
seed = 7

[source.events]
path = "events/*.csv"
format = "csv"
delimiter = ";"
time_format = ["%Y-%m-%d", "iso"]
time_zone = "Europe/London"
event = "purchase"
event_when = [{ event = "cancel", when = "session_id starts with 'C'" }]
weights = { purchase = 1.0, view = 0 }
cancels = { cancel = "purchase" }
only_when = "user_id is not null"
target_when = "rating >= 3.5 and country = 'Côte d''Ivoire'"

[source.events.columns]
user_id = ["Customer ID", "CustomerID"]
item_id = "StockCode"
timestamp = { join = ["InvoiceDate", "InvoiceTime"], separator = " " }
session_id = "Invoice"
rating = "rating"
country = "Country"

[source.items]
path = "items.csv"
category_separator = "|"
only_when = "title is not null"
columns = { item_id = "StockCode", title = "Description" }

[contracts]
max_rejected_share = 0.3
duplicates = "keep"
rules = [{ name = "rating_range", column = "rating", min = 0.5, max = 5.0 }]

[target]
events = ["purchase"]
exclude_events = ["purchase"]

[split]
horizon = "2w"
selection = "36h"

[[models]]
name = "sasrec"
embedding_size = 64
blocks = [{ heads = 2 }]

[[models]]
name = "sasrec"
embedding_size = 32

[gate]
overlap_band = [0.1, 0.9]
"""
SMALL: dict[str, Any] = {  # Any: sections
    "name": "small",
    "source": {
        "events": {
            "path": "events.csv",
            "columns": {"user_id": "u", "item_id": "i", "timestamp": "t", "rating": "r"},
            "event": "view",
            "weights": {"view": 1.0},
        }
    },
    "contracts": {"rules": [{"name": "range", "column": "rating", "min": 1}]},
    "target": {"events": ["view"]},
    "models": [{"name": "popularity"}],
}


def changed(path: str, value: object) -> dict[str, Any]:
    """The small recipe with one value replaced or added; numbers in the path are places in lists."""
    content = deepcopy(SMALL)
    here: Any = content
    *parents, last = path.split(".")
    for part in parents:
        here = here[int(part)] if isinstance(here, list) else here.setdefault(part, {})
    here[int(last) if isinstance(here, list) else last] = value
    return content


def refusal(content: dict[str, Any]) -> str:
    """What the error says."""
    with pytest.raises(RecipeError) as caught:
        read_recipe(content, where="small.toml")
    assert caught.value.next_step
    return caught.value.message


def write(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "recipe.toml"
    path.write_bytes(text.encode(encoding))
    return path


def test_full_recipe_means_what_it_says(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, FULL))
    events = recipe.source.events
    assert events is not None and events.target_when is not None
    assert events.columns["user_id"] == ("Customer ID", "CustomerID")
    assert [term.value for term in events.target_when.terms] == [3.5, "Côte d'Ivoire"]
    assert (recipe.split.horizon, recipe.split.selection) == (timedelta(days=14), timedelta(hours=36))
    assert recipe.models[0].config == {"embedding_size": 64, "blocks": [{"heads": 2}]}
    assert (recipe.gate.k, recipe.recommend.k, recipe.repeats_welcome) == (10, 10, False)


def test_dump_reads_back_equal(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, FULL))
    through_json = json.loads(json.dumps(recipe.dump(), allow_nan=False))
    again = read_recipe(through_json, where="dump")
    assert again == recipe and again.dump() == recipe.dump() and again.digest() == recipe.digest()


def test_digest_tells_recipes_apart() -> None:
    digests = {read_recipe(changed("seed", seed), where="r").digest() for seed in (1, 2)}
    assert len(digests) == 2


def test_seed_and_candidate_override_and_stand_in_the_dump(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, FULL), seed=0, candidate="item_knn")
    assert (recipe.dump()["seed"], recipe.dump()["candidate"]) == (0, "item_knn")
    untouched = load_recipe(write(tmp_path, FULL))
    assert (untouched.seed, untouched.candidate) == (7, None)
    with pytest.raises(RecipeError, match="seed"):
        load_recipe(write(tmp_path, FULL), seed=-1)


def test_byte_order_mark_of_windows_editors_is_no_mistake(tmp_path: Path) -> None:
    assert load_recipe(write(tmp_path, FULL.replace("\n", "\r\n"), "utf-8-sig")).name == "full"


@pytest.mark.parametrize(
    ("path", "place", "meant"),
    [
        ("modles", "modles", "models"),
        ("source.event", "source.event", "events"),
        ("source.events.colums", "source.events.colums", "columns"),
        ("source.events.target_wen", "source.events.target_wen", "target_when"),
        ("source.items.category_seperator", "source.items.category_seperator", "category_separator"),
        ("contracts.duplicate", "contracts.duplicate", "duplicates"),
        ("contracts.rules.0.colum", "contracts.rules.0.colum", "column"),
        ("target.event", "target.event", "events"),
        ("split.horizn", "split.horizn", "horizon"),
        ("gate.metrics", "gate.metrics", "metric"),
        ("recommend.kk", "recommend.kk", "k"),
    ],
)
def test_unknown_key_is_named_with_the_closest_known_one(path: str, place: str, meant: str) -> None:
    message = refusal(changed(path, 1))
    assert f"recipe small.toml: unknown key {place!r}" in message and f"did you mean {meant!r}?" in message


def test_unknown_key_of_a_joined_column_is_named() -> None:
    content = changed("source.events.columns.user_id", {"join": ["a", "b"], "seperator": "/"})
    assert "unknown key 'source.events.columns.user_id.seperator'; known here: join, separator; did" in refusal(content)


def test_unknown_key_in_a_case_of_events_is_named() -> None:
    message = refusal(changed("source.events.event_when", [{"event": "view", "whn": "rating > 1"}]))
    assert "unknown key 'source.events.event_when.0.whn'" in message and "did you mean 'when'?" in message


def test_misspelt_key_is_told_before_the_missing_one_that_it_meant() -> None:
    content = changed("target", {"evnts": ["view"]})
    assert "unknown key 'target.evnts'" in refusal(content)


def test_missing_key_is_named() -> None:
    content = deepcopy(SMALL)
    del content["source"]["events"]["path"]
    assert refusal(content) == "recipe small.toml: 'source.events.path' is missing"
    assert "'models.0.name' is missing" in refusal(changed("models", [{"embedding_size": 3}]))


@pytest.mark.parametrize(
    "value", ["7", "7 days", "0d", "-1d", "1.5d", "d", "", "٣d", "999999999w", "99999999999999999999d", 7, 0, True, 1.5, ["7d"]]
)
def test_bad_duration_is_refused(value: object) -> None:
    message = refusal(changed("split.horizon", value))
    assert "split.horizon" in message and repr(value) in message and "is no duration" in message


def test_a_target_that_weighs_nothing_has_no_gain_to_be_worth() -> None:
    content = changed("source.events.weights", {"view": 0})
    content["target"] = {"events": ["view"], "gains": "weight"}
    with pytest.raises(RecipeError, match="the target event 'view' has weight 0"):
        read_recipe(content, where="r")


@pytest.mark.parametrize("value", [timedelta(0), timedelta(seconds=90), timedelta(days=4000)])
def test_duration_that_a_recipe_cannot_spell_is_refused(value: timedelta) -> None:
    with pytest.raises(ValueError, match="no duration"):
        Split(horizon=value)


@pytest.mark.parametrize(("text", "spelled"), [("2w", "14d"), (" 7d ", "7d"), ("48 h", "2d"), ("90m", "90m"), ("60m", "1h")])
def test_duration_comes_back_in_its_largest_unit(text: str, spelled: str) -> None:
    assert read_recipe(changed("split.horizon", text), where="r").dump()["split"]["horizon"] == spelled


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "target.events",
            ["vew"],
            "target names an event that source.events.weights lacks, 'vew'; known: view; did you mean 'view'?",
        ),
        ("target.exclude_events", ["vew"], "did you mean 'view'?"),
        ("target.gains", "wieght", "target.gains: Input should be 'equal' or 'weight', got 'wieght'"),
        ("source.events.event", "viw", "source.events: weights lacks the event 'viw'; known: view; did you mean 'view'?"),
        ("source.events.event_when", [{"event": "viw", "when": "rating > 1"}], "weights lacks the event 'viw'"),
        ("source.events.cancels", {"undo": "viw"}, "cancels takes back the event 'viw'; known: view"),
        ("source.events.only_when", "usr_id = 'x'", "only_when reads the column 'usr_id'; known: user_id"),
        ("source.events.target_when", "ratng > 3", "target_when reads the column 'ratng'"),
        ("source.events.event_when", [{"event": "view", "when": "Rating > 1"}], "did you mean 'rating'?"),
        ("source.events.target_when", "price > 3", "target_when reads the column 'price'"),
        ("source.items", {"path": "i", "columns": {"item_id": "i"}, "only_when": "titel = 'x'"}, "source.items: only_when reads"),
        (
            "contracts.rules.0.column",
            "ratng",
            "'range' asks for the column 'ratng'; known: user_id, item_id, timestamp, rating; did",
        ),
        ("source.events.path_pattern", "(?P<day", "path_pattern is '(?P<day', which is no regular expression: missing >, un"),
        ("source.events.path_pattern", "[0-9]+", "path_pattern is '[0-9]+', which names no group"),
        (
            "source.items",
            {"path": "i", "columns": {"item_id": "i", "categories": {"join": ["a", "b"]}}},
            "source.items: columns.categories joins columns; name them in a list",
        ),
        ("source.events", None, "models need [source.events] and [target]"),
        ("target", None, "models need [source.events] and [target]"),
        (
            "models",
            [{"name": "a", "x": 1, "y": 2}, {"name": "b"}, {"name": "a", "y": 2, "x": 1}],
            "two of the models are the same",
        ),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(path: str, value: object, message: str) -> None:
    assert message in refusal(changed(path, value))


def test_rules_without_events_are_refused() -> None:
    content = {"name": "r", "source": {}, "contracts": SMALL["contracts"]}
    assert "contracts.rules need [source.events]" in refusal(content)


def test_event_that_only_cancels_needs_no_weight() -> None:
    content = changed("source.events.cancels", {"undo": "view"})
    content["source"]["events"]["event_when"] = [{"event": "undo", "when": "rating < 0"}]
    assert read_recipe(content, where="r").source.events is not None


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "path",
    [
        "source.events.weights.view",
        "contracts.max_rejected_share",
        *(f"contracts.rules.0.{key}" for key in ("min", "max", "above", "below")),
        "gate.margin",
        "gate.min_coverage",
        "gate.min_refit_overlap",
        "models.0.learning_rate",
    ],
)
def test_number_that_is_not_finite_is_refused(path: str, value: float) -> None:
    place = path.removesuffix(".learning_rate")
    assert place in refusal(changed(path, value))


def test_not_finite_in_toml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"weights\.purchase"):
        load_recipe(write(tmp_path, FULL.replace("purchase = 1.0", "purchase = nan")))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("name", "Näme"),
        ("seed", -1),
        ("seed", 2**31),
        ("source.events.path", ""),
        ("source.events.columns", {}),
        ("source.events.columns.user_id", []),
        ("source.events.columns.user_id", 3),
        ("source.events.columns.user_id", ["u", ""]),
        ("source.events.columns.user_id", {"join": []}),
        ("source.events.delimiter", ";;"),
        ("source.events.delimiter", ""),
        ("source.events.time_format", []),
        ("source.events.format", "excel"),
        ("source.events.weights", {}),
        ("source.events.weights.view", -0.1),
        ("source.events.only_when", 3),
        ("source.events.only_when", "rating > high"),
        ("source.sample.users", 0),
        ("contracts.max_rejected_share", 1.01),
        ("contracts.duplicates", "merge"),
        ("contracts.rules.0.name", "Not A Name"),
        ("contracts.rules.0.one_of", []),
        ("target.events", []),
        ("split.kind", "random"),
        ("split.test", 0),
        ("split.test", 53),
        ("models.0.since", timedelta(days=1)),
        ("rules.blocked_items", [1]),
        ("gate.metric", "accuracy"),
        ("gate.k", 0),
        ("gate.k", 1001),
        ("gate.k", 2.5),
        ("gate.margin", 1.0),
        ("gate.margin", -0.01),
        ("gate.min_coverage", 1.5),
        ("gate.min_users", 0),
        ("gate.min_refit_overlap", -0.5),
        ("gate.overlap_band", [0.5, 1.5]),
        ("gate.overlap_band", [0.9, 0.1]),
        ("gate.overlap_band", [0.5]),
        ("recommend.k", 0),
        ("recommend.k", 1001),
    ],
)
def test_value_that_is_not_allowed_is_named_with_its_place(path: str, value: object) -> None:
    message = refusal(changed(path, value))
    place = {"models.0.since": "models.0"}.get(path, path)
    assert message.startswith("recipe small.toml: ") and place.removesuffix(".overlap_band") in message
    assert "tuple[" not in message and ".str" not in message


def test_value_got_stands_in_the_error() -> None:
    assert refusal(changed("gate.k", 0)).endswith("gate.k: Input should be greater than or equal to 1, got 0")


@pytest.mark.parametrize(
    "asked", [{"min": 3, "max": 2}, {"above": 2, "below": 2}, {"min": 2, "below": 2}, {"above": 2, "max": 2}]
)
def test_rule_that_nothing_can_keep_is_refused(asked: dict[str, float]) -> None:
    assert "no number is both" in refusal(changed("contracts.rules", [{"name": "x", "column": "rating", **asked}]))


def test_rule_that_allows_one_number_is_fine() -> None:
    read_recipe(changed("contracts.rules", [{"name": "x", "column": "rating", "min": 2, "max": 2}]), where="r")


def test_rule_that_asks_nothing_is_refused() -> None:
    assert "rule 'x' asks nothing" in refusal(changed("contracts.rules", [{"name": "x", "column": "rating"}]))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = \nseed = 1", "is no TOML: Invalid value (at line 1"),
        ("name = 'a'\nname = 'b'\nseed = 1", "is no TOML: Cannot overwrite a value (at line 2"),
        ("[source\n", "is no TOML"),
    ],
)
def test_mistake_in_toml_names_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, text))
    assert f"recipe recipe.toml {message}" in str(caught.value)


def test_file_in_another_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is no TOML"):
        load_recipe(write(tmp_path, 'name = "café"', "latin-1"))


def test_missing_file_and_folder_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path, write(tmp_path, "") / "under.toml"):
        with pytest.raises(RecipeError, match="there is no recipe file"):
            load_recipe(path)


def test_unreadable_file_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    path = write(tmp_path, FULL)
    monkeypatch.setattr(Path, "read_text", refuse)  # root reads whatever the permission bits say
    with pytest.raises(RecipeError, match=r"cannot read the recipe .*Permission denied"):
        load_recipe(path)


def test_recipe_is_frozen() -> None:
    recipe: Any = read_recipe(SMALL, where="r")
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 2
    assert isinstance(recipe, Recipe)
