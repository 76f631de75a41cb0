"""What a language model writes in a run: knowledge of items before models are fitted, sentences before lists are published."""

from __future__ import annotations

import logging
from collections import Counter

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bowerbird.columns import ATTRIBUTES, ITEM_ID, KEYWORDS, PROFILE, STATUS
from bowerbird.pipeline.prepare import load_items
from bowerbird.pipeline.run import KNOWLEDGE, KNOWLEDGE_REPORT, Run
from bowerbird.recipe_knowledge import Explanations, Knowledge
from bowerbird.store.runs import write_json
from bowerbird.text.endpoint import Endpoint
from bowerbird.text.explanations import explain
from bowerbird.text.knowledge import Report, describe

EXPLANATIONS = "explanations.json"
TEXT = pa.string()
SCHEMA = pa.schema([(ITEM_ID, TEXT), (KEYWORDS, pa.list_(TEXT)), (ATTRIBUTES, pa.list_(TEXT)), (PROFILE, TEXT), (STATUS, TEXT)])

logger = logging.getLogger(__name__)


def write_knowledge(run: Run, settings: Knowledge) -> Report:
    """Ask for knowledge of the items, and keep it and its counts in the run's folder, the counts last."""
    items = load_items(run)
    if items is None:
        items = pd.DataFrame({ITEM_ID: pd.Series(dtype=object)})
    frame, report = describe(items, settings, Endpoint(settings.model, settings, run.home.cache / "language_model"))
    unfinished = run.folder / f"{KNOWLEDGE}.tmp"
    pq.write_table(pa.Table.from_pandas(frame, schema=SCHEMA, preserve_index=False), unfinished)
    unfinished.rename(run.folder / KNOWLEDGE)
    write_json(run.folder / KNOWLEDGE_REPORT, report.model_dump())
    log = logger.warning if report.failed else logger.info
    log(report.sentence())
    return report


class Speaker:
    """Writes the explanations of one run."""

    def __init__(self, run: Run, settings: Explanations) -> None:
        self.run, self.items, self.counts = run, load_items(run), Counter[str]()
        cache = run.home.cache / "language_model"
        self.phrasing = Endpoint(settings.model, settings, cache) if settings.model is not None else None

    def explain(self, told: pd.DataFrame) -> list[str]:
        """Return a sentence for each row of lists with evidence."""
        sentences, counts = explain(told, self.items, phrasing=self.phrasing)
        self.counts += counts
        return sentences

    def report(self) -> None:
        """Keep the counts in the run's folder."""
        write_json(self.run.folder / EXPLANATIONS, dict(sorted(self.counts.items())))
        logger.info("explanations: %s", ", ".join(f"{count} {name}" for name, count in sorted(self.counts.items())))
