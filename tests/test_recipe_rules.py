"""Rules of a recipe that cannot be are refused when it is read, with key, value, what is known and what was meant."""

from __future__ import annotations

from typing import Any

import pytest

from bowerbird.errors import RecipeError
from bowerbird.recipe import Recipe, read_recipe
from tests.conftest import shop_recipe

COLUMNS = {"item_id": "item", "title": "title", "price": "price", "seller": "seller"}


def with_rules(rules: dict[str, Any], *, columns: dict[str, str] | None = COLUMNS, users: bool = True) -> Recipe:  # Any: sections
    content = shop_recipe().dump()
    content["source"].pop("items")
    if columns is not None:
        content["source"]["items"] = {"path": "items.csv", "columns": columns}
    if users:
        content["source"]["users"] = {"path": "users.csv", "columns": {"user_id": "user", "country": "country"}}
    return read_recipe(content | {"rules": rules}, where="shop.toml")


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        (
            {"quotas": [{"column": "sellr", "most": 2}]},
            "recipe shop.toml: rules.quotas.0.column reads the column that source.items.columns lacks, 'sellr'; "
            "known: item_id, title, price, seller; did you mean 'seller'?",
        ),
        ({"where": ["price > 1", "pric < 9"]}, "rules.where.1 reads the column that source.items.columns lacks, 'pric'"),
        ({"where": ["categories = 'x'"]}, "rules.where.0 reads 'categories', a list; use rules.categories"),
        ({"categories": ["x"]}, "rules.categories reads the column that source.items.columns lacks, 'categories'"),
        ({"blocked_categories": ["x"]}, "rules.blocked_categories reads"),
        ({"max_age": "3d"}, "rules.max_age reads the column that source.items.columns lacks, 'created_at'"),
        ({"freshness": {}}, "rules.freshness reads the column that source.items.columns lacks, 'created_at'"),
        ({"diversity": {}}, "rules.diversity.columns reads the column that source.items.columns lacks, 'categories'"),
        (
            {"calibration": {"column": "brand"}},
            "rules.calibration.column reads the column that source.items.columns lacks, 'brand'",
        ),
        (
            {"pins": [{"item": "a", "place": 1, "when": "county = 'FR'"}]},
            "rules.pins.0.when reads the column that source.users.columns lacks, 'county'; known: user_id, country; did you mean",
        ),
        ({"pins": [{"item": "a", "place": 6}]}, "rules.pins.0.place is 6, beyond the 5 places of recommend.k"),
        ({"pins": [{"item": "a", "place": 1}], "blocked_items": ["a"]}, "rules.pins.0.item is 'a', which blocked_items blocks"),
        ({"pins": [{"item": "a", "place": 1}, {"item": "a", "place": 2}]}, "rules.pins.1: 'a' at place 2 never applies"),
        ({"quota": []}, "unknown key 'rules.quota'; known here: availability, blocked_items"),
        (
            {"quotas": [{"colum": "seller", "most": 2}]},
            "unknown key 'rules.quotas.0.colum'; known here: column, most; did you mean",
        ),
        ({"quotas": [{"column": "seller", "most": 0}]}, "rules.quotas.0.most: Input should be greater than or equal to 1, got 0"),
        ({"diversity": {"strength": 1}}, "rules.diversity.strength: Input should be less than 1, got 1"),
        ({"exploration": {"share": 0.6}}, "rules.exploration.share: Input should be less than or equal to 0.5, got 0.6"),
        ({"exploration": {"share": 0}}, "rules.exploration.share: Input should be greater than 0, got 0"),
        ({"freshness": {"half_life": "soon"}}, "rules.freshness.half_life: 'soon' is no duration"),
        ({"where": ["price"]}, "rules.where.0: cannot read the condition 'price'"),
        ({"pool": 0}, "rules.pool: Input should be greater than or equal to 1, got 0"),
    ],
)
def test_a_rule_that_cannot_be_is_refused(rules: dict[str, Any], said: str) -> None:  # Any: sections
    with pytest.raises(RecipeError) as caught:
        with_rules(rules)
    assert said in caught.value.message


def test_a_rule_that_reads_a_table_without_a_source_says_so() -> None:
    with pytest.raises(RecipeError, match=r"rules.where.0 reads the column 'price', and there is no \[source.items\] to have it"):
        with_rules({"where": ["price > 1"]}, columns=None)
    with pytest.raises(RecipeError, match=r"rules.pins.0.when reads the column 'country', and there is no \[source.users\]"):
        with_rules({"pins": [{"item": "a", "place": 1, "when": "country = 'FR'"}]}, users=False)


def test_two_pins_at_a_place_are_no_mistake_for_the_first_may_be_sold_out() -> None:
    assert len(with_rules({"pins": [{"item": "a", "place": 1}, {"item": "b", "place": 1}]}).rules.pins) == 2


def test_filters_leave_the_order_alone_and_the_others_do_not() -> None:
    assert not with_rules({"where": ["price > 1"], "blocked_items": ["a"]}).rules.reorders
    assert with_rules({"quotas": [{"column": "seller", "most": 1}]}).rules.reorders
    assert with_rules({"pins": [{"item": "a", "place": 1}]}).rules.reorders
