"""Trainings that draw something by chance for rows, batches or items; as a program, one of two processes that share them.

python -m tests.training.trainings RANK FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bowerbird.data.interactions import Interactions
from bowerbird.models import build_model
from bowerbird.models.base import Model

SMALL = {"num_epochs": 2, "embedding_size": 8}
SEQUENCE = SMALL | {"batch_tokens": 64, "dropout": 0.3, "num_negatives": 10}
DESCRIBED = {"id_dropout": 0.5}
TRAININGS: dict[str, dict[str, Any]] = {
    "negatives in the batch": {"name": "sasrec", "negatives": "in_batch"} | SEQUENCE,
    "popular negatives": {"name": "esasrec", "negatives": "popular", "loss": "gbce"} | SEQUENCE,
    "masks": {"name": "bert4rec", "num_heads": 2} | SEQUENCE,
    "masks and negatives in the batch": {"name": "bert4rec", "negatives": "in_batch", "time_gaps": True} | SEQUENCE,
    "items by their description": {"name": "sasrec"} | SEQUENCE | DESCRIBED,
    "all items, by their description": {"name": "sasrec"} | SEQUENCE | DESCRIBED | {"num_negatives": 0},
    "recurrent": {"name": "gru4rec", "negatives": "in_batch"} | SEQUENCE,
    "places and times": {"name": "hstu", "request_time": True} | SEQUENCE,
    "two towers": {"name": "two_tower", "batch_size": 47} | SMALL | DESCRIBED,
    "pairs": {"name": "neural_cf", "batch_size": 47, "dropout": 0.3} | SMALL,
}


def events() -> pd.DataFrame:
    """Make 30 users who go round 40 items, each from where they begin; some skip every other."""
    rng, begin = np.random.default_rng(5), pd.Timestamp("2026-01-01", tz="UTC")
    starts, lengths, strides = rng.integers(40, size=30), rng.integers(2, 25, size=30), rng.integers(1, 3, size=30)
    rows = [
        (f"u{user:02}", f"i{(starts[user] + strides[user] * step) % 40:02}", begin + pd.Timedelta(hours=step * (1 + user % 3)))
        for user in range(30)
        for step in range(lengths[user])
    ]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"])


def items() -> pd.DataFrame:
    """Describe all items but a few, and some that nobody has met, by a category and a text vector."""
    ids, rng = [f"i{code:02}" for code in range(5, 44)], np.random.default_rng(6)
    categories = [[f"c{code % 7}"] for code in range(5, 44)]
    return pd.DataFrame({"item_id": ids, "categories": categories, "text_vector": list(rng.normal(size=(39, 6)))})


def fitted(settings: dict[str, Any], *, checkpoints: Path | None = None, **more: Any) -> Model:
    """Fit a model, on described items where that matters."""
    settings = settings | more
    model = build_model(settings["name"], **{key: value for key, value in settings.items() if key != "name"})
    model.checkpoints = checkpoints
    return model.fit(Interactions.from_frame(events()), items=items() if "id_dropout" in settings else None)


def losses(model: Model) -> list[float]:
    """Return the mean loss of each epoch."""
    return [point.loss for point in model.curve]


def main(rank: int, folder: Path) -> None:
    """Fit all as one of two processes."""
    from torch import distributed

    store = distributed.FileStore(str(folder / "store"), 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    found = {name: losses(fitted(settings)) for name, settings in TRAININGS.items()}
    (folder / f"{rank}.json").write_text(json.dumps(found), encoding="utf-8")
    distributed.barrier()
    distributed.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
