"""The page on rules: its example is a recipe that reads, and its list by hand is the one that is made."""

from __future__ import annotations

import re
import tomllib

from bowerbird.recipe import read_recipe
from tests.conftest import shop_recipe
from tests.docs.pages import ROOT
from tests.ranking.shelves import listed

PAGE = (ROOT / "docs" / "how-to" / "rules.md").read_text(encoding="utf-8")


def test_the_example_is_a_recipe() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    example, content = tomllib.loads(block), shop_recipe().dump()
    content["source"] |= example["source"]
    content |= {"target": example["target"], "rules": example["rules"]}
    rules = read_recipe(content, where="shop.toml").rules
    assert rules.reorders and rules.quotas[0].most == 3


def test_the_list_by_hand_is_made_so() -> None:
    taken = re.findall(r"^\| [123] \|.*\| ([a-f]) \|$", PAGE, re.MULTILINE)
    assert "".join(taken) == listed({"diversity": {"strength": 0.5}}) == "acf"
