"""Semantic ids: an item's vector as a few codes, coarse to fine, so that items with the same first codes are alike.

    r[0] = x,   c[l] = argmin_k |r[l] - B[l, k]|,   r[l + 1] = r[l] - B[l, c[l]]

x is the vector brought to length 1, and B[l] are the centroids that k-means finds among the r[l] of the items fitted on. k-means
starts from items drawn by the seed; a code that few items are nearest to moves beside a large one and takes a part of its items,
for without that most codes of the later levels belong to a few odd items. Later items are encoded by the codes there are. Items
without a vector have no code (-1), items with all codes in common are told apart by a counter behind them (``numbered``), as in
TIGER.

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
NUM_DRAWS = 100
MAX_DIVERGENCE = 0.05
MAX_RESIDUAL_RATIO = 1.25

Codes = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class SemanticIds:
    """Codebooks, and what the items they were fitted on look like: their codes and mean squared residual.

    Attributes
    ----------
    codebooks_LKD : float32
    codes_NL : int64
        Of the items fitted on that have a vector.
    residual : float
        Mean of |r[L]|^2 over them; 1 would be a vector of which the codes tell nothing.
    """

    codebooks_LKD: NDArray[np.float32]
    codes_NL: Codes
    residual: float

    @classmethod
    def fit(cls, vectors_ND: NDArray[np.floating[Any]], config: SemanticIdsConfig, *, seed: int = 1) -> SemanticIds:
        """Learn the codebooks; rows of zeros are items without a vector."""
        known_ND = unit(vectors_ND)[has_vector(vectors_ND)]
        generator = np.random.default_rng(seed)
        num_codes = max(1, min(config.num_codes, len(known_ND) // ITEMS_TO_SHARE))
        drawn = np.sort(generator.permutation(len(known_ND))[: num_codes * ITEMS_A_CODE])
        rest_MD, codebooks = known_ND[drawn], []
        for _ in range(config.num_levels):
            codebooks.append(k_means(rest_MD, num_codes, generator=generator))
            rest_MD = rest_MD - codebooks[-1][nearest(rest_MD, codebooks[-1])]
        ids = cls(np.stack(codebooks).astype(np.float32), np.zeros((0, config.num_levels), np.int64), 0.0)
        codes_NL, residuals_N = ids._walk(known_ND)
        return cls(ids.codebooks_LKD, codes_NL, float(residuals_N.mean()) if len(residuals_N) else 0.0)

    def encode(self, vectors_ND: NDArray[np.floating[Any]]) -> Codes:
        """Return the codes of items, -1 where the vector is 0; [N, L]."""
        codes_NL, _ = self._walk(unit(vectors_ND))
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
        shares_LK = self._shares(self.codes_NL)
        entropies = [float(-(row[row > 0] * np.log(row[row > 0])).sum()) for row in shares_LK]
        return {
            "num_items": len(self.codes_NL),
            "num_codes": self.codebooks_LKD.shape[1],
            "collision_rate": float((counts[place.ravel()] > 1).mean()) if len(counts) else 0.0,
            "largest_collision": int(counts.max(initial=0)),
            "perplexity": [float(np.exp(entropy)) for entropy in entropies],
            "reconstruction_error": self.residual,
        }

    def drift(self, vectors_ND: NDArray[np.floating[Any]], *, seed: int = 1) -> dict[str, Any]:  # Any: JSON
        """Compare later items with those fitted on; rows of zeros do not count.

        ``divergence`` of a level is the Jensen-Shannon divergence (base 2, from 0 to 1) of the use of its codes, ``by_chance``
        what 99 of 100 draws of as many of the items fitted on stay below. Items have drifted where a level's divergence is more
        than 0.05 above that, or where the mean squared residual is more than 1.25 times that of the items fitted on.
        """
        codes_ML, residuals_M = self._walk(unit(vectors_ND)[has_vector(vectors_ND)])
        if not len(codes_ML) or not len(self.codes_NL):
            return {"num_items": len(codes_ML), "divergence": [], "by_chance": [], "residual_ratio": None, "has_drifted": False}
        generator, usual_LK = np.random.default_rng(seed), self._shares(self.codes_NL)
        draws = [self.codes_NL[generator.integers(len(self.codes_NL), size=len(codes_ML))] for _ in range(NUM_DRAWS)]
        divergence = jensen_shannon(self._shares(codes_ML), usual_LK)
        by_chance = np.quantile([jensen_shannon(self._shares(drawn), usual_LK) for drawn in draws], 0.99, axis=0)
        ratio = float(residuals_M.mean()) / max(self.residual, 1e-12)
        return {
            "num_items": len(codes_ML),
            "divergence": divergence.tolist(),
            "by_chance": by_chance.tolist(),
            "residual_ratio": ratio,
            "has_drifted": bool((divergence > by_chance + MAX_DIVERGENCE).any() or ratio > MAX_RESIDUAL_RATIO),
        }

    def save(self, folder: Path) -> None:
        """Write codebooks and codes to a folder, the JSON file last."""
        from safetensors.numpy import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file({"codebooks": self.codebooks_LKD, "codes": self.codes_NL}, folder / "semantic_ids.safetensors")
        (folder / "semantic_ids.json").write_text(json.dumps({"format": 1, "residual": self.residual}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> SemanticIds:
        """Read what ``save`` wrote. Raises HomeError where there is nothing to read."""
        from safetensors import SafetensorError
        from safetensors.numpy import load_file

        try:
            about = json.loads((folder / "semantic_ids.json").read_text(encoding="utf-8"))
            arrays = load_file(folder / "semantic_ids.safetensors")
        except (OSError, ValueError, SafetensorError) as error:
            raise HomeError(f"no semantic ids can be read from {str(folder)!r}", next_step="fit them anew") from error
        return cls(arrays["codebooks"], arrays["codes"], about["residual"])

    def _walk(self, vectors_ND: NDArray[np.float64]) -> tuple[Codes, NDArray[np.float64]]:
        """Return codes [N, L] and squared residuals [N] of vectors of length 1."""
        codes_NL, rest_ND = np.zeros((len(vectors_ND), len(self.codebooks_LKD)), np.int64), vectors_ND
        for level, codebook_KD in enumerate(self.codebooks_LKD.astype(np.float64)):
            codes_NL[:, level] = nearest(rest_ND, codebook_KD)
            rest_ND = rest_ND - codebook_KD[codes_NL[:, level]]
        return codes_NL, (rest_ND**2).sum(axis=1)

    def _shares(self, codes_NL: Codes) -> NDArray[np.float64]:
        """Return which share of the items has each code; [L, K]."""
        num_codes = self.codebooks_LKD.shape[1]
        counts_LK = np.stack([np.bincount(column, minlength=num_codes) for column in codes_NL.T])
        return counts_LK / max(len(codes_NL), 1)


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
