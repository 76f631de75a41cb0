"""The texts of items become vectors."""

from __future__ import annotations

from prefect import get_run_logger

from bowerbird.pipeline import semantic_ids, session
from bowerbird.pipeline import texts as encoding
from bowerbird.pipeline.prepare import Plan
from bowerbird.pipeline.run import Run
from bowerbird.recipe_text import ItemTexts, SemanticIdsConfig
from tasks import artifacts
from tasks.policies import retried


@retried("Encode the texts")
def encode(run: Run, config: ItemTexts) -> None:
    """Encode the texts that the home's cache does not know."""
    with session.timed(run, "texts"):
        report = encoding.encode_texts(run, config)
    get_run_logger().info(
        "%(texts)d texts by %(encoder)s, %(encoded)d of them encoded anew, %(without_text)d items without", report
    )


@retried("Make the semantic ids")
def make_semantic_ids(run: Run, plan: Plan, config: SemanticIdsConfig) -> None:
    """Give each item its codes, and show whether later items are like the earlier ones."""
    with session.timed(run, "semantic_ids"):
        report = semantic_ids.make_semantic_ids(run, plan, config)
    artifacts.show_table(run, "semantic-ids", semantic_ids.by_level(report), semantic_ids.in_words(report))
    get_run_logger().info(semantic_ids.in_words(report))
