"""The conformance suite for neural_cf, its formula by hand, and the article's program beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor, nn

from bowerbird import Interactions, build_model, load_model
from bowerbird.errors import CapabilityError, DataError
from bowerbird.models.base import Model
from bowerbird.models.neural_cf import NeuralCfNetwork
from bowerbird.models.neural_cf_config import NeuralCfConfig
from bowerbird.testing import ModelConformance, checkerboard

pytestmark = pytest.mark.usefixtures("one_thread")


class TestNeuralCf(ModelConformance):
    name = "neural_cf"
    expected_ndcg = 0.0388
    solves_checkerboard = False  # not with a learning rate for logs of some size: see below

    @pytest.mark.slow
    def test_the_metric_is_the_expected_one(self, request: pytest.FixtureRequest) -> None:
        super().test_the_metric_is_the_expected_one(request)


class TestNeuralCfOnLabels(ModelConformance):
    """All events have a label, so nothing is drawn."""

    name = "neural_cf"
    config: ClassVar[dict[str, Any]] = {"num_epochs": 3}
    solves_checkerboard = False  # no event has another label than 1

    def fit(self, frame: pd.DataFrame, *, seed: int = 1) -> Model:
        return super().fit(frame.assign(label=np.arange(len(frame)) % 2), seed=seed)


def labelled(num_users: int = 30, num_items: int = 20, size: int = 600) -> pd.DataFrame:
    """Even users like even items, odd users odd ones."""
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"user_id": rng.integers(num_users, size=size), "item_id": rng.integers(num_items, size=size)})
    return frame.assign(timestamp=range(size), label=(frame["user_id"] % 2 == frame["item_id"] % 2).astype(float))


def fit(frame: pd.DataFrame, *, seed: int = 1, **config: Any) -> Model:
    return build_model("neural_cf", seed=seed, **config).fit(Interactions.from_frame(frame))


def every_pair(num_users: int = 30, num_items: int = 20) -> pd.DataFrame:
    users, items = np.divmod(np.arange(num_users * num_items), num_items)
    return pd.DataFrame({"user_id": users, "item_id": items})


@pytest.mark.parametrize(
    ("activation", "function"),
    [("relu", lambda x: np.maximum(x, 0)), ("tanh", np.tanh), ("sigmoid", lambda x: 1 / (1 + np.exp(-x)))],
)
def test_the_score_is_the_formula_of_the_file(activation: str, function: Any) -> None:
    model = fit(labelled(), num_epochs=2, hidden_sizes=[6, 5], embedding_size=4, activation=activation)
    kept = {name.removeprefix("network."): array for name, array in model._arrays().items()}
    x = np.concatenate([kept["users.weight"][7], kept["items.weight"][3]])
    for layer in (0, 1):
        x = function(kept[f"layers.{layer}.weight"] @ x + kept[f"layers.{layer}.bias"])
    logit = kept["layers.2.weight"] @ x + kept["layers.2.bias"]
    pair = pd.DataFrame({"user_id": [7], "item_id": [3]})
    assert model.score(pair) == pytest.approx(logit, rel=1e-5)
    assert model.predict_proba(pair) == pytest.approx(1 / (1 + np.exp(-logit)), rel=1e-5)


@pytest.mark.parametrize(
    "more", [{}, {"loss": "mse"}, {"optimizer": "sgd", "learning_rate": 2.0, "batch_size": 32}, {"dropout": 0.1}]
)
def test_labels_are_learned(more: dict[str, Any]) -> None:
    model = fit(labelled(), num_epochs=60, **{"batch_size": 64} | more)
    pairs = every_pair()
    p = model.predict_proba(pairs)
    is_liked = pairs["user_id"] % 2 == pairs["item_id"] % 2
    assert p[is_liked].mean() > 0.9 and p[~is_liked].mean() < 0.1


@pytest.mark.parametrize("initialization", ["normal", "uniform", "xavier"])
@pytest.mark.parametrize("schedule", ["constant", "linear", "cosine", "step"])
def test_whatever_the_beginning_and_the_schedule_the_loss_falls(initialization: str, schedule: str) -> None:
    model = fit(labelled(), num_epochs=10, batch_size=64, initialization=initialization, schedule=schedule, activation="gelu")
    assert model.curve[-1].loss < model.curve[0].loss


def test_vectors_and_matrices_begin_with_the_spread_that_is_said() -> None:
    for initialization in ("normal", "uniform", "xavier"):
        config = NeuralCfConfig(initialization=initialization, initial_scale=0.3, embedding_size=50, hidden_sizes=(64,))
        network = NeuralCfNetwork(400, 300, config, generator=torch.Generator().manual_seed(1))
        of_vectors = (2 / (400 + 50)) ** 0.5 if initialization == "xavier" else 0.3
        of_matrix = (2 / (100 + 64)) ** 0.5 if initialization == "xavier" else 100**-0.5
        assert float(network.users.weight.detach().std()) == pytest.approx(of_vectors, rel=0.03)
        assert float(network.layers[0].weight.detach().std()) == pytest.approx(of_matrix, rel=0.03)
        assert not network.layers[0].bias.any()
        bound = 1e9 if initialization == "normal" else of_vectors * 3**0.5
        assert float(network.users.weight.detach().abs().max()) <= bound * 1.001


def test_without_a_hidden_layer_everybody_gets_the_same_order() -> None:
    model = fit(labelled(), num_epochs=5, hidden_sizes=[])
    lists = model.recommend(range(30), k=20, exclude_seen=False)
    assert lists.groupby("user_id")["item_id"].agg(tuple).nunique() == 1
    with_layer = fit(labelled(), num_epochs=20, batch_size=64).recommend(range(30), k=20, exclude_seen=False)
    assert with_layer.groupby("user_id")["item_id"].agg(tuple).nunique() > 1


def test_without_labels_there_is_no_probability() -> None:
    with pytest.raises(CapabilityError, match="sampled negatives"):
        fit(labelled().drop(columns="label"), num_epochs=1).predict_proba(every_pair())


@pytest.mark.parametrize("label", [-1.0, 5.0, np.nan])
def test_labels_that_are_not_from_0_to_1_are_an_error(label: float) -> None:
    with pytest.raises(DataError, match="1 labels are not from 0 to 1"):
        fit(labelled().assign(label=[label] + [1.0] * 599), num_epochs=1)


def test_labels_of_one_class_give_a_list() -> None:
    lists = fit(labelled().assign(label=1.0), num_epochs=2).recommend([0], k=5)
    assert lists["source"].tolist() == ["neural_cf"] * 5


def test_events_without_evidence_are_not_learned_from() -> None:
    frame = labelled().assign(weight=1.0)
    noise = frame.assign(label=1 - frame["label"], weight=0.0, timestamp=10_000)
    first, second = fit(frame, num_epochs=3), fit(pd.concat([frame, noise]), num_epochs=3)
    assert first.curve == second.curve
    np.testing.assert_array_equal(first.score(every_pair()), second.score(every_pair()))


def test_an_unknown_user_takes_the_vector_that_least_squares_foretell_from_the_items() -> None:
    frame = labelled().drop(columns="label")
    model = fit(frame, num_epochs=2, embedding_size=3)
    kept = {name: array.astype(np.float64) for name, array in model._arrays().items()}
    users_UD, items_ND = kept["network.users.weight"], kept["network.items.weight"]
    z_UD = np.ones((30, 4))
    for user, items in frame.groupby("user_id")["item_id"].unique().items():
        z_UD[user, :3] = items_ND[items].sum(axis=0) / len(items) ** 0.5
    weights = np.linalg.lstsq(np.vstack([z_UD, np.diag([10, 10, 10, 0]) ** 0.5]), np.vstack([users_UD, np.zeros((4, 3))]))[0]
    history = pd.DataFrame({"user_id": "new", "item_id": [1, 2, 3, 2, 99]})  # 2 counts once, 99 is unknown
    expected_D = np.append(items_ND[[1, 2, 3]].sum(axis=0) / 3**0.5, 1) @ weights
    found_BD = model._vectors(model._reader(history).read(pd.Index(["new"])))
    np.testing.assert_allclose(found_BD[0], expected_D, rtol=1e-4, atol=1e-6)


def test_a_known_user_whose_history_is_given_anew_is_read_from_it() -> None:
    model = fit(labelled(), num_epochs=60, batch_size=64)
    other_taste = pd.DataFrame({"user_id": 0, "item_id": range(1, 20, 2)})
    lists = model.recommend([0], k=5, exclude_seen=False, history=other_taste)
    assert (lists["item_id"] % 2 == 1).all()
    assert (model.recommend([0], k=5, exclude_seen=False)["item_id"] % 2 == 0).all()


def test_the_withheld_item_of_the_checkerboard_comes_first_for_nearly_all() -> None:
    lists = fit(checkerboard(), num_epochs=200, batch_size=64, augmentation=0.0).recommend(range(20), k=1)
    assert (lists["item_id"] % 2 == lists["user_id"] % 2).mean() > 0.9
    assert (lists["item_id"] == lists["user_id"]).mean() > 0.9


def test_the_search_measures_each_epoch_and_freezes_the_best_and_its_recipe_gives_the_same_lists() -> None:
    for frame in (labelled(), labelled().drop(columns="label")):
        model = fit(frame, max_epochs=6, batch_size=64)
        measured = {point.epoch: point.validation for point in model.curve}
        frozen = model.frozen_config()
        assert list(measured) == list(range(1, len(measured) + 1)) and None not in measured.values()
        assert frozen["num_epochs"] == max(measured, key=lambda epoch: measured[epoch])
        again = fit(frame, **frozen)
        assert [point.validation for point in again.curve] == [None] * frozen["num_epochs"]
        np.testing.assert_array_equal(model.score(every_pair()), again.score(every_pair()))


def test_the_same_seed_gives_the_same_losses_and_another_seed_others() -> None:
    frame = labelled().drop(columns="label")
    state = torch.random.get_rng_state()
    first, second, other = (fit(frame, seed=seed, num_epochs=3, dropout=0.2) for seed in (1, 1, 2))
    assert first.curve == second.curve != other.curve
    np.testing.assert_array_equal(first.score(every_pair()), second.score(every_pair()))
    assert torch.equal(state, torch.random.get_rng_state()), "the global generator is left alone"


def test_a_loaded_model_knows_whether_it_learned_from_labels(tmp_path: Path) -> None:
    model = fit(labelled(), num_epochs=2)
    model.save(tmp_path / "model")
    np.testing.assert_array_equal(load_model(tmp_path / "model").predict_proba(every_pair()), model.predict_proba(every_pair()))


def test_an_item_or_user_that_was_not_learned_has_no_score() -> None:
    data = Interactions.from_frame(labelled(), item_ids=np.arange(25))
    model = build_model("neural_cf", num_epochs=1).fit(data)
    assert np.isnan(model.score(pd.DataFrame({"user_id": [0, 99], "item_id": [24, 0]}))).all()


class ArticleProgram(nn.Module):
    """The article's RecommenderModel, word for word."""

    def __init__(self, input_dim: tuple[int, int], hidden_dim: int, output_dim: int) -> None:
        super().__init__()
        self.hidden_dim = hidden_dim
        self.user_embedding = nn.Embedding(input_dim[0], hidden_dim)
        self.item_embedding = nn.Embedding(input_dim[1], hidden_dim)
        self.fc = nn.Linear(hidden_dim * 2, output_dim)

    def forward(self, user: Tensor, item: Tensor) -> Tensor:
        hidden = torch.cat((self.user_embedding(user), self.item_embedding(item)), 1)
        output: Tensor = self.fc(hidden)
        return output


def test_the_article_s_program_from_the_same_weights_in_the_same_order_gives_the_same_losses_and_score() -> None:
    frame = labelled(num_users=50, num_items=40, size=250)
    settings = {"embedding_size": 128, "hidden_sizes": [], "initial_scale": 1.0, "loss": "bce", "optimizer": "adam"}
    model = fit(frame, **settings, learning_rate=0.001, num_epochs=10, batch_size=1)

    generator = torch.Generator().manual_seed(1)
    begun = NeuralCfNetwork(50, 40, NeuralCfConfig.model_validate(settings), generator=generator)
    program = ArticleProgram(input_dim=(50, 40), hidden_dim=128, output_dim=1)
    program.user_embedding.load_state_dict(begun.users.state_dict())
    program.item_embedding.load_state_dict(begun.items.state_dict())
    program.fc.load_state_dict(begun.layers[0].state_dict())
    optimizer = torch.optim.Adam(program.parameters(), lr=0.001)
    criterion = nn.BCEWithLogitsLoss()
    ordered = frame.sort_values(["user_id", "timestamp"]).reset_index(drop=True)
    rows = ordered[["user_id", "item_id", "label"]].astype({"user_id": int, "item_id": int}).itertuples(index=False, name=None)
    rows, losses = list(rows), []
    for _ in range(10):
        total = 0.0
        for row in torch.randperm(len(rows), generator=generator).tolist():
            user, item, label = rows[row]
            optimizer.zero_grad()
            loss = criterion(program(torch.tensor([user]), torch.tensor([item])), torch.tensor([[label]], dtype=torch.float32))
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total / len(rows))

    assert [point.loss for point in model.curve] == pytest.approx(losses, rel=1e-4)
    pair = pd.DataFrame({"user_id": [5], "item_id": [3]})
    logit = program(torch.tensor([5]), torch.tensor([3])).item()
    assert model.score(pair) == pytest.approx([logit], rel=1e-3, abs=1e-4)
    assert model.predict_proba(pair) == pytest.approx([1 / (1 + np.exp(-logit))], rel=1e-3)
