"""Five models judged by clicks on lists that mixed them all, beside what the simulated shop's users would click in truth."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import CLICK, ITEM_ID, POSITION, PROPENSITY, RANK, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.evaluation.decision import OffPolicyResult
from bowerbird.evaluation.list_policy import ListPolicy
from bowerbird.evaluation.off_policy import evaluate
from bowerbird.evaluation.reward_model import NUM_FOLDS, fit_rewards
from bowerbird.models import build_model
from bowerbird.recipe_gate import OffPolicy
from bowerbird.sources.shop import Shop, ShopConfig

K, NUM_VISITS = 5, 10
POLICIES = ("random", "popularity", "cooccurrence", "item_knn", "personal_frequency")


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(ShopConfig(users=1500, items=400, days=40, seed=3))


@pytest.fixture(scope="module")
def lists(shop: Shop) -> dict[str, pd.DataFrame]:
    """The list of each user by each model, of items that are on sale."""
    data = Interactions.from_frame(shop.events())
    on_sale = shop.items().query("available_until.isna()")[ITEM_ID].tolist()
    users = sorted(map(str, data.user_ids))
    return {
        name: build_model(name, seed=1).fit(data).recommend(users, k=K, exclude_seen=False, candidates=on_sale)
        for name in POLICIES
    }


def mixed(lists: dict[str, pd.DataFrame], seed: int) -> pd.DataFrame:
    """Give each place of each list to a model by lot; an item's propensity is the share of the models that have it there."""
    everything = pd.concat(lists, names=["policy"]).reset_index("policy")
    at = [USER_ID, RANK]
    everything[PROPENSITY] = everything.groupby([*at, ITEM_ID])["policy"].transform("size") / len(lists)
    return everything.sample(frac=1, random_state=seed).drop_duplicates(at).sort_values(at, ignore_index=True)


@pytest.fixture(scope="module")
def log(shop: Shop, lists: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Ten visits of every user; what is clicked is up to the shop."""
    visits = [(mixed(lists, visit), visit) for visit in range(NUM_VISITS)]
    answers = [
        shop.respond(shown, visit)[[USER_ID, ITEM_ID, POSITION, CLICK]].merge(
            shown.rename(columns={RANK: POSITION})[[USER_ID, POSITION, PROPENSITY]], on=[USER_ID, POSITION]
        )
        for shown, visit in visits
    ]
    return pd.concat(answers, ignore_index=True)


def truth(shop: Shop, shown: pd.DataFrame) -> float:
    """Return how often an impression of these lists is clicked, by the shop's hidden tastes."""
    looks = shown[RANK].to_numpy(np.float64) ** -0.7
    return float((looks * shop.attraction(shown[[USER_ID, ITEM_ID]])).mean())


def judged(shown: pd.DataFrame, log: pd.DataFrame) -> OffPolicyResult:
    """Estimate what these lists would have earned from the log of the mixed ones."""
    users, user_ids = pd.factorize(log[USER_ID], sort=True)
    item_ids = pd.Index(pd.unique(pd.concat([log[ITEM_ID], shown[ITEM_ID]])))
    columns = {
        "positions": log[POSITION].to_numpy(np.int64) - 1,
        "items": item_ids.get_indexer(pd.Index(log[ITEM_ID])),
        "rewards": log[CLICK].to_numpy(np.float64),
    }
    model = fit_rewards(users % NUM_FOLDS, **columns, num_positions=K, num_items=len(item_ids))
    policy = ListPolicy.of(shown[[USER_ID, ITEM_ID, RANK]], pd.Index(user_ids), item_ids, k=K)
    propensities = log[PROPENSITY].to_numpy(np.float64)
    return evaluate(policy.impressions(model, **columns, users=users, propensities=propensities, units=users), OffPolicy())


def test_five_policies_are_put_in_the_order_of_the_truth(shop: Shop, lists: dict[str, pd.DataFrame], log: pd.DataFrame) -> None:
    true = {name: truth(shop, shown) for name, shown in lists.items()}
    results = {name: judged(shown, log) for name, shown in lists.items()}
    order = sorted(true, key=true.__getitem__)
    for place, estimator in enumerate([one.estimator for one in results["random"].estimates]):
        found = {name: result.estimates[place].value for name, result in results.items()}
        assert sorted(found, key=found.__getitem__) == order, estimator
    held = [result.main.low <= true[name] <= result.main.high for name, result in results.items()]
    assert sum(held) >= 4, "intervals of 95 %"
    assert all(result.is_sound for result in results.values())
