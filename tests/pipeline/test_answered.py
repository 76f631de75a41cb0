"""The page of a held run says what was answered; it round-trips through the content that the run kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from bowerbird.pipeline.answered import tell_answer
from bowerbird.report.content import ReportContent
from bowerbird.store.runs import CONTENT, MANIFEST, OUTCOME, read_json, write_json
from tests.report.example import full, held, least, stopped


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A held run's folder, as far as its answer goes."""
    write_json(tmp_path / CONTENT, held().model_dump(mode="json"))
    decision = {"publish": None, "nominee": "sasrec"}
    write_json(tmp_path / MANIFEST, {"run_id": "r", "num_users": 2000, "recipe": {"recommend": {"k": 10}}, "decision": decision})
    return tmp_path


def answered(folder: Path, *, accepted: bool) -> str:
    answer = {"accepted": accepted, "by": "Ada <3", "reason": "odd lists", "at": "2026-03-03T10:00:00+00:00", "kind": "approve"}
    write_json(folder / MANIFEST, read_json(folder / MANIFEST) | {"answer": answer})
    write_json(folder / OUTCOME, {"outcome": "published" if accepted else "rejected", "version": 8 if accepted else None})
    tell_answer(folder)
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_page_that_waited_says_who_published_it_and_why(folder: Path) -> None:
    page = answered(folder, accepted=True)
    assert "</span>Published</h1>" in page
    assert "It was published by Ada &lt;3. The gate had said: The new recipe looks a little better" in page
    assert "<b>Ada &lt;3 approved it</b> on 2026-03-03 10:00 UTC. Reason:" in page and "odd lists" in page
    assert "waits for an answer" not in page
    assert "version 8" in page


def test_a_page_that_waited_says_who_closed_it(folder: Path) -> None:
    page = answered(folder, accepted=False)
    assert "</span>Rejected</h1>" in page and "<b>Ada &lt;3 rejected it</b>" in page and "Readers see" not in page


def test_a_deadline_is_no_person(folder: Path) -> None:
    answer = {"accepted": False, "by": "the deadline", "reason": "nobody answered within 3d", "at": None, "kind": "deadline"}
    write_json(folder / MANIFEST, read_json(folder / MANIFEST) | {"answer": answer})
    write_json(folder / OUTCOME, {"outcome": "rejected", "version": None})
    tell_answer(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Nobody answered in time, so it was closed" in page and "nobody answered within 3d" in page


def test_an_older_run_keeps_its_page(tmp_path: Path) -> None:
    tell_answer(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [full(), held(), stopped(), least()], ids=["full", "held", "stopped", "least"])
def test_content_goes_to_json_and_back(content: ReportContent) -> None:
    assert ReportContent.model_validate(content.model_dump(mode="json")) == content
