"""Two towers: one makes a vector of what a user did and is, the other of an item's id and description; their product scores.

    q_i, b_i    = a_i e_i + F x_i + P t_i       a_i e_i of the id, x_i the features, t_i the text: see ``layers.item_tower``
    h_u         = sqrt(D) * sum over past events e on j of w[e] q_j / sum of w[e] + G y_u
    w[e]        = weight(e) * 2^(-back(e) / half_life_events)
    p_u         = h_u + W_2 relu(W_1 h_u + c_1) + c_2
    score(u, i) = p_u . q_i + b_i

D is the width, back(e) the number of the user's later events, y_u describes the user, and the layers follow ``hidden_sizes``. A
user's ids are those of the items in the past: there is no vector for a user's own id, so a history is all that a stranger needs.

Each event with one before it is foretold from what came before. The items of a batch of T events are each other's negatives; as
popular ones are met more often there, log(T q_j) is taken off a negative's score, q_j being its share of the events (log-q
correction): so the loss is softmax over the whole catalogue, estimated (``sampled_softmax``). b_i begins as the logarithm
of the item's popularity. Weights enter a user's history, and above 0 make an event one to foretell; labels do not enter.

A share of the described items goes without e_i in each batch (``id_dropout``), so that items without events, which have no
e_i, find their place and are no more and no less popular than what is described like them (Volkovs et al., NeurIPS 2017); items
that are known to be new are lifted to what new items are asked for (see ``arrivals``).

Yi et al., "Sampling-bias-corrected neural modeling for large corpus item recommendations", RecSys 2019; Covington, Adams and
Sargin, RecSys 2016, for the users' tower. Shapes: B users of a block, U users, N items, T targets of a process,
K those of the whole batch, E past events, I items of a batch, D width.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn

from bowerbird.columns import ITEM_ID, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.data.sequences import Sequences
from bowerbird.layers.item_tower import INITIAL_SCALE, ItemTower, weighted_rows
from bowerbird.models.arrivals import Arrivals
from bowerbird.models.barrier import Barrier
from bowerbird.models.base import Arrays, Curve, Histories, ModelConfig
from bowerbird.models.descriptions import Descriptions
from bowerbird.models.factors import FactorModel
from bowerbird.models.features import feature_matrix, known_rows
from bowerbird.models.inverted_lists import InvertedLists
from bowerbird.models.topk import Best, Scores
from bowerbird.models.two_tower_config import TwoTowerConfig
from bowerbird.training.checkpoint import Checkpoint, file_name
from bowerbird.training.loop import Epoch, best_epoch, train
from bowerbird.training.losses import hits, sampled_softmax
from bowerbird.training.plan import Plan
from bowerbird.training.validation import HoldOut, gains, hold_out
from bowerbird.training.workers import Workers

BLOCK = 256
USERS_A_SEARCH = 4096  # in inverted lists, so that each list is asked for by many at once
NUM_SPARE = 6  # so many candidates of the lists more than places: single precision finds, double ranks them

logger = logging.getLogger(__name__)


class TwoTowerNetwork(nn.Module):
    """The towers."""

    def __init__(
        self,
        counts_N: NDArray[np.int64],
        known: Descriptions,
        y_UF: csr_array,
        config: TwoTowerConfig,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        width = config.embedding_size
        self.items = ItemTower.of(counts_N, *known.both, config, generator)
        self.users = nn.Embedding(y_UF.shape[1], width)
        self.layers = nn.ModuleList(nn.Linear(*sizes) for sizes in pairwise([width, *config.hidden_sizes, width]))
        self.y_UF = y_UF
        self._draw(generator)

    def user_vectors(self, mean_TD: Tensor, users_T: Tensor) -> Tensor:
        """Turn the mean vectors of what users had into theirs; [T, D]."""
        h_TD = mean_TD * mean_TD.shape[1] ** 0.5 + weighted_rows(self.y_UF[users_T.numpy()], self.users.weight)
        x_TD = h_TD
        for number, layer in enumerate(self.layers):
            x_TD = layer(torch.relu(x_TD) if number else x_TD)
        vectors_TD: Tensor = h_TD + x_TD
        return vectors_TD

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        self.users.weight.normal_(0.0, INITIAL_SCALE, generator=generator)
        for name, parameter in self.layers.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
            else:
                parameter.normal_(0.0, parameter.shape[1] ** -0.5, generator=generator)


@dataclass(frozen=True, eq=False)
class Asked:
    """A batch: the places of the events to foretell, int64 [T], and of those in the whole batch, where processes share it."""

    places: NDArray[np.int64]
    whole: NDArray[np.int64]
    start: int = 0
    """The place of the first one in ``whole``."""

    @property
    def num_rows(self) -> int:
        """T."""
        return len(self.places)

    def rows(self, start: int, stop: int) -> Asked:
        """Take some of the events."""
        return Asked(self.places[start:stop], self.whole, start)

    def to(self, device: torch.device) -> Asked:
        """Stay: what is made of the places goes to where the network is."""
        return self


class TwoTower(FactorModel):
    """The product of what a user had with what an item is."""

    name: ClassVar[str] = "two_tower"
    Config: ClassVar[type[ModelConfig]] = TwoTowerConfig
    config: TwoTowerConfig

    def frozen_config(self) -> dict[str, Any]:  # Any: JSON
        """Return the settings with the number of epochs that was found: it trains without a hold-out."""
        return self.config.model_dump(mode="json") | ({"num_epochs": self._num_epochs} if self._num_epochs else {})

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if items is not None:
            known = known_rows(items, ITEM_ID, until=data.last_timestamp)
            self._accept(data.with_items(known.index.to_numpy()))
        self._known = Descriptions.of(items, self.data.item_ids, self.config, until=self.data.last_timestamp)
        self._y_UF = self._describe(users)
        arrivals = Arrivals.of(self.data, items, self._known.is_known)
        past = Histories.of_all(self.data).evidence()
        self.curve, self._num_epochs = [], self.config.num_epochs or 0
        if self.config.num_epochs is None:
            self._num_epochs = self._search(past)
        network, epochs = self._train(past, np.flatnonzero(~_is_first(past)), self._num_epochs)
        self.curve = self.curve or [Curve(epoch=point.epoch, loss=point.loss) for point in epochs]
        self._take(network, past, arrivals)

    def _describe(self, users: pd.DataFrame | None) -> csr_array:
        """Describe the users of the log; U x F."""
        ids = self.data.user_ids
        if users is None:
            return csr_array((len(ids), 0), dtype=np.float32)
        known = known_rows(users, USER_ID, until=self.data.last_timestamp)
        return feature_matrix(known.reindex(ids), self.config)[0].astype(np.float32)

    def _search(self, past: Histories) -> int:
        """Train without the last events of some users, and return the epoch after which those were foretold best."""
        generator = torch.Generator().manual_seed(self.seed)
        _, held_out = hold_out(Sequences(past.items.astype(np.int64), past.indptr), generator=generator)
        last = past.indptr[held_out.chosen + 1] - 1
        is_target = ~_is_first(past)
        is_target[last] = False
        if len(last) == 0:
            logger.info("no user has three events with evidence: nothing to hold out, %d epochs it is", self.config.max_epochs)
            return self.config.max_epochs
        validate = partial(self._ndcg, past=past, held_out=held_out, last=last)
        _, epochs = self._train(past, np.flatnonzero(is_target), self.config.max_epochs, validate)
        self.curve = [Curve(epoch=point.epoch, loss=point.loss, validation=point.validation) for point in epochs]
        return best_epoch(epochs)

    def _train(
        self,
        past: Histories,
        targets: NDArray[np.int64],
        num_epochs: int,
        validate: Callable[[TwoTowerNetwork], float] | None = None,
    ) -> tuple[TwoTowerNetwork, list[Epoch]]:
        config, generator = self.config, torch.Generator().manual_seed(self.seed)
        learned = np.concatenate([np.flatnonzero(_is_first(past)), targets])
        counts_N = np.bincount(past.items[learned], minlength=self.data.num_items)
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator before ours are drawn
            network = TwoTowerNetwork(counts_N, self._known, self._y_UF, config, generator)
        if len(targets) == 0:
            logger.info("no user has two events with evidence: two_tower has nothing to learn from")
            return network.eval(), []
        plan = Plan(
            num_epochs=num_epochs,
            steps_an_epoch=-(-len(targets) // config.batch_size),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
            patience=config.patience,
        )
        shares_N = np.bincount(past.items[targets], minlength=self.data.num_items) / len(targets)
        known, y_UF = self._known, self._y_UF
        checkpoint = Checkpoint.of(
            self.checkpoints,
            file_name(is_search=validate is not None),
            network,
            generator,
            about=f"{self.name} {self.seed} {config!r} {plan!r}",
            columns=[targets, past.items, past.indptr, past.weights, y_UF.data, y_UF.indices, y_UF.indptr, *known.columns],
        )
        loss = partial(self._loss, past=past, log_shares_N=torch.from_numpy(np.log(np.maximum(shares_N, 1e-30))).float())
        return train(
            network,
            partial(_batches, targets, config.batch_size, generator),
            loss,
            plan,
            validate=validate,
            report=self.on_validation,
            checkpoint=checkpoint,
            workers=Workers.here(),
            device=config.device,
        )

    def _loss(self, network: TwoTowerNetwork, batch: Asked, *, past: Histories, log_shares_N: Tensor) -> tuple[Tensor, int]:
        """Return the mean loss of a batch of events, and their number; the negatives are those of the whole batch."""
        states = self._before(past, batch.places)
        negatives_K = torch.from_numpy(past.items[batch.whole].astype(np.int64))
        items_I, places = torch.unique(torch.cat([torch.from_numpy(states.indices), negatives_K]), return_inverse=True)
        vectors_ID = network.items(items_I)
        read_E, scored_K = places[: states.nnz], places[states.nnz :].to(vectors_ID.device)
        mean_TD = weighted_rows(states, vectors_ID[:, :-1], read_E)
        users_TD = network.user_vectors(mean_TD, torch.from_numpy(past.rows[batch.places]))
        scores_TK = torch.addmm(vectors_ID[scored_K, -1], users_TD, vectors_ID[scored_K, :-1].T)
        log_expected_K = (log_shares_N[negatives_K] + np.log(max(len(negatives_K) - 1, 1))).to(scores_TK.device)
        is_target = hits(scored_K[batch.start : batch.start + batch.num_rows], scored_K)
        target_T = scores_TK.diagonal(batch.start)
        return sampled_softmax(target_T, scores_TK, is_target, log_expected=log_expected_K), batch.num_rows

    def _before(self, past: Histories, targets: NDArray[np.int64]) -> csr_array:
        """Return what each event's user had before it, by weight and recency: rows sum to 1; T x N."""
        return self._states(past, targets, past.indptr[past.rows[targets]])

    def _states(self, past: Histories, stops: NDArray[np.int64], starts: NDArray[np.int64]) -> csr_array:
        """Return the weights of the latest events of stretches, which sum to 1 in each; items are repeated as they occur."""
        lengths = np.minimum(stops - starts, self.config.max_history)
        indptr = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        back = np.repeat(indptr[1:], lengths) - 1 - np.arange(indptr[-1])
        places = np.repeat(stops, lengths) - 1 - back
        weights = past.weights[places] * np.exp2(-back / self.config.half_life_events)
        sums = np.add.reduceat(np.append(weights, 0.0), indptr[:-1])
        weights /= np.repeat(sums, lengths)
        return csr_array((weights, past.items[places].astype(np.int64), indptr), shape=(len(stops), self.data.num_items))

    @torch.no_grad()
    def _ndcg(self, network: TwoTowerNetwork, *, past: Histories, held_out: HoldOut, last: NDArray[np.int64]) -> float:
        vectors_ND = network.items(torch.arange(self.data.num_items))
        found = []
        for start in range(0, len(last), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(last)))
            states = self._before(past, last[rows])
            mean_BD = weighted_rows(states, vectors_ND[:, :-1])
            users_BD = network.user_vectors(mean_BD, torch.from_numpy(held_out.chosen[rows]))
            found.append(gains(torch.addmm(vectors_ND[:, -1], users_BD, vectors_ND[:, :-1].T), held_out, rows))
        return float(torch.cat(found).mean())

    @torch.no_grad()
    def _take(self, network: TwoTowerNetwork, past: Histories, arrivals: Arrivals) -> None:
        """Keep what the towers make of all users and items, and the layers, for histories to come."""
        items_ND = network.items(torch.arange(self.data.num_items)).numpy()
        self._user_part_UD = weighted_rows(network.y_UF, network.users.weight).numpy()
        self._layers = {name: value.numpy() for name, value in network.layers.state_dict().items()}
        self._items_ND = items_ND
        young = torch.from_numpy(np.flatnonzero(arrivals.is_young_N))
        as_new_ND = items_ND.copy()
        as_new_ND[young] = network.items.described(young).numpy()
        items_ND[arrivals.is_new_N, -1] += arrivals.lift(past, lambda before: self._fold_in(before) @ as_new_ND.T)
        self._keep(self._fold_in(Histories.of_all(self.data)).astype(np.float32), items_ND)

    def _keep(self, users_UD: NDArray[np.float32], items_ND: NDArray[np.float32]) -> None:
        super()._keep(users_UD, items_ND)
        if self.config.retrieval == "ivf":
            self._inverted = InvertedLists.of(items_ND, self.config.num_lists, seed=self.seed)
            self._by_list_DM = np.ascontiguousarray(items_ND[self._inverted.codes_M].T)

    def _fold_in(self, histories: Histories) -> NDArray[np.float64]:
        past = histories.evidence()
        states = self._states(past, past.indptr[1:], past.indptr[:-1])
        mean_BD = states @ self._items_ND[:, :-1].astype(np.float64)
        h_BD = mean_BD * mean_BD.shape[1] ** 0.5
        h_BD[past.users >= 0] += self._user_part_UD[past.users[past.users >= 0]]
        x_BD = h_BD
        for number in range(len(self._layers) // 2):
            x_BD = np.maximum(x_BD, 0) if number else x_BD
            x_BD = x_BD @ self._layers[f"{number}.weight"].T.astype(np.float64) + self._layers[f"{number}.bias"]
        vectors_BD = np.column_stack([h_BD + x_BD, np.ones(len(h_BD))])
        vectors_BD[~mean_BD.any(axis=1)] = 0
        return vectors_BD

    def _block_size(self) -> int:
        return USERS_A_SEARCH if self.config.retrieval == "ivf" else super()._block_size()

    def _best(self, histories: Histories, at: int, k: int, bar: Barrier) -> tuple[NDArray[np.int64], Scores]:
        if self.config.retrieval == "exact":
            return super()._best(histories, at, k, bar)
        vectors_BD, num_items = self._vectors(histories), self.data.num_items
        among = bar.among(self._inverted.codes_M, num_items).silencing((vectors_BD == 0).all(axis=1))
        search = partial(self._inverted.search, vectors_BD, self._by_list_DM, k + NUM_SPARE)
        codes_BC = search(reach=self.config.reach, bar=among)
        has_few_B = (codes_BC >= 0).sum(axis=1) < k
        if has_few_B.any():  # the lists searched hold too little that may be listed: for these users all are searched
            codes_BC[has_few_B] = search(reach=np.inf, bar=among.silencing(~has_few_B))[has_few_B]
        rows, columns = np.nonzero(codes_BC >= 0)
        best = Best(len(vectors_BD), num_items, k)
        best.add(rows, codes_BC[rows, columns], self._exact(vectors_BD, rows, codes_BC[rows, columns]))
        return best.lists()

    def _arrays(self) -> Arrays:
        kept = {f"layers.{name}": value for name, value in self._layers.items()}
        return super()._arrays() | kept | {"user_part": self._user_part_UD, "num_epochs": np.asarray([self._num_epochs])}

    def _restore(self, arrays: Arrays) -> None:
        self._num_epochs, self._user_part_UD = int(arrays["num_epochs"][0]), arrays["user_part"]
        self._layers = {name.removeprefix("layers."): array for name, array in arrays.items() if name.startswith("layers.")}
        super()._restore(arrays)


def _is_first(past: Histories) -> NDArray[np.bool_]:
    """Tell which events have none before them; the others can be foretold; bool [E]."""
    is_first = np.zeros(len(past.items), bool)
    is_first[past.indptr[:-1][np.diff(past.indptr) > 0]] = True
    return is_first


def _batches(targets: NDArray[np.int64], batch_size: int, generator: torch.Generator) -> Iterator[Asked]:
    order = torch.randperm(len(targets), generator=generator).numpy()
    for start in range(0, len(order), batch_size):
        chosen = targets[order[start : start + batch_size]]
        yield Asked(chosen, chosen)
