"""Whether models make the lists that a library's own make, with the same settings, aligned formulas and the same start.

    python benchmarks/agreement.py --events EVENTS.parquet --peers FOLDER [als ...]

EVENTS has the columns user and item (whole numbers from 0) and is in time order. FOLDER holds an environment for each library
(``implicit/bin/python``). Prints for each model the share of top-10 entries that both have, and that have the same rank.

To add a model, write a function from a log to both lists and put it into ``MODELS``; ``peer`` runs code in a library's
environment, which is given ``X`` (users by items, csr, ones) and the arrays it is sent, and sets ``top``, item codes [U, 10].
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird import Interactions, build_model
from bowerbird.models.als import initial_vectors

K = 10
EVERYTHING = 1_000_000  # events of a user
Top = NDArray[np.int64]  # item codes [U, K], -1 where a list ends before
PROLOGUE = """
import sys, numpy as np
from scipy.sparse import csr_matrix
given = dict(np.load(sys.argv[1]))
users, items = given.pop("users"), given.pop("items")
X = csr_matrix((np.ones(len(users), np.float32), (users, items)), shape=tuple(given.pop("shape")))
X.data[:] = 1
"""


@dataclass(frozen=True, eq=False)
class Log:
    """A log without repeats, and where the libraries are."""

    data: Interactions
    peers: Path

    def ours(self, name: str, **config: Any) -> Top:  # Any: the model's config checks the values
        """Fit one of our models and list for all users; places that popularity fills are left open."""
        lists = build_model(name, **config).fit(self.data).recommend(self.data.user_ids, k=K)
        lists = lists[lists["source"] == name]
        top = np.full((self.data.num_users, K), -1)
        users = self.data.user_index.get_indexer(pd.Index(lists["user_id"]))
        top[users, lists["rank"] - 1] = self.data.item_index.get_indexer(pd.Index(lists["item_id"]))
        return top

    def peer(self, library: str, code: str, **arrays: NDArray[Any]) -> Top:  # Any: whatever the code needs
        """Run code in a library's environment."""
        with tempfile.TemporaryDirectory() as folder:
            given, made = Path(folder) / "given.npz", Path(folder) / "top.npy"
            shape = np.asarray([self.data.num_users, self.data.num_items])
            sent: dict[str, Any] = {"users": self.data.users, "items": self.data.items, "shape": shape, **arrays}  # Any: arrays
            np.savez(given, **sent)
            script = f"{PROLOGUE}{code}\nnp.save(sys.argv[2], top)"
            subprocess.run([self.peers / library / "bin" / "python", "-c", script, given, made], check=True)
            return np.asarray(np.load(made), np.int64)


def als(log: Log) -> tuple[Top, Top]:
    """implicit's confidence is alpha * weight where ours is 1 + alpha * weight; both solve in full, from the same items."""
    settings = {"embedding_size": 64, "num_epochs": 15, "alpha": 10.0, "regularization": 5.0, "frequency_scaling": 0.0}
    code = """
from implicit.als import AlternatingLeastSquares
model = AlternatingLeastSquares(factors=64, iterations=15, alpha=11.0, regularization=5.0, use_cg=False, num_threads=1)
model.item_factors, model.user_factors = given["start"], np.zeros((X.shape[0], 64), np.float32)
model.fit(X, show_progress=False)
top, _ = model.recommend(np.arange(X.shape[0]), X, N=10, recalculate_user=True)  # ours solves users once more, too
"""
    start = initial_vectors(log.data.num_items, 64, seed=1)
    return log.ours("als", solver="cholesky", **settings), log.peer("implicit", code, start=start)


def item_knn(log: Log) -> tuple[Top, Top]:
    """implicit counts an item among its own neighbours, so it is asked for one more."""
    code = """
from implicit.nearest_neighbours import CosineRecommender
model = CosineRecommender(K=101, num_threads=1)
model.fit(X, show_progress=False)
top, _ = model.recommend(np.arange(X.shape[0]), X, N=10)
"""
    return log.ours("item_knn", max_history=EVERYTHING, num_neighbors=100, shrinkage=0.0), log.peer("implicit", code)


IRSPACK_TOP = """
scores = model.get_score_remove_seen(np.arange(X.shape[0]))
top = np.argsort(-scores, axis=1, kind="stable")[:, :10]
top[~(np.take_along_axis(scores, top, axis=1) > 0)] = -1
"""


def user_knn(log: Log) -> tuple[Top, Top]:
    """irspack counts a user among its own neighbours, so it is asked for one more; its shrinkage is in units of x = 1."""
    code = f"""
from irspack import CosineUserKNNRecommender
model = CosineUserKNNRecommender(X.astype(float), shrinkage=5.0, top_k=101, n_threads=1).learn()
{IRSPACK_TOP}"""
    return log.ours("user_knn", max_history=EVERYTHING, num_neighbors=100, shrinkage=5.0 * np.log(2) ** 2), log.peer(
        "irspack", code
    )


def slim(log: Log) -> tuple[Top, Top]:
    """irspack divides both penalties by the number of users, and looks at all items where ours looks at the nearest."""
    code = f"""
from irspack import SLIMRecommender
alpha, l1_ratio = 150.0 / X.shape[0], 50.0 / 150.0
model = SLIMRecommender(X.astype(float), alpha=alpha, l1_ratio=l1_ratio, tol=1e-6, n_iter=1000, n_threads=1).learn()
{IRSPACK_TOP}"""
    settings = {"regularization": 100.0, "l1_regularization": 50.0, "max_iterations": 1000, "max_history": EVERYTHING}
    return log.ours("slim", num_neighbors=100, **settings), log.peer("irspack", code)


def ease(log: Log) -> tuple[Top, Top]:
    """The same closed form; a list of ours ends where nothing speaks for an item, and irspack's is cut there."""
    code = f"""
from irspack import DenseSLIMRecommender
model = DenseSLIMRecommender(X.astype(float), reg=250.0).learn()
{IRSPACK_TOP}"""
    return log.ours("ease", regularization=250.0, max_history=EVERYTHING), log.peer("irspack", code)


MODELS: dict[str, Callable[[Log], tuple[Top, Top]]] = {
    "als": als,
    "ease": ease,
    "item_knn": item_knn,
    "slim": slim,
    "user_knn": user_knn,
}


def overlap(first: Top, second: Top) -> float:
    """Return the share of the entries of ``first`` that ``second`` has for the same user."""
    return float((first[:, :, None] == second[:, None, :]).any(axis=2).mean())


def main(arguments: Sequence[str] | None = None) -> None:
    """Print one row a model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=list(MODELS), help="which models; all if none is named")
    parser.add_argument("--events", type=Path, required=True, help="a Parquet file")
    parser.add_argument("--peers", type=Path, required=True, help="folder with an environment for each library")
    asked = parser.parse_args(arguments)
    events = pd.read_parquet(asked.events).drop_duplicates(["user", "item"])
    frame = events.rename(columns={"user": "user_id", "item": "item_id"})[["user_id", "item_id"]]
    log = Log(Interactions.from_frame(frame.assign(timestamp=range(len(frame)))), asked.peers)
    print(f"{len(log.data):,} events, {log.data.num_users:,} users, {log.data.num_items:,} items")
    print(f"{'model':<16}{'overlap':>10}{'same rank':>12}")
    for name in asked.models:
        ours, theirs = MODELS[name](log)
        print(f"{name:<16}{overlap(ours, theirs):>10.4f}{(ours == theirs).mean():>12.4f}", flush=True)


if __name__ == "__main__":
    main()
