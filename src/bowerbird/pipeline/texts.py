"""The texts of a run's items as vectors: encoded once before models are fitted, then read by all of them."""

from __future__ import annotations

import logging
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from bowerbird.columns import ITEM_ID, TEXT_VECTOR
from bowerbird.pipeline.prepare import load_items
from bowerbird.pipeline.run import TEXTS, TEXTS_REPORT, Run
from bowerbird.recipe_text import ItemTexts
from bowerbird.store.runs import write_json

SCHEMA = pa.schema([(ITEM_ID, pa.string()), (TEXT_VECTOR, pa.list_(pa.float32()))])

logger = logging.getLogger(__name__)


def encode_texts(run: Run, config: ItemTexts) -> dict[str, Any]:  # Any: JSON
    """Encode the catalogue's texts, those that the home's cache does not know, and keep vectors and counts, the counts last.

    A vector depends on an item's own text alone, and models leave out items that are created later than what they are fitted
    on. Raises MissingExtraError and EncoderError, unless the recipe says to go on without.
    """
    from bowerbird.text.encode import encode

    items = load_items(run)
    report: dict[str, Any] = {"encoder": None, "identity": None, "texts": 0, "encoded": 0, "without_text": 0}  # Any: JSON
    if items is not None:
        found = encode(items, config, cache=run.home.cache / "text")
        unfinished = run.folder / f"{TEXTS}.tmp"
        pq.write_table(pa.Table.from_pandas(found.items[list(SCHEMA.names)], schema=SCHEMA, preserve_index=False), unfinished)
        unfinished.rename(run.folder / TEXTS)
        counts = {"texts": found.num_texts, "encoded": found.num_encoded, "without_text": found.num_without_text}
        report = {"encoder": found.encoder, "identity": found.identity, **counts}
    write_json(run.folder / TEXTS_REPORT, report)
    logger.info("%d texts by %s, %d of them encoded anew", report["texts"], report["encoder"], report["encoded"])
    return report
