"""A policy in a file of its own: the shipped ones read, the default one explains every key, mistakes are named."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

from bowerbird.cli import app
from bowerbird.errors import RecipeError
from bowerbird.recipe import load_policy, load_recipe
from bowerbird.recipe_gate import Approval, Gate, Guard

POLICIES = Path(__file__).parents[1] / "deployments" / "policies"
RECIPE = """
name = "small"
target.events = ["view"]
models = [{ name = "popularity" }]

[source.events]
path = "e.csv"
event = "view"
weights = { view = 1 }
columns = { user_id = "u", item_id = "i", timestamp = "t" }

"""


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def refusal(tmp_path: Path, gate: str, policy: str = "") -> str:
    """What the error says of a recipe with that [gate], beside a policy strict.toml."""
    write(tmp_path / "policies" / "strict.toml", policy)
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path / "small.toml", f"{RECIPE}{gate}"))
    assert caught.value.next_step
    return caught.value.message


def test_the_shipped_default_is_what_a_recipe_without_a_gate_asks_for() -> None:
    assert load_policy(POLICIES / "default.toml") == Gate()


def keys(section: type[BaseModel]) -> set[str]:
    inner = [field.annotation for field in section.model_fields.values()]
    inner += [part for kind in inner for part in getattr(kind, "__args__", ())]
    sections = [kind for kind in inner if isinstance(kind, type) and issubclass(kind, BaseModel)]
    return set(section.model_fields).union(*(keys(one) for one in sections))


def test_the_shipped_default_names_every_key() -> None:
    text = (POLICIES / "default.toml").read_text(encoding="utf-8")
    named = re.findall(r"^[# ]*(\w+) = ", text, re.M) + re.findall(r"^[# ]*\[+gate\.([\w.]+)\]", text, re.M)
    assert set(named) == keys(Gate) - {"files"} | {"policy"}, "files is filled in when a recipe is read"


def test_the_shipped_strict_policy_means_what_it_says() -> None:
    policy = load_policy(POLICIES / "strict.toml")
    assert policy.guards == (Guard(metric="recall"), Guard(metric="hit_rate"))
    assert policy.approval == Approval(approvers=("Ada", "Grace"), deadline=timedelta(days=3))


def test_a_recipe_names_a_policy_by_its_path_and_holds_it_resolved(tmp_path: Path) -> None:
    policy = '[gate]\nmin_users = 70\nguards = [{ metric = "map" }]\napproval.deadline = "36h"\n'
    write(tmp_path / "policies" / "strict.toml", policy)

    recipe = load_recipe(write(tmp_path / "small.toml", f'{RECIPE}[gate]\npolicy = "policies/strict.toml"\n'))

    written = load_recipe(write(tmp_path / "written.toml", RECIPE + policy))
    assert (recipe, recipe.digest()) == (written, written.digest())
    assert recipe.gate.approval.deadline == timedelta(hours=36)


@pytest.mark.parametrize(
    ("gate", "policy", "message"),
    [
        (
            'policy = "policies/strict.toml"\nk = 5',
            "",
            "recipe small.toml: gate.policy is 'policies/strict.toml', and gate.k stands",
        ),
        ("policy = 3", "", "recipe small.toml: gate.policy is 3, and that is no path"),
        ('policy = "policies/strikt.toml"', "", "there is no policy file"),
        ('policy = "policies/strict.toml"', "k = 5", "policy strict.toml: unknown key 'k'; known here: gate"),
        ('policy = "policies/strict.toml"', "[gate]\nk = 0", "policy strict.toml: gate.k: "),
        ('policy = "policies/strict.toml"', "[gate]\nmin_user = 7", "unknown key 'gate.min_user'; known here: metric, k, "),
        (
            'policy = "policies/strict.toml"',
            "[gate]\npolicy = 'x'",
            "policy strict.toml: unknown key 'gate.policy'; known here: ",
        ),
        ('policy = "policies/strict.toml"', "[gate", "policy strict.toml is no TOML: "),
        ('guards = [{ metric = "recal" }]', "", "recipe small.toml: gate.guards.0.metric: "),
        (
            'guards = [{ metric = "map" }, { metric = "map", max_loss = 0.1 }]',
            "",
            "guards names the metric 'map' twice at k = 10",
        ),
        ("confidence = 95", "", "recipe small.toml: gate.confidence: "),
        ("min_gain = -0.1", "", "recipe small.toml: gate.min_gain: "),
        (
            'approval.approver = ["Ada"]',
            "",
            "unknown key 'gate.approval.approver'; known here: approvers, deadline, on_deadline; did",
        ),
        ('approval.deadline = "soon"', "", "gate.approval.deadline: 'soon' is no duration"),
        ('approval.on_deadline = "publish"', "", "on_deadline is 'publish', and there is no deadline"),
    ],
)
def test_a_mistake_is_named_with_its_file_its_key_and_what_is_known(tmp_path: Path, gate: str, policy: str, message: str) -> None:
    assert message in refusal(tmp_path, f"[gate]\n{gate}\n", policy)


def test_the_command_line_says_whether_a_policy_reads(tmp_path: Path) -> None:
    good = CliRunner().invoke(app, ["gate", "--check", str(POLICIES / "strict.toml"), "--json"])
    bad = CliRunner().invoke(app, ["gate", "--check", str(write(tmp_path / "bad.toml", "[gate]\nk = 0\n"))])

    assert good.exit_code == 0 and '"min_users": 200' in good.stdout
    assert isinstance(bad.exception, RecipeError) and "policy bad.toml: gate.k" in bad.exception.message
