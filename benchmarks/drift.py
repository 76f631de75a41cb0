"""How often the drift monitor of semantic ids is wrong, and what it sees: simulated on the texts of Amazon Beauty.

    OMP_WAIT_POLICY=PASSIVE python -m benchmarks.drift --vectors FILE.npy [--repeats 1.0] [--kinds as_before]

``as before``: items are parted by chance into those that codebooks are made for and later ones, which therefore are of the same
catalogue: each alarm is a false one. ``a new category``: all items of one of the six largest second-level categories (such as
fragrances) come later alone, and make up a share of the later items; the others are of the same catalogue. Vectors are MiniLM's
of title and categories, row i that of item i + 1.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.machine import commit, cpu
from bowerbird.recipe_text import SemanticIdsConfig
from bowerbird.text.semantic_ids import SemanticIds

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "amazon-beauty"
SIZES = {300: 300, 1000: 60, 3000: 15}
"""Items that codebooks are made for, and how many simulated catalogues."""
LATER = (30, 100, 300)
SHARES = (0.05, 0.1, 0.2, 0.5, 1.0)
KINDS = ["as_before", "new_category"]
NUM_SETS = 4
"""Sets of later items drawn for one catalogue, of each size."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vectors", type=Path, required=True)
    parser.add_argument("--repeats", type=float, default=1.0, help="more or fewer simulated catalogues")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    asked = parser.parse_args(arguments)
    vectors_ND, generator = np.load(asked.vectors), np.random.default_rng(1)
    print(f"{cpu()}, commit {commit()}\n\n| items before | later | kind | catalogues | alarms |")
    print("| ---: | ---: | --- | ---: | ---: |")
    for size, num in SIZES.items() if "as_before" in asked.kinds else ():
        _as_before(vectors_ND, size, max(1, int(num * asked.repeats)), generator)
    for size in (300, 3000) if "new_category" in asked.kinds else ():
        _new_category(vectors_ND, _categories(), size, generator)
    print(f"\n{process_time():.0f} CPU-seconds")


def _as_before(vectors_ND: NDArray[np.float32], size: int, num_catalogues: int, generator: np.random.Generator) -> None:
    alarms = dict.fromkeys(LATER, 0)
    for seed in range(num_catalogues):
        order = generator.permutation(len(vectors_ND))
        ids = SemanticIds.fit(vectors_ND[order[:size]], SemanticIdsConfig(), seed=seed)
        for num in LATER:
            alarms[num] += _alarms(ids, vectors_ND, order[size:], order[:0], num, 0.0, generator)
    for num, count in alarms.items():
        _row(size, num, "as before", num_catalogues, count, num_catalogues * NUM_SETS)


def _new_category(vectors_ND: NDArray[np.float32], names: NDArray[np.str_], size: int, generator: np.random.Generator) -> None:
    alarms = {(num, share): 0 for num in LATER for share in SHARES}
    chosen = [name for name, _ in Counter(names.tolist()).most_common(6)]
    for seed, name in enumerate(chosen):
        usual = generator.permutation(np.flatnonzero(names != name))
        ids = SemanticIds.fit(vectors_ND[usual[:size]], SemanticIdsConfig(), seed=seed)
        for num, share in alarms:
            alarms[num, share] += _alarms(ids, vectors_ND, usual[size:], np.flatnonzero(names == name), num, share, generator)
    for (num, share), count in alarms.items():
        _row(size, num, f"{share:.0%} of a new category", len(chosen), count, len(chosen) * NUM_SETS)


def _alarms(
    ids: SemanticIds,
    vectors_ND: NDArray[np.float32],
    usual: NDArray[np.int64],
    new: NDArray[np.int64],
    num: int,
    share: float,
    generator: np.random.Generator,
) -> int:
    """Draw sets of ``num`` later items and count those that are said to have drifted."""
    num_new, alarms = round(share * num), 0
    for _ in range(NUM_SETS):
        rows = [generator.choice(usual, num - num_new, replace=False), generator.choice(new, num_new, replace=num_new > len(new))]
        alarms += ids.drift(vectors_ND[np.concatenate(rows)], seed=int(generator.integers(2**31)))["has_drifted"]
    return alarms


def _row(size: int, num: int, kind: str, num_catalogues: int, count: int, trials: int) -> None:
    print(f"| {size} | {num} | {kind} | {num_catalogues} | {count} of {trials} ({count / trials:.1%}) |", flush=True)


def _categories() -> NDArray[np.str_]:
    """Return each item's second-level category."""
    paths = [json.loads(text)[0] for text in pd.read_parquet(DATA / "items.parquet")["categories_json"]]
    return np.asarray([path[min(1, len(path) - 1)] for path in paths])


if __name__ == "__main__":
    main()
