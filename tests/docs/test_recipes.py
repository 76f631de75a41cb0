"""Each recipe reads, round-trips and is named in the reference; each key stands there with its default."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bowerbird import recipe as schema
from bowerbird import recipe_gate, recipe_knowledge, recipe_rules, recipe_source, recipe_text, recipe_values
from bowerbird.recipe import Recipe, load_recipe
from bowerbird.recipe_values import write_duration
from tests.docs.pages import ROOT, rows, sections

RECIPES = sorted((ROOT / "deployments" / "recipes").glob("*.toml"))
PAGE = sections("recipes.md")
HEADINGS: dict[str, type[BaseModel]] = {
    "Top level": schema.Recipe,
    "[source]": schema.Source,
    "Every table": recipe_source.TableSource,
    "Joined columns": recipe_values.Join,
    "[source.events]": recipe_source.EventSource,
    "event_when": recipe_source.EventCase,
    "[source.items]": recipe_source.ItemSource,
    "[source.sample]": recipe_source.SampleSource,
    "[contracts]": schema.Contracts,
    "[[contracts.rules]]": schema.Rule,
    "[target]": schema.Target,
    "[split]": schema.Split,
    "[models.search]": schema.Search,
    "[text]": recipe_text.ItemTexts,
    "[text.semantic_ids]": recipe_text.SemanticIdsConfig,
    "[rules]": recipe_rules.Rules,
    "[[rules.pins]]": recipe_rules.Pin,
    "[[rules.quotas]]": recipe_rules.Quota,
    "[rules.diversity]": recipe_rules.Diversity,
    "[rules.calibration]": recipe_rules.Calibration,
    "[rules.freshness]": recipe_rules.Freshness,
    "[rules.exploration]": recipe_rules.Exploration,
    "[gate]": recipe_gate.Gate,
    "[gate.behaviour]": recipe_gate.Behaviour,
    "[[gate.guards]]": recipe_gate.Guard,
    "[gate.slices]": recipe_gate.Slices,
    "[gate.approval]": recipe_gate.Approval,
    "[gate.off_policy]": recipe_gate.OffPolicy,
    "[recommend]": schema.Recommend,
    "Every language model": recipe_knowledge.LanguageModel,
    "[knowledge]": recipe_knowledge.Knowledge,
    "[explanations]": recipe_knowledge.Explanations,
}


def own_fields(section: type[BaseModel]) -> dict[str, FieldInfo]:
    return {name: field for name, field in section.model_fields.items() if name in section.__annotations__}


def spelled(field: FieldInfo) -> str:
    """Spell a default as the page does."""
    value = field.default
    if field.is_required():
        return "required"
    if value is None:
        return "none"
    if isinstance(value, BaseModel):
        return "below"
    return f"`{json.dumps(write_duration(value) if isinstance(value, timedelta) else value)}`"


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_recipe_round_trips(path: Path) -> None:
    recipe = load_recipe(path)
    assert Recipe.model_validate(recipe.dump()) == recipe
    assert Recipe.model_validate(json.loads(json.dumps(recipe.dump()))) == recipe


def test_recipes_are_named_as_their_files_and_in_the_reference() -> None:
    assert [load_recipe(path).name for path in RECIPES] == [path.stem for path in RECIPES]
    assert sorted(rows(PAGE[""])) == [path.stem for path in RECIPES]


@pytest.mark.parametrize("heading", HEADINGS)
def test_each_key_stands_in_the_reference_with_its_default(heading: str) -> None:
    expected = {name: spelled(field) for name, field in own_fields(HEADINGS[heading]).items()}
    assert {name: cells[0] for name, cells in rows(PAGE[heading]).items()} == expected


def test_no_section_of_the_schema_is_left_out() -> None:
    kinds = {
        kind
        for module in (schema, recipe_source, recipe_gate, recipe_rules, recipe_text, recipe_values, recipe_knowledge)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, schema.Section)
    }
    assert {kind for kind in kinds - {schema.Section, recipe_gate.PolicyFile} if own_fields(kind)} == set(HEADINGS.values())
