"""Writes the report of a held run anew once it has been answered: the page that waited for a person says what he said."""

from __future__ import annotations

from pathlib import Path

from bowerbird.pipeline.view import answer
from bowerbird.report.content import Published, ReportContent
from bowerbird.report.page import write_report
from bowerbird.store.runs import CONTENT, MANIFEST, OUTCOME, REPORT, read_json


def tell_answer(folder: Path) -> None:
    """Put the answer of the manifest onto the page; a run of an older version, which kept no content, keeps its page."""
    if not (folder / CONTENT).exists():
        return
    content = ReportContent.model_validate(read_json(folder / CONTENT))
    outcome, manifest = read_json(folder / OUTCOME), read_json(folder / MANIFEST)
    shown = None
    if outcome["outcome"] == "published":
        shown = Published(
            version=outcome["version"],
            model=manifest["decision"]["publish"] or manifest["decision"]["nominee"],
            num_users=manifest["num_users"],
            k=manifest["recipe"]["recommend"]["k"],
            run_id=manifest["run_id"],
        )
    said = answer(manifest)
    assert said is not None, "the caller has written it"
    verb = "published" if said.accepted else "closed"
    told = {
        "outcome": outcome["outcome"],
        "sentence": f"It was {verb} by {said.by or 'somebody'}. The gate had said: {content.sentence}",
        "answer": said,
        "published": shown,
    }
    write_report(content.model_copy(update=told), folder / REPORT)
