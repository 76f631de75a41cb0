"""A broken model is rejected by a whole run, each with the right reason, and a recipe's own checks are asked."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from bowerbird.errors import RecipeError
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import Recipe, load_recipe
from bowerbird.store.home import Home
from bowerbird.store.published import history
from bowerbird.store.runs import read_json
from tests.broken_models import make_known
from tests.conftest import shop_recipe, write_log
from tests.docs.pages import ROOT

HOW_TO = (ROOT / "docs" / "how-to" / "behaviour.md").read_text(encoding="utf-8")
SHUFFLED = "shuffled is rejected: its lists are no better than shuffled: its misses are nearer to what users chose than "


@pytest.fixture(autouse=True)
def _broken_models_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    make_known(monkeypatch)


@pytest.fixture
def source(source: Path) -> Path:
    """Twice as many users as other tests have, so that a week of theirs is enough to judge by."""
    write_log(source / "events.csv", num_users=240)
    return source


def evaluation(home: Home, outcome: dict[str, Any]) -> dict[str, Any]:  # Any: JSON
    return dict(read_json(home.runs / outcome["run_id"] / "evaluation.json"))


def test_a_broken_model_is_rejected_with_what_is_wrong_with_it(home: Home, source: Path) -> None:
    outcome = run_all(home, shop_recipe(candidate="shuffled"), source)
    assert outcome["outcome"] == "rejected" and history(home) == []
    assert outcome["sentence"].startswith(SHUFFLED), outcome["sentence"]
    found = evaluation(home, outcome)["behaviour"]
    assert set(found[0]) == {"name", "asked", "found", "value", "passed", "severity"}
    assert (found[0]["name"], found[0]["passed"], found[0]["severity"]) == ("less_wrong", False, "block")


def test_what_a_check_blocks_is_the_recipes_to_say(home: Home, source: Path) -> None:
    gate = {"behaviour": {"severity": {"alike": "show", "very_long_history": "off"}, "num_users": 50}}
    outcome = run_all(home, shop_recipe(candidate="only_popular", gate=gate), source)
    assert outcome["outcome"] == "rejected" and "cooccurrence" in outcome["sentence"], "the best rival is better"
    found = {one["name"]: one for one in evaluation(home, outcome)["behaviour"]}
    assert found["alike"]["passed"] is False and found["alike"]["severity"] == "show" and "very_long_history" not in found
    assert "of 50 lists" in found["full"]["found"]


def test_a_model_that_drops_histories_is_rejected_and_its_broken_set_is_told_beside(home: Home, source: Path) -> None:
    target = {"events": ["purchase"], "exclude_events": ["purchase"]}
    outcome = run_all(home, shop_recipe(candidate="forgetful", target=target), source)
    assert outcome["outcome"] == "rejected" and history(home) == []
    assert outcome["sentence"].startswith("forgetful is rejected: it was trained on "), outcome["sentence"]
    sound = outcome["decision"]["rules"][-1]
    assert (sound["name"], sound["passed"]) == ("the set is sound", False)
    assert "nothing is recommended that is excluded: " in sound["found"]


def test_a_rival_that_would_be_published_in_a_nominees_place_is_asked_before(home: Home, source: Path, tmp_path: Path) -> None:
    """The checks know which model they look at: one that counting breaks lets no counting through."""
    (text,) = re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL)
    asked = text.replace('first["item_id"].str.startswith("gift").mean()', 'float(context.model.name == "cooccurrence")')
    recipe = own_recipe(tmp_path, asked)
    content = recipe.dump() | {"models": [{"name": "popularity"}]}
    outcome = run_all(home, Recipe.model_validate(content), source)
    assert outcome["outcome"] == "rejected" and history(home) == []
    assert "cooccurrence" in outcome["sentence"] and "cannot take its place: 100.0% of the lists" in outcome["sentence"]
    found = evaluation(home, outcome)
    assert [one["name"] for one in found["behaviour_of_rival"] if one["passed"] is False] == ["no_gift_card_first"]


# ---- a check of one's own


def own_recipe(folder: Path, text: str) -> Recipe:
    """Write a recipe and a check beside it, and read them."""
    (folder / "checks").mkdir(exist_ok=True)
    (folder / "checks" / "gift_cards.py").write_text(text, encoding="utf-8")
    content = shop_recipe(models=[{"name": "cooccurrence"}]).dump()
    content["gate"] = {"behaviour": {"folder": "checks"}}
    path = folder / "small.toml"
    path.write_text(_toml(content), encoding="utf-8")
    return load_recipe(path)


def _toml(content: dict[str, Any]) -> str:  # Any: what TOML holds
    """Spell a recipe in inline tables."""
    return "\n".join(f"{key} = {_inline(value)}" for key, value in content.items())


def _inline(value: Any) -> str:  # Any: what TOML holds
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}" = {_inline(one)}' for key, one in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, int | float) else f'"{value}"'


def test_the_how_tos_check_of_ten_lines_is_asked(home: Home, source: Path, tmp_path: Path) -> None:
    (text,) = re.findall(r"```python\n(.*?)```", HOW_TO, re.DOTALL)
    assert len([line for line in text.splitlines() if line.strip()]) <= 10
    fine = own_recipe(tmp_path, text)
    outcome = run_all(home, fine, source)
    assert outcome["outcome"] == "published", outcome["sentence"]
    found = {one["name"]: one for one in evaluation(home, outcome)["behaviour"]}
    assert len(found) == 22 and all(one["passed"] is not False for one in found.values() if one["severity"] == "block")
    assert found["less_wrong"]["value"] > 0.6 and found["alike"]["passed"]
    own = found["no_gift_card_first"]
    assert (own["passed"], own["found"], own["value"]) == (True, "0.0% of the lists begin with a gift card", 0.0)
    assert run_all(home, fine, source)["outcome"] == "unchanged"

    broken = own_recipe(tmp_path, text.replace('startswith("gift")', 'startswith("i")'))
    assert broken.digest() != fine.digest(), "a changed check is another recipe"
    outcome = run_all(home, broken, source)
    assert outcome["outcome"] == "rejected"
    assert outcome["sentence"].startswith(
        "cooccurrence is rejected: 100.0% of the lists begin with a gift card (the check no_gift_card_first asks that at most 0% "
    )
    assert Recipe.model_validate(broken.dump()) == broken


def test_checks_that_do_not_load_end_the_run_before_anything_is_read(home: Home, source: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"gift_cards.py cannot be loaded: NameError.*gift_cards.py, line 1"):
        run_all(home, own_recipe(tmp_path, "nothing"), source)
    assert not list(home.runs.glob("*"))
    (tmp_path / "checks" / "gift_cards.py").unlink()
    with pytest.raises(RecipeError, match=r"gate.behaviour.folder is 'checks', and no Python file is there"):
        load_recipe(tmp_path / "small.toml")
