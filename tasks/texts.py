"""The texts of items become vectors."""

from __future__ import annotations

from prefect import get_run_logger

from bowerbird.pipeline import session
from bowerbird.pipeline import texts as encoding
from bowerbird.pipeline.run import Run
from bowerbird.recipe_text import ItemTexts
from tasks.policies import retried


@retried("Encode the texts")
def encode(run: Run, config: ItemTexts) -> None:
    """Encode the texts that the home's cache does not know."""
    with session.timed(run, "texts"):
        report = encoding.encode_texts(run, config)
    get_run_logger().info(
        "%(texts)d texts by %(encoder)s, %(encoded)d of them encoded anew, %(without_text)d items without", report
    )
