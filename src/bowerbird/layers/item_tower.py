"""The items' tower: what an item is, by its id, its features and its text, as one vector and a bias.

    d_i      = F x_i + P t_i                        what is said of the item: x_i its features, t_i its frozen text vector
    q_i, b_i = d_i + a_i e_i                        e_i learned for the id; 0 for an item that training never met
    a_i      = min(1, max_delta |d_i| / |e_i|)      where there is a text, else 1; the bias is not bounded

So an id with a text is a correction that is at most ``max_delta`` as long as what the text says: the vectors of items with
events stay where a new item's, which is d_i alone, are read and compared ("trainable delta": Pembek et al., "Let It Go? Not
Quite", RecSys 2025, whose bound is the same for all items). A share of the described items goes by d_i alone in each batch
(``id_dropout``; Volkovs et al., NeurIPS 2017), so that d_i learns to stand for an item by itself, bias included.

Shapes: N items, F features, T numbers of a text vector, I items asked for, D width.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor, nn
from torch.nn import functional

INITIAL_SCALE = 0.05


class TowerSettings(Protocol):
    """What a model's settings say about its tower."""

    @property
    def embedding_size(self) -> int: ...
    @property
    def id_dropout(self) -> float: ...
    @property
    def max_delta(self) -> float: ...


class ItemTower(nn.Module):
    """Vectors of items; the last column is the bias. Features, texts and counts are read, not learned, and not saved.

    Parameters
    ----------
    counts_N
        How often training meets each item: biases begin as the logarithm, and an item without goes by its description.
    features_NF, texts_NT
        Rows of zeros where nothing is known; F and T may be 0.
    """

    def __init__(
        self,
        counts_N: NDArray[np.int64],
        features_NF: csr_array,
        texts_NT: NDArray[np.float32],
        *,
        width: int,
        id_dropout: float,
        max_delta: float,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.ids = nn.Embedding(len(counts_N), width + 1)
        self.features = nn.Embedding(features_NF.shape[1], width + 1)
        self.texts = nn.Parameter(torch.zeros(texts_NT.shape[1], width + 1))
        self.features_NF, self.texts_NT, self.counts_N = features_NF, torch.from_numpy(texts_NT), counts_N
        self.id_dropout, self.max_delta, self.generator = id_dropout, max_delta, generator
        self.has_text_N1 = self.texts_NT.any(dim=1)[:, None]
        self.is_described_N1 = self.has_text_N1 | torch.from_numpy(np.diff(features_NF.indptr) > 0)[:, None]
        self.has_events_N1 = torch.from_numpy(counts_N > 0)[:, None]

    @classmethod
    def of(
        cls,
        counts_N: NDArray[np.int64],
        features_NF: csr_array,
        texts_NT: NDArray[np.float32],
        settings: TowerSettings,
        generator: torch.Generator,
    ) -> ItemTower:
        """Make a tower by the settings of a model, its weights drawn."""
        tower = cls(
            counts_N,
            features_NF,
            texts_NT,
            width=settings.embedding_size,
            id_dropout=settings.id_dropout,
            max_delta=settings.max_delta,
            generator=generator,
        )
        tower.draw(generator)
        return tower

    def forward(self, items_I: Tensor) -> Tensor:
        """Return vectors and biases of items, each asked for once, so that an item is one thing in a batch; [I, D + 1]."""
        items_I = items_I.cpu()
        described_ID = self.described(items_I)
        return described_ID + self._deltas(items_I, described_ID) * self._goes_by_id(items_I).to(described_ID.device)

    def described(self, items_I: Tensor) -> Tensor:
        """Return what is said of items, ids aside; [I, D + 1]."""
        return self.describe(self.features_NF[items_I.numpy()], self.texts_NT[items_I])

    def describe(self, features_IF: csr_array, texts_IT: Tensor | NDArray[np.float32]) -> Tensor:
        """Return the same of any items, those included that the tower has no id for; [I, D + 1]."""
        vectors_ID = self.texts.new_zeros(len(texts_IT), self.ids.embedding_dim)
        if self.features.num_embeddings:
            vectors_ID = vectors_ID + weighted_rows(features_IF, self.features.weight)
        if len(self.texts):
            vectors_ID = vectors_ID + torch.as_tensor(texts_IT).to(self.texts.device, self.texts.dtype) @ self.texts
        return vectors_ID

    def _deltas(self, items_I: Tensor, described_ID: Tensor) -> Tensor:
        ids_ID: Tensor = self.ids(items_I.to(described_ID.device))
        if not len(self.texts):
            return ids_ID
        vectors_ID, biases_I1 = ids_ID[:, :-1], ids_ID[:, -1:]
        longest_I1 = self.max_delta * described_ID[:, :-1].detach().norm(dim=1, keepdim=True)
        share_I1 = (longest_I1 / vectors_ID.norm(dim=1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        share_I1 = torch.where(self.has_text_N1[items_I].to(share_I1.device), share_I1, torch.ones_like(share_I1))
        return torch.cat([vectors_ID * share_I1, biases_I1], dim=1)

    def _goes_by_id(self, items_I: Tensor) -> Tensor:
        has_events_I1 = self.has_events_N1[items_I]
        if not (self.training and self.id_dropout):
            return has_events_I1
        is_kept_I1 = torch.from_numpy(_chances(items_I.numpy(), self.generator) >= self.id_dropout)[:, None]
        return has_events_I1 & (is_kept_I1 | ~self.is_described_N1[items_I])

    @torch.no_grad()
    def draw(self, generator: torch.Generator) -> None:
        """Draw the weights; biases begin as the logarithm of how often training meets the item."""
        for parameter in self.parameters():
            parameter.normal_(0.0, INITIAL_SCALE, generator=generator)
        log_counts_N = np.log1p(self.counts_N)
        self.ids.weight[:, -1] = torch.from_numpy(log_counts_N - log_counts_N.mean())


def _chances(items_I: NDArray[np.int64], generator: torch.Generator) -> NDArray[np.float64]:
    """Draw a number from 0 to 1 for each item, by one draw and its code: what else is asked for does not matter; [I].

    Processes that share a batch ask for some of its items each. The mixing is that of SplitMix64 (Steele et al. 2014).
    """
    key = int(torch.empty((), dtype=torch.int64).random_(generator=generator))
    mixed = items_I.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(key)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (mixed ^ (mixed >> np.uint64(31))) / 2.0**64


def weighted_rows(weights: csr_array, vectors: Tensor, places: Tensor | None = None) -> Tensor:
    """Multiply a sparse matrix with vectors: each row's sum of vectors, which stand at ``places`` or else at its columns."""
    offsets = torch.from_numpy(weights.indptr[:-1].astype(np.int64)).to(vectors.device)
    places = torch.from_numpy(weights.indices.astype(np.int64)) if places is None else places
    shares = torch.from_numpy(weights.data).to(vectors.device, vectors.dtype)
    places = places.to(vectors.device)
    return functional.embedding_bag(places, vectors.contiguous(), offsets, mode="sum", per_sample_weights=shares)
