"""What all sequence models share: sequences of users, the search for the number of epochs, training, scores, update.

The score of item i is ``h . e_i + b_i``: h is the network's last state, e_i the vector with which the item is read, too. A
subclass writes ``_network``, and ``_loss`` where it foretells something else than the next item. Where items are described,
e_i is what an items' tower makes of id, features and text (see ``layers.item_tower``), and items without events take part.

Shapes: B users, D width, N items of the catalogue, V items with a vector: those with evidence and those described.
"""

from __future__ import annotations

import copy
import json
import logging
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Self, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bowerbird.columns import ITEM_ID
from bowerbird.data.interactions import Interactions
from bowerbird.data.sequences import Sequences, cut_windows
from bowerbird.layers.item_tower import ItemTower
from bowerbird.models.arrivals import Arrivals
from bowerbird.models.base import Arrays, Curve, Histories, Model, ModelConfig, unprefixed
from bowerbird.models.descriptions import Descriptions
from bowerbird.models.features import known_rows
from bowerbird.models.sequential_config import SequentialConfig
from bowerbird.models.topk import Scores
from bowerbird.training.batches import Batch, epoch_batches, num_batches
from bowerbird.training.checkpoint import Checkpoint, file_name
from bowerbird.training.loop import Epoch, best_epoch, train
from bowerbird.training.losses import ItemLoss
from bowerbird.training.negatives import Negatives
from bowerbird.training.next_item import DescribedVectors, ItemVectors, SequenceNetwork, next_item_loss
from bowerbird.training.plan import Plan
from bowerbird.training.validation import hold_out, hold_out_by_time, last_states, ndcg
from bowerbird.training.workers import Workers

NUM_VALIDATIONS = 40
UPDATE_CHECKPOINT = "update.safetensors"
UPDATE_SHARE, UPDATE_RATE = 0.12, 1.0  # of the targets of a full training without its search, and of its learning rate
UPDATE_PASSES, UPDATE_COPIES = 2, 10  # over what an update is trained on, and how often a pass reads the news
UPDATE_MOVE = 0.55  # of the way from the weights there were, which the average goes at least

logger = logging.getLogger(__name__)
BatchLoss = Callable[[SequenceNetwork, Batch], tuple[Tensor, int]]


class SequentialModel(Model):
    """Foretells a user's next item from the order of the ones before; users need a history, not to be known from ``fit``."""

    Config: ClassVar[type[ModelConfig]]

    def __init__(self, config: ModelConfig, *, seed: int = 1) -> None:
        super().__init__(config, seed=seed)
        self._settings = cast(SequentialConfig, config)
        self._vocabulary = np.zeros(0, np.int64)
        self._event_types: list[str] = []
        self._known: Descriptions | None = None  # while it trains
        self._trained: SequenceNetwork | None = None

    @abstractmethod
    def _network(
        self, counts_V: NDArray[np.int64], settings: SequentialConfig, num_event_types: int, generator: torch.Generator
    ) -> SequenceNetwork:
        """Make a network whose weights are drawn from the generator; ``counts_V`` tells how often each item is met."""

    def _loss(self, counts_V: NDArray[np.int64], settings: SequentialConfig, generator: torch.Generator) -> BatchLoss:
        """Return what a step takes the gradient of."""
        negatives = Negatives(settings.negatives, settings.num_negatives or 0, counts_V)
        loss = ItemLoss(settings.loss, settings.calibration)
        return partial(next_item_loss, loss=loss, negatives=negatives, generator=generator)

    def frozen_config(self) -> dict[str, Any]:  # Any: JSON
        """Return the settings that were used, with the number of epochs that was found: it trains without a hold-out."""
        return self._settings.model_dump(mode="json")

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        known = self._read(items)
        data = self.data
        evidence = data.evidence()
        self._vocabulary = np.unique(evidence.items).astype(np.int64)
        given = cast(SequentialConfig, self.config)
        types = [data.event_types[code] for code in np.unique(evidence.events)] if given.event_types else []
        self._event_types = types if len(types) > 1 else []
        sequences = self._sequences(Histories.of_all(data))
        settings = given.with_defaults(sequences, num_items=len(self._vocabulary))
        self.curve, self._trained = [], None
        self._known = known.select(self._vocabulary) if known.is_known.any() else None
        if settings.num_epochs is None:
            num_epochs, drops = self._find_num_epochs(sequences, settings)
            settings = settings.model_copy(update={"num_epochs": num_epochs, "drop_epochs": drops})
        self._settings = settings.model_copy(update={"drop_epochs": settings.drop_epochs or ()})
        if sequences.num_targets == 0:
            logger.info("no user has two events with evidence: %s has no order to learn from, popular items stand in", self.name)
            return
        network, epochs = self._train(sequences, settings, settings.num_epochs or 1)
        self._trained = _for_inference(network)
        if self._known is not None:
            self._take_described(self._trained, known, Arrivals.of(data, items, known.is_known), Histories.of_all(evidence))
        self.curve = self.curve or [Curve(epoch=point.epoch, loss=point.loss) for point in epochs]

    def _read(self, items: pd.DataFrame | None) -> Descriptions:
        """Widen the catalogue by the items that are described, and describe it."""
        if items is not None:
            self._accept(self.data.with_items(known_rows(items, ITEM_ID, until=self.data.last_timestamp).index.to_numpy()))
        weights = cast(SequentialConfig, self.config)
        return Descriptions.of(items, self.data.item_ids, weights, until=self.data.last_timestamp)

    def _take_described(self, network: SequenceNetwork, known: Descriptions, arrivals: Arrivals, past: Histories) -> None:
        """Keep what the tower makes of all items, those without events included: from here on vectors are vectors.

        The bias of an item without events is the lift where it is known to be new, else that of the least popular item.
        """
        assert isinstance(network.items, DescribedVectors) and isinstance(network.items.tower, ItemTower)
        vectors_VD, tower = network.items.all(), network.items.tower
        unseen = np.flatnonzero(known.is_known & ~arrivals.has_events_N)
        young = np.flatnonzero(arrivals.is_young_N[self._vocabulary])
        as_new_YD = tower.describe(*known.select(self._vocabulary[young]).both)[:, :-1]
        vectors_VD = torch.cat([vectors_VD, tower.describe(*known.select(unseen).both)[:, :-1]])
        least = network.biases.min().expand(len(unseen))
        network.items = ItemVectors.of(vectors_VD)
        network.biases = nn.Parameter(torch.cat([network.biases, least]), requires_grad=False)
        self._vocabulary, self._known = np.concatenate([self._vocabulary, unseen]), None
        self._trained = copy.deepcopy(network)
        self._trained.items = ItemVectors.of(vectors_VD.index_copy(0, torch.from_numpy(young), as_new_YD))
        self._trained.biases[young] = 0.0
        network.biases[arrivals.is_new_N[self._vocabulary]] = arrivals.lift(past, partial(self._score, at=arrivals.since))
        self._trained = network.float().double()  # as it will be saved

    def update(self, new: Interactions, *, items: pd.DataFrame | None = None, users: pd.DataFrame | None = None) -> Self:
        """Go on from the weights there are, on the news, many times over, and as many users beside as the budget allows.

        New items get vectors of their own. It trains on about an eighth of the targets of a full training without its search.
        What is kept is an average that begins with the weights there were: so much of the news is learned without forgetting.
        """
        if self._trained is None:
            return self.fit(self.data.concat(new), items=items, users=users)
        known, trained, before = self.data.item_ids[self._vocabulary], self._trained, self.data.last_timestamp
        self._accept(self.data.concat(new))
        kept = self.data.item_index.get_indexer(pd.Index(known))
        self._vocabulary = np.union1d(self.data.evidence().items, kept).astype(np.int64)
        sequences = self._sequences(Histories.of_all(self.data))
        places = np.searchsorted(self._vocabulary, kept)
        rehearsal = self._rehearsal(sequences, self.data.user_index.isin(new.user_ids), before)
        network, _ = self._train(rehearsal, self._settings, UPDATE_PASSES, start=(trained, torch.from_numpy(places)))
        self._trained = _for_inference(network)
        if self.checkpoints is not None:  # it is done, and the next update is another training
            (self.checkpoints / UPDATE_CHECKPOINT).unlink(missing_ok=True)
        return self

    def _rehearsal(self, sequences: Sequences, is_new_U: NDArray[np.bool_], before: int) -> Sequences:
        """Choose what a pass of an update reads: users with news, copies in which news alone are targets, and others at random.

        ``before`` is when the newest event came that was known. Copies take at most half of the budget.
        """
        tails = sequences.tail((self._settings.max_length or 1) + 1)
        generator = torch.Generator().manual_seed(self.seed)
        order = torch.randperm(len(tails), generator=generator).numpy()
        order = order[np.argsort(~is_new_U[order], kind="stable")]
        sizes = np.maximum(tails.lengths - 1, 0)
        news = tails.select(np.flatnonzero(is_new_U)).targeting(before + 1)
        budget = UPDATE_SHARE * sequences.num_targets * (self._settings.num_epochs or 1) / UPDATE_PASSES
        num_copies = min(UPDATE_COPIES, int(budget / 2 / max(news.num_targets, 1)))
        rest = np.searchsorted(np.cumsum(sizes[order]), budget - num_copies * news.num_targets)
        return Sequences.joined([tails.select(order[: rest + 1]), *[news] * num_copies])

    def _sequences(self, histories: Histories) -> Sequences:
        """Turn histories into what the network reads: places in the vocabulary, and codes of the event types that it knows."""
        token_of_N = np.full(self.data.num_items, -1, np.int64)
        token_of_N[self._vocabulary] = np.arange(len(self._vocabulary))
        past = histories.evidence()
        past = past.select(token_of_N[past.items] >= 0)
        events = None
        if self._event_types:
            code_of = np.full(max(int(past.events.max(initial=0)) + 1, len(self.data.event_types)), len(self._event_types))
            for code, name in enumerate(self.data.event_types):
                code_of[code] = self._event_types.index(name) if name in self._event_types else len(self._event_types)
            events = code_of[past.events]
        return Sequences(token_of_N[past.items], past.indptr, past.timestamps, events)

    def _find_num_epochs(self, sequences: Sequences, settings: SequentialConfig) -> tuple[int, tuple[int, ...]]:
        """Train without some events of some users; return the epoch that foretold those best, and drops until then."""
        generator = torch.Generator().manual_seed(self.seed)
        parted = hold_out_by_time(sequences, generator=generator) if settings.validation == "time" else None
        rest, held_out = parted or hold_out(sequences, generator=generator)
        max_epochs = settings.max_epochs or 1
        if len(held_out.targets) == 0:
            logger.info("no user has three events with evidence: nothing to hold out, %d epochs it is", max_epochs)
            return max_epochs, ()
        validate = partial(ndcg, held_out=held_out, max_length=settings.max_length or 1)
        _, epochs = self._train(rest, settings, max_epochs, validate=validate)
        self.curve = [Curve(epoch=point.epoch, loss=point.loss, validation=point.validation) for point in epochs]
        best, validations = best_epoch(epochs), [point.validation for point in epochs]
        return best, tuple(self._plan(rest, settings, max_epochs).drops(validations[: best - 1]))

    def _plan(self, sequences: Sequences, settings: SequentialConfig, num_epochs: int, *, is_update: bool = False) -> Plan:
        """Plan a training; an update's rate stays and its average is slow, so that it leaves the weights there were by little."""
        steps_an_epoch = num_batches(cut_windows(sequences, settings.max_length or 1), settings.batch_tokens or 1)
        plan = Plan(
            num_epochs=num_epochs,
            steps_an_epoch=steps_an_epoch,
            learning_rate=settings.learning_rate,
            schedule=settings.schedule,
            drop_epochs=settings.drop_epochs,
            weight_decay=settings.weight_decay,
            patience=settings.patience,
            validate_every=max(1, num_epochs // NUM_VALIDATIONS),
        )
        if not is_update:
            return plan
        decay = min(plan.average_decay, (1 - UPDATE_MOVE) ** (1 / max(num_epochs * steps_an_epoch, 1)))
        rate = UPDATE_RATE * plan.learning_rate
        return replace(plan, learning_rate=rate, schedule="constant", average_decay=decay, forgets_beginning=False)

    def _train(
        self,
        sequences: Sequences,
        settings: SequentialConfig,
        num_epochs: int,
        *,
        validate: Callable[[SequenceNetwork], float] | None = None,
        start: tuple[SequenceNetwork, Tensor] | None = None,
    ) -> tuple[SequenceNetwork, list[Epoch]]:
        """Train a fresh network, or one that begins as ``start``, whose items have moved to the given places."""
        generator = torch.Generator().manual_seed(self.seed)
        counts_V = np.bincount(sequences.items, minlength=len(self._vocabulary))
        max_length, batch_tokens = settings.max_length or 1, settings.batch_tokens or 1
        plan = self._plan(sequences, settings, num_epochs, is_update=start is not None)
        network = self._fresh(counts_V, settings, generator)
        if start is not None:
            network.take_over(*start)
        batches = partial(epoch_batches, sequences, max_length=max_length, batch_tokens=batch_tokens, generator=generator)
        file = UPDATE_CHECKPOINT if start is not None else file_name(is_search=validate is not None)
        described = () if self._known is None else self._known.columns
        checkpoint = Checkpoint.of(
            self.checkpoints,
            file,
            network,
            generator,
            about=f"{self.name} {self.seed} {self.config!r} {plan!r} {self._event_types!r}",
            columns=[self._vocabulary, sequences.items, sequences.indptr, sequences.timestamps, sequences.events, *described],
        )
        return train(
            network,
            batches,
            self._loss(counts_V, settings, generator),
            plan,
            validate=validate,
            report=self.on_validation,
            checkpoint=checkpoint,
            workers=Workers.here(),
            device=settings.device,
        )

    def _fresh(self, counts_V: NDArray[np.int64], settings: SequentialConfig, generator: torch.Generator) -> SequenceNetwork:
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator before ours are drawn
            network = self._network(counts_V, settings, len(self._event_types), generator)
            if self._known is not None:
                tower = ItemTower.of(counts_V, *self._known.both, settings, generator)
                network.items = DescribedVectors(tower, len(counts_V))
        return network

    def _score(self, histories: Histories, at: int) -> Scores:
        scores_BN = np.full((len(histories.users), self.data.num_items), -np.inf, np.float32)
        if self._trained is None:
            return scores_BN
        sequences, max_length = self._sequences(histories), self._settings.max_length or 1
        asked = np.full(len(sequences), at, np.int64)
        for rows, states_BD in last_states(self._trained, sequences, max_length=max_length, asked=asked):
            scores_BN[np.ix_(rows, self._vocabulary)] = self._trained.score(states_BD).numpy()
        return scores_BN

    def _arrays(self) -> Arrays:
        about = json.dumps({"settings": self.frozen_config(), "event_types": self._event_types})
        arrays: Arrays = {"vocabulary": self._vocabulary, "about": np.frombuffer(about.encode(), np.uint8)}
        if self._trained is not None:
            arrays |= {f"network.{name}": value.float().numpy() for name, value in self._trained.state_dict().items()}
        return arrays

    def _restore(self, arrays: Arrays) -> None:
        about = json.loads(arrays["about"].tobytes())
        self._settings = type(self._settings).model_validate(about["settings"])
        self._vocabulary, self._event_types = arrays["vocabulary"], about["event_types"]
        state = unprefixed(arrays, "network.")
        if state:
            network = self._fresh(np.zeros(len(self._vocabulary), np.int64), self._settings, torch.Generator())
            network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
            self._trained = _for_inference(network)


def _for_inference(network: SequenceNetwork) -> SequenceNetwork:
    """Double precision: so a list does not depend on who else is in the batch; rounded to single in the end."""
    return network.double().eval().requires_grad_(False)
