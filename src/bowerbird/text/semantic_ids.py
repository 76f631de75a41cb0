"""Semantic ids: an item's vector as a few codes, coarse to fine, so that items with the same first codes are alike.

    r[0] = x,   c[l] = argmin_k |r[l] - B[l, k]|,   r[l + 1] = r[l] - B[l, c[l]]

x is the vector brought to length 1, and B[l] are the centroids that k-means finds among the r[l] of the items fitted on. k-means
starts from items drawn by the seed; a code that few items are nearest to moves beside a large one and takes a part of its items,
for without that most codes of the later levels belong to a few odd items. Later items are encoded by the codes there are. Items
without a vector have no code (-1), items with all codes in common are told apart by a counter behind them (``numbered``), as in
TIGER.

Whether later items are like those before is told by a permutation test against items that were held out of the codebooks, for
k-means lies nearer to the items it has seen than to any other: without them new items of the same kind seem to have drifted.

As features (``words``) an id is its prefixes, since a later code means something else behind another first one; a prefix that
only one of the items fitted on has would be but another id, and is left out.

Rajput et al., "Recommender systems with generative retrieval", 2023 (TIGER); residual k-means stands in for its RQ-VAE.
Shapes: N items, D width, L levels, K codes of a level, M drawn items.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bowerbird.errors import HomeError
from bowerbird.recipe_text import SemanticIdsConfig

NUM_ROUNDS = 20
ITEMS_A_CODE = 256
"""k-means looks at so many items for each code, drawn by the seed; more change the centroids little."""
ITEMS_TO_SHARE = 4
"""There are at most so many times fewer codes than items: else each item would be a code of its own."""
SMALL, SPLIT, NUM_SPLITS = 0.25, 0.2, 14
"""In the first 14 rounds a code with less than a quarter of its share of the items moves to where a large one is, and from there
by a fifth of the way to an item of that."""
BLOCK = 4096
HELD_OUT = 0.2
"""Share of the items that take no part in the codebooks, and that later items are compared with."""
MAX_COMPARED = 5000
"""So many held-out items, and so many later ones, are compared at most, drawn by the seed."""
NUM_DRAWS, LEVEL = 299, 0.01
"""Of 100 catalogues that go on as before, one may be said to have drifted."""

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SemanticIds:
    """Codebooks, and what the items they were made for look like: codes and squared residuals.

    Attributes
    ----------
    codebooks_LKD : float32
    codes_NL : int64
        Of the items given to ``fit`` that have a vector.
    residuals_N : float64
        Their |r[L]|^2; 1 would be a vector of which the codes tell nothing.
    is_held_out_N : bool
        Which of them k-means has not seen.
    """

    codebooks_LKD: NDArray[np.float32]
    codes_NL: Codes
    residuals_N: NDArray[np.float64]
    is_held_out_N: NDArray[np.bool_]

    @classmethod
    def fit(cls, vectors_ND: NDArray[np.floating[Any]], config: SemanticIdsConfig, *, seed: int = 1) -> SemanticIds:
        """Learn the codebooks; rows of zeros are items without a vector."""
        known_ND = unit(vectors_ND)[has_vector(vectors_ND)]
        generator = np.random.default_rng(seed)
        num_codes = max(1, min(config.num_codes, len(known_ND) // ITEMS_TO_SHARE))
        order = generator.permutation(len(known_ND))[int(HELD_OUT * len(known_ND)) :]
        drawn = np.sort(order[: num_codes * ITEMS_A_CODE])
        rest_MD, codebooks = known_ND[drawn], []
        for _ in range(config.num_levels):
            codebooks.append(k_means(rest_MD, num_codes, generator=generator))
            rest_MD = rest_MD - codebooks[-1][nearest(rest_MD, codebooks[-1])]
        books_LKD = np.stack(codebooks).astype(np.float32)
        codes_NL, residuals_N = _walk(books_LKD, known_ND)
        return cls(books_LKD, codes_NL, residuals_N, ~np.isin(np.arange(len(known_ND)), drawn))

    def encode(self, vectors_ND: NDArray[np.floating[Any]]) -> Codes:
        """Return the codes of items, -1 where the vector is 0; [N, L]."""
        codes_NL, _ = _walk(self.codebooks_LKD, unit(vectors_ND))
        return np.where(has_vector(vectors_ND)[:, None], codes_NL, -1)

    def words(self, codes_NL: Codes) -> list[list[str]]:
        """Write ids as features, such as ``0:17`` and ``1:17.3``: their prefixes, of those that several items fitted on share."""
        shared: set[tuple[int, ...]] = set()
        for length in range(1, self.codes_NL.shape[1] + 1):
            prefixes, counts = np.unique(self.codes_NL[:, :length], axis=0, return_counts=True)
            shared.update(map(tuple, prefixes[counts > 1].tolist()))
        return [
            [f"{n}:{'.'.join(map(str, row[: n + 1]))}" for n in range(len(row)) if tuple(row[: n + 1]) in shared]
            for row in codes_NL.tolist()
        ]

    def figures(self) -> dict[str, Any]:  # Any: JSON
        """Say how well the codes tell the items fitted on apart, how evenly they are used, and what they leave untold.

        ``collision_rate`` is the share of items with all codes like another's, ``perplexity`` of a level exp(entropy) of its
        use, which is K where all codes are used alike, ``reconstruction_error`` the mean squared residual.
        """
        _, place, counts = np.unique(self.codes_NL, axis=0, return_inverse=True, return_counts=True)
        shares_LK = _shares(self.codes_NL, self.codebooks_LKD.shape[1])
        entropies = [float(-(row[row > 0] * np.log(row[row > 0])).sum()) for row in shares_LK]
        return {
            "num_items": len(self.codes_NL),
            "num_codes": self.codebooks_LKD.shape[1],
            "collision_rate": float((counts[place.ravel()] > 1).mean()) if len(counts) else 0.0,
            "largest_collision": int(counts.max(initial=0)),
            "perplexity": [float(np.exp(entropy)) for entropy in entropies],
            "reconstruction_error": float(self.residuals_N.mean()) if len(self.residuals_N) else 0.0,
        }

    def drift(self, vectors_ND: NDArray[np.floating[Any]], *, seed: int = 1) -> dict[str, Any]:  # Any: JSON
        """Tell whether later items could be a part of the same catalogue; rows of zeros do not count.

        ``divergence`` of a level is the Jensen-Shannon divergence (base 2, from 0 to 1) of how later and held-out items use its
        codes, ``residual_ratio`` the later items' mean squared residual by the held-out ones'. Both kinds of items are mixed and
        parted anew 299 times; ``by_chance`` and ``residual_by_chance`` are what 99 of 100 such draws stay below, each number by
        itself. Items have drifted where ``p_value`` is at most 0.01: the share of draws, the real one included, whose number
        farthest above its mean, in its standard deviations, is no smaller than the real one's.
        """
        generator, known_ND = np.random.default_rng(seed), unit(vectors_ND)[has_vector(vectors_ND)]
        codes_ML, residuals_M = _walk(self.codebooks_LKD, _some(known_ND, generator))
        rows = _some(np.flatnonzero(self.is_held_out_N), generator)
        if not len(codes_ML) or not len(rows):
            nothing: dict[str, Any] = {"divergence": [], "by_chance": [], "residual_ratio": None}  # Any: JSON
            return {"num_items": len(known_ND), "p_value": 1.0, "has_drifted": False} | nothing
        codes_ML, residuals_M = np.vstack([codes_ML, self.codes_NL[rows]]), np.append(residuals_M, self.residuals_N[rows])
        num_later, num_codes = len(codes_ML) - len(rows), self.codebooks_LKD.shape[1]
        orders = [np.arange(len(codes_ML)), *(generator.permutation(len(codes_ML)) for _ in range(NUM_DRAWS))]
        numbers = [_apart(codes_ML[order], residuals_M[order], num_later, num_codes) for order in orders]
        p_value, by_chance = _held_against_chance(np.stack(numbers))
        return {
            "num_items": len(known_ND),
            "divergence": numbers[0][:-1].tolist(),
            "by_chance": by_chance[:-1].tolist(),
            "residual_ratio": float(numbers[0][-1]),
            "residual_by_chance": float(by_chance[-1]),
            "p_value": p_value,
            "has_drifted": p_value <= LEVEL,
        }

    def save(self, folder: Path) -> None:
        """Write codebooks and codes to a folder, the JSON file last."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        arrays: dict[str, NDArray[Any]] = {
            "codebooks": self.codebooks_LKD,
            "codes": self.codes_NL,
        }  # Any: numbers of several kinds
        arrays |= {"residuals": self.residuals_N, "is_held_out": self.is_held_out_N}
        save_file(arrays, folder / "semantic_ids.safetensors")
        (folder / "semantic_ids.json").write_text(json.dumps({"format": 2}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> SemanticIds:
        """Read what ``save`` wrote. Raises HomeError where there is nothing to read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            about = json.loads((folder / "semantic_ids.json").read_text(encoding="utf-8"))
            arrays = load_file(folder / "semantic_ids.safetensors")
            if about["format"] == 1:  # nothing was held out, and the mean alone was kept
                num_items = len(arrays["codes"])
                arrays |= {"residuals": np.full(num_items, about["residual"]), "is_held_out": np.zeros(num_items, bool)}
        except (OSError, ValueError, KeyError, SafetensorError) as error:
            raise HomeError(f"no semantic ids can be read from {str(folder)!r}", next_step="fit them anew") from error
        return cls(*(arrays[name] for name in ("codebooks", "codes", "residuals", "is_held_out")))


def _walk(books_LKD: NDArray[np.float32], vectors_ND: NDArray[np.float64]) -> tuple[Codes, NDArray[np.float64]]:
    """Return codes [N, L] and squared residuals [N] of vectors of length 1."""
    codes_NL, rest_ND = np.zeros((len(vectors_ND), len(books_LKD)), np.int64), vectors_ND
    for level, codebook_KD in enumerate(books_LKD.astype(np.float64)):
        codes_NL[:, level] = nearest(rest_ND, codebook_KD)
        rest_ND = rest_ND - codebook_KD[codes_NL[:, level]]
    return codes_NL, (rest_ND**2).sum(axis=1)


def _shares(codes_NL: Codes, num_codes: int) -> NDArray[np.float64]:
    """Return which share of the items has each code; [L, K]."""
    counts_LK = np.stack([np.bincount(column, minlength=num_codes) for column in codes_NL.T])
    return counts_LK / max(len(codes_NL), 1)


def _apart(codes_ML: Codes, residuals_M: NDArray[np.float64], num_later: int, num_codes: int) -> NDArray[np.float64]:
    """Return how the first items differ from the rest: divergence of each level, and the ratio of residuals; [L + 1]."""
    divergence_L = jensen_shannon(_shares(codes_ML[:num_later], num_codes), _shares(codes_ML[num_later:], num_codes))
    return np.append(divergence_L, residuals_M[:num_later].mean() / max(float(residuals_M[num_later:].mean()), 1e-12))


def _held_against_chance(numbers_DL: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Return the p value of the first of D draws, by its number farthest above the mean, and what 99 of 100 others stay below."""
    farthest_D = ((numbers_DL - numbers_DL.mean(axis=0)) / np.maximum(numbers_DL.std(axis=0), 1e-12)).max(axis=1)
    return float((farthest_D >= farthest_D[0]).mean()), np.quantile(numbers_DL[1:], 1 - LEVEL, axis=0)


def _some(rows: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:  # Any: vectors or places
    """Draw at most so many rows as are compared."""
    return rows[np.sort(generator.permutation(len(rows))[:MAX_COMPARED])]


def numbered(codes_NL: Codes) -> Codes:
    """Put a counter behind the codes, which tells items with the same codes apart in their order; [N, L + 1]."""
    _, place_N = np.unique(codes_NL, axis=0, return_inverse=True)
    order = np.argsort(place_N.ravel(), kind="stable")
    sizes = np.bincount(place_N.ravel())
    counter_N = np.empty(len(order), np.int64)
    counter_N[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.column_stack([codes_NL, counter_N])


def has_vector(vectors_ND: NDArray[np.floating[Any]]) -> NDArray[np.bool_]:
    """Tell which rows are not 0; bool [N]."""
    found_N: NDArray[np.bool_] = (vectors_ND != 0).any(axis=1)
    return found_N


def unit(vectors_ND: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Bring each row to length 1, but for rows of zeros."""
    vectors = np.asarray(vectors_ND, np.float64)
    norms_N1 = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: NDArray[np.float64] = vectors / np.where(norms_N1 > 0, norms_N1, 1.0)
    return scaled


def k_means(items_MD: NDArray[np.float64], num_codes: int, *, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return centroids, [K, D]; fewer distinct items than codes leave codes that no item has."""
    if not len(items_MD):
        return np.zeros((num_codes, items_MD.shape[1]))
    centroids_KD = items_MD[np.sort(generator.choice(len(items_MD), size=num_codes, replace=len(items_MD) < num_codes))]
    for number in range(NUM_ROUNDS):
        codes_M = nearest(items_MD, centroids_KD)
        sizes_K = np.bincount(codes_M, minlength=num_codes)
        members = csr_array((np.ones(len(codes_M)), (codes_M, np.arange(len(codes_M)))), shape=(num_codes, len(codes_M)))
        means_KD = (members @ items_MD) / np.maximum(sizes_K, 1)[:, None]
        if number < NUM_SPLITS:
            small = np.flatnonzero(sizes_K < SMALL * len(items_MD) / num_codes)
            drawn = generator.integers(len(items_MD), size=len(small))  # large codes are drawn most
            means_KD[small] = means_KD[codes_M[drawn]] + SPLIT * (items_MD[drawn] - means_KD[codes_M[drawn]])
        centroids_KD = means_KD
    return centroids_KD


def nearest(items_ND: NDArray[np.float64], centroids_KD: NDArray[np.float64]) -> Codes:
    """Return the centroid nearest to each item, of equals the first; int64 [N]."""
    squares_K = (centroids_KD**2).sum(axis=1)
    blocks = [
        np.argmin(squares_K - 2 * (items_ND[start : start + BLOCK] @ centroids_KD.T), axis=1)
        for start in range(0, len(items_ND), BLOCK)
    ]
    return np.concatenate(blocks) if blocks else np.zeros(0, np.int64)


def jensen_shannon(first_LK: NDArray[np.float64], second_LK: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the divergence of two distributions a row, base 2: 0 for equal ones, 1 for such that share nothing; [L]."""
    middle_LK = (first_LK + second_LK) / 2

    def relative(shares_LK: NDArray[np.float64]) -> NDArray[np.float64]:
        ratios_LK = np.divide(shares_LK, middle_LK, out=np.ones_like(shares_LK), where=shares_LK > 0)
        sums_L: NDArray[np.float64] = (shares_LK * np.log2(ratios_LK)).sum(axis=1)
        return sums_L

    return (relative(first_LK) + relative(second_LK)) / 2
