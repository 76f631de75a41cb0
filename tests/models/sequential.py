"""What every sequence model must do besides the conformance suite; the test of a model subclasses it and adds two lines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch

from bowerbird import Interactions, build_model
from bowerbird.models.base import Model
from bowerbird.models.sequential import SequentialModel
from bowerbird.testing import ModelConformance


def circle(num_users: int = 40, num_items: int = 10, length: int = 12) -> pd.DataFrame:
    """Everybody walks through the items in a circle, each from another item on."""
    rows = [(f"u{user}", (user + step) % num_items, step) for user in range(num_users) for step in range(length)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def next_items(model: Model, history: list[int]) -> list[int]:
    frame = pd.DataFrame({"user_id": "new", "item_id": history})
    return model.recommend(["new"], k=3, history=frame, exclude_seen=False)["item_id"].tolist()


class SequentialConformance(ModelConformance):
    """The suite, on one thread: such small products are slower on two, on a busy machine by far."""

    settings_of_circle: ClassVar[dict[str, float]] = {"num_epochs": 15, "learning_rate": 0.01}
    """With which the circle is known by heart."""

    @pytest.fixture(autouse=True, scope="class")
    def one_thread(self) -> Iterator[None]:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        yield
        torch.set_num_threads(before)

    @pytest.mark.slow
    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        super().test_the_metric_is_the_expected_one(request)

    def trained(self, **config: Any) -> SequentialModel:  # Any: the model's config checks the keys
        model = build_model(self.name, **config).fit(Interactions.from_frame(circle()))
        assert isinstance(model, SequentialModel)
        return model

    def test_a_user_who_was_not_there_in_training_is_served_from_the_history(self) -> None:
        model = self.trained(**self.settings_of_circle)
        assert next_items(model, [4, 5, 6])[0] == 7
        assert next_items(model, [9])[0] == 0

    def test_only_the_last_events_are_read(self) -> None:
        model = self.trained(num_epochs=2, max_length=3)
        assert next_items(model, [1, 1, 1, 4, 5, 6]) == next_items(model, [4, 5, 6])

    def test_the_search_freezes_its_best_epoch_and_leaves_nothing_to_a_rule(self) -> None:
        model = self.trained(max_epochs=6)
        measured = {point.epoch: point.validation or 0.0 for point in model.curve}
        frozen = model.frozen_config()
        assert frozen["num_epochs"] == max(measured, key=lambda epoch: measured[epoch])
        assert None not in frozen.values()

    def test_a_recipe_with_seed_and_negatives_gives_the_same_curve_and_leaves_the_global_generator_alone(self) -> None:
        state = torch.random.get_rng_state()
        first, second, other = (self.trained(seed=seed, num_epochs=3, num_negatives=4, dropout=0.3) for seed in (1, 1, 2))
        assert first.curve == second.curve != other.curve
        assert torch.equal(state, torch.random.get_rng_state())

    def test_a_batch_of_mixed_lengths_gives_what_single_requests_give(self) -> None:
        model = self.trained(num_epochs=2)
        lengths = [1, 2, 5, 9, 60]
        history = pd.concat([circle(1, 10, length).assign(user_id=f"new {length}") for length in lengths])
        pairs = pd.DataFrame(
            [(f"new {length}", item) for length in lengths for item in range(10)], columns=["user_id", "item_id"]
        )
        single = [model.score(part, history=history) for _, part in pairs.groupby("user_id", sort=False)]
        np.testing.assert_allclose(model.score(pairs, history=history), np.concatenate(single), rtol=1e-6)

    def test_it_learns_by_another_loss_as_well(self) -> None:
        model = self.trained(loss="gbce", num_negatives=8, **self.settings_of_circle)
        assert next_items(model, [step % 10 for step in range(4, 15)])[0] == 5

    def test_event_types_and_time_gaps_are_read(self) -> None:
        frame = circle().assign(event=lambda frame: np.where(frame["timestamp"] % 2, "view", "buy"))
        model = build_model(self.name, time_gaps=True, num_epochs=2).fit(Interactions.from_frame(frame))
        history = pd.DataFrame({"user_id": "new", "item_id": [1, 2, 3], "timestamp": [0, 1, 2], "event": ["buy", "view", "buy"]})
        pairs = pd.DataFrame({"user_id": "new", "item_id": range(10)})
        as_it_was = model.score(pairs, history=history)
        assert not np.allclose(as_it_was, model.score(pairs, history=history.assign(event="view")))
        assert not np.allclose(as_it_was, model.score(pairs, history=history.assign(timestamp=[0, 1, 90_000])))
