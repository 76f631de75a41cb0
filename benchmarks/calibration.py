"""Whether the probabilities of the pointwise rankers come true, against all candidates of a horizon that none of them has seen.

    python benchmarks/calibration.py [--data ../shared/data/ml-latest-small] [--users 2000]

The last horizon is the test. Asked about is every item of the catalogue for every user with a history before it; positive is a
pair with evidence within it. Each bin of the table holds a tenth of the expected positives. On MovieLens small the horizon is 180
days, since its users come once and hardly return; on the simulated shop 7 days. NDCG@10 is over users with a positive item that
they had not seen, seen items left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd

from bowerbird import Interactions, build_model
from bowerbird.columns import EVENT, ITEM_ID, RANK, TIMESTAMP, USER_ID, WEIGHT
from bowerbird.data.interactions import MICROSECONDS_A_DAY
from bowerbird.evaluation.calibration import Calibration, against_all_candidates
from bowerbird.models.base import Model
from bowerbird.sources.shop import Shop, ShopConfig
from bowerbird.testing.datasets import movielens_events

RANKERS = ("naive_bayes", "decision_tree", "linear_svm")
WEIGHTS = {"view": 0.2, "cart": 0.5, "purchase": 1.0, "return": 0.0}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one table a data set and model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-latest-small"
    parser.add_argument("--data", type=Path, default=default, help="folder with ratings.csv")
    parser.add_argument("--users", type=int, default=2000, help="users of the simulated shop")
    asked = parser.parse_args(arguments)
    shop = Shop(ShopConfig(users=asked.users))
    events = shop.events()
    events[WEIGHT] = events[EVENT].map(WEIGHTS)
    measure("simulated shop", events[[USER_ID, ITEM_ID, TIMESTAMP, EVENT, WEIGHT]], shop.items(), horizon_days=7)
    if not (asked.data / "ratings.csv").is_file():
        print(f"MovieLens latest-small is not at {asked.data}: not measured")
        return
    movies = pd.read_csv(asked.data / "movies.csv")
    items = pd.DataFrame({ITEM_ID: movies["movieId"], "categories": movies["genres"].str.split("|")})
    measure("MovieLens small", movielens_events(asked.data), items, horizon_days=180)


def measure(title: str, events: pd.DataFrame, items: pd.DataFrame, *, horizon_days: int) -> None:
    """Fit each ranker on all but the last horizon, and compare with that."""
    log = Interactions.from_frame(events)
    cut = log.last_timestamp + 1 - horizon_days * MICROSECONDS_A_DAY
    frame = log.to_frame()
    is_past = log.timestamps < cut
    data, later = Interactions.from_frame(frame[is_past]), frame[~is_past & (log.weights > 0)]
    positives = later[[USER_ID, ITEM_ID]].drop_duplicates()
    print(
        f"\n{title}: {len(data):,} events, {data.num_users:,} users, {len(positives):,} positive pairs within {horizon_days} days"
    )
    for name in RANKERS:
        started = process_time()
        model = build_model(name, horizon_days=horizon_days).fit(data, items=items)
        fitted = process_time()
        found = against_all_candidates(model, list(data.user_ids), positives)
        asked = process_time()
        show(name, found, ndcg(model, positives, frame[is_past]), fitted - started, asked - fitted)


def ndcg(model: Model, positives: pd.DataFrame, past: pd.DataFrame) -> float:
    """Return NDCG@10 of new items, over known users that have one."""
    seen = positives.merge(past[[USER_ID, ITEM_ID]].drop_duplicates(), how="left", indicator=True)
    wanted = seen[(seen["_merge"] == "left_only") & seen[USER_ID].isin(model.data.user_ids)][[USER_ID, ITEM_ID]]
    hits = model.recommend(wanted[USER_ID].unique(), k=10).merge(wanted, on=[USER_ID, ITEM_ID])
    gains = (1 / np.log2(1 + hits[RANK])).groupby(hits[USER_ID]).sum()
    ideal = np.cumsum(1 / np.log2(np.arange(2, 12)))[np.minimum(wanted[USER_ID].value_counts(), 10) - 1]
    ideal_of = pd.Series(ideal, wanted[USER_ID].value_counts().index)
    return float((gains / ideal_of).fillna(0).mean())


def show(name: str, found: Calibration, quality: float, fit_seconds: float, ask_seconds: float) -> None:
    """Print the data of a reliability plot, and what it comes to."""
    print(
        f"\n{name}: {found.num_pairs:,} candidates, expected {found.expected:.1f}, observed {found.observed:,}, "
        f"ECE {found.ece:.2e}, relative error {found.relative_error:.3f}, NDCG@10 {quality:.4f}; "
        f"fit {fit_seconds:.1f}, all probabilities {ask_seconds:.1f} CPU-seconds"
    )
    print(f"{'pairs':>12}{'mean p':>12}{'came true':>12}{'expected':>10}{'observed':>10}")
    for row in found.bins.itertuples():
        print(
            f"{row.num_pairs:>12,}{row.mean_probability:>12.2e}{row.positive_rate:>12.2e}{row.expected:>10.1f}{row.observed:>10,}"
        )


if __name__ == "__main__":
    main()
