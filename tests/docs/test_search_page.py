"""The page on searching: its example is a recipe that reads, with values that the model may take."""

from __future__ import annotations

import re
import tomllib

from bowerbird.models import check_search
from tests.conftest import shop_recipe
from tests.docs.pages import ROOT


def test_the_example_is_a_search() -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "how-to" / "search.md").read_text(encoding="utf-8"), re.DOTALL)
    (model,) = shop_recipe(**tomllib.loads(block)).models
    assert model.search is not None and set(model.search.space) == {"learning_rate", "dropout", "num_blocks"}
    check_search(model.name, model.search)
