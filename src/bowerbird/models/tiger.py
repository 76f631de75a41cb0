"""TIGER: the next item's semantic id is generated code by code, and never one that no item has. Experimental.

    x(i)       = sum over c of t[c, code c] + v[prefix of c codes]
    h          = encoder(x of the items read so far)
    z[c]       = h + b[c] + sum over l < c of d[l, code l]
    p(code c)  = softmax(t[c] . (z[c] + W_2 relu(W_1 norm(z[c])))),   over the codes that follow the codes before
    score(i)   = sum over c of log p(code c of i | codes before), for the items that the beam search reaches

The encoder is causal, so that one pass learns from every event of a sequence; the decoder is a small network over the codes
chosen so far instead of T5's, which would read each item's codes as places of their own: four times the length for the same
events. The beam search walks the tree of the codes that items have, and its softmax is over the children there are, as it is in
training: else the decoder learns which ids there are instead of which is next. A later code means something else behind other
first ones, so an item is read by its prefixes, too (Singh et al. 2024), up to the whole id; their vectors start at 0, which is
what an item without events keeps.

Ids are made (see ``text.semantic_ids``) of text vectors where items have some, else of what describes them (see ``features``),
else of the users they have in common; the latter two are reduced to 64 numbers by a truncated SVD. The loss is the mean
cross-entropy of the next item's codes; labels and weights do not enter, but events of weight 0 are left out.

Rajput et al., "Recommender systems with generative retrieval", 2023. Singh et al., "Better generalization with semantic IDs",
2024.
Shapes: B users, L places, T targets, D width, N items, C codes of an item with its counter, K codes of a level, M beams,
J children.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn import functional

from bowerbird.columns import ITEM_ID
from bowerbird.data.interactions import Interactions
from bowerbird.data.sequences import Sequences, cut_windows
from bowerbird.layers.attention import Block, Dropout
from bowerbird.models.base import Arrays, Curve, Histories, Model, ModelConfig, unprefixed
from bowerbird.models.descriptions import Descriptions
from bowerbird.models.features import known_rows
from bowerbird.models.tiger_config import TigerConfig
from bowerbird.models.topk import Scores
from bowerbird.recipe_text import SemanticIdsConfig
from bowerbird.text.semantic_ids import Codes, SemanticIds, numbered
from bowerbird.training.batches import Batch, epoch_batches, num_batches, padded_batches
from bowerbird.training.loop import train
from bowerbird.training.plan import Plan

INITIAL_SCALE = 0.05
NUM_NUMBERS = 64

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Tree:
    """The ids there are: of each level, ``children`` [nodes of the level before, J] (-1: none) and the ``codes`` of its nodes.

    Nodes are in the order of their prefixes; those of the last level are items, ``items`` says which. ``nodes_NC`` are those of
    each item, and ``follows`` [nodes of the level before, K] tells which codes come behind which.
    """

    children: tuple[Tensor, ...]
    codes: tuple[Tensor, ...]
    items: NDArray[np.int64]
    nodes_NC: Tensor
    follows: tuple[Tensor, ...]

    @classmethod
    def of(cls, codes_NC: Codes) -> Tree:
        """Build the tree of ids, no two of which are alike."""
        order = np.lexsort(codes_NC.T[::-1])
        rows_NC, node_N, nodes_NC = codes_NC[order], np.zeros(len(order), np.int64), np.empty_like(codes_NC)
        children, codes, follows = [], [], []
        for level, column_N in enumerate(rows_NC.T):
            is_new_N = np.diff(node_N * (codes_NC.max() + 1) + column_N, prepend=-1) != 0
            parents, new_node_N = node_N[is_new_N], np.cumsum(is_new_N) - 1
            sizes = np.bincount(parents)
            places = np.arange(len(parents)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
            table = np.full((len(sizes), sizes.max()), -1)
            table[parents, places] = np.arange(len(parents))
            children.append(torch.from_numpy(table))
            codes.append(torch.from_numpy(column_N[is_new_N]))
            follows.append(torch.zeros((len(sizes), int(column_N.max()) + 1), dtype=torch.bool))
            follows[-1][torch.from_numpy(parents), codes[-1]] = True
            nodes_NC[order, level] = node_N = new_node_N
        return cls(tuple(children), tuple(codes), order, torch.from_numpy(nodes_NC), tuple(follows))


class TigerNetwork(nn.Module):
    """Encoder of the items read, and decoder of one item's codes."""

    def __init__(self, codes_NC: Codes, config: TigerConfig, *, generator: torch.Generator) -> None:
        super().__init__()
        width, sizes, self.tree = config.embedding_size, codes_NC.max(axis=0) + 1, Tree.of(codes_NC)
        self.starts = [0, *np.cumsum(sizes).tolist()]
        self.tokens_NC = torch.from_numpy(codes_NC + np.asarray(self.starts[:-1]))
        num_nodes = np.cumsum([0, *map(len, self.tree.codes[1:])])  # but for the first codes, whose prefix is the code
        self.prefixes_NC = self.tree.nodes_NC[:, 1:] + torch.from_numpy(num_nodes[:-1])
        self.read, self.prefixes = nn.Embedding(self.starts[-1], width), nn.Embedding(int(num_nodes[-1]), width)
        self.written = nn.Embedding(self.starts[-1], width)
        self.biases = nn.Parameter(torch.zeros(self.starts[-1]))
        self.levels = nn.Embedding(len(sizes), width)
        self.places = nn.Embedding(config.max_length, width)
        self.dropout = Dropout(config.dropout, generator=generator)
        block = partial(Block, width, num_heads=config.num_heads, dropout=config.dropout, generator=generator)
        self.blocks = nn.ModuleList([block() for _ in range(config.num_blocks)])
        self.norm, self.decoder_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.wider, self.narrower = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self._draw(generator)

    def encode(self, items_BL: Tensor) -> Tensor:
        """Return what is expected after each item; [B, L, D]."""
        x_BLD = self.read(self.tokens_NC[items_BL]).sum(dim=2) + self.prefixes(self.prefixes_NC[items_BL]).sum(dim=2)
        x_BLD = self.dropout(x_BLD + self.places.weight[: x_BLD.shape[1]])
        for block in self.blocks:
            x_BLD = block(x_BLD)
        states_BLD: Tensor = self.norm(x_BLD)
        return states_BLD

    def decode(self, z_D: Tensor, level: int) -> Tensor:
        """Score the codes of a level, given the state plus the vectors of the codes before; [..., K]."""
        z_D = z_D + self.levels.weight[level]
        out_D = z_D + self.narrower(self.dropout(functional.relu(self.wider(self.decoder_norm(z_D)))))
        scores: Tensor = functional.linear(out_D, self.read.weight[self.of(level)], self.biases[self.of(level)])
        return scores

    def of(self, level: int) -> slice:
        """Return which tokens are the codes of a level."""
        return slice(self.starts[level], self.starts[level + 1])

    @torch.no_grad()
    def _draw(self, generator: torch.Generator) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim == 1:
                parameter.fill_(1.0 if "norm" in name and name.endswith("weight") else 0.0)
            elif name == "prefixes.weight":
                parameter.zero_()
            else:
                is_vector = name in ("read.weight", "written.weight", "levels.weight", "places.weight")
                parameter.normal_(0.0, INITIAL_SCALE if is_vector else parameter.shape[1] ** -0.5, generator=generator)


def next_id_loss(network: TigerNetwork, batch: Batch) -> tuple[Tensor, int]:
    """Return the mean loss of a batch's targets, all of their codes together, and the targets' number."""
    items_T = batch.tokens[:, 1:].flatten()[batch.places]
    targets_TC, nodes_TC = network.tokens_NC[items_T], functional.pad(network.tree.nodes_NC[items_T], (1, 0))
    z_TD = network.encode(batch.tokens[:, :-1]).flatten(0, 1)[batch.places]
    loss = z_TD.new_zeros(())
    for level in range(targets_TC.shape[1]):
        follows_TK = network.tree.follows[level][nodes_TC[:, level]]
        raw_TK = network.decode(z_TD, level).masked_fill(~follows_TK, -torch.inf)
        loss = loss + functional.cross_entropy(raw_TK, targets_TC[:, level] - network.starts[level])
        z_TD = z_TD + network.written(targets_TC[:, level])
    return loss, len(targets_TC)


@torch.no_grad()
def beam_search(network: TigerNetwork, states_BD: Tensor, *, num_beams: int) -> tuple[NDArray[np.int64], Scores]:
    """Return the items reached and the logarithms of their probabilities; [B, M], -1 and -inf where there are fewer."""
    tree = network.tree
    nodes_BM = torch.zeros((len(states_BD), 1), dtype=torch.int64)
    scores_BM, z_BMD = states_BD.new_zeros(nodes_BM.shape), states_BD[:, None]
    for level, (children, codes) in enumerate(zip(tree.children, tree.codes, strict=True)):
        children_BMJ = torch.where(nodes_BM[..., None] >= 0, children[nodes_BM.clamp(min=0)], -1)
        raw_BMJ = network.decode(z_BMD, level).gather(2, codes[children_BMJ.clamp(min=0)])
        raw_BMJ = raw_BMJ.masked_fill(children_BMJ < 0, -torch.inf)
        found_BMJ = scores_BM[..., None] + (raw_BMJ - raw_BMJ.logsumexp(dim=2, keepdim=True)).nan_to_num(nan=-torch.inf)
        num_kept = min(num_beams, found_BMJ[0].numel())
        scores_BM, places_BM = found_BMJ.flatten(1).topk(num_kept, dim=1)
        nodes_BM = torch.where(scores_BM > -torch.inf, children_BMJ.flatten(1).gather(1, places_BM), -1)
        parents_BM1 = (places_BM // children_BMJ.shape[2])[..., None]
        z_BMD = z_BMD.gather(1, parents_BM1.expand(-1, -1, z_BMD.shape[2]))
        z_BMD = z_BMD + network.written(codes[nodes_BM.clamp(min=0)] + network.starts[level])
    nodes = nodes_BM.numpy()
    return np.where(nodes >= 0, tree.items[nodes], -1), scores_BM.numpy()


class Tiger(Model):
    """Generates the codes of a user's next item; users need a history, not to be known from ``fit``."""

    name: ClassVar[str] = "tiger"
    Config: ClassVar[type[ModelConfig]] = TigerConfig
    config: TigerConfig
    _network: TigerNetwork | None = None

    def _fit(self, data: Interactions, items: pd.DataFrame | None, users: pd.DataFrame | None) -> None:
        if items is not None:
            known = known_rows(items, ITEM_ID, until=data.last_timestamp)
            self._accept(data.with_items(known.index.to_numpy()))
        vectors_ND = self._vectors(items)
        settings = SemanticIdsConfig(num_levels=self.config.num_levels, num_codes=self.config.num_codes)
        ids = SemanticIds.fit(vectors_ND, settings, seed=self.seed)
        logger.info("semantic ids: %s", ids.figures())
        self._codes_NC = numbered(ids.encode(vectors_ND) + 1)  # code 0 is that of items without a vector
        sequences = Sequences.from_interactions(self.data)
        self.curve, self._network = [], None
        if sequences.num_targets == 0:
            logger.info("no user has two events with evidence: tiger has no order to learn from, popular items stand in")
            return
        self._train(sequences)

    def _vectors(self, items: pd.DataFrame | None) -> NDArray[np.float64]:
        """Return what items are told apart by; [N, D]."""
        known = Descriptions.of(items, self.data.item_ids, self.config, until=self.data.last_timestamp)
        if known.texts.any():
            return known.texts.astype(np.float64)
        if known.features.nnz:
            return reduced(known.features, seed=self.seed)
        logger.warning("tiger was given nothing that describes items: their ids are made of the users they have in common")
        evidence = self.data.evidence()
        shape = self.data.num_items, self.data.num_users
        return reduced(csr_array((np.ones(len(evidence)), (evidence.items, evidence.users)), shape=shape), seed=self.seed)

    def _train(self, sequences: Sequences) -> None:
        config, generator = self.config, torch.Generator().manual_seed(self.seed)
        plan = Plan(
            num_epochs=config.num_epochs,
            steps_an_epoch=num_batches(cut_windows(sequences, config.max_length), config.batch_tokens),
            learning_rate=config.learning_rate,
            weight_decay=config.weight_decay,
        )
        sizes = {"max_length": config.max_length, "batch_tokens": config.batch_tokens}
        batches = partial(epoch_batches, sequences, **sizes, generator=generator)
        network, epochs = train(self._fresh(generator), batches, next_id_loss, plan)
        self._network = _for_inference(network)
        self.curve = [Curve(epoch=point.epoch, loss=point.loss) for point in epochs]

    def _fresh(self, generator: torch.Generator) -> TigerNetwork:
        with torch.random.fork_rng(devices=[]):  # torch's layers draw from the global generator before ours are drawn
            return TigerNetwork(self._codes_NC, self.config, generator=generator)

    def _score(self, histories: Histories, at: int) -> Scores:
        scores_BN = np.full((len(histories.users), self.data.num_items), -np.inf, np.float32)
        if self._network is not None:
            for rows, states_BD in self._states(histories.evidence()):
                items_BM, found_BM = beam_search(self._network, states_BD, num_beams=self.config.num_beams)
                places, beams = np.nonzero(items_BM >= 0)
                scores_BN[rows[places], items_BM[places, beams]] = found_BM[places, beams]
        return scores_BN

    @torch.no_grad()
    def _states(self, past: Histories) -> Iterator[tuple[NDArray[np.int64], Tensor]]:
        assert self._network is not None
        sequences = Sequences(past.items.astype(np.int64), past.indptr).tail(self.config.max_length)
        for rows, items_BL, context in padded_batches(sequences):
            yield rows, self._network.encode(items_BL)[torch.arange(len(rows)), context.lengths - 1]

    def _arrays(self) -> Arrays:
        state: dict[str, Tensor] = {} if self._network is None else self._network.state_dict()
        return {"codes": self._codes_NC} | {f"network.{name}": value.float().numpy() for name, value in state.items()}

    def _restore(self, arrays: Arrays) -> None:
        self._codes_NC = arrays["codes"]
        state, self._network = unprefixed(arrays, "network."), None
        if state:
            network = self._fresh(torch.Generator())
            kept = {name: torch.from_numpy(value) for name, value in state.items()}
            network.load_state_dict({"prefixes.weight": network.prefixes.weight} | kept)  # older files lack them: they are 0
            self._network = _for_inference(network)


def reduced(matrix: csr_array, *, seed: int) -> NDArray[np.float64]:
    """Describe each row by its coordinates along the main directions, by a random sketch (Halko et al. 2011); [N, D]."""
    width = min(NUM_NUMBERS, *matrix.shape)
    sketch_ND = matrix @ np.random.default_rng(seed).standard_normal((matrix.shape[1], width))
    for _ in range(2):
        sketch_ND = matrix @ (matrix.T @ np.linalg.qr(sketch_ND)[0])
    basis_ND = np.linalg.qr(sketch_ND)[0]
    left, values, _ = np.linalg.svd(np.asarray(matrix.T @ basis_ND).T, full_matrices=False)
    coordinates_ND: NDArray[np.float64] = basis_ND @ (left * values)
    coordinates_ND[np.asarray(matrix.power(2).sum(axis=1)).ravel() == 0] = 0.0
    return coordinates_ND


def _for_inference(network: TigerNetwork) -> TigerNetwork:
    """Double precision: so a list does not depend on who else is in the batch; rounded to single in the end."""
    return network.double().eval().requires_grad_(False)
