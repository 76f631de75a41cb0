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


def named(browser: Browser, path: Path) -> list[tuple[str, str]]:
    """Return role and accessible name of everything in the accessibility tree."""
    page, _ = visit(browser, path, 1280, 900, "light")
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    page.context.close()
    return [(node["role"]["value"], node.get("name", {}).get("value", "")) for node in nodes if not node["ignored"]]


@pytest.mark.parametrize("content", [full(), held(), stopped(), least()], ids=["full", "held", "stopped", "least"])
def test_a_screen_reader_finds_landmarks_and_a_name_for_all_that_it_can_stop_at(
    browser: Browser, tmp_path: Path, content: ReportContent
) -> None:
    write_report(content, tmp_path / "report.html")
    found = named(browser, tmp_path / "report.html")
    roles = [role for role, _ in found]
    assert [roles.count(role) for role in ("banner", "main", "navigation")] == [1, 1, 1]
    speaking = {"link", "region", "image", "table", "heading", "DisclosureTriangle", "navigation", "article", "columnheader"}
    assert [(role, name) for role, name in found if role in speaking and not name.strip()] == []
    regions = [name for role, name in found if role == "region"]
    assert len(set(regions)) == len(regions), "each is told from the others by its name"


def test_pictures_say_their_values(browser: Browser, tmp_path: Path) -> None:
    write_report(full(), tmp_path / "report.html")
    page, _ = visit(browser, tmp_path / "report.html", 1280, 900, "light")
    nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    pictures = [node["name"]["value"] for node in nodes if node["role"]["value"] == "image"]
    assert any("cooccurrence +0.0105 (+0.0061 to +0.0149)" in name for name in pictures)
    assert any("new users -0.0151 (-0.0253 to -0.0049)" in name for name in pictures)
    page.context.close()


def test_the_keyboard_reaches_everything_in_reading_order_and_sees_where_it_is(browser: Browser, tmp_path: Path) -> None:
    write_report(held(), tmp_path / "report.html")
    page, _ = visit(browser, tmp_path / "report.html", 1280, 900, "light")
    can = "a[href], summary, [tabindex='0']"
    shown = f'[...document.querySelectorAll("{can}")].filter(one => one.checkVisibility({{contentVisibilityAuto: true}}))'
    expected = page.evaluate(f"{shown}.length")
    places = []
    for _ in range(expected):
        page.keyboard.press("Tab")
        places.append(page.evaluate(f"{shown}.indexOf(document.activeElement)"))
        style = page.evaluate("(one => [one.outlineStyle, one.outlineWidth])(getComputedStyle(document.activeElement))")
        assert style[0] != "none" and style[1] != "0px"
    assert places == list(range(expected))
    page.context.close()


def test_a_table_behind_a_picture_opens_by_the_keyboard(browser: Browser, tmp_path: Path) -> None:
    write_report(full(), tmp_path / "report.html")
    page, _ = visit(browser, tmp_path / "report.html", 1280, 900, "light")
    table = page.get_by_role("table", name="Slices, worst first")
    assert not table.is_visible()
    page.get_by_text("All 6 slices as a table").focus()
    page.keyboard.press("Enter")
    assert table.is_visible()
    page.context.close()


def test_paper_shows_the_tables_that_the_screen_hides(browser: Browser, tmp_path: Path) -> None:
    write_report(full(), tmp_path / "report.html")
    page, _ = visit(browser, tmp_path / "report.html", 794, 1123, "light")
    page.emulate_media(media="print")
    heights = page.evaluate(
        "[...document.querySelectorAll('details:not(.long) table')].map(one => one.getBoundingClientRect().height)"
    )
    assert heights and min(heights) > 20
    page.context.close()
