"""Neural CF: a network reads the vectors of a user and of an item and says whether the two fit.

    x           = (p_u, q_i), the two vectors side by side
    a_1         = f(W_1 x + c_1), a_2 = f(W_2 a_1 + c_2), ... for each of hidden_sizes; f is the activation
    score(u, i) = w . a + b                                     the logit; the probability is 1 / (1 + exp(-logit))

He et al., "Neural collaborative filtering", WWW 2017, the tower of concatenated vectors. Without a hidden layer w . x falls into
a part of the user and a part of the item, so all users get the same list: at least one hidden layer is needed to tell them apart.

- Where the events have labels, from 0 to 1, pairs are learned from as they are: p(label = 1 | user, item), of a pair like those
  in the log, which ``predict_proba`` gives. Without labels each event is a positive and ``num_negatives`` items that the user
  did not have, drawn evenly, are negatives: such scores only order.
- Weights say whether an event counts, above 0, not how much.
- ``augmentation`` replaces the items of a share of the events, drawn anew each epoch, by near ones (cosine as in ``item_knn``).
- Users whom ``fit`` never saw, or whose history the caller gives, take the vector that least squares foretell, on the users in
  ``fit``, from the sum of their items' vectors over the root of their number: p_u = A z_u + c, z_u = sum of q_i / sqrt(n_u), with
  RIDGE on A. With labels, the items of those in ``fit`` are the ones with a label from LIKED up.

W_1 x is the sum of a user's part and an item's; the latter is computed once for all users. Shapes: P pairs, E events, B users of
a block, U users, N items, D width of a vector, H width of the first layer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional

from bowerbird.data.interactions import Interactions
from bowerbird.data.sequences import Sequences
from bowerbird.errors import CapabilityError, DataError
from bowerbird.layers.attention import Dropout
from bowerbird.models.base import Arrays, Curve, Histories, Model, ModelConfig, unprefixed
from bowerbird.models.linear import had_matrix
from bowerbird.models.neighbours import cosine, nearest_items
from bowerbird.models.neural_cf_config import NeuralCfConfig
from bowerbird.models.topk import Scores
from bowerbird.training.checkpoint import Checkpoint, file_name
from bowerbird.training.loop import Epoch, best_epoch, train
from bowerbird.training.pairs import Draws, Pairs, shuffled, with_draws
from bowerbird.training.plan import Plan
from bowerbird.training.validation import HoldOut, gains, hold_out
from bowerbird.training.workers import Workers

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": functional.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "gelu": functional.gelu,
}
HELD_OUT_SHARE = 0.1
LIKED = 0.5
RIDGE = 10.0

logger = logging.getLogger(__name__)


class NeuralCfNetwork(nn.Module):
    """Vectors of users and items, and the layers that read them."""

    def __init__(self, num_users: int, num_items: int, config: NeuralCfConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        self.users = nn.Embedding(num_users, config.embedding_size)
        self.items = nn.Embedding(num_items, config.embedding_size)
        sizes = [2 * config.embedding_size, *config.hidden_sizes, 1]
        self.layers = nn.ModuleList(nn.Linear(width, next_width) for width, next_width in pairwise(sizes))
        self.activation = ACTIVATIONS[config.activation]
        self.dropout = Dropout(config.dropout, generator=generator)
        self._draw(config, generator)

    def forward(self, users_P: Tensor, items_P: Tensor) -> Tensor:
        """Return the logits of pairs; [P]."""
        x_PD = torch.cat([self.users(users_P), self.items(items_P)], dim=1)
        return self._onwards(self.layers[0](self.dropout(x_PD)))

    def item_part(self) -> Tensor:
        """Return what the items add to the first layer, the bias included; [N, H]."""
        first = cast(nn.Linear, self.layers[0])
        return functional.linear(self.items.weight, first.weight[:, self.items.embedding_dim :], first.bias)

    def score(self, user_D: Tensor, items_NH: Tensor) -> Tensor:
        """Return the logits of all items for one user; [N]. Always the same shapes, so nobody's depend on who else asks."""
        first = cast(nn.Linear, self.layers[0])
        return self._onwards(items_NH + first.weight[:, : len(user_D)] @ user_D)

    def _onwards(self, x_PH: Tensor) -> Tensor:
        for layer in self.layers[1:]:
            x_PH = layer(self.dropout(self.activation(x_PH)))
        return x_PH[:, 0]

    @torch.no_grad()
    def _draw(self, config: NeuralCfConfig, generator: torch.Generator) -> None:
        for name, parameter in self.named_parameters():
            scale = config.initial_scale if name in ("users.weight", "items.weight") else parameter.shape[-1] ** -0.5
            if parameter.ndim == 1:
                parameter.zero_()
            elif config.initialization == "xavier":
                nn.init.xavier_uniform_(parameter, generator=generator)
            elif config.initialization == "normal":
                parameter.normal_(0.0, scale, generator=generator)
            else:
                parameter.uniform_(-scale * 3**0.5, scale * 3**0.5, generator=generator)


class NeuralCf(Model):
    """The logit of a small network over the vectors of a user and of an item."""

    name: ClassVar[str] = "neural_cf"
    Config: ClassVar[type[ModelConfig]] = NeuralCfConfig
    config: NeuralCfConfig
    _network: NeuralCfNetwork | None = None
    _has_labels = False
    _num_epochs = 0

    def frozen_config(self) -> dict[str, Any]:  # Any: JSON
        """Return the settings with the number of epochs that was found: it trains without a hold-out."""
        return self.config.model_dump(mode="json") | ({"num_epochs": self._num_epochs} if self._num_epochs else {})

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        evidence = data.evidence()
        self.curve, self._network, self._has_labels = [], None, evidence.labels is not None
        self._num_epochs = self.config.num_epochs or 0
        if len(evidence) == 0:
            logger.info("no event has evidence: neural_cf has nothing to learn from, popular items stand in")
            return
        if self.config.num_epochs is None:
            self._num_epochs = self._search(evidence)
        network, epochs = self._train(_pairs(evidence), self._num_epochs)
        self.curve = self.curve or [Curve(epoch=point.epoch, loss=point.loss) for point in epochs]
        is_liked_E = data.weights > 0 if data.labels is None else (data.weights > 0) & (data.labels >= LIKED)
        self._use(network, is_liked_E)

    def _search(self, evidence: Interactions) -> int:
        """Train without some events, and return the epoch after which those were foretold best."""
        generator = torch.Generator().manual_seed(self.seed)
        if self._has_labels:
            is_held_out = torch.rand(len(evidence), generator=generator).numpy() < HELD_OUT_SHARE
            rest, held_out = _pairs(evidence.select(~is_held_out)), _pairs(evidence.select(is_held_out))
            num_held_out, validate = len(held_out.users_P), partial(self._likelihood, held_out=held_out)
        else:
            sequences, last = hold_out(Sequences.from_interactions(evidence), generator=generator)
            rest, num_held_out = _positives(sequences), len(last.targets)
            validate = partial(_ndcg, held_out=last, is_known_N=np.bincount(sequences.items, minlength=evidence.num_items) > 0)
        if num_held_out == 0 or len(rest.users_P) == 0:
            logger.info("too few events to hold some out, %d epochs it is", self.config.max_epochs)
            return self.config.max_epochs
        _, epochs = self._train(rest, self.config.max_epochs, validate)
        self.curve = [Curve(epoch=point.epoch, loss=point.loss, validation=point.validation) for point in epochs]
        return best_epoch(epochs)

    def _train(
        self, pairs: Pairs, num_epochs: int, validate: Callable[[NeuralCfNetwork], float] | None = None
    ) -> tuple[NeuralCfNetwork, list[Epoch]]:
        config, generator = self.config, torch.Generator().manual_seed(self.seed)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator before ours are drawn
            network = NeuralCfNetwork(self.data.num_users, self.data.num_items, config, generator=generator)
        plan = Plan(
            num_epochs=num_epochs,
            steps_an_epoch=-(-len(pairs.users_P) // config.batch_size),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            optimizer=config.optimizer,
            betas=(0.9, 0.999),
            schedule=config.schedule,
            warm_up_steps=0,
            max_gradient_norm=np.inf,
            average_decay=0.0,
            patience=config.patience,
        )
        batches = partial(shuffled, pairs) if self._has_labels else partial(with_draws, pairs, self._draws(pairs))
        batches = partial(batches, batch_size=config.batch_size, generator=generator)
        checkpoint = Checkpoint.of(
            self.checkpoints,
            file_name(is_search=validate is not None),
            network,
            generator,
            about=f"{self.name} {self.seed} {config!r} {plan!r}",
            columns=[column.numpy() for column in pairs],
        )
        return train(
            network,
            batches,
            self._loss,
            plan,
            validate=validate,
            report=self.on_validation,
            checkpoint=checkpoint,
            workers=Workers.here(),
            device=config.device,
        )

    def _draws(self, pairs: Pairs) -> Draws:
        """Say what is drawn beside the events: negatives and, where augmented, neighbours."""
        users, items, num_items = pairs.users_P.numpy(), pairs.items_P.numpy(), self.data.num_items
        had = np.unique(users * num_items + items)
        neighbours = None
        if self.config.augmentation:
            x_UN = csr_array((np.ones(len(had)), np.divmod(had, num_items)), shape=(self.data.num_users, num_items))
            neighbours = nearest_items(x_UN, cosine(x_UN), num_neighbors=self.config.num_neighbors)
        return Draws(np.unique(items), had, num_items, self.config.num_negatives, self.config.augmentation, neighbours)

    def _loss(self, network: NeuralCfNetwork, batch: Pairs) -> tuple[Tensor, int]:
        logits_P = network(batch.users_P, batch.items_P)
        if self.config.loss == "bce":
            return functional.binary_cross_entropy_with_logits(logits_P, batch.labels_P), len(logits_P)
        return functional.mse_loss(torch.sigmoid(logits_P), batch.labels_P), len(logits_P)

    @torch.no_grad()
    def _likelihood(self, network: NeuralCfNetwork, *, held_out: Pairs) -> float:
        """Return minus the loss, so that larger is better."""
        return -float(self._loss(network, held_out.to(network.items.weight.device))[0])

    def _use(self, network: NeuralCfNetwork, is_liked_E: NDArray[np.bool_]) -> None:
        """Take a trained network for inference, and compute what is the same for all users."""
        self._network, self._is_liked_E = network.eval().requires_grad_(False), is_liked_E
        self._items_NH = network.item_part()
        evidence = self.data.evidence()
        self._is_known_U = np.bincount(evidence.users, minlength=self.data.num_users) > 0
        self._is_known_N = np.bincount(evidence.items, minlength=self.data.num_items) > 0
        z_UD = self._summed(Histories.of_all(self.data.select(is_liked_E)))[self._is_known_U]
        users_UD = network.users.weight.numpy()[self._is_known_U].astype(np.float64)
        ridge = np.diag(np.append(np.full(z_UD.shape[1] - 1, RIDGE), 0.0))
        self._from_items_DD = np.linalg.solve(z_UD.T @ z_UD + ridge, z_UD.T @ users_UD)

    def _summed(self, histories: Histories) -> NDArray[np.float64]:
        """Return z of users, and a 1 behind for the constant; [B, D + 1]."""
        assert self._network is not None
        had = had_matrix(histories.evidence(), self.data.num_items)
        lengths = np.diff(had.indptr)
        had.data /= np.sqrt(np.repeat(lengths, lengths))
        return np.column_stack([had @ self._network.items.weight.numpy().astype(np.float64), np.ones(len(lengths))])

    @torch.no_grad()
    def _score(self, histories: Histories, at: int) -> Scores:
        scores_BN = np.full((len(histories.users), self.data.num_items), -np.inf, np.float32)
        if self._network is None:
            return scores_BN
        vectors_BD = torch.from_numpy(self._vectors(histories))
        for row, user_D in enumerate(vectors_BD):
            if not torch.isnan(user_D[0]):
                scores_BN[row] = self._network.score(user_D, self._items_NH).numpy()
        scores_BN[:, ~self._is_known_N] = -np.inf
        return scores_BN

    def _vectors(self, histories: Histories) -> NDArray[np.float32]:
        """Return the vectors of users with their own history, and fold in the others; NaN where there is no evidence."""
        assert self._network is not None
        vectors_BD = self._network.users.weight.numpy()[histories.users]
        is_folded_B = (histories.users < 0) | ~self._is_known_U[histories.users]
        if histories.stands_in is not None:
            is_folded_B |= histories.stands_in
        if is_folded_B.any():
            folded_BD = np.einsum("bk,kd->bd", self._summed(histories), self._from_items_DD)  # row by row, whoever else asks
            vectors_BD[is_folded_B] = folded_BD[is_folded_B]
        has_past_B = np.bincount(histories.evidence().rows, minlength=len(vectors_BD)) > 0
        vectors_BD[is_folded_B & ~has_past_B] = np.nan
        return vectors_BD

    def predict_proba(self, pairs: pd.DataFrame) -> NDArray[np.float64]:
        """Return p(label = 1) of pairs ``user_id, item_id``: the logistic function of ``score``.

        Raises CapabilityError where the events had no labels.
        """
        if not self._has_labels:
            raise CapabilityError(
                "'neural_cf' was fitted on sampled negatives, so its scores are no probabilities",
                next_step="use score(pairs), or fit it on events with a label",
            )
        p: NDArray[np.float64] = expit(self.score(pairs))
        return p

    def _arrays(self) -> Arrays:
        arrays: Arrays = {"num_epochs": np.asarray([self._num_epochs]), "has_labels": np.asarray([self._has_labels])}
        if self._network is not None:
            arrays["is_liked"] = self._is_liked_E
            arrays |= {f"network.{name}": value.numpy() for name, value in self._network.state_dict().items()}
        return arrays

    def _restore(self, arrays: Arrays) -> None:
        self._num_epochs, self._has_labels = int(arrays["num_epochs"][0]), bool(arrays["has_labels"][0])
        state = unprefixed(arrays, "network.")
        if state:
            with torch.random.fork_rng(devices=[]):
                num_users, num_items = self.data.num_users, self.data.num_items
                network = NeuralCfNetwork(num_users, num_items, self.config, generator=torch.Generator())
            network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
            self._use(network, arrays["is_liked"])


def _pairs(evidence: Interactions) -> Pairs:
    """Take events with their labels, 1 where there are none. Raises DataError for a label that is not from 0 to 1."""
    labels = np.ones(len(evidence)) if evidence.labels is None else evidence.labels
    wrong = labels[~((labels >= 0) & (labels <= 1))]
    if len(wrong):
        raise DataError(f"{len(wrong)} labels are not from 0 to 1, the first is {wrong[0]}", next_step="scale the labels")
    users, items = evidence.users.astype(np.int64), evidence.items.astype(np.int64)
    return Pairs(torch.from_numpy(users), torch.from_numpy(items), torch.from_numpy(labels.astype(np.float32)))


def _positives(sequences: Sequences) -> Pairs:
    users = torch.from_numpy(np.repeat(np.arange(len(sequences)), sequences.lengths))
    return Pairs(users, torch.from_numpy(sequences.items), torch.ones(len(users)))


@torch.no_grad()
def _ndcg(network: NeuralCfNetwork, *, held_out: HoldOut, is_known_N: NDArray[np.bool_]) -> float:
    """Return the mean gain of the held-out events among all items that were learned from."""
    items_NH = network.item_part()
    is_unknown_N = torch.from_numpy(~is_known_N).to(items_NH.device)
    found = []
    for row, user in enumerate(held_out.chosen):
        scores_N = network.score(network.users.weight[user], items_NH).masked_fill(is_unknown_N, -torch.inf)
        found.append(gains(scores_N[None], held_out, np.asarray([row])))
    return float(torch.cat(found).mean())
