"""The names that the form of the nightly flow offers are those that exist."""

from __future__ import annotations

from typing import get_args

from bowerbird.models import known_models
from flows.nightly import Candidate, RecipeName
from tests.flows.conftest import ROOT


def test_form_offers_every_recipe_of_the_folder() -> None:
    assert sorted(get_args(RecipeName)) == sorted(path.stem for path in (ROOT / "deployments" / "recipes").glob("*.toml"))


def test_form_offers_every_model_and_the_nominee() -> None:
    assert sorted(get_args(Candidate)) == sorted([*known_models(), "nominee"])
