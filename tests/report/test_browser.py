"""The report in a real browser with the network off, on a desk and on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from bowerbird.report.content import ReportContent
from bowerbird.report.page import write_report
from tests.report.example import full, held, least, stopped

FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-sync"]
SIZES = [(390, 844), (1280, 900)]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    assert chromium, "there is no chromium here; `make test-slow` installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


def visit(browser: Browser, path: Path, width: int, height: int, scheme: Literal["light", "dark"]) -> tuple[Page, list[str]]:
    """Open a file with the network off; collect what the console and the network say."""
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, offline=True)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: complaints.append(request.url) if not request.url.startswith(("file:", "data:")) else None)
    page.goto(path.as_uri())
    return page, complaints


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("content", [full(), held(), stopped(), least()], ids=["full", "held", "stopped", "least"])
def test_page_opens_without_a_network_and_fits_the_screen(
    browser: Browser, tmp_path: Path, content: ReportContent, width: int, height: int, scheme: Literal["light", "dark"]
) -> None:
    path = tmp_path / "report.html"
    write_report(content, path)
    page, complaints = visit(browser, path, width, height, scheme)
    assert complaints == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.locator("h1").is_visible()
    page.context.close()


def test_wide_tables_scroll_inside_their_box_and_text_stays_readable(browser: Browser, tmp_path: Path) -> None:
    write_report(full(), tmp_path / "report.html")
    page, _ = visit(browser, tmp_path / "report.html", 390, 844, "light")
    assert page.evaluate("[...document.querySelectorAll('.scroll')].some(box => box.scrollWidth > box.clientWidth)")
    smallest = page.evaluate(
        "Math.min(...[...document.querySelectorAll('svg text')].map(text => 13 * text.ownerSVGElement.getScreenCTM().a))"
    )
    assert smallest >= 10.5
    page.context.close()


def test_hostile_titles_run_nothing(browser: Browser, tmp_path: Path) -> None:
    write_report(full(), tmp_path / "report.html")
    page, _ = visit(browser, tmp_path / "report.html", 1280, 900, "light")
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    page.reload()
    assert dialogs == []
    assert page.get_by_text("<script>alert('title')</script>").is_visible()
    page.context.close()
