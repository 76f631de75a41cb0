"""Two processes give the loss curve of one, whatever is drawn by chance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bowerbird.layers.attention import Dropout
from bowerbird.training.batches import Batch, Context
from bowerbird.training.pairs import Pairs
from bowerbird.training.workers import Workers
from tests.training.trainings import TRAININGS, fitted, losses

ROOT = Path(__file__).parents[2]


def batch(num_rows: int) -> Batch:
    tokens = torch.arange(num_rows * 3).view(num_rows, 3)
    return Batch(tokens, torch.arange(num_rows * 2), Context(torch.full((num_rows,), 2)))


def test_workers_take_each_row_once_and_know_the_whole() -> None:
    whole = batch(5)
    shares = [Workers(rank, 3).share(whole, Dropout(0.5, generator=torch.Generator())) for rank in range(3)]
    assert torch.equal(torch.cat([share.tokens for share, _ in shares]), whole.tokens)
    assert torch.equal(torch.cat([share.targets for share, _ in shares]), whole.targets)
    assert all(counts and share.whole is whole for share, counts in shares)
    assert [share.start for share, _ in shares] == [0, 1, 3]


def test_a_worker_for_whom_no_row_is_left_gets_the_first_for_nothing() -> None:
    pairs = Pairs(torch.tensor([7]), torch.tensor([8]), torch.ones(1))
    shares = [Workers(rank, 2).share(pairs, torch.nn.Identity()) for rank in range(2)]
    assert [counts for _, counts in shares] == [False, True]
    assert all(share.items_P.tolist() == [8] for share, _ in shares)


def test_masks_are_those_of_the_whole_batch() -> None:
    def masked(workers: Workers) -> torch.Tensor:
        dropout = Dropout(0.5, generator=torch.Generator().manual_seed(1))
        share, _ = workers.share(batch(5), dropout)
        return dropout(torch.ones(share.num_rows, 7))

    assert torch.equal(torch.cat([masked(Workers(rank, 2)) for rank in range(2)]), masked(Workers()))


@pytest.mark.slow
def test_two_processes_give_the_curves_of_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.training.trainings"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    both = [subprocess.Popen([*command, str(rank), str(tmp_path)], cwd=ROOT, env=environment) for rank in range(2)]
    assert [process.wait(timeout=200) for process in both] == [0, 0]
    found = [json.loads((tmp_path / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]
    for name, settings in TRAININGS.items():
        alone = losses(fitted(settings))
        assert len(alone) == 2 and np.ptp(alone) > 1e-4
        for curves in found:
            assert curves[name] == pytest.approx(alone, rel=1e-5), name
