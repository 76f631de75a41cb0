"""Off-policy estimates and Thompson propensities beside those of Open Bandit Pipeline (obp), on the same made-up logs.

    OBP/bin/python benchmarks/peers/off_policy.py [--fixture tests/evaluation/obp.json]

It runs in obp's own environment, with Bowerbird importable. obp 0.5.5 asks for a Python below 3.11 and imports torch; on 3.11 it
runs: ``pip install --no-deps --ignore-requires-python obp==0.5.5`` and what it imports. ``--fixture`` writes a small log with
obp's figures, which the tests compare with where obp is not.
"""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bowerbird.evaluation.off_policy import Impressions, evaluate
from bowerbird.evaluation.propensities import thompson_propensities
from bowerbird.recipe_gate import OffPolicy

CLASSES = {
    "ips": "InverseProbabilityWeighting",
    "snips": "SelfNormalizedInverseProbabilityWeighting",
    "dr": "DoublyRobust",
    "switch_dr": "SwitchDoublyRobust",
    "dr_optimistic": "DoublyRobustWithShrinkage",
    "dr_pessimistic": "DoublyRobust",
}
POLICIES = {"whole": OffPolicy(clip=1e9, floor=0), "clipped": OffPolicy(clip=3, floor=0)}
Log = dict[str, Any]  # Any: arrays, as obp takes them


def make_log(num: int, *, num_items: int, num_positions: int, seed: int) -> Log:
    """Make a log in which policy, target and guesses differ from round to round."""
    rng = np.random.default_rng(seed)
    shape = (num, num_items, num_positions)
    logged, target = (np.exp(1.5 * rng.normal(size=shape)) for _ in range(2))
    logged, target = logged / logged.sum(axis=1, keepdims=True), target / target.sum(axis=1, keepdims=True)
    guesses = rng.uniform(0, 0.3, shape)
    position, rounds = rng.integers(0, num_positions, num), np.arange(num)
    below = logged[rounds, :, position].cumsum(axis=1) < rng.random(num)[:, None]
    action = np.minimum(below.sum(axis=1), num_items - 1)
    reward = (rng.random(num) < 0.2).astype(int)
    pscore = logged[rounds, action, position]
    return {
        "reward": reward,
        "action": action,
        "position": position,
        "pscore": pscore,
        "action_dist": target,
        "estimated_rewards_by_reg_model": guesses,
    }


def impressions(log: Log) -> Impressions:
    """Turn obp's arrays into ours."""
    rounds, action, position = np.arange(len(log["action"])), log["action"], log["position"]
    target, guesses = log["action_dist"], log["estimated_rewards_by_reg_model"]
    return Impressions(
        rewards=log["reward"].astype(np.float64),
        propensities=log["pscore"],
        targets=target[rounds, action, position],
        predicted=guesses[rounds, action, position],
        baselines=(guesses * target)[rounds, :, position].sum(axis=1),
    )


def theirs(log: Log, name: str, bound: float) -> float:
    """Ask obp, with the bound that ours has."""
    make = getattr(importlib.import_module("obp.ope"), CLASSES[name])
    estimator = make() if name == "snips" else make(lambda_=bound)
    wanted = dict(log) if "Doubly" in CLASSES[name] else {k: v for k, v in log.items() if "estimated" not in k}
    return float(estimator.estimate_policy_value(**wanted))


def compare(log: Log) -> tuple[dict[str, Any], dict[str, float]]:  # Any: JSON
    """Return obp's figures by policy and estimator, and the greatest difference to ours of each estimator."""
    figures: dict[str, Any] = {}  # Any: JSON
    apart = dict.fromkeys(CLASSES, 0.0)
    for policy_name, policy in POLICIES.items():
        for one in evaluate(impressions(log), policy).estimates:
            if one.estimator == "snips" and policy_name == "clipped":
                continue  # obp does not clip there
            bound = policy.clip if one.estimator in ("ips", "dr") else one.setting
            value = theirs(log, one.estimator, np.inf if bound is None else bound)
            figures.setdefault(policy_name, {})[one.estimator] = {"setting": one.setting, "value": value}
            apart[one.estimator] = max(apart[one.estimator], abs(value - one.value))
    return figures, apart


def compare_thompson(num_samples: int) -> float:
    """Return the greatest difference of the two simulations, 20 items at 3 positions."""
    rng = np.random.default_rng(3)
    successes, shown = rng.integers(0, 30, 20).astype(np.float64), rng.integers(30, 300, 20).astype(np.float64)
    policy = importlib.import_module("obp.policy").BernoulliTS(n_actions=20, len_list=3, random_state=1)
    policy.action_counts, policy.reward_counts = shown, successes
    theirs_IP = policy.compute_batch_action_dist(n_rounds=1, n_sim=num_samples)[0]
    ours_IP = thompson_propensities(1 + successes, 1 + shown - successes, num_positions=3, num_samples=num_samples, seed=1)
    return float(np.abs(theirs_IP - ours_IP).max())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the greatest difference of each estimator, and write the fixture where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fixture", type=Path)
    given = parser.parse_args(arguments)
    worst = dict.fromkeys(CLASSES, 0.0)
    for seed in range(1, 11):
        _, apart = compare(make_log(10_000, num_items=20, num_positions=3, seed=seed))
        worst = {name: max(worst[name], apart[name]) for name in worst}
    print(*(f"{name}: {value:.1e}" for name, value in worst.items()), sep="\n")
    print(f"thompson, 100,000 draws each: {compare_thompson(100_000):.4f}")
    if given.fixture is not None:
        log = make_log(40, num_items=6, num_positions=3, seed=5)
        inputs = {name: one.tolist() for name, one in vars(impressions(log)).items() if one is not None}
        figures = compare(log)[0]
        given.fixture.write_text(json.dumps({"inputs": inputs, "figures": figures}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
