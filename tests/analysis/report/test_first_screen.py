"""What the first screen of each kind of page says, and in which order."""

from __future__ import annotations

import functools
import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_pair, make_paired_entry
from report_builders import h100, plain_file, step_file, t4
from report_pages import PAGES, regression
from simulated import changed, write_sides
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.unmeasured import unmeasured
from perfsuite.analysis.report.answers import small_table
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.report.page import _caption, _hero, render_page
from perfsuite.analysis.report.short_names import short_names
from perfsuite.analysis.report.speedups import saved_memory
from perfsuite.analysis.report.summary import summarize
from perfsuite.recipes import SMOKE

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.report.answers import Answer

QUESTIONS = {
    "one-run": ["AMP vs FP32 (whole training step)"],
    "five-runs": ["AMP vs FP32 (whole training step)"],
    "regression": ["Did anything regress?", "AMP vs FP32 (whole training step)"],
    "trainings": ["How accurate are the full trainings?"],
    "ten-environments": ["Which GPU is the fastest?", "AMP vs FP32 (whole training step)"],
    "foreign": ["How long do they take?"],
    "numerics": ["Why does mixed precision work here?"],
    "scaling": ["How well does it scale?"],
}

HEROES = {
    "one-run": "speedup",
    "five-runs": "speedup",
    "regression": "verdicts",
    "trainings": "accuracy",
    "ten-environments": "gpus",
    "foreign": "plain",
    "numerics": "numerics",
    "scaling": "scaling",
}


def answer(figure_data: FigureData, question: str) -> Answer:
    return next(one for one in summarize(figure_data) if one.question == question)


@pytest.fixture(scope="module")
def gathered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], FigureData]:
    """Write and read the files of each page once."""
    return functools.cache(lambda name: gather(*PAGES[name](tmp_path_factory.mktemp(name))))


@pytest.mark.parametrize("name", PAGES)
def test_the_verdict_comes_first_then_amp_then_trust_then_what_was_measured(
    name: str, gathered: Callable[[str], FigureData]
) -> None:
    figure_data = gathered(name)
    answers = summarize(figure_data)
    assert [one.question for one in answers] == [*QUESTIONS[name], "Can I trust it?", "What was measured"]
    hero = _hero(figure_data, answers[0])
    assert hero is not None
    assert hero.kind == HEROES[name]
    assert answers[-2].command.startswith(("perfsuite ", "pytest "))


def test_a_regression_counts_time_and_memory_apart_and_lists_all_of_them_the_worst_first(
    gathered: Callable[[str], FigureData],
) -> None:
    figure_data = gathered("regression")
    found = answer(figure_data, "Did anything regress?")
    assert found.lead == "Regressed: 3 slower, 1 uses more memory, of 18 benchmarks."
    assert found.context == "torch 2.14.0 vs 2.13.0 · Tesla T4 · 5 runs each"
    (table,) = found.tables
    assert [row[0] for row in table.rows] == [
        "resnet50 amp-fp16 backward",
        "resnet50 amp-fp16 train_step",
        "resnet34 amp-fp16 train_step",
        "resnet18 fp32 train_step",
    ]
    assert all(re.fullmatch(r"\+\d+\.\d% \[\+\d+\.\d, \+\d+\.\d\]", row[1]) for row in table.rows[:3])
    assert table.rows[3][1:] == ("+13.2% memory", "727.0 -> 823.0 MiB")
    assert found.lines[-2:] == (
        "4 regressed, 14 unchanged.",
        "Trust: medium. The sides ran one after the other; smallest detectable slowdown 2.5%.",
    )
    trust = answer(figure_data, "Can I trust it?")
    assert (trust.lead, trust.tone) == ("Trust: medium", "unsure")
    assert trust.command == "perfsuite ab --baseline PYTHON --candidate PYTHON"


def test_more_regressions_than_the_first_screen_lists_are_counted(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 6 + [1.2] * 9)
    found = answer(gather(new, old), "Did anything regress?")
    assert found.lead == "Regressed: 9 slower, of 15 benchmarks."
    assert len(found.tables[0].rows) == 6
    assert found.lines[0] == "and 3 more"


def test_what_was_not_judged_is_never_good(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 12, process_sd=0.03)
    figure_data = gather(new, old)
    first, trust = summarize(figure_data)[0], answer(figure_data, "Can I trust it?")
    assert "could not be judged" in first.lead or first.lead.startswith("Cannot be judged")
    assert first.tone == "unsure"
    assert trust.tone in {"unsure", "bad"}


def test_no_regression_in_a_trusted_comparison_is_good_and_names_what_is_faster(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0] * 9 + [0.9], process_sd=0.002)
    found = summarize(gather(new, old))[0]
    assert (found.lead, found.tone) == ("No regression among 10 benchmarks; 1 faster.", "good")
    assert [row[0] for row in found.tables[0].rows] == ["test_step[9]"]


def test_a_benchmark_that_failed_is_the_first_of_the_regressions_with_its_reason(tmp_path: Path) -> None:
    files, baseline = regression(tmp_path)
    for path in files:
        changed(path, _lose_the_last)
    found = answer(gather(files, baseline), "Did anything regress?")
    assert found.lead == "Regressed: 1 failed, 2 slower, 1 uses more memory, of 18 benchmarks."
    name, change, reason = found.tables[0].rows[0]
    assert (name, change) == ("resnet50 amp-fp16 train_step", "failed")
    assert "out of memory in 5 of 5 processes of the candidate: 2 GiB were missing" in reason


def _lose_the_last(content: Any) -> None:
    entry = content["benchmarks"].pop()
    outcome = {"nodeid": entry["fullname"], "outcome": "out_of_memory", "reason": "2 GiB were missing"}
    content["perfsuite"]["outcomes"].append(outcome)


def test_the_fastest_gpu_is_named_for_each_network_with_its_speed_over_the_next_one(
    gathered: Callable[[str], FigureData],
) -> None:
    found = answer(gathered("ten-environments"), "Which GPU is the fastest?")
    assert found.lead == "H100 for every network"
    assert found.context == "whole training step, each at its best precision and batch: amp-fp16, batch 128"
    (table,) = found.tables
    assert table.heads == ("", "fastest", "images/s", "times as fast as the next")
    for row, model in zip(table.rows, ("resnet18", "resnet34", "resnet50"), strict=True):
        assert row[:2] == (model, "H100, torch 2.14.0+cu130")
        assert re.fullmatch(r"1\.6\dx \(1\.6\d to 1\.\d\d\) RTX 4090", row[3])


def test_the_fastest_differs_by_network_where_it_does(tmp_path: Path) -> None:
    environments = {"t4": t4(), "h100": h100()}
    files = [
        step_file(
            tmp_path / f"{model}-{name}.json",
            environment=environments[name],
            run_id=f"{model}-{name}",
            models=(model,),
            factor=factor,
        )
        for model, factors in (("resnet18", (1.0, 2.0)), ("resnet50", (2.0, 1.0)))
        for name, factor in zip(environments, factors, strict=True)
    ]
    found = answer(gather(files), "Which GPU is the fastest?")
    assert found.lead == "the fastest GPU differs by network"
    assert [row[1] for row in found.tables[0].rows] == ["T4", "H100"]


def test_two_versions_of_torch_on_one_gpu_are_environments(tmp_path: Path) -> None:
    files = [
        step_file(tmp_path / f"{index}.json", environment=h100(torch), run_id=str(index), factor=1 - 0.1 * index)
        for index, torch in enumerate(("2.13.0", "2.14.0"))
    ]
    found = answer(gather(files), "Which environment is the fastest?")
    assert "2.14.0" in found.lead


def test_interleaved_pairs_alone_answer_what_amp_gives(write_result: Callable[..., Path]) -> None:
    pairs = [make_paired_entry(make_pair(run_id=f"run-{index}")) for index in range(3)]
    files = [write_result(make_content([pair]), f"{index}.json") for index, pair in enumerate(pairs)]
    found = answer(gather(files), "AMP vs FP32 (whole training step)")
    assert found.lead == "2.00x as fast"
    assert found.tables[0].heads == ("", "speed", "images/s")
    assert found.tables[0].rows == (("resnet18", "2.00x [2.00, 2.01]", "1,279 -> 2,559"),)


def test_changes_without_an_interval_are_called_so(tmp_path: Path) -> None:
    old, new = write_sides(tmp_path, changes=[1.0, 1.3], num=1)
    found = summarize(gather(new, old))[0]
    assert found.lead == "Cannot be judged: none of 2 benchmarks."
    assert found.tables[0].heads == ("", "change [no interval]", "baseline -> candidate")


def test_foreign_benchmarks_show_their_distribution_and_the_ten_slowest(gathered: Callable[[str], FigureData]) -> None:
    found = answer(gathered("foreign"), "How long do they take?")
    assert re.fullmatch(r"Half of 5,000 benchmarks take less than 1\d\d\.\d us", found.lead)
    distribution, slowest = found.tables
    assert sum(int(row[1].replace(",", "")) for row in distribution.rows) == 5000
    assert distribution.rows[0] == ("10 ns to 100 ns", "2", "under 1%")
    assert len(slowest.rows) == 10
    assert slowest.rows[0] == ("test_parse[3801]", "261.3 ms")


def test_a_few_foreign_benchmarks_are_all_listed(tmp_path: Path) -> None:
    found = answer(gather([plain_file(tmp_path / "few.json", ["test_a", "test_b"])]), "How long do they take?")
    assert found.lead == "2 benchmarks: 1.050 ms to 2.100 ms"
    assert found.tables[0].rows == (("test_b", "2.100 ms"), ("test_a", "1.050 ms"))


def test_what_gave_no_result_is_in_the_head_and_as_a_labelled_row_of_the_table(
    gathered: Callable[[str], FigureData],
) -> None:
    figure_data = gathered("one-run")
    found = answer(figure_data, "What was measured")
    assert found.lead == "18 steps; without a result: 1 out of memory, 1 skipped"
    assert found.tone == "unsure"
    assert found.tables[0].rows[0] == (
        "test_train_step[resnet50-fp32-b512]",
        "out of memory: 21.4 GiB needed, 14.7 GiB free",
    )
    page = render_page(figure_data, version="1")
    rows = re.findall(r'<tr class="absent"><td colspan="3">([^<]*)<?/?t?d?>?<td colspan="\d+">([^<]*)', page)
    assert [row[0] for row in rows] == [one.name for one in unmeasured(figure_data.results)]
    assert rows[0][1].strip() == "out of memory: 21.4 GiB needed, 14.7 GiB free"
    assert "(20 rows)" in page


def test_a_benchmark_that_missed_a_limit_has_a_result_all_the_same(write_result: Callable[..., Path]) -> None:
    pair, training = make_paired_entry(make_pair()), make_training_entry(make_training())
    content = make_content([pair, training])
    content["perfsuite"]["outcomes"] = [
        {"nodeid": entry["fullname"], "outcome": "failed", "reason": "a limit was missed"} for entry in (pair, training)
    ]
    figure_data = gather([write_result(content)])
    assert unmeasured(figure_data.results) == ()
    assert "without a result" not in answer(figure_data, "What was measured").lead
    assert "gave no result" not in " ".join(answer(figure_data, "Can I trust it?").lines)


def test_results_that_all_failed_are_a_table_of_their_own(write_result: Callable[..., Path]) -> None:
    content = make_content([])
    content["perfsuite"]["outcomes"] = [{"nodeid": "test_x", "outcome": "failed", "reason": "CUDA error"}]
    page = render_page(gather([write_result(content)]), version="1")
    assert "nothing; without a result: 1 failed" in page
    assert "Without a result: 1" in page


def test_a_run_that_was_cut_short_is_in_the_head(tmp_path: Path) -> None:
    path = step_file(tmp_path / "cut.json")
    content = json.loads(path.read_text())
    content["perfsuite"]["complete"] = False
    path.write_text(json.dumps(content))
    found = answer(gather([path]), "What was measured")
    assert "1 run cut short" in found.lines
    assert found.tone == "unsure"


def test_the_recipe_smoke_gets_no_verdict_but_that_it_learns(write_result: Callable[..., Path]) -> None:
    entries = [make_training_entry(make_training(name, recipe=SMOKE, accuracy=0.3)) for name in ("fp32", "amp-fp16")]
    figure_data = gather([write_result(make_content(entries))])
    found = answer(figure_data, "How accurate are the full trainings?")
    assert found.lead.endswith("; smoke: learns")
    assert found.tone == "plain"
    (row,) = found.tables[0].rows
    assert row[1].endswith(", smoke: learns")
    text = " ".join([found.lead, *row, *found.lines])
    assert not re.search(r"target|reached|no worse", text)
    assert answer(figure_data, "Can I trust it?").lead == "Trust: low"


@pytest.mark.parametrize(
    ("ratios", "words", "brief"),
    [
        ([0.64], "36% less memory", "-36%"),
        ([0.56, 0.64], "36% to 44% less memory", "-44% to -36%"),
        ([1.1, 1.2], "10% to 20% more memory", "+10% to +20%"),
        ([1.0], "the same memory", "+0%"),
        ([0.9, 1.1], "-10% to +10% memory", "-10% to +10%"),
    ],
)
def test_saved_memory_is_said_as_less_or_more(ratios: list[float], words: str, brief: str) -> None:
    assert saved_memory(ratios) == words
    assert saved_memory(ratios, brief=True) == brief


def test_a_small_table_leaves_out_empty_columns_and_counts_the_rows_that_it_does_not_show() -> None:
    tables, more = small_table(("", "a", "b"), [("x", "", "1"), ("y", "", "2")], most=1)
    assert tables[0].heads == ("", "b")
    assert tables[0].rows == (("x", "1"),)
    assert more == ("and 1 more",)
    assert small_table(("", "a"), []) == ((), ())


def test_a_name_is_as_short_as_it_can_be_without_being_that_of_another() -> None:
    names = {
        "a/test_x.py::test_one[a/b::c]": "test_one[a/b::c]",
        "a/test_x.py::TestA::test_two": "TestA::test_two",
        "a/test_x.py::TestB::test_two": "TestB::test_two",
        "a/test_y.py::test_three": "test_y.py::test_three",
        "a/test_z.py::test_three": "test_z.py::test_three",
        "a/test_w.py::test_four": "a/test_w.py::test_four",
        "b/test_w.py::test_four": "b/test_w.py::test_four",
        "plain": "plain",
    }
    assert short_names(names) == names


@pytest.mark.parametrize(
    ("finding", "line", "more"),
    [
        ("Short.", "Short.", ""),
        (f"{'a' * 60}. {'B' * 60}. {'C' * 60}.", f"{'a' * 60}. {'B' * 60}.", f"{'C' * 60}."),
        (f"{'a' * 100}; {'b' * 60}.", "a" * 100, f"{'b' * 60}."),
        ("a" * 200, "a" * 200, ""),
        (
            f"{'a' * 80} 1x [1, 2], {'b' * 20} 1x [{'1' * 40}, 2].",
            f"{'a' * 80} 1x [1, 2] ...",
            f"{'b' * 20} 1x [{'1' * 40}, 2].",
        ),
    ],
)
def test_a_caption_is_one_line_and_the_rest_is_folded(finding: str, line: str, more: str) -> None:
    assert _caption(finding) == (line, more)
