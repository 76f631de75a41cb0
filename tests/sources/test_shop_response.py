"""The simulated shop's answers: deterministic, biased by position, and better for better lists."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.columns import CLICK, ITEM_ID, POSITION, PROPENSITY, RANK, USER_ID
from bowerbird.errors import DataError
from bowerbird.sources.shop import Shop, ShopConfig


@pytest.fixture(scope="module")
def shop() -> Shop:
    return Shop(ShopConfig(users=400, items=300, days=30))


@pytest.fixture(scope="module")
def random_lists(shop: Shop) -> pd.DataFrame:
    rng = np.random.default_rng(7)
    items = np.stack([rng.permutation(shop.item_ids)[:10] for _ in shop.user_ids])
    return pd.DataFrame({USER_ID: np.repeat(shop.user_ids, 10), ITEM_ID: items.ravel(), RANK: np.tile(np.arange(1, 11), 400)})


@pytest.fixture(scope="module")
def best_lists(shop: Shop) -> pd.DataFrame:
    pairs = pd.DataFrame({USER_ID: np.repeat(shop.user_ids, 300), ITEM_ID: np.tile(shop.item_ids, 400)})
    pairs["attraction"] = shop.attraction(pairs)
    best = pairs.sort_values([USER_ID, "attraction"], ascending=[True, False], kind="stable").groupby(USER_ID).head(10)
    return best.assign(**{RANK: best.groupby(USER_ID).cumcount() + 1})


def test_equal_lists_and_seeds_give_equal_answers(shop: Shop, random_lists: pd.DataFrame) -> None:
    answers = shop.respond(random_lists, 1)
    assert answers.equals(Shop(shop.config).respond(random_lists.sample(frac=1, random_state=3), 1))
    assert not answers[CLICK].equals(shop.respond(random_lists, 2)[CLICK])


def test_each_impression_is_answered_once(shop: Shop, random_lists: pd.DataFrame) -> None:
    answers = shop.respond(random_lists, 1)
    assert list(answers) == ["user_id", "item_id", "position", "timestamp", "click", "order", "propensity"]
    shown = random_lists.rename(columns={RANK: POSITION}).sort_values([USER_ID, POSITION], ignore_index=True)
    pd.testing.assert_frame_equal(answers[[USER_ID, ITEM_ID, POSITION]], shown, check_dtype=False)
    assert (answers["order"] <= answers[CLICK]).all()
    assert answers["timestamp"].min() >= pd.Timestamp("2026-07-01", tz="UTC")


def test_clicks_fall_with_the_position_as_the_propensity_says(shop: Shop, random_lists: pd.DataFrame) -> None:
    many = pd.concat([shop.respond(random_lists, seed) for seed in range(40)])
    many["expected"] = many[PROPENSITY] * shop.attraction(many)
    by_position = many.groupby(POSITION)[[CLICK, "expected"]].sum()
    assert by_position[CLICK].iloc[0] > 3 * by_position[CLICK].iloc[-1]
    assert (by_position[CLICK] / by_position["expected"]).between(0.75, 1.33).all()


def test_lists_of_true_tastes_are_clicked_more_than_random_ones(
    shop: Shop, random_lists: pd.DataFrame, best_lists: pd.DataFrame
) -> None:
    best, other = (shop.respond(lists, 1)[CLICK].mean() for lists in (best_lists, random_lists))
    assert best > 3 * other > 0


def test_items_that_cannot_be_bought_are_never_clicked(shop: Shop) -> None:
    ended = shop.items().query("available_until.notna()")[ITEM_ID]
    pairs = pd.DataFrame({USER_ID: shop.user_ids[0], ITEM_ID: ended})
    assert len(pairs) > 0
    assert (shop.attraction(pairs) == 0).all()


def test_no_lists_give_no_answers(shop: Shop, random_lists: pd.DataFrame) -> None:
    assert len(shop.respond(random_lists.head(0), 1)) == 0


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (pd.DataFrame({USER_ID: ["nobody"], ITEM_ID: ["P00001"], RANK: [1]}), "no user_id 'nobody'"),
        (pd.DataFrame({USER_ID: ["C000001"], ITEM_ID: ["nothing"], RANK: [1]}), "no item_id 'nothing'"),
        (pd.DataFrame({USER_ID: ["C000001"], ITEM_ID: ["P00001"]}), "no column 'rank'"),
        (pd.DataFrame({USER_ID: ["C000001"], ITEM_ID: ["P00001"], RANK: [0]}), "rank 0"),
    ],
)
def test_lists_that_the_shop_cannot_answer_are_refused(shop: Shop, lists: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        shop.respond(lists, 1)
