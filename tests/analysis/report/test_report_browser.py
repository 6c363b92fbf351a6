"""The page in a browser, the network cut. Needs Chromium and playwright, and is skipped without them.

To have both: `apt-get install chromium` (Debian's package; playwright's own browsers are not used) and
`pip install playwright`; the tests environment of tox brings the second.
"""

from __future__ import annotations

import csv
import io
import itertools
import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content
from report_builders import hostile_file, plain_file, step_file, training_epochs
from simulated import write_sides
from training_builders import make_training, make_training_entry

from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of steps, full trainings and verdicts."""
    folder = tmp_path_factory.mktemp("report")
    sides = [
        [step_file(folder / f"{name}{seed}.json", run_id=f"{name}{seed}", seed=seed, factor=factor) for seed in seeds]
        for name, seeds, factor in (("old", range(0, 10, 2), 1.0), ("new", range(1, 11, 2), 1.08))
    ]
    content = json.loads(sides[1][0].read_text())
    records = [make_training(name, history=training_epochs(40, name)) for name in ("fp32", "amp-fp16")]
    content["benchmarks"] += make_content([make_training_entry(record) for record in records])["benchmarks"]
    sides[1][0].write_text(json.dumps(content))
    target = folder / "report.html"
    assert main(["report", *map(str, sides[1]), "--baseline", *map(str, sides[0]), "-o", str(target)]) == 0
    return target


class Visit:
    """A page that is open, and what it did that it should not."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", self.refuse)
        page.on("request", lambda request: self.requests.append(request.url))

    def refuse(self, dialog: Any) -> None:
        self.complaints.append(dialog.message)
        dialog.dismiss()

    def open(self, path: Path) -> Any:
        self.page.goto(path.as_uri())
        return self.page

    def assert_quiet(self, path: Path) -> None:
        assert self.complaints == []
        assert self.requests == [path.as_uri()]


@pytest.fixture
def visit(browser: Any) -> Iterator[Visit]:
    context = browser.new_context(viewport={"width": 1600, "height": 900}, offline=True)
    yield Visit(context.new_page())
    context.close()


def test_the_page_opens_without_a_complaint_and_without_a_request(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    assert page.locator("h1").inner_text() == "Mixed precision on Tesla T4"
    assert page.locator("svg").count() > 15
    visit.assert_quiet(report)


def test_a_click_on_a_heading_sorts_numbers_as_numbers_both_ways(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    table = page.locator("#speedup table").first
    button = table.get_by_role("button", name="FP32 images/s")
    column = table.locator("tbody tr td:nth-child(3)")

    def values() -> list[float]:
        return [float(text.replace(",", "")) for text in column.all_inner_texts()]

    button.click()
    assert values() == sorted(values())
    assert len(set(values())) > 3
    assert button.locator("xpath=..").get_attribute("aria-sort") == "ascending"
    button.press("Enter")
    assert values() == sorted(values(), reverse=True)
    assert table.locator("th[aria-sort]").count() == 1


def test_a_filter_leaves_the_rows_that_hold_every_word(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    holder = page.locator("#verdicts .table").first
    holder.get_by_label("Filter").fill("resnet50 TRAIN_step")
    assert holder.locator("tbody tr:visible").count() == 2
    assert holder.locator(".count").inner_text() == "2 of 18 rows"


def test_hovering_a_bar_shows_its_exact_number_with_its_unit(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    mark = page.locator("#speedup .panel .mark").first
    mark.scroll_into_view_if_needed()
    page.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")  # it has scrolled
    mark.hover()
    tip = page.locator("#tip")
    assert tip.evaluate("tip => getComputedStyle(tip).opacity") == "1"
    assert " over FP32, " in tip.inner_text()
    assert "images/s" in tip.inner_text()
    page.locator("h1").hover()
    assert tip.evaluate("tip => getComputedStyle(tip).opacity") == "0"


def test_the_keyboard_reaches_every_mark_through_one_stop_per_figure(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    figure = page.locator("#phases .panel svg").first
    figure.focus()
    texts = []
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        texts.append(page.locator("#tip").inner_text())
    assert len(set(texts)) == 3
    assert all(" ms" in text for text in texts)
    page.keyboard.press("Escape")
    assert "on" not in (page.locator("#tip").get_attribute("class") or "")


def test_the_theme_follows_the_system_until_the_button_is_used(visit: Visit, report: Path) -> None:
    page = visit.open(report)

    def background() -> str:
        return str(page.evaluate("getComputedStyle(document.body).backgroundColor"))

    light = background()
    page.emulate_media(color_scheme="dark")
    dark = background()
    assert dark != light
    page.get_by_role("button", name="Light theme").click()
    assert background() == light
    page.get_by_role("button", name="Dark theme").click()
    assert background() == dark


def test_headings_tables_and_figures_have_accessible_names(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    tree = page.locator("main").aria_snapshot()
    for words in (
        'heading "Did anything get slower, less accurate, or use more memory?" [level=2]',
        "columnheader",
        "navigation",
    ):
        assert words in tree
    levels = page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map(h => +h.tagName[1])")
    assert levels[0] == 1
    assert all(later - earlier <= 1 for earlier, later in itertools.pairwise(levels))
    figures = page.get_by_role("img").all()
    assert len(figures) > 15
    assert all(any(letter.isdigit() for letter in figure.get_attribute("aria-label")) for figure in figures)
    names = page.locator("table").evaluate_all("tables => tables.map(t => t.ariaLabelledByElements?.[0]?.textContent)")
    assert all(names)


@pytest.mark.parametrize("width", [390, 1600, 3840])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_width_makes_the_page_scroll_sideways_or_a_letter_too_small(
    width: int, scheme: str, browser: Any, report: Path, tmp_path: Path
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    page = Visit(context.new_page()).open(report)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    sizes = page.locator(".panel svg").evaluate_all(
        "all => all.map(svg => svg.getBoundingClientRect().width / svg.viewBox.baseVal.width)"
    )
    assert min(sizes) * 7.5 > 8.5  # the smallest type of a panel, in pixels
    texts = page.locator(".panel svg").evaluate_all(
        """all => all.flatMap(svg => { const box = svg.getBoundingClientRect();
        return [...svg.querySelectorAll("text")].filter(text => { const own = text.getBoundingClientRect();
        return own.left < box.left - 3 || own.right > box.right + 3; }).map(text => text.textContent); })"""
    )
    assert texts == []
    page.screenshot(path=tmp_path / "page.png", full_page=True)
    if folder := os.environ.get("PERFSUITE_SCREENSHOTS"):
        shutil.copy(tmp_path / "page.png", f"{folder}/report-{width}-{scheme}.png")
    context.close()


def test_the_page_prints_with_its_figures(visit: Visit, report: Path, tmp_path: Path) -> None:
    page = visit.open(report)
    page.emulate_media(color_scheme="dark")
    page.pdf(path=tmp_path / "page.pdf", format="A4", print_background=True)
    content = (tmp_path / "page.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert len(content) > 50_000
    visit.assert_quiet(report)


def test_without_a_script_everything_is_there_to_be_read(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = Visit(context.new_page()).open(report)
    assert page.locator("#theme").is_hidden()
    assert page.locator("#speedup svg").first.is_visible()
    assert page.locator("#speedup table").first.is_visible()
    assert page.locator(".csv").first.get_attribute("href").startswith("data:text/csv")
    context.close()


def test_a_table_downloads_as_csv_in_base_units(visit: Visit, report: Path) -> None:
    page = visit.open(report)
    with page.expect_download() as waiting:
        page.locator("#speedup .csv").first.click()
    download = waiting.value
    assert download.suggested_filename.endswith(".csv")
    rows = list(csv.DictReader(io.StringIO(download.path().read_text())))
    assert len(rows) == 9
    assert float(rows[0]["speedup_ratio"]) > 1


@pytest.mark.parametrize("kind", ["ours", "others"])
def test_hostile_names_run_nothing(kind: str, visit: Visit, tmp_path: Path) -> None:
    from report_builders import HOSTILE

    source, target = tmp_path / "hostile.json", tmp_path / "report.html"
    path = hostile_file(source) if kind == "ours" else plain_file(source, HOSTILE)
    main(["report", str(path), "-o", str(target)])
    page = visit.open(target)
    for details in page.locator("details").all():
        details.locator("summary").click()
    for mark in page.locator(".mark").all()[:20]:
        mark.hover(force=True)
    visit.assert_quiet(target)


def test_5000_benchmarks_are_sorted_and_filtered(visit: Visit, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    path = plain_file(tmp_path / "many.json", [f"test_{number}" for number in range(5000)])
    main(["report", str(path), "-o", str(target)])
    page = visit.open(target)
    page.locator("#tables summary").first.click()
    page.locator("#tables").get_by_label("Filter").fill("test_4999")
    assert page.locator("#tables tbody tr:visible").count() == 1
    page.locator("#tables").get_by_role("button", name="median").click()
    visit.assert_quiet(target)


def test_verdicts_of_other_peoples_benchmarks_are_drawn(visit: Visit, tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 30 + [1.1, 0.9])
    target = tmp_path / "report.html"
    main(["report", *map(str, new), "--baseline", *map(str, old), "-o", str(target)])
    page = visit.open(target)
    assert page.locator(".answer.bad .lead").inner_text() == "Yes: 1 of 32 benchmarks"
    assert page.locator("#verdicts svg").count() == 3
    visit.assert_quiet(target)
