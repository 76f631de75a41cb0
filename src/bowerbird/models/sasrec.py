"""SASRec: a causal transformer over a user's items foretells the next one (Kang and McAuley 2018).

Not as first published, but as it is known to work: softmax over all items or over shared negatives instead of one negative
(Klenitskiy and Vasilev 2023, Petrov and Macdonald 2023), pre-norm blocks, AdamW, fused attention, batches of like length.
The score of item i is ``h . e_i + b_i``: h is the last state, e_i the vector with which the item is read, too (tied), and b_i
begins as the logarithm of the item's popularity, so that no time is lost on learning that.

Shapes: B users, L places, D width, N items of the catalogue, V items with evidence, which alone have vectors.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bowerbird.data.interactions import Interactions
from bowerbird.data.sequences import Sequences, cut_windows
from bowerbird.layers.attention import Block, Dropout
from bowerbird.models.base import Arrays, Curve, Histories, Model, ModelConfig, unprefixed
from bowerbird.models.sasrec_config import SasrecConfig
from bowerbird.models.topk import Scores
from bowerbird.training.batches import epoch_batches, num_batches
from bowerbird.training.loop import Epoch, best_epoch, train
from bowerbird.training.next_item import SequenceNetwork, next_item_loss
from bowerbird.training.plan import Plan
from bowerbird.training.validation import hold_out, last_states, ndcg

INITIAL_SCALE = 0.05
NUM_VALIDATIONS = 30

logger = logging.getLogger(__name__)


class SasrecNetwork(SequenceNetwork):
    """Item vectors and places, blocks, and a last norm."""

    def __init__(self, counts_V: NDArray[np.int64], config: SasrecConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        width = config.embedding_size
        self.items = nn.Embedding(len(counts_V), width)
        self.biases = nn.Parameter(torch.zeros(len(counts_V)))
        self.places = nn.Embedding(config.max_length or 1, width)
        self.dropout = Dropout(config.dropout or 0.0, generator=generator)
        block = partial(Block, width, num_heads=config.num_heads, dropout=config.dropout or 0.0, generator=generator)
        self.blocks = nn.ModuleList([block() for _ in range(config.num_blocks or 1)])
        self.norm = nn.LayerNorm(width)
        self._draw(generator)
        log_counts_V = torch.from_numpy(np.log1p(counts_V)).float()
        self.biases.data.copy_(log_counts_V - log_counts_V.mean())

    def encode(self, x_BLD: Tensor) -> Tensor:
        """See ``SequenceNetwork``; the vectors are scaled by sqrt(D), which speeds the learning of tied vectors up."""
        x_BLD = self.dropout(x_BLD * math.sqrt(x_BLD.shape[-1]) + self.places.weight[: x_BLD.shape[1]])
        for block in self.blocks:
            x_BLD = block(x_BLD)
        states_BLD: Tensor = self.norm(x_BLD)
        return states_BLD

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        """Draw all weights from the generator: normal, matrices scaled by their number of inputs; biases 0, norms 1."""
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            else:
                is_vector = name in ("items.weight", "places.weight")
                scale = INITIAL_SCALE if is_vector else parameter.shape[1] ** -0.5
                parameter.normal_(0.0, scale, generator=generator)


class Sasrec(Model):
    """Foretells a user's next item from the order of the ones before; users need a history, not to be known from ``fit``."""

    name: ClassVar[str] = "sasrec"
    Config: ClassVar[type[ModelConfig]] = SasrecConfig

    def __init__(self, config: ModelConfig, *, seed: int = 1) -> None:
        super().__init__(config, seed=seed)
        self._settings = cast(SasrecConfig, config)
        self._vocabulary = np.zeros(0, np.int64)
        self._network: SasrecNetwork | None = None

    def frozen_config(self) -> dict[str, Any]:  # Any: JSON
        """Return the settings that were used, with the number of epochs that was found: it trains without a hold-out."""
        return self._settings.model_dump(mode="json")

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        sequences = Sequences.from_interactions(data)
        self._vocabulary, tokens = np.unique(sequences.items, return_inverse=True)
        sequences = Sequences(tokens.astype(np.int64), sequences.indptr)
        settings = cast(SasrecConfig, self.config).with_defaults(sequences, num_items=len(self._vocabulary))
        self.curve, self._network = [], None
        if settings.num_epochs is None:
            settings = settings.model_copy(update={"num_epochs": self._find_num_epochs(sequences, settings)})
        self._settings = settings
        if sequences.num_targets == 0:
            logger.info("no user has two events with evidence: sasrec has no order to learn from, popular items stand in")
            return
        generator = torch.Generator().manual_seed(self.seed)
        fresh = _fresh(self._counts(sequences), settings, generator)
        network, epochs = _train(fresh, sequences, settings, settings.num_epochs or 1, generator=generator)
        self._network = _for_inference(network)
        self.curve = self.curve or [Curve(epoch=point.epoch, loss=point.loss) for point in epochs]

    def _find_num_epochs(self, sequences: Sequences, settings: SasrecConfig) -> int:
        """Train without the last events of some users, and return the epoch after which those were foretold best."""
        generator = torch.Generator().manual_seed(self.seed)
        rest, held_out = hold_out(sequences, generator=generator)
        max_epochs, max_length = settings.max_epochs or 1, settings.max_length or 1
        if len(held_out.targets) == 0:
            logger.info("no user has three events with evidence: nothing to hold out, %d epochs it is", max_epochs)
            return max_epochs
        network = _fresh(self._counts(rest), settings, generator)
        validate = partial(ndcg, held_out=held_out, max_length=max_length)
        _, epochs = _train(network, rest, settings, max_epochs, generator=generator, validate=validate)
        self.curve = [Curve(epoch=point.epoch, loss=point.loss, validation=point.validation) for point in epochs]
        return best_epoch(epochs)

    def _counts(self, sequences: Sequences) -> NDArray[np.int64]:
        return np.bincount(sequences.items, minlength=len(self._vocabulary))

    def _score(self, histories: Histories, at: int) -> Scores:
        evidence = histories.evidence()
        scores_BN = np.full((len(histories.users), self.data.num_items), -np.inf, np.float32)
        if self._network is None:
            return scores_BN
        token_of_N = np.full(self.data.num_items, -1, np.int64)
        token_of_N[self._vocabulary] = np.arange(len(self._vocabulary))
        known = evidence.select(token_of_N[evidence.items] >= 0)
        sequences = Sequences(token_of_N[known.items], known.indptr)
        for rows, states_BD in last_states(self._network, sequences, max_length=self._settings.max_length or 1):
            scores_BN[np.ix_(rows, self._vocabulary)] = self._network.score(states_BD).numpy()
        return scores_BN

    def _arrays(self) -> Arrays:
        used = [math.nan if value is None else value for value in self._settings.model_dump().values()]
        arrays: Arrays = {"vocabulary": self._vocabulary, "settings": np.asarray(used, np.float64)}
        if self._network is not None:
            arrays |= {f"network.{name}": value.float().numpy() for name, value in self._network.state_dict().items()}
        return arrays

    def _restore(self, arrays: Arrays) -> None:
        used = zip(SasrecConfig.model_fields, arrays["settings"], strict=True)
        self._settings = SasrecConfig.model_validate({name: None if np.isnan(value) else value for name, value in used})
        self._vocabulary = arrays["vocabulary"]
        state = unprefixed(arrays, "network.")
        if state:
            network = _fresh(np.zeros(len(self._vocabulary), np.int64), self._settings, torch.Generator())
            network.load_state_dict({name: torch.from_numpy(value) for name, value in state.items()})
            self._network = _for_inference(network)


def _train(
    network: SasrecNetwork,
    sequences: Sequences,
    settings: SasrecConfig,
    num_epochs: int,
    *,
    generator: torch.Generator,
    validate: Callable[[SequenceNetwork], float] | None = None,
) -> tuple[SasrecNetwork, list[Epoch]]:
    max_length, batch_tokens = settings.max_length or 1, settings.batch_tokens or 1
    plan = Plan(
        num_epochs=num_epochs,
        steps_an_epoch=num_batches(cut_windows(sequences, max_length), batch_tokens),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        patience=settings.patience,
        validate_every=max(1, num_epochs // NUM_VALIDATIONS),
    )
    batches = partial(epoch_batches, sequences, max_length=max_length, batch_tokens=batch_tokens, generator=generator)
    loss = partial(next_item_loss, num_negatives=settings.num_negatives or 0, generator=generator)
    return train(network, batches, loss, plan, validate=validate)


def _fresh(counts_V: NDArray[np.int64], settings: SasrecConfig, generator: torch.Generator) -> SasrecNetwork:
    with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator before ours are drawn
        return SasrecNetwork(counts_V, settings, generator=generator)


def _for_inference(network: SasrecNetwork) -> SasrecNetwork:
    """Double precision: so a list does not depend on who else is in the batch; rounded to single in the end."""
    return network.double().eval().requires_grad_(False)
