"""What a recipe may say of settings that are searched, and the errors for what it may not."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bowerbird import models
from bowerbird.errors import MissingExtraError, RecipeError
from bowerbird.models import check_search
from bowerbird.recipe import Recipe
from bowerbird.recipe_search import Search
from tests.conftest import shop_recipe

RATES = {"low": 1e-4, "high": 1e-2, "log": True}


def recipe(search: dict[str, Any], **config: Any) -> Recipe:  # Any: what TOML holds
    return shop_recipe(models=[{"name": "sasrec", "search": search, **config}])


def test_a_search_reads_and_round_trips() -> None:
    found = recipe({"trials": 5, "every": "30d", "learning_rate": RATES, "num_blocks": [1, 2]}, embedding_size=32)
    (model,) = found.models
    assert model.search is not None and model.config == {"embedding_size": 32}
    assert (model.search.trials, model.search.every) == (5, timedelta(days=30))
    assert model.search.space == {"learning_rate": RATES, "num_blocks": [1, 2]}
    assert Recipe.model_validate(found.dump()) == found


@pytest.mark.parametrize(
    ("search", "said"),
    [
        ({"trials": 5}, "search names no setting"),
        ({"trails": 5, "num_blocks": [1]}, "did you mean 'trials'?"),
        ({"num_blocks": []}, "write a list of values"),
        ({"num_blocks": [1, 1]}, "names a value twice"),
        ({"dropout": {"low": 0.0, "hihg": 0.5}}, "did you mean 'high'?"),
        ({"dropout": {"low": 0.5, "high": 0.5}}, "low is below high"),
        ({"dropout": {"low": 0.5}}, "two finite numbers"),
        ({"dropout": {"low": False, "high": True}}, "two finite numbers"),
        ({"dropout": {"low": 0.0, "high": 0.5, "log": True}}, "above 0 with log"),
        ({"dropout": {"low": 0.1, "high": 0.5, "log": "yes"}}, "write true or false"),
        ({"trials": 0, "dropout": [0.1]}, "greater than or equal to 1"),
        ({"embedding_size": [16]}, "has a value and is searched, too"),
    ],
)
def test_what_is_no_search_does_not_read(search: dict[str, Any], said: str) -> None:  # Any: what TOML holds
    with pytest.raises(RecipeError, match=r"recipe small: models\.0") as caught:
        recipe(search, embedding_size=32)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        ({"num_block": [1, 2]}, "no key 'num_block'.*did you mean 'num_blocks'?"),
        ({"num_blocks": [1, 99]}, "num_blocks.*got 99"),
        ({"dropout": {"low": 0.0, "high": 1.5}}, "dropout.*got 1.5"),
    ],
)
def test_values_are_checked_by_the_models_own_settings(space: dict[str, Any], said: str) -> None:  # Any: what TOML holds
    with pytest.raises(RecipeError, match=said):
        check_search("sasrec", Search.model_validate(space))


def test_what_settings_ask_of_one_another_is_left_to_the_trials() -> None:
    check_search("sasrec", Search.model_validate({"num_heads": [3], "embedding_size": [48]}))


def test_without_optuna_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"bowerbird\[tune\]"):
        check_search("sasrec", Search.model_validate({"num_blocks": [1]}))
