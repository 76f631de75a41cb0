"""Fits one model on a file of events, alone or in several processes that train it together.

    python -m bowerbird.fit --model sasrec --events events.parquet --out model
    torchrun --nproc-per-node=2 -m bowerbird.fit --model sasrec --events events.parquet --out model --checkpoints kept
    python -m bowerbird.fit --ray 2 --model sasrec --events events.parquet --out model --checkpoints kept

Under torchrun and Ray Train the sequence models, ``two_tower`` and ``neural_cf`` share the rows of each batch among the
processes, which talk by gloo. A worker that is killed is started again with all the others (``--max-restarts`` of torchrun, up to
three times by Ray), and they go on from the last checkpoint; all must see the same file and folders.
"""

from __future__ import annotations

import argparse
import os
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import BaseModel, ConfigDict

from bowerbird.data.interactions import Interactions
from bowerbird.errors import RecipeError, SourceError
from bowerbird.extras import import_extra
from bowerbird.models import build_model, check_config

MAX_FAILURES = 3


class Asked(BaseModel):
    """What to fit, on what, and where to put it."""

    model_config = ConfigDict(frozen=True)

    model: str
    events: Path
    """Parquet or CSV: ``user_id, item_id, timestamp`` and what else ``Interactions.from_frame`` takes."""
    items: Path | None = None
    """Parquet or CSV: ``item_id`` and what describes items."""
    users: Path | None = None
    """Parquet or CSV: ``user_id`` and what describes users."""
    out: Path
    checkpoints: Path | None = None
    seed: int = 1
    config: dict[str, Any] = {}  # Any: the model's config decides the types


def fit_here(asked: Asked) -> None:
    """Fit in this process, with its share of each batch where torch has a process group; the first process saves."""
    from torch import distributed

    model = build_model(asked.model, seed=asked.seed, **asked.config)
    model.checkpoints = asked.checkpoints
    paths = {"items": asked.items, "users": asked.users}
    described = {name: None if path is None else _read(path, option=f"--{name}") for name, path in paths.items()}
    model.fit(Interactions.from_frame(_read(asked.events, option="--events")), **described)
    if not distributed.is_initialized() or distributed.get_rank() == 0:
        model.save(asked.out)


def fit_in_group(asked: Asked) -> None:
    """Fit as one of torchrun's processes."""
    from torch import distributed

    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    is_master = rank == 0 and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    host, port, restarts = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), os.environ.get("TORCHELASTIC_RESTART_COUNT")
    store = distributed.TCPStore(host, port, is_master=is_master)  # type: ignore[attr-defined] # torch does not list it
    # Else processes that are started again look for each other where those were that have been killed.
    attempt = distributed.PrefixStore(f"attempt-{restarts}", store)  # type: ignore[attr-defined] # as above
    distributed.init_process_group("gloo", store=attempt, rank=rank, world_size=size)
    try:
        fit_here(asked)
        distributed.barrier()
    finally:
        distributed.destroy_process_group()


def fit_on_ray(asked: Asked, *, num_workers: int) -> None:
    """Fit in workers of Ray Train. Raises MissingExtraError where Ray is not installed."""
    ray, train = (import_extra(name, "ray[train]", extra="distributed") for name in ("ray", "ray.train"))
    torch_train = import_extra("ray.train.torch", "ray[train]", extra="distributed")
    if not ray.is_initialized():
        threads = {"env_vars": {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}}
        # Ray needs a logical CPU for itself beside one a worker; else it waits for ever on a small machine.
        ray.init(num_cpus=2 * num_workers, include_dashboard=False, runtime_env=threads)
    paths = {name: path.absolute() for name, path in asked if isinstance(path, Path)}
    content = asked.model_copy(update=paths)
    storage = content.checkpoints or content.out.parent
    torch_train.TorchTrainer(
        _fit_as_worker,
        train_loop_config=content.model_dump(mode="json"),
        scaling_config=train.ScalingConfig(num_workers=num_workers, use_gpu=_has_gpus(asked, num_workers)),
        run_config=train.RunConfig(
            name="ray", storage_path=str(storage), failure_config=train.FailureConfig(max_failures=MAX_FAILURES)
        ),
        torch_config=torch_train.TorchConfig(backend="gloo"),
    ).fit()


def _has_gpus(asked: Asked, num_workers: int) -> bool:
    """Tell whether each worker gets a GPU of its own: Ray hides them from who asks for none, and waits for what is not there."""
    import torch

    return asked.config.get("device") != "cpu" and torch.cuda.device_count() >= num_workers


def _fit_as_worker(content: dict[str, Any]) -> None:  # Any: JSON
    fit_here(Asked.model_validate(content))


def _read(path: Path, *, option: str) -> pd.DataFrame:
    if not path.is_file():
        raise SourceError(f"there is no file {str(path)!r}", next_step=f"name a Parquet or CSV file with {option}")
    return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)


def _setting(text: str) -> tuple[str, Any]:  # Any: the model's config decides the types
    """Read ``key=value``, the value as TOML writes it."""
    key, _, value = text.partition("=")
    try:
        return key, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"--set {text!r} is no setting", next_step="write it as in --set dropout=0.2") from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line and fit."""
    parser = argparse.ArgumentParser(prog="python -m bowerbird.fit", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--events", required=True, type=Path, help="Parquet or CSV: user_id, item_id, timestamp")
    parser.add_argument("--items", type=Path, help="Parquet or CSV: item_id, and what describes items")
    parser.add_argument("--users", type=Path, help="Parquet or CSV: user_id, and what describes users")
    parser.add_argument("--out", required=True, type=Path, help="folder of the model; must not exist")
    parser.add_argument("--checkpoints", type=Path, help="folder in which the training is kept, to go on after a kill")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], type=_setting, metavar="KEY=VALUE", help="a setting of the model")
    parser.add_argument("--ray", type=int, default=0, metavar="WORKERS", help="train in so many workers of Ray Train")
    told = parser.parse_args(arguments)
    asked = Asked(config=dict(told.set), **{name: value for name, value in vars(told).items() if name not in ("set", "ray")})
    check_config(asked.model, asked.config)
    if told.ray:
        fit_on_ray(asked, num_workers=told.ray)
    elif "WORLD_SIZE" in os.environ:
        fit_in_group(asked)
    else:
        fit_here(asked)


if __name__ == "__main__":
    main()
