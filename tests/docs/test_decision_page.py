"""The page on reading a decision: its commands exist, its headings are the report's, its figures are those of the run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bowerbird.application import recipe_path
from bowerbird.pipeline.whole import run_all
from bowerbird.recipe import load_recipe, read_recipe
from bowerbird.store.home import Home
from bowerbird.store.runs import read_json
from tests.docs.pages import ROOT
from tests.docs.test_cli import COMMANDS

PAGE = (ROOT / "docs" / "how-to" / "read-a-decision.md").read_text(encoding="utf-8")
TEXT = " ".join(PAGE.replace("\n> ", " ").split())


def test_its_commands_and_options_exist() -> None:
    (block,) = re.findall(r"```\n(.*?)```", PAGE, re.DOTALL)
    for line in [*block.splitlines(), *re.findall(r"`(bowerbird [^`]+)`", PAGE)]:
        command = COMMANDS[" ".join(line.split()[:2])]
        options = {option for parameter in command.params for option in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= options, line


def test_the_parts_that_it_walks_through_stand_in_the_report() -> None:
    report = "".join(
        (ROOT / "src/bowerbird/report" / name).read_text(encoding="utf-8") for name in ("page.html", "decision.html")
    )
    for words in (
        "Rule by rule",
        "Slices, worst first",
        "How the lists behave",
        "What changed in the data",
        "How the models compare",
    ):
        assert words in TEXT and words in report
    for tag in ("not needed", "shown only", "not passed", "noticed"):
        assert f"*{tag}*" in TEXT and tag in report


@pytest.mark.slow
def test_its_figures_are_those_of_the_run(tmp_path: Path) -> None:
    shipped = load_recipe(recipe_path("sample"))
    assert {"personal_frequency", "cooccurrence"} <= {model.name for model in shipped.models}
    models = [{"name": "personal_frequency"}, {"name": "cooccurrence"}]  # those of which the page tells
    recipe = read_recipe(shipped.dump() | {"models": models}, where="sample")
    home = Home.open(tmp_path / "home")
    assert run_all(home, recipe, None)["decision"]["publish"] == "personal_frequency"
    outcome = run_all(home, recipe.model_copy(update={"candidate": "cooccurrence"}), None)

    assert outcome["outcome"] == "rejected"
    assert outcome["sentence"] in TEXT
    told = read_json(Path(outcome["report"]).with_suffix(".json"))
    contrasts = told["view"]["contrasts"]
    for one in contrasts:
        assert f"| {one['mean']:+.4f} | {one['low']:+.4f} to {one['high']:+.4f} |" in PAGE, one
        champion = one["name"] == "personal_frequency"
        assert not champion or f"could have shown: {one['detectable']:.4f}" in TEXT
    slices = {f"{one['column']}: {one['value']}": one for one in told["view"]["slices"]}
    worst, best = told["view"]["slices"][0], slices["user activity: 2 to 41 events"]
    assert outcome["worst_slice"].startswith("item popularity: tail")
    assert f"over {worst['num_users']} users, adjusted p = {worst['adjusted_p']:.2g}" in TEXT and worst["blocks"]
    for one in (worst, best):
        assert f"{one['mean']:+.4f} ({one['low']:+.4f} to {one['high']:+.4f})" in TEXT
    sides = {result["name"]: result for result in told["evaluations"][0]["results"]}
    for name in ("cooccurrence", "personal_frequency"):
        novel, repeat = sides[name]["novel"], sides[name]["repeat"]
        assert f"{novel['value']:.4f} ({novel['low']:.4f} to {novel['high']:.4f})" in TEXT
        assert f"{repeat['value']:.4f}" in TEXT
    changes = told["changes"]
    assert f"Beside version {changes['version']}, {100 * changes['overlap']:.1f} % of a list would stay" in TEXT
    first = changes["users"][0]
    assert (first["user_id"], len(first["left"]), first["moved"], first["unmoved"]) == ("C001983", 8, 1, 1)
    assert told["drift"]["num_since"] == 0 and not outcome["broken_checks"]
    assert len(told["view"]["checks"]) == 21
