"""The page of a history, as text: what comes first, what is said, and that nothing from a file acts on a reader."""

from __future__ import annotations

import html
import json
import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from foreign_files import needs_public_files, public_files
from history_builders import write_night

from perfsuite.analysis.history.defaults import NUM_PAGE_RUNS
from perfsuite.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytest.importorskip("ruptures", reason="of the extra history")

NUM_NIGHTS = 60
LEVELS = {
    "test_lately_slower": lambda night: 1.10 if night >= 55 else 1.0,
    "test_lately_much_slower": lambda night: 1.40 if night >= 54 else 1.0,
    "test_lately_faster": lambda night: 0.80 if night >= 54 else 1.0,
    "test_slower_before": lambda night: 1.20 if night >= 20 else 1.0,
    "test_slower_and_back": lambda night: 1.20 if 15 <= night < 30 else 1.0,
    "test_steady": lambda _night: 1.0,
}
HOSTILE = "test_<script>alert(1)</script>\x1b[2J</script>\u202e\"'"


def write_store(folder: Path, levels: dict[str, Callable[[int], float]], num_nights: int = NUM_NIGHTS) -> Path:
    for night in range(num_nights):
        noise = np.random.default_rng(night).normal(0, 0.005, len(levels))
        times = {
            name: 0.1 * level(night) * float(np.exp(one))
            for (name, level), one in zip(levels.items(), noise, strict=True)
        }
        torch = "2.13.0" if night < 20 else "2.14.0"
        write_night(folder, night, times, torch_version=torch, commit=f"{night:04d}{'f' * 36}")
    return folder


def page_of(store: Path, *options: str) -> str:
    target = store.parent / "page.html"
    assert main(["history", "page", "--store", str(store), "-o", str(target), *options]) == 0
    return target.read_text()


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    return page_of(write_store(tmp_path_factory.mktemp("history") / "store", LEVELS))


def groups_of(page: str) -> dict[str, list[str]]:
    """Return the benchmarks below each heading, in the order of the page."""
    parts = re.split(r'<h3 id="history-\d-(\w+)">', page)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    return {name: re.findall(r'<span class="benchmark"[^>]*>([^<]*)</span>', part) for name, part in found}


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" class="trend-data">(.*?)</script>', page)
    found: dict[str, Any] = json.loads(text)
    return found


def test_what_regressed_lately_comes_first_and_the_largest_of_it_before_the_others(page: str) -> None:
    assert groups_of(page) == {
        "regressed": ["test_lately_much_slower", "test_lately_slower"],
        "improved": ["test_lately_faster"],
        "earlier": ["test_slower_and_back", "test_slower_before"],
        "unchanged": ["test_steady"],
    }
    assert "<title>History: 2 of 6 series regressed in the last 14 days</title>" in page
    assert "1 improved, 2 changed before, 1 never changed; 60 runs of EPYC in host, 2026-01-01 to 2026-03-01" in page


def test_the_days_that_count_as_the_last_are_chosen(page: str, tmp_path: Path) -> None:
    assert len(groups_of(page)["earlier"]) == 2
    later = page_of(write_store(tmp_path / "store", LEVELS), "--days", "50")
    assert groups_of(later)["regressed"][:2] == ["test_lately_much_slower", "test_slower_before"]
    assert "regressed in the last 50 days" in later


def test_a_row_says_how_much_since_when_and_between_which_versions(page: str) -> None:
    (row,) = [part for part in page.split("<tr>") if ">test_slower_before<" in part]
    text = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", row)).split())
    assert re.search(r"[\d.]+ ms → 1(19|20)[\d.]* ms \+(19|20)\.\d% \[\+\d+\.\d, \+\d+\.\d\] worse 2026-01-21", text)
    assert "torch 2.13.0 -> 2.14.0" in text


def test_the_next_step_names_the_commits_between_which_the_largest_lies(page: str, tmp_path: Path) -> None:
    words = re.sub(r"</?span>", "", page)
    assert "perfsuite bisect --good 0053ffffff --bad 0054ffffff --benchmark tests/test_it.py::test_lately_much" in words
    for night in range(NUM_NIGHTS):  # of one commit throughout: the code is not where it lies
        time_s = 0.1 if night < 50 else 0.15
        write_night(tmp_path / "store", night, {"a": time_s}, commit="a" * 40)
    words = re.sub(r"</?span>", "", page_of(tmp_path / "store"))
    assert "perfsuite ab --baseline PYTHON --candidate PYTHON" in words


def test_every_run_can_be_pointed_at_and_is_drawn(page: str) -> None:
    data = data_of(page)
    assert len(data["runs"]) == NUM_NIGHTS
    assert data["runs"][0][:2] == ["night0000.json", "2026-01-01 02:00"]
    first = data["series"][0]
    assert first["unit"] == "ms"
    assert [place for place, _ in first["levels"]] == [0, 54]
    assert first["values"][-1] / first["values"][0] == pytest.approx(1.4, rel=0.05)
    paths = re.findall(r'<path class="runs" d="([^"]+)"', page)
    assert [path.count("l") for path in paths] == [NUM_NIGHTS - 1] * len(LEVELS)
    assert page.count('class="change worse"') == 4
    assert page.count('class="change better"') == 2


def test_a_path_ends_where_the_last_run_lies(page: str) -> None:
    """Relative steps, two characters each, must not drift: added up they are the place of the last run."""
    path = re.findall(r'<path class="runs" d="([^"]+)"', page)[0]
    numbers = [[float(text) for text in re.findall(r"-?\d+(?:\.\d+)?", part)] for part in re.split("[Ml]", path)[1:]]
    places = np.cumsum(np.array(numbers), axis=0)
    assert places[:, 0] == pytest.approx((np.arange(NUM_NIGHTS) + 0.5) * 400 / NUM_NIGHTS, abs=0.51)
    assert places[:, 1].min() >= 9
    assert places[:, 1].max() <= 42


def test_few_runs_are_not_called_unchanged(tmp_path: Path) -> None:
    page = page_of(write_store(tmp_path / "store", LEVELS, num_nights=4))
    assert "Too few runs to find a change: 4 runs of 11" in page
    assert 'class="answer unsure' in page
    assert "Nothing regressed" not in page


def test_nothing_from_a_file_acts_on_a_reader(tmp_path: Path) -> None:
    page = page_of(write_store(tmp_path / "store", {HOSTILE: lambda _night: 1.0}, num_nights=3))
    assert page.count("<script") == 2  # the data and our own
    assert "alert(1)</script>" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_several_machines_are_sections_and_one_can_be_chosen(tmp_path: Path) -> None:
    for night in range(3):
        write_night(tmp_path / "store" / "a", night, {"a": 0.1})
        write_night(tmp_path / "store" / "b", night, {"b": 0.1}, node="other")
    page = page_of(tmp_path / "store")
    assert page.count('<div class="machine"') == 2
    page = page_of(tmp_path / "store", "--machine", "other")
    assert page.count('<div class="machine"') == 1
    assert groups_of(page) == {"short": ["b"]}


def test_of_many_machines_the_first_screen_names_those_with_a_regression(tmp_path: Path) -> None:
    for number in range(9):
        write_night(tmp_path / "store" / str(number), number, {"a": 0.1}, node=f"host{number}")
    for night in range(14):
        write_night(tmp_path / "store" / "slower", night, {"a": 0.1 if night < 9 else 0.2}, node="slower")
    page = page_of(tmp_path / "store")
    assert page.count('<div class="machine"') == 10
    answers = re.findall(r'<h3 id="answer-\d">([^<]*)</h3>', page)
    assert answers[0] == "EPYC in slower"
    assert answers[6:] == ["4 more machines"]
    targets = re.findall(r'<p class="lead"><a href="#([^"]+)"', page)
    assert len(targets) == 7
    assert set(targets) <= set(re.findall(r'id="([^"]+)"', page))


def test_a_machine_that_stopped_measuring_has_no_news(tmp_path: Path) -> None:
    for night in range(60):
        write_night(tmp_path / "store" / "a", night, {"a": 0.1})
    for night in range(20):
        time_s = 0.1 if night < 15 else 0.2
        write_night(tmp_path / "store" / "b", night, {"a": time_s, "b": 0.1}, node="other")
    page = page_of(tmp_path / "store")
    assert "<title>History: nothing regressed in the last 14 days</title>" in page
    assert "No run in the last 14 days: the last one was on 2026-01-20" in page
    assert page.count("last measured 2026-01-20") == 2
    alone = page_of(tmp_path / "store", "--machine", "other")
    assert "<title>History: 1 of 2 series regressed in the last 14 days</title>" in alone


def test_a_regression_that_was_made_up_for_in_part_is_still_told_first(tmp_path: Path) -> None:
    def level(night: int) -> float:
        if night < 47:
            return 1.0
        return 1.5 if night < 56 else 1.3

    page = page_of(write_store(tmp_path / "store", {"test_partly_fixed": level}))
    assert groups_of(page) == {"regressed": ["test_partly_fixed"]}
    (row,) = re.findall(r"<tr><th scope=.row.>.*?</tr>", page, re.DOTALL)
    text = html.unescape(re.sub(r"<[^>]+>", " ", row))
    assert re.search(r"(99\.\d+|100\.\d) ms → 1[45]\d\.\d ms", text)
    assert re.search(r"\+(49|50)\.\d% \[.*\] +worse", text)
    assert re.search(r"then -1[23]\.\d% \[.*\] on 2026-02-26, to 1[23]\d\.\d ms", text)
    assert "2026-02-17" in text


def test_a_benchmark_of_few_runs_is_not_called_unchanged_where_others_have_enough(tmp_path: Path) -> None:
    for night in range(30):
        write_night(tmp_path / "store", night, {"old": 0.1, **({"new": 0.1} if night >= 25 else {})})
    page = page_of(tmp_path / "store")
    assert groups_of(page) == {"unchanged": ["old"], "short": ["new"]}
    assert "1 never changed, 1 of too few runs" in page


def test_no_command_is_made_of_what_is_no_commit(tmp_path: Path) -> None:
    for night in range(40):
        write_night(tmp_path / "store", night, {"a": 0.1 if night < 35 else 0.2}, commit=f"$(reboot {night})")
    words = re.sub(r"</?span>", "", page_of(tmp_path / "store"))
    assert "1 of 1 series regressed" in words
    assert "perfsuite bisect" not in words


def test_a_report_has_the_same_section_where_a_store_is_given(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = write_store(tmp_path / "store", LEVELS)
    target = tmp_path / "report.html"
    (newest,) = store.glob("night0059.json")
    assert main(["report", str(newest), "--history", str(store), "-o", str(target)]) == 0
    report = target.read_text()
    assert groups_of(report)["regressed"] == ["test_lately_much_slower", "test_lately_slower"]
    assert '<a href="#history-0">2 of 6 series regressed in the last 14 days</a>' in report
    assert main(["report", str(newest), "-o", str(target)]) == 0
    assert 'id="history"' not in target.read_text()
    assert main(["report", str(newest), "--days", "7", "-o", str(target)]) == 2
    assert capsys.readouterr().err.endswith("is about the history; give its store with --history\n")


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["-o", "page.txt"], "-o page.txt: the page is HTML; name it page.html for instance"),
        (["--days", "0"], "--days"),
        (["--last", "x"], "--last"),
        (["--machine", "none"], "is none of 'EPYC in host'"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    options: list[str], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_night(tmp_path / "store", 0, {"a": 0.1})
    assert main(["history", "page", "--store", str(tmp_path / "store"), *options]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert complaint in line


def test_a_page_of_many_benchmarks_and_runs_stays_small(tmp_path: Path) -> None:
    """A tenth of 300 benchmarks x 400 runs, the size that was asked for, is less than a tenth of 4 MB."""
    levels = {f"test_benchmark_{number:03d}": LEVELS["test_slower_before"] for number in range(30)}
    page = page_of(write_store(tmp_path / "store", levels, num_nights=NUM_PAGE_RUNS))
    assert len(page.encode()) < 400_000


@needs_public_files
def test_runs_of_a_public_repository_are_a_history(tmp_path: Path) -> None:
    store = tmp_path / "store"
    store.mkdir()
    for path in public_files("bdperkin"):
        (store / path.name).write_bytes(path.read_bytes())
    page = page_of(store)
    assert len(groups_of(page)["short"]) == 14
    assert "4 runs of Intel(R) Core(TM) i7-8665U CPU @ 1.90GHz" in page
    # A second reading of the files: the medians in the order of their dates.
    contents = sorted((json.loads(path.read_text()) for path in store.glob("*.json")), key=lambda one: one["datetime"])
    name = "test_benchmark_full_league"
    medians = [
        entry["stats"]["median"] for content in contents for entry in content["benchmarks"] if entry["name"] == name
    ]
    data = data_of(page)
    place = groups_of(page)["short"].index(next(one for one in groups_of(page)["short"] if name in one))
    assert data["series"][place]["values"] == pytest.approx([1e3 * median for median in medians], rel=1e-4)
