"""The report tells what it is given, whole or in part, and escapes all of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from pydantic import ValidationError

from bowerbird.report import page as page_module
from bowerbird.report.content import ReportContent, TableIngest
from bowerbird.report.page import OUTCOMES, duration, render_report, share, write_report
from tests.report.example import full, held, least, stopped

VOID = {"meta", "link", "br", "circle", "line", "path", "rect"}


class Outline(HTMLParser):
    """Collects headings, ids, and tags that were never closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings: list[int] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag in {"h1", "h2", "h3", "h4"}:
            self.headings.append(int(tag[1]))
        self.ids += [value for name, value in attrs if name == "id" and value]
        self.addresses += [value for name, value in attrs if name in {"src", "href"} and value]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID, tag

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("content", [full(), held(), stopped(), least()], ids=["full", "held", "stopped", "least"])
def test_page_is_well_formed_and_needs_no_network(content: ReportContent) -> None:
    outline = Outline(render_report(content))
    steps = [after - before for before, after in zip(outline.headings, outline.headings[1:], strict=False)]
    assert not outline.open
    assert outline.headings.count(1) == 1
    assert max(steps, default=0) <= 1
    assert len(set(outline.ids)) == len(outline.ids)
    inner = {address[1:] for address in outline.addresses if address.startswith("#")}
    assert set(outline.addresses) <= {"data:,", *(f"#{key}" for key in inner)}
    assert inner <= set(outline.ids)


def test_titles_are_escaped() -> None:
    page = render_report(full())
    assert "<script" not in page
    assert "&lt;script&gt;alert(&#39;title&#39;)&lt;/script&gt;" in page


POISON = "<img src=x onerror=alert(1)>"
WORDS = {*OUTCOMES, "nominee", "candidate", "champion", "rival", "block", "show"}


def poisoned(value: object) -> object:
    """Put markup before every text, but for the few that come from a fixed list."""
    if isinstance(value, dict):
        return {key: poisoned(part) for key, part in value.items()}
    if isinstance(value, tuple):
        return tuple(poisoned(part) for part in value)
    return POISON + value if isinstance(value, str) and value not in WORDS else value


def test_every_text_of_the_content_is_escaped() -> None:
    page = render_report(ReportContent.model_validate(poisoned(full().model_dump())))
    assert "<img" not in page
    assert page.count("&lt;img src=x") > 100


def test_names_of_cut_offs_and_packages_are_escaped() -> None:
    facts = least().facts
    hostile = facts.model_copy(
        update={"cut_offs": {POISON: facts.started}, "packages": {POISON: "1"}, "table_versions": {POISON: 1}}
    )
    assert "<img" not in render_report(least().model_copy(update={"facts": hostile}))


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_every_outcome_has_its_headline(outcome: str) -> None:
    content = least().model_copy(update={"outcome": outcome, "sentence": "So it is."})
    page = render_report(content)
    assert OUTCOMES[outcome][0] in page
    assert "So it is." in page


def test_what_lists_are_like_is_told_where_it_was_measured() -> None:
    page = render_report(full())
    assert "What the lists are like" in page and "Age in days" in page
    assert '<td class="number">210.5<span class="range">205.0 to 216.1</span></td>' in page
    assert "how long ago the listed items came" in page
    assert "What the lists are like" not in render_report(least())


def test_sum_of_rows_is_shown() -> None:
    page = render_report(full())
    assert "<b>152,431</b> read = <b>148,225</b> accepted + <b>1,622</b> quarantined + <b>2,584</b> duplicates" in page
    assert "do not add up" not in page


def test_rows_that_went_missing_are_named() -> None:
    lossy = least().model_copy(update={"tables": (TableIngest(table="events", read=10, accepted=9),)})
    assert "do not add up" in render_report(lossy)


def test_table_without_rows_is_told_without_shares() -> None:
    empty = least().model_copy(update={"tables": (TableIngest(table="events", read=0, accepted=0),)})
    assert "<b>0</b> read" in render_report(empty)


def test_report_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a run é" / "report.html"
    write_report(full(), path)
    assert path.read_text(encoding="utf-8") == render_report(full())
    assert [entry.name for entry in path.parent.iterdir()] == ["report.html"]


def test_content_is_frozen_and_refuses_unknown_keys() -> None:
    with pytest.raises(ValidationError):
        ReportContent.model_validate({**full().model_dump(), "surprise": 1})
    with pytest.raises(ValidationError):
        least().sentence = "other"  # type: ignore[misc]  # the point of the test


def test_small_shares_never_read_as_nothing() -> None:
    assert [share(0), share(0.0004), share(0.213)] == ["0.0 %", "<0.1 %", "21.3 %"]


def test_durations_read_naturally() -> None:
    assert [duration(0.31), duration(59.94), duration(72), duration(3720)] == ["0.3 s", "59.9 s", "1 min 12 s", "1 h 2 min"]


def test_what_was_not_measured_has_no_heading() -> None:
    bare = full().model_copy(update={"view": None, "answer": None, "changes": None, "drift": None})
    page = render_report(bare)
    absent = ["against the others", "Slices, worst first", "How the lists behave", "logged exploration", "Leaks looked for"]
    absent += ["in the lists</h2>", "What changed in the data", "Worst slice", "approved it", 'class="tag nominee">new']
    assert [words for words in absent if words in page] == []
    assert [words for words in absent if words not in render_report(full())] == []


def test_a_held_run_says_until_when_it_waits_and_what_it_takes_to_pass() -> None:
    page = render_report(held())
    assert "waits for an answer of Ada or Grace until 2026-03-04 22:15 UTC" in page
    assert "about 4,120 users would be needed" in page
    assert "Not applicable: no exploration was logged." in page


def test_the_page_stays_small_however_much_there_is_to_tell() -> None:
    content = full()
    assert content.view is not None and content.drift is not None
    much = content.model_copy(
        update={
            "view": content.view.model_copy(update={"slices": content.view.slices * 30}),
            "drift": content.drift.model_copy(update={"columns": content.drift.columns * 30}),
            "days": content.days * 6,
        }
    )
    assert len(render_report(content).encode()) < 120_000
    assert len(render_report(much).encode()) < 250_000


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_text_stands_out_from_its_ground(theme: int) -> None:
    css = (Path(page_module.__file__).parent / "page.css").read_text(encoding="utf-8")
    colours = dict(re.findall(r"--(\w+): (#[0-9a-f]{6});", css.split("prefers-color-scheme: dark")[theme]))

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for name in ("ink", "muted", "first", "second", "good", "warn", "bad", "calm"):
        for ground in ("paper", "card"):
            darker, lighter = sorted((light(colours[name]), light(colours[ground])))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, (name, ground)
