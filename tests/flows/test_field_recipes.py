"""The recipes by field, each a whole run from the command line on data of its field."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.flows.conftest import bowerbird

pytestmark = pytest.mark.slow


def run(recipe: str, home: Path, *arguments: str) -> dict[str, Any]:  # Any: JSON
    """Run a recipe from an empty home, check what every outcome holds, and return it."""
    done = bowerbird("run", "--recipe", recipe, "--home", str(home), "--seed", "1", "--json", *arguments)
    assert done.returncode == 0, done.stderr[-3000:]
    outcome: dict[str, Any] = json.loads(done.stdout)  # Any: JSON
    assert (outcome["outcome"], outcome["recipe"]) == ("published", recipe)
    assert outcome["decision"]["publish"] and outcome["decision"]["sentence"]
    assert outcome["nominee"] in outcome["metrics"]
    assert {"random", "popularity_7d", "cooccurrence"} <= {*outcome["rivals"], *outcome["metrics"]}
    assert Path(outcome["report"]).is_file()
    return outcome


def test_social_publishes_what_knows_posts_that_nobody_has_touched(tmp_path: Path) -> None:
    outcome = run("social", tmp_path / "home")
    assert "simulated" in outcome["note"]
    best = max(figure["value"] for figure in outcome["rivals"].values())
    assert outcome["metrics"][outcome["nominee"]]["low"] > best
