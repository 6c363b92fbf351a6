from __future__ import annotations

import base64
import csv
import dataclasses
import hashlib
import html
import io
import json
import re
import resource
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest
from builders import make_content, make_pair, make_paired_entry
from report_builders import HOSTILE, h100, hostile_file, plain_file, step_file, t4, training_epochs
from report_pages import five_runs
from simulated import write_sides
from training_builders import make_training, make_training_entry

from perfsuite.analysis.report.data import gather
from perfsuite.analysis.report.page import render_page
from perfsuite.analysis.report.policy import safe_csv
from perfsuite.analysis.report.summary import summarize
from perfsuite.analysis.tables.table import Table, text_column
from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "main", "footer", "nav", "section", "div", "span"),
    *("h1", "h2", "h3", "p", "ul", "ol", "li", "i", "a", "button", "label", "input", "figure", "figcaption", "details"),
    *(
        "code",
        "strong",
        "summary",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "script",
        "svg",
        "g",
        "path",
        "use",
        "text",
        "tspan",
    ),
    *("defs", "clippath", "rect", "pattern"),
}


class Reader(HTMLParser):
    """Reads a page as a browser would: what is a tag, what an attribute, what text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def sections(self) -> list[str]:
        return [str(attributes["id"]) for tag, attributes in self.tags if tag == "section" and "id" in attributes]


def page_of(*files: Path, baseline: tuple[Path, ...] = ()) -> str:
    return render_page(gather(files, baseline), version="1.2.3")


def first_tables(page: str) -> list[list[str]]:
    """Return the rows of the small tables of the first screen."""
    first = page[page.index('<section class="first"') : page.index('<div class="hero">')]
    rows = re.findall(r"<tr>(.*?)(?=<tr|</tbody|</thead)", first, re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd][^>]*>([^<]*)", row)] for row in rows]


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that tests only read."""
    return step_file(tmp_path_factory.mktemp("steps") / "steps.json")


@pytest.fixture(scope="module")
def page_of_steps(steps: Path) -> str:
    return page_of(steps)


def test_the_first_screen_says_what_was_measured_and_what_amp_gives_with_intervals(page_of_steps: str) -> None:
    text = Reader(page_of_steps).text
    assert "Mixed precision on Tesla T4" in text
    for words in ("18 steps", "x as fast, 36% less memory", "(low to high): spread within one run"):
        assert words in text
    rows = first_tables(page_of_steps)
    assert rows[0] == ["", "speed", "images/s", "memory"]
    assert [row[0] for row in rows[1:]] == ["resnet18", "resnet34", "resnet50"]
    for row in rows[1:]:
        assert re.fullmatch(r"1\.\d\dx \(1\.\d\d to 1\.\d\d\)", row[1])
        assert re.fullmatch(r"[\d,]+ -> [\d,]+", row[2])
        assert row[3] == "-36%"
    assert "speed-ups are of one run: their spread does not cover other runs" in text
    assert "1.9x [" not in text


def test_a_speedup_is_called_good_only_where_an_interval_over_processes_shows_it(tmp_path: Path) -> None:
    files = [step_file(tmp_path / f"{seed}.json", run_id=f"run-{seed}", seed=seed) for seed in range(3)]

    def tone(*chosen: Path) -> str:
        return next(answer.tone for answer in summarize(gather(chosen)) if answer.target == "speedup")

    assert tone(files[0]) == "plain"
    assert tone(*files) == "good"
    assert "[low, high]: 95% interval over 3 processes" in Reader(page_of(*files)).text


def test_sections_are_those_that_the_results_allow(page_of_steps: str, tmp_path: Path) -> None:
    found = Reader(page_of_steps).sections()
    assert found == ["speedup", "phases", "memory", "thesis", "rounds", "warnings", "environment", "tables"]
    bare = step_file(tmp_path / "bare.json", memory=False, precisions=("fp32",))
    assert Reader(page_of(bare)).sections() == ["phases", "thesis", "rounds", "environment", "tables"]


def test_energy_and_speed_of_light_have_sections_where_they_are_known(tmp_path: Path) -> None:
    reader = Reader(page_of(step_file(tmp_path / "steps.json", evidence=True)))
    assert {"roofline", "telemetry"} <= set(reader.sections())
    assert re.search(r"(39|40|41)\.\d%, launch-bound", reader.text)
    assert "21.43 mJ an image at 69.0 W, 1,350 MHz and 77.0 °C" in reader.text
    assert "of what probes reach on this device, %" in reader.text
    assert "<b>gemm</b>" in reader.text
    assert "b" not in {tag for tag, _ in reader.tags}


def test_verdicts_against_a_baseline_come_first_and_name_what_regressed(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 10 + [1.1, 0.9])
    page = page_of(*new, baseline=tuple(old))
    reader = Reader(page)
    assert reader.sections()[0] == "verdicts"
    assert "Regressed: 1 slower, of 12 benchmarks." in reader.text
    ((name, change, values),) = first_tables(page)[1:]
    assert name == "test_step[10]"
    assert re.fullmatch(r"\+\d+\.\d% \[\+\d+\.\d, \+\d+\.\d\]", change)
    assert re.fullmatch(r"[\d.]+ -> [\d.]+ (us|ms)", values)


def test_other_machines_are_never_judged_but_set_side_by_side(tmp_path: Path) -> None:
    old = step_file(tmp_path / "old.json", environment=t4(), run_id="old")
    new = step_file(tmp_path / "new.json", environment=h100(), run_id="new", factor=0.2)
    reader = Reader(page_of(new, baseline=(old,)))
    assert "Cannot be judged: the machines are not the same." in reader.text
    assert "across" in reader.sections()


def test_five_environments_stand_side_by_side_as_small_multiples(tmp_path: Path) -> None:
    environments = [
        *(t4(), h100(), h100("2.14.0+cu130")),
        *(dataclasses.replace(t4(), torch=torch) for torch in ("2.11.0+cu130", "2.12.0+cu130")),
    ]
    files = [
        step_file(tmp_path / f"{index}.json", environment=one, run_id=f"r{index}", models=("resnet18",))
        for index, one in enumerate(environments)
    ]
    reader = Reader(page_of(*files))
    assert "across" in reader.sections()
    for environment in environments:
        device = {"Tesla T4": "T4", "NVIDIA H100 80GB": "H100"}[str(environment.device)]
        assert reader.text.count(f"{device}, torch {environment.torch}") >= 3
    assert "environment 5" in reader.text


def test_only_full_trainings_give_curves_matrices_and_accuracy(write_result: Callable[..., Path]) -> None:
    records = [
        make_training(precision, history=training_epochs(5, precision), accuracy=accuracy)
        for precision, accuracy in (("fp32", 0.83), ("amp-fp16", 0.845))
    ]
    path = write_result(make_content([make_training_entry(record) for record in records]))
    reader = Reader(page_of(path))
    assert reader.sections() == ["thesis", "trainings", "confusion", "warnings", "environment", "tables"]
    for words in (
        "2 full trainings",
        "+1.50 (+0.07): no worse",
        "loss scale, after the last epoch",
        "one seed",
    ):
        assert words in reader.text or words in str(reader.tags)
    assert len([1 for tag, _ in reader.tags if tag == "svg"]) == 1 + 2 + 1 + 5 + 2 + 1


def test_interleaved_pairs_alone_give_a_page(write_result: Callable[..., Path]) -> None:
    reader = Reader(page_of(write_result(make_content([make_paired_entry(make_pair())]))))
    assert "1 interleaved pair" in reader.text
    assert reader.sections()[0] == "speedup"


def test_nothing_at_all_gives_a_page_that_says_so(write_result: Callable[..., Path]) -> None:
    assert "nothing" in Reader(page_of(write_result(make_content([])))).text


def test_one_single_benchmark_of_others_gives_a_page_without_claims_of_ours(tmp_path: Path) -> None:
    reader = Reader(page_of(plain_file(tmp_path / "one.json", ["test_one"])))
    assert reader.sections() == ["plain", "environment", "tables"]
    assert "A precision is verified" not in reader.text


def test_5000_benchmarks_give_a_page_of_less_than_3_mb(tmp_path: Path) -> None:
    path = plain_file(tmp_path / "many.json", [f"test_{number}" for number in range(5000)])
    page = page_of(path)
    assert len(page.encode()) < 3 * 2**20
    assert page.count("<tr>") > 5000


@pytest.fixture(scope="module")
def five_files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Files of 36 cells each, which tests only read."""
    files, _ = five_runs(tmp_path_factory.mktemp("five runs"))
    return files


def test_a_full_matrix_of_5_files_gives_less_than_3_mb(five_files: list[Path]) -> None:
    page = page_of(*five_files)
    assert "n = 5 processes" in page
    assert len(page.encode()) < 3 * 2**20


@pytest.mark.parametrize("kind", ["ours", "others"])
def test_hostile_names_stand_in_the_page_as_text(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.json"
    page = page_of(hostile_file(path) if kind == "ours" else plain_file(path, HOSTILE))
    reader = Reader(page)
    assert {tag for tag, _ in reader.tags} <= TAGS
    assert [tag for tag, _ in reader.tags].count("script") == 1
    for _, attributes in reader.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not [
            value for name, value in attributes.items() if name == "src" or (value or "").startswith("javascript")
        ]
    assert HOSTILE[0] in reader.text
    assert not set(page) & {"\x00", "\x1b", "\u202e"}


def test_the_page_names_no_address_but_its_own(page_of_steps: str) -> None:
    for tag, attributes in Reader(page_of_steps).tags:
        for name in ("href", "src", "action", "data"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:text/csv")), (tag, name, value)


def test_the_policy_lets_nothing_in_but_the_one_script_and_the_one_sheet(page_of_steps: str) -> None:
    found = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page_of_steps)
    assert found is not None
    policy = html.unescape(found[1])
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    for tag in ("script", "style"):
        block = re.search(rf"<{tag}>(.*?)</{tag}>", page_of_steps, re.DOTALL)
        assert block is not None
        digest = base64.b64encode(hashlib.sha256(block[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_ids_are_unique_and_every_reference_has_its_target(page_of_steps: str) -> None:
    ids = re.findall(r'\sid="([^"]+)"', page_of_steps)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:href="#|url\(#|labelledby=")([^")]+)', page_of_steps)) <= set(ids)


def test_every_figure_says_in_words_what_it_shows_and_every_mark_its_number(page_of_steps: str) -> None:
    reader = Reader(page_of_steps)
    figures = [attributes for tag, attributes in reader.tags if tag == "svg"]
    assert len(figures) > 10
    for attributes in figures:
        assert attributes["role"] == "img"
        assert re.search(r"\d", attributes["aria-label"] or "")
    marks = [attributes for tag, attributes in reader.tags if attributes.get("class") == "mark"]
    assert len(marks) > 50
    assert re.search(
        r"resnet18 amp-fp16: 1\.\d\dx \(.* in this run\) over FP32, separate cells; .* -> .* images/s", reader.text
    )


def test_the_same_files_give_the_same_page(steps: Path, page_of_steps: str) -> None:
    assert page_of(steps) == page_of_steps


def test_csv_in_the_page_has_base_units_and_no_text_that_a_spreadsheet_would_run() -> None:
    rows = [{"name": name, "x_s": -0.5, "empty": None} for name in ("=1+1", "+1", "-1", "@a", "\tb", "fine")]
    table = Table(title="t", frame=rows, columns=(text_column("name"),))
    found = list(csv.DictReader(io.StringIO(safe_csv(table))))
    assert [row["name"] for row in found] == ["'=1+1", "'+1", "'-1", "'@a", "'\tb", "fine"]
    assert found[0]["x_s"] == "-0.5"
    assert "empty" not in found[0]


def test_findings_and_failed_cells_are_listed_once_as_warnings(tmp_path: Path, steps: Path) -> None:
    content = json.loads(steps.read_text())
    content["benchmarks"][0]["extra_info"]["perfsuite"]["findings"] = ["rounds spread by 40%"]
    content["perfsuite"]["outcomes"] = [
        {"nodeid": "test_x", "outcome": "out_of_memory", "reason": "2 GiB were missing"}
    ]
    path = tmp_path / "found.json"
    path.write_text(json.dumps(content))
    text = Reader(page_of(path)).text
    assert text.count("rounds spread by 40%") == 1
    assert text.count("2 GiB were missing") == 3  # on the first screen, as a row of its table, among the warnings
    assert "18 steps; without a result: 1 out of memory" in text


def test_the_command_writes_the_page(steps: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.html"
    assert main(["report", str(steps), "-o", str(target)]) == 0
    assert target.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize(
    "arguments",
    [
        ["report", "missing.json", "-o", "x.html"],
        ["report", "{steps}", "-o", "{steps}"],
        ["report", "{steps}", "-o", "no/such/folder/x.html"],
        ["report", "{steps}", "--baseline", "{steps}", "-o", "x.html"],
        ["report", "{steps}", "--min-effect", "much", "-o", "x.html"],
    ],
)
def test_what_a_user_does_wrong_ends_in_one_line(
    arguments: list[str], steps: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([argument.replace("{steps}", str(steps)) for argument in arguments]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_page_of_36_cells_and_5_files_takes_a_few_times_as_long_as_loading_the_libraries(
    five_files: list[Path], tmp_path: Path
) -> None:
    imports = "import pandas, scipy.special, matplotlib.backends.backend_svg, jinja2"

    def seconds(*command: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, *command], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    seconds("-c", imports)
    loading = seconds("-c", imports)
    target = tmp_path / "report.html"
    whole = seconds("-m", "perfsuite", "report", *map(str, five_files), "-o", str(target))
    assert target.stat().st_size > 100_000
    assert whole < 8 * loading
