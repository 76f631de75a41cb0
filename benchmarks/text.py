"""Texts per CPU-second of both packaged encoders on Amazon Beauty's titles, one thread, and what a second run costs.

OMP_NUM_THREADS=1 OMP_WAIT_POLICY=passive python -m benchmarks.text [--texts 4000]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import pandas as pd
import torch

from benchmarks.machine import commit, cpu
from bowerbird.columns import TITLE
from bowerbird.recipe_text import ItemTexts
from bowerbird.text.encode import encode
from bowerbird.text.encoders import build_encoder

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=4000, help="so many titles, evenly spread over the catalogue")
    num = parser.parse_args(arguments).texts
    torch.set_num_threads(1)
    titled = pd.read_parquet(DATA / "amazon-beauty" / "items.parquet").dropna(subset=[TITLE]).drop_duplicates(TITLE)
    items = titled.iloc[:: max(1, len(titled) // num)].head(num)
    mean = items[TITLE].str.len().mean()
    print(f"{cpu()}, Python {sys.version.split()[0]}, torch {torch.__version__}, one thread, commit {commit()}")
    print(f"{len(items):,} titles of {len(titled):,}, {mean:.0f} letters on average")
    print(f"{'encoder':<14}{'width':>6}{'load, CPU s':>13}{'encode, CPU s':>15}{'texts a CPU s':>15}{'again, CPU s':>14}")
    for name in ("english", "multilingual"):
        print(f"{name:<14}{measured(name, items)}", flush=True)


def measured(name: str, items: pd.DataFrame) -> str:
    """Encode into an empty cache, then once more from it."""
    config = ItemTexts(template="{title}", encoder=name)
    begun = process_time()
    build_encoder(name).encode(["warm"])
    loaded = process_time() - begun
    with TemporaryDirectory() as folder:
        begun = process_time()
        found = encode(items, config, cache=Path(folder))
        encoded = process_time() - begun
        begun = process_time()
        encode(items, config, cache=Path(folder))
        again = process_time() - begun
    width = len(found.items["text_vector"].iloc[0])
    return f"{width:>6}{loaded:>13.1f}{encoded:>15.1f}{found.num_encoded / encoded:>15.0f}{again:>14.2f}"


if __name__ == "__main__":
    main()
