"""One sequence model of ours on one log: what it costs and what it finds. ``sequential.py`` runs it, each in its own process.

    python -m benchmarks.peers.sequence JOB.json OUT.json

JOB names ``model``, ``config``, ``seed``, ``threads``, ``bench`` (the folder with the metric code that all libraries share) and
parquet files: ``fit`` and ``history`` (user_id, item_id, timestamp; histories are asked with where they are given), ``targets``
(user, item) and ``items`` (what describes them, or none).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from time import process_time

import pandas as pd
import torch

from bowerbird import Interactions, build_model
from bowerbird.columns import ITEM_ID, USER_ID


def main() -> None:
    """Run one job."""
    job_path, out = sys.argv[1:]
    job = json.loads(Path(job_path).read_text(encoding="utf-8"))
    sys.path.insert(0, job["bench"])
    from metrics import evaluate  # type: ignore[import-not-found]  # the libraries' own, not of this repository

    torch.set_num_threads(job["threads"])
    frames = {name: pd.read_parquet(job[name]) for name in ("fit", "history", "targets", "items") if job[name]}
    model = build_model(job["model"], seed=job["seed"], **job["config"])
    data = Interactions.from_frame(frames["fit"])
    begun = process_time()
    model.fit(data, items=frames.get("items"))
    fitted = process_time()
    lists = model.recommend(frames["targets"]["user"].unique(), k=10, history=frames.get("history"))
    done = process_time()
    lists = lists.rename(columns={USER_ID: "user", ITEM_ID: "item"})
    frozen = model.frozen_config()
    status = Path("/proc/self/status").read_text(encoding="utf-8")  # what getrusage says begins at the parent's memory
    peak = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
    found = {
        "fit": fitted - begun,
        "lists": done - fitted,
        "peak_mb": peak,
        "epochs": frozen.get("num_epochs"),
        "tried": len(model.curve),
        "metrics": evaluate(lists, frames["targets"], max(data.num_items, 1)),
    }
    Path(out).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
