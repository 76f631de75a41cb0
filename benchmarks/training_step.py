"""How fast `sasrec` trains, and how far a step is from the time of its matrix products alone.

    OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE python -m benchmarks.training_step [--steps 150]

Two cases: MovieLens latest-small cut to its 1,682 most rated films (so many has MovieLens 100K), all scored in the loss, two
blocks and heads; and Amazon Beauty with the defaults. Only full batches count. Products: those of the blocks and of the loss,
each three times, forward and for both gradients.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from time import process_time

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.logs import beauty, movielens
from benchmarks.machine import commit, cpu
from bowerbird.columns import ITEM_ID, TIMESTAMP, USER_ID
from bowerbird.data.interactions import Interactions
from bowerbird.data.sequences import Sequences
from bowerbird.models.sasrec import Sasrec
from bowerbird.models.sasrec_config import SasrecConfig
from bowerbird.training.batches import Batch, epoch_batches
from bowerbird.training.loop import train
from bowerbird.training.plan import Plan

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILMS = SasrecConfig(num_blocks=2, num_heads=2, max_length=50, dropout=0.2, num_negatives=0, batch_tokens=1024)


def main() -> None:
    """Print a line for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=150)
    num_steps = parser.parse_args().steps
    torch.set_num_threads(1)
    print(f"{cpu()}, one thread, torch {torch.__version__}, commit {commit()}, {num_steps} steps\n")
    print(f"{'targets a CPU-second':<24}{'median':>8}{'best tenth':>12}{'ms':>7}{'products, ms':>14}{'times':>7}{'loss':>9}")
    for label, (sequences, settings, num_items) in {"1,682 films": films(), "Amazon Beauty": defaults()}.items():
        rates, sizes, loss = trained(sequences, settings, num_items, num_steps)
        bare = products(settings, num_items, int(np.median(sizes)))
        step = float(np.median(sizes) / np.quantile(rates, 0.95))  # of the best tenth, the one in the middle
        row = f"{label:<24}{np.median(rates):>8,.0f}{np.quantile(rates, 0.95):>12,.0f}{1e3 * step:>7.1f}"
        print(f"{row}{1e3 * bare:>14.1f}{step / bare:>7.1f}{loss:>9.4f}")


def films() -> tuple[Sequences, SasrecConfig, int]:
    """As many items as MovieLens 100K has, and the settings at which the libraries were measured."""
    log = movielens(DATA)
    kept = log[log["item"].isin(log["item"].value_counts().index[:1682])]
    return _sequences(kept), FILMS, kept["item"].nunique()


def defaults() -> tuple[Sequences, SasrecConfig, int]:
    """Beauty, as ``fit`` would train it."""
    log = beauty(DATA)
    sequences, num_items = _sequences(log), log["item"].nunique()
    return sequences, SasrecConfig().with_defaults(sequences, num_items=num_items), num_items


def _sequences(log: pd.DataFrame) -> Sequences:
    return Sequences.from_interactions(Interactions.from_frame(log.set_axis([USER_ID, ITEM_ID, TIMESTAMP], axis=1)))


def trained(
    sequences: Sequences, settings: SasrecConfig, num_items: int, num_steps: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], float]:
    """Return targets a CPU-second of each step, its targets, and the mean loss."""
    generator = torch.Generator().manual_seed(1)
    counts_V = np.bincount(sequences.items, minlength=num_items)
    model = Sasrec(settings, seed=1)
    marks: list[float] = []
    sizes: list[int] = []

    def batches() -> Iterator[Batch]:
        while True:
            for batch in _epoch(sequences, settings, generator):
                marks.append(process_time())
                if len(sizes) == num_steps:
                    return
                sizes.append(len(batch.places))
                yield batch

    network = model._network(counts_V, settings, 0, generator)
    plan = Plan(1, num_steps, settings.learning_rate, weight_decay=settings.weight_decay)
    _, curve = train(network, batches, model._loss(counts_V, settings, generator), plan)
    return np.array(sizes) / np.diff(marks), np.array(sizes), curve[-1].loss


def _epoch(sequences: Sequences, settings: SasrecConfig, generator: torch.Generator) -> Iterator[Batch]:
    max_length, batch_tokens = settings.max_length or 1, settings.batch_tokens or 1
    for batch in epoch_batches(sequences, max_length=max_length, batch_tokens=batch_tokens, generator=generator):
        if len(batch.places) >= 0.9 * batch_tokens:
            yield batch


def products(settings: SasrecConfig, num_items: int, num_targets: int) -> float:
    """Return the seconds of the matrix products alone: of six square matrices a block, and of the items that are scored."""
    width = settings.embedding_size
    x_TD = torch.randn(num_targets, width)
    shapes = [width] * 6 * (settings.num_blocks or 1) + [settings.num_negatives or num_items]
    pairs = [(torch.randn(width, size), torch.randn(num_targets, size)) for size in shapes]
    found = []
    for _ in range(40):
        begun = process_time()
        for weights_DN, gradient_TN in pairs:
            torch.mm(x_TD, weights_DN, out=gradient_TN)
            torch.mm(gradient_TN, weights_DN.T)
            torch.mm(gradient_TN.T, x_TD)
        found.append(process_time() - begun)
    return float(np.quantile(found, 0.05))


if __name__ == "__main__":
    main()
