"""The conformance suite for sasrec, and what only it must do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from bowerbird import Interactions, build_model, load_model
from bowerbird.data.sequences import Sequences
from bowerbird.errors import RecipeError
from bowerbird.models.base import Model
from bowerbird.models.sasrec import SasrecConfig
from bowerbird.testing import ModelConformance

pytestmark = pytest.mark.usefixtures("one_thread")


class TestSasrec(ModelConformance):
    name = "sasrec"
    expected_ndcg = 0.0565
    can_update = True
    update_is_exact = False

    @pytest.mark.slow
    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        super().test_the_metric_is_the_expected_one(request)


def circle(num_users: int = 40, num_items: int = 10, length: int = 12) -> pd.DataFrame:
    """Everybody walks through the items in a circle, each from another item on."""
    rows = [(f"u{user}", (user + step) % num_items, step) for user in range(num_users) for step in range(length)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def fit(frame: pd.DataFrame, *, seed: int = 1, **config: float) -> Model:
    return build_model("sasrec", seed=seed, **config).fit(Interactions.from_frame(frame))


def next_items(model: Model, history: list[int]) -> list[int]:
    frame = pd.DataFrame({"user_id": "new", "item_id": history})
    return model.recommend(["new"], k=3, history=frame, exclude_seen=False)["item_id"].tolist()


def sizes(num_users: int, length: int, num_items: int) -> tuple[Sequences, int]:
    items = np.arange(num_users * length, dtype=np.int64) % num_items
    return Sequences(items, np.arange(num_users + 1, dtype=np.int64) * length), num_items


def test_a_user_who_was_not_there_in_training_is_served_from_the_history() -> None:
    model = fit(circle(), num_epochs=30)
    assert next_items(model, [4, 5, 6])[0] == 7
    assert next_items(model, [9])[0] == 0


def test_only_the_last_events_are_read() -> None:
    model = fit(circle(), num_epochs=2, max_length=3)
    assert next_items(model, [1, 1, 1, 4, 5, 6]) == next_items(model, [4, 5, 6])


def test_the_search_measures_each_epoch_and_freezes_the_best() -> None:
    model = fit(circle(), max_epochs=8)
    measured = {point.epoch: point.validation for point in model.curve}
    frozen = model.frozen_config()
    assert list(measured) == list(range(1, len(measured) + 1))
    assert frozen["num_epochs"] == max(measured, key=lambda epoch: measured[epoch] or 0)
    assert None not in frozen.values(), "a frozen recipe leaves nothing to a rule"


def test_a_frozen_recipe_trains_without_a_hold_out_to_the_same_lists() -> None:
    searched = fit(circle(), max_epochs=8)
    refitted = fit(circle(), **searched.frozen_config())
    assert [point.validation for point in refitted.curve] == [None] * searched.frozen_config()["num_epochs"]
    users = circle()["user_id"].unique()
    pd.testing.assert_frame_equal(searched.recommend(users, k=5), refitted.recommend(users, k=5), check_exact=True)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_same_seed_gives_the_same_losses_and_bit_identical_lists(threads: int) -> None:
    torch.set_num_threads(threads)
    first, second, other = (fit(circle(), seed=seed, max_epochs=6, num_negatives=4) for seed in (1, 1, 2))
    torch.set_num_threads(1)
    users = circle()["user_id"].unique()
    assert first.curve == second.curve != other.curve
    pd.testing.assert_frame_equal(first.recommend(users), second.recommend(users), check_exact=True)


def test_fitting_leaves_the_global_generator_alone() -> None:
    state = torch.random.get_rng_state()
    fit(circle(), max_epochs=2)
    assert torch.equal(state, torch.random.get_rng_state())


def test_a_batch_of_mixed_lengths_gives_what_single_requests_give() -> None:
    model = fit(circle(), num_epochs=3)
    lengths = [1, 2, 5, 9, 60]
    history = pd.concat([circle(1, 10, length).assign(user_id=f"new {length}") for length in lengths])
    pairs = pd.DataFrame([(f"new {length}", item) for length in lengths for item in range(10)], columns=["user_id", "item_id"])
    single = [model.score(part, history=history) for _, part in pairs.groupby("user_id", sort=False)]
    np.testing.assert_allclose(model.score(pairs, history=history), np.concatenate(single), rtol=1e-6)


def test_events_without_evidence_are_not_read() -> None:
    frame = circle().assign(weight=1.0)
    noise = frame.assign(item_id=99, weight=0.0)
    model, noisy = fit(frame, num_epochs=3), fit(pd.concat([frame, noise]), num_epochs=3)
    first, second = (m.recommend(["u0", "u1"], k=10, exclude_seen=False) for m in (model, noisy))
    assert first["item_id"].tolist() == second["item_id"].tolist()


def test_without_an_order_to_learn_from_popular_items_stand_in(tmp_path: Path) -> None:
    model = fit(circle(length=1))
    assert set(model.recommend(["u0"], k=3)["source"]) == {"fallback"}
    model.save(tmp_path / "model")
    assert set(load_model(tmp_path / "model").recommend(["u0"], k=3)["source"]) == {"fallback"}


def test_defaults_follow_the_size_of_the_data() -> None:
    def rules(num_users: int, length: int, num_items: int) -> tuple[float | None, ...]:
        sequences, num_items = sizes(num_users, length, num_items)
        used = SasrecConfig().with_defaults(sequences, num_items=num_items)
        return used.num_blocks, used.max_length, used.dropout, used.num_negatives, used.batch_tokens, used.max_epochs

    assert rules(20, 9, 20) == (1, 50, 0.5, 0, 256, 40)
    assert rules(22_000, 7, 12_000) == (1, 50, 0.5, 1024, 1024, 40)
    assert rules(600, 101, 7000) == (1, 50, 0.5, 1024, 512, 22)
    assert rules(4300, 94, 4000) == (1, 50, 0.2, 1024, 1024, 18)
    assert rules(6000, 170, 3400) == (2, 200, 0.2, 1024, 4096, 16)
    assert rules(70_000, 166, 10_000) == (2, 200, 0.2, 1024, 4096, 2), (
        "rounded down: a third epoch and its refit pass 1,800 seconds"
    )


def test_a_given_setting_is_not_overruled() -> None:
    sequences, num_items = sizes(20, 9, 20)
    used = SasrecConfig(dropout=0.0, num_negatives=7).with_defaults(sequences, num_items=num_items)
    assert (used.dropout, used.num_negatives) == (0.0, 7)


def test_heads_that_do_not_divide_the_width_are_an_error() -> None:
    with pytest.raises(RecipeError, match="no multiple of num_heads 3"):
        build_model("sasrec", num_heads=3)


def test_an_update_learns_new_items_and_keeps_the_old_ones() -> None:
    """Two more users walk on from item 9 to a new one, 10; who comes by 4 still goes on to 5."""
    model = fit(circle(), num_epochs=40)
    late = [(user, item, 100 + step) for user in (f"late{n}" for n in range(40)) for step, item in enumerate([7, 8, 9, 10, 11])]
    model.update(Interactions.from_frame(pd.DataFrame(late, columns=["user_id", "item_id", "timestamp"])))
    assert {10, 11} & set(next_items(model, [7, 8, 9]) + next_items(model, [8, 9, 10]))
    assert next_items(model, [2, 3, 4])[0] == 5


def test_one_update_after_another_goes_through_a_folder_of_checkpoints(tmp_path: Path) -> None:
    model, plain = fit(circle(), num_epochs=5), fit(circle(), num_epochs=5)
    model.checkpoints = tmp_path
    for day in (100, 200):
        late = pd.DataFrame({"user_id": [f"late{day}"] * 3, "item_id": [3, 4, 5], "timestamp": range(day, day + 3)})
        for one in (model, plain):
            one.update(Interactions.from_frame(late))
    assert next_items(model, [2, 3]) == next_items(plain, [2, 3])
    assert not list(tmp_path.glob("update*")), "a finished update leaves nothing that the next would stumble over"


def test_event_types_keep_their_meaning_when_an_update_brings_another() -> None:
    frame = circle().assign(event=lambda frame: np.where(frame["timestamp"] % 2, "view", "buy"))
    model = fit(frame, num_epochs=5)
    late = circle(1).assign(user_id="late", event="add")
    before = model.recommend(["u1"], k=5, history=frame[frame["user_id"] == "u1"])
    model._settings = model._settings.model_copy(update={"learning_rate": 1e-12})
    model.update(Interactions.from_frame(late))
    after = model.recommend(["u1"], k=5, history=frame[frame["user_id"] == "u1"])
    np.testing.assert_allclose(before["score"], after["score"], rtol=1e-3)
