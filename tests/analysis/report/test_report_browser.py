"""The page in a browser, the network cut. Needs Chromium and playwright, and is skipped without them.

To have both: `apt-get install chromium` (Debian's package; playwright's own browsers are not used) and
`pip install playwright`; the tests environment of tox brings the second, and axe-core with `axe-playwright-python`.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builders import ENVIRONMENT, make_content
from history_builders import write_night
from report_builders import hostile_file, plain_file, step_file, training_epochs
from report_pages import PAGES
from simulated import write_sides
from training_builders import make_training, make_training_entry

from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]

pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium; apt-get install chromium"),
    pytest.mark.no_cover,  # what makes the pages is covered by test_report_page; here they are used
]


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


def test_changes_of_speed_and_approximate_numbers_are_sorted_by_what_they_say(visit: Visit, tmp_path: Path) -> None:
    factors = {"Tesla T4": 1.0, "NVIDIA H100 80GB": 0.1, "NVIDIA L4": 1.6}
    files = []
    for index, (name, factor) in enumerate(factors.items()):
        path = tmp_path / f"{index}.json"
        environment = dataclasses.replace(ENVIRONMENT, device=name, gpu=name)
        files.append(
            step_file(path, environment=environment, run_id=name, seed=index, models=["resnet18"], factor=factor)
        )
    target = tmp_path / "page.html"
    assert main(["report", *map(str, files), "-o", str(target)]) == 0
    page = visit.open(target)
    table = page.locator("#gpus table").first
    table.get_by_role("button", name="largest batch").click()
    heads = table.locator("th").all_inner_texts()
    column = next(index for index, head in enumerate(heads, 1) if "largest" in head)
    cells = table.locator(f"tbody tr td:nth-child({column})").all_inner_texts()
    batches = [float(text.strip("~").replace(",", "")) for text in cells if text != "-"]
    assert batches == sorted(batches)
    page.locator("#across details").evaluate_all("found => found.forEach(one => { one.open = true; })")
    across = page.locator("#across table").first
    for name, word in (("H100: speed", "faster"), ("L4: speed", "slower")):
        across.get_by_role("button", name=name).click()
        heads = across.locator("th").all_inner_texts()
        column = next(index for index, head in enumerate(heads, 1) if name in head)
        cells = across.locator(f"tbody tr td:nth-child({column})").all_inner_texts()
        assert all(word in text for text in cells)
        values = [float(text.partition("x")[0]) for text in cells]
        assert values == sorted(values, reverse=word == "slower")
        assert len(set(values)) > 1


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


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make each kind of page once."""
    made: dict[str, Path] = {}

    def page(name: str) -> Path:
        if name not in made:
            folder = tmp_path_factory.mktemp(name)
            files, baseline = PAGES[name](folder)
            made[name] = folder / f"{name}.html"
            against = ["--baseline", *map(str, baseline)] if baseline else []
            assert main(["report", *map(str, files), *against, "-o", str(made[name])]) == 0
        return made[name]

    return page


SIZES = """() => {
  const sizes = { html: new Set(), svg: new Set() };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode, element = text.parentElement;
    if (!text.textContent.trim() || element.closest("script, title, #tip")) continue;
    if (!element.getClientRects().length) continue;
    const svg = element.closest("svg"), size = parseFloat(getComputedStyle(element).fontSize);
    if (svg) sizes.svg.add(size * svg.getBoundingClientRect().width / svg.viewBox.baseVal.width);
    else sizes.html.add(size);
  }
  return { html: [...sizes.html], svg: [...sizes.svg] };
}"""
"""Of every text that is seen, in pixels."""

BEYOND = """all => all.flatMap(svg => { const box = svg.getBoundingClientRect();
  return [...svg.querySelectorAll("text")].filter(text => { const own = text.getBoundingClientRect();
  return own.left < box.left - 3 || own.right > box.right + 3; }).map(text => text.textContent); })"""
"""Texts of figures that are partly outside of them."""

PHONE = 390

WIDE = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
"""Texts that are wider than what holds them."""


@pytest.mark.parametrize("name", PAGES)
def test_no_width_makes_a_page_scroll_sideways_or_a_letter_too_small(
    name: str, visit: Visit, pages: Callable[[str], Path]
) -> None:
    page = visit.open(pages(name))
    for width in (PHONE, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), width
        assert page.locator(".answer").evaluate_all(WIDE) == [], width
        sizes = page.evaluate(SIZES)
        text, *larger = sorted(sizes["html"])
        assert text >= 14, width
        assert len(larger) == 1, f"{width}: headings have one size, all other text has one"
        if width > PHONE:
            assert sizes["svg"] == pytest.approx([text] * len(sizes["svg"]), rel=0.01), "figures have that of the page"
        assert min(sizes["svg"]) >= 9, width
        assert page.locator(".panel svg").evaluate_all(BEYOND) == [], width
        if folder := os.environ.get("PERFSUITE_SCREENSHOTS"):
            _take_screenshots(page, Path(folder) / f"{name}-{width}")


def _take_screenshots(page: Any, beginning: Path) -> None:
    for scheme, is_whole in itertools.product(("light", "dark"), (False, True)):
        page.emulate_media(color_scheme=scheme)
        target = beginning.with_name(f"{beginning.name}-{scheme}{'-whole' if is_whole else ''}.png")
        page.screenshot(path=target, full_page=is_whole)


def test_the_answers_of_the_committed_results_keep_within_their_cards(visit: Visit, tmp_path: Path) -> None:
    """Steps, pairs and two smoke trainings: narrow cards side by side."""
    files = sorted(map(str, (Path(__file__).parents[3] / "benchmarks" / "results" / "cpu-amd-epyc").glob("*.json")))
    target = tmp_path / "report.html"
    assert main(["report", *files, "-o", str(target)]) == 0
    page = visit.open(target)
    for width in (PHONE, 1280, 1366):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.locator(".answer").count() >= 3
        assert page.locator(".answer").evaluate_all(WIDE) == [], width


@pytest.mark.parametrize("name", PAGES)
def test_the_answers_are_seen_without_scrolling_on_a_laptop(
    name: str, visit: Visit, pages: Callable[[str], Path]
) -> None:
    page = visit.page
    page.set_viewport_size({"width": 1280, "height": 800})
    visit.open(pages(name))
    for answer in page.locator(".answer").all()[:-1]:  # all but what was measured
        box = answer.locator(".lead").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= 800
    assert page.locator(".answer .next").count() == 1
    last_line = page.locator(".answer .next").bounding_box()
    assert last_line is not None
    assert last_line["y"] + last_line["height"] <= 800


@pytest.mark.parametrize(
    ("name", "width", "scheme", "part"),
    [
        *((name, 1280, "light", ".first") for name in PAGES),
        ("few foreign", 390, "light", "body"),
        ("one-run", 390, "dark", "body"),
        ("regression", 1280, "light", "body"),
        ("numerics", 390, "dark", "body"),
    ],
)
def test_axe_finds_nothing_to_object_to(
    name: str, width: int, scheme: str, part: str, browser: Any, pages: Callable[[str], Path], tmp_path: Path
) -> None:
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    if name == "few foreign":  # thousands of rows take axe minutes
        source = plain_file(tmp_path / "few.json", [f"test_{number}" for number in range(60)])
        path = tmp_path / "report.html"
        main(["report", str(source), "-o", str(path)])
    else:
        path = pages(name)
    viewport = {"width": width, "height": 900}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True, bypass_csp=True)
    page = Visit(context.new_page()).open(path)
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate(f"axe.run({part!r})")
    assert len(found["passes"]) > 10
    assert [(one["id"], [node["html"] for node in one["nodes"][:3]]) for one in found["violations"]] == []
    context.close()


def test_the_column_that_names_a_row_stays_in_view_on_a_phone(visit: Visit, pages: Callable[[str], Path]) -> None:
    visit.page.set_viewport_size({"width": 390, "height": 844})
    page = visit.open(pages("regression"))
    holder = page.locator("#verdicts .scroll").first
    name = holder.locator("tbody tr").first.locator("td").nth(1)
    assert "resnet50" in name.inner_text()
    holder.evaluate("holder => { holder.scrollLeft = 300; }")
    left = holder.bounding_box()["x"]
    assert abs(name.bounding_box()["x"] - left) < 4
    assert holder.locator("tbody tr").first.locator("td").first.bounding_box()["x"] < left - 50


def test_rows_without_a_result_stay_last_however_a_table_is_sorted(visit: Visit, pages: Callable[[str], Path]) -> None:
    page = visit.open(pages("one-run"))
    page.locator("#tables summary").first.click()
    table = page.locator("#tables table").first
    for _ in range(2):
        table.get_by_role("button", name="median ms").click()
        assert table.locator("tbody tr").nth(17).get_attribute("class") is None
        assert table.locator("tbody tr").nth(18).get_attribute("class") == "absent"
    assert "out of memory: 21.4 GiB needed" in table.locator("tbody tr").nth(18).inner_text()


def test_an_explanation_of_a_figure_is_folded_until_it_is_asked_for(visit: Visit, pages: Callable[[str], Path]) -> None:
    page = visit.open(pages("one-run"))
    explanation = page.locator("#phases .how")
    assert explanation.locator("p").first.is_hidden()
    explanation.locator("summary").click()
    assert explanation.locator("p").first.is_visible()


def test_print_repeats_the_headings_of_tables_and_breaks_no_word(visit: Visit, pages: Callable[[str], Path]) -> None:
    page = visit.open(pages("regression"))
    page.emulate_media(media="print")
    page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    assert page.locator("th button").count() == 0  # a button would not be repeated on the next page
    broken = page.locator(".scroll td").evaluate_all(
        """cells => cells.filter(cell => { const style = getComputedStyle(cell);
        return style.overflowWrap === "anywhere" || style.wordBreak !== "normal" || style.hyphens === "auto"; })
        .length"""
    )
    assert broken == 0
    page.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert page.locator("th button").count() > 10


def test_the_page_prints_with_its_figures(visit: Visit, report: Path, tmp_path: Path) -> None:
    page = visit.open(report)
    page.emulate_media(color_scheme="dark")
    page.pdf(path=tmp_path / "page.pdf", prefer_css_page_size=True, print_background=True)
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
    assert page.locator(".answer .lead").first.inner_text() == "Regressed: 1 slower, of 32 benchmarks."
    assert page.locator("#verdicts svg").count() == 3
    visit.assert_quiet(target)


@pytest.fixture(scope="module")
def trend_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a history of 14 benchmarks, of which one regressed lately."""
    pytest.importorskip("ruptures", reason="of the extra history")
    folder = tmp_path_factory.mktemp("trends")
    for night in range(40):
        times = {f"test_{number:02d}": 0.1 + 0.001 * (night * number % 7) / 7 for number in range(14)}
        times["test_03"] *= 1.2 if night >= 35 else 1.0
        write_night(folder / "store", night, times)
    target = folder / "trends.html"
    assert main(["history", "page", "--store", str(folder / "store"), "-o", str(target)]) == 0
    return target


def test_a_run_of_a_history_is_read_with_the_pointer_and_with_keys(visit: Visit, trend_page: Path) -> None:
    page = visit.open(trend_page)
    line, tip = page.locator(".trend").first, page.locator("#tip.on")
    line.hover(position={"x": 2, "y": 10})
    assert "run 1 of 40: night0000.json" in tip.inner_text()
    line.focus()
    page.keyboard.press("End")
    assert "run 40 of 40: night0039.json" in tip.inner_text()
    page.keyboard.press("PageUp")
    assert tip.inner_text().startswith("First run at a new level. 12")
    assert "2026-02-05 02:00" in tip.inner_text()
    page.keyboard.press("ArrowLeft")
    assert "run 35 of 40" in tip.inner_text()
    page.keyboard.press("Escape")
    assert tip.count() == 0
    visit.assert_quiet(trend_page)


def test_benchmarks_of_a_history_are_filtered_and_empty_groups_go(visit: Visit, trend_page: Path) -> None:
    page = visit.open(trend_page)
    page.get_by_label("Filter").fill("test_03 time")
    assert page.locator(".trends tbody tr:visible").count() == 1
    assert page.locator(".group:visible").count() == 1
    assert page.locator(".machine .count").inner_text() == "1 of 14 series"
    page.get_by_label("Filter").fill("tests/test_it.py")  # of the full names, which rows show shortened
    assert page.locator(".machine .count").inner_text() == "14 series"


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_axe_finds_nothing_to_object_to_in_a_history(width: int, scheme: str, browser: Any, trend_page: Path) -> None:
    axe = pytest.importorskip("axe_playwright_python.base", reason="axe-playwright-python is not installed")
    viewport = {"width": width, "height": 900}
    context = browser.new_context(viewport=viewport, color_scheme=scheme, offline=True, bypass_csp=True)
    page = Visit(context.new_page()).open(trend_page)
    page.evaluate(axe.AXE_SCRIPT)
    found = page.evaluate("axe.run('body')")
    assert len(found["passes"]) > 10
    assert [(one["id"], [node["html"] for node in one["nodes"][:3]]) for one in found["violations"]] == []
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    context.close()
