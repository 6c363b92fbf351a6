from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload
from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.analysis.frames.results import Results, collect
from perfsuite.analysis.tables.data_formats import render_json
from perfsuite.analysis.tables.registry import TABLES, build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def results(write_result: Callable[..., Path]) -> Results:
    """A run that measured FP32 and AMP in cells of their own, interleaved, and the harness overhead of FP32."""
    entries = [
        make_entry(make_record(make_workload(precision=precision)), [time, time * 1.01] * 15)
        for precision, time in (("fp32", 0.1), ("amp-fp16", 0.06))
    ]
    entries += [make_paired_entry(make_pair()), make_paired_entry(make_pair(comparison="overhead"))]
    return collect([write_result(make_content(entries))])


def test_an_alternation_is_never_taken_for_a_cell(results: Results) -> None:
    assert results.has_records
    assert len(results.benchmarks) == len(results.times_s) == 2
    assert len(results.pairs) == 2
    for name in ("steps", "speedup", "memory", "thesis"):
        assert len(build_table(name, results).frame) == {"steps": 2, "speedup": 1, "memory": 2, "thesis": 2}[name]


def test_the_paired_speedup_stands_beside_the_quotient_of_separate_cells(results: Results) -> None:
    table = build_table("interleaved", results)
    (row,) = json.loads(render_json(table))
    assert row["speedup_ratio"] == pytest.approx(2.0, rel=0.01)
    assert row["speedup_ratio_low"] <= row["speedup_ratio"] <= row["speedup_ratio_high"]
    assert row["separate_speedup_ratio"] == pytest.approx(0.1 / 0.06)
    assert row["num_blocks"] == 7
    text = render_terminal(table, width=None, color=False)
    assert "2.001x (2.001 to 2.001)" in text
    assert "AMP vs FP32, interleaved, batch 128 on Tesla T4" in text
    assert "spread within one run" in text
    assert "95% interval over" not in text
    assert "[" not in text


def test_what_is_compared_is_called_amp_only_where_it_is(write_result: Callable[..., Path]) -> None:
    pair = make_pair()
    pair = dataclasses.replace(pair, candidate=dataclasses.replace(pair.candidate, precision="bf16-sr"))
    table = build_table("interleaved", collect([write_result(make_content([make_paired_entry(pair)]))]))
    assert table.title.startswith("Other precisions vs FP32, interleaved")
    assert any("blocks of FP32, the other, the other, FP32" in line for line in table.legend)
    assert not any("AMP" in line for line in (table.title, *table.legend))


def test_without_cells_of_the_same_run_there_is_no_quotient(write_result: Callable[..., Path]) -> None:
    other = make_content([make_entry(make_record(run_id="run-0"), [0.1] * 20)])
    paths = [write_result(make_content([make_paired_entry(make_pair())])), write_result(other, "other.json")]
    (row,) = build_table("interleaved", collect(paths)).rows()
    assert row["separate_time_ratio"] is None
    assert not any("separate" in column.heading for column in build_table("interleaved", collect(paths)).columns)


def test_the_harness_overhead_is_shown_with_its_outcome_and_limit(results: Results) -> None:
    table = build_table("overhead", results)
    (row,) = table.rows()
    assert row["outcome"] == "pass"
    text = render_terminal(table, width=None, color=False)
    assert "Harness overhead: a training step as reported, and a bare loop" in text
    assert "-0.05 [-0.05, -0.05]" in text
    assert "pass: the whole interval lies within the limit (1%); fail: beyond; else: cannot tell" in text


@pytest.mark.parametrize(("factor", "outcome"), [(1.0, "pass"), (1.05, "fail"), (1.01, "cannot tell")])
def test_the_three_outcomes_of_a_harness_overhead_are_in_the_table(
    factor: float, outcome: str, write_result: Callable[..., Path]
) -> None:
    offsets = [0.999, 1.0, 1.001, 1.002] * 5
    pair = make_pair(comparison="overhead", blocks=tuple((0.1, 0.1 * factor * x, 0.1 * factor, 0.1) for x in offsets))
    table = build_table("overhead", collect([write_result(make_content([make_paired_entry(pair)]))]))
    assert table.rows()[0]["outcome"] == outcome
    line = next(line for line in render_terminal(table, width=80, color=False).splitlines() if "resnet18" in line)
    assert line.rstrip().endswith(outcome)


def test_limits_that_differ_have_a_column(write_result: Callable[..., Path]) -> None:
    entries = [
        make_paired_entry(make_pair(comparison="overhead", run_id=f"run-{number}", limit_ratio=limit))
        for number, limit in enumerate((0.01, 0.03, None))
    ]
    text = render_terminal(
        build_table("overhead", collect([write_result(make_content(entries))])), width=None, color=False
    )
    assert "limit" in text.splitlines()[2]
    assert "lies within the limit;" in text


@settings(max_examples=50, deadline=None)
@given(
    blocks=st.lists(st.tuples(*[st.floats(1e-4, 10.0)] * 4), min_size=1, max_size=12),
)
def test_the_times_that_are_shown_give_the_difference_that_is_shown(blocks: Any) -> None:
    pair = make_pair(comparison="overhead", blocks=tuple(blocks))
    content = make_content([make_paired_entry(pair)])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.json"
        path.write_text(json.dumps(content))
        table = build_table("overhead", collect([path]))
    (row,) = table.rows()
    shown = {column.heading: column.show(row) for column in table.columns}
    bare, reported = (float(shown[heading].replace(",", "")) for heading in ("bare ms", "reported ms"))
    difference = float(shown["difference %"].split()[0])
    # Times have four digits, so their ratio is off by one part in a thousand at most; 0.005% is the difference's own,
    # and both add up.
    ratio = 1 + difference / 100
    assert reported / bare == pytest.approx(ratio, abs=1.1e-3 * ratio + 6e-5)


@pytest.mark.parametrize("name", ["input_pipeline", "overhead", "interleaved"])
def test_the_times_of_a_pair_have_the_ratio_that_is_reported(name: str, write_result: Callable[..., Path]) -> None:
    """Readings of two levels, half of the blocks each: the medians of the sides contradict the ratio of the blocks."""
    blocks = tuple((1.0, 1.0, 1.0, 1.0) if index % 2 else (1.5, 1.2, 1.2, 1.5) for index in range(21))
    comparison: Any = {"input_pipeline": "pipeline_step", "interleaved": "speedup"}.get(name, name)
    pair = make_pair(comparison=comparison, blocks=blocks)
    (row,) = build_table(name, collect([write_result(make_content([make_paired_entry(pair)]))])).rows()
    assert row["time_s"] / row["baseline_time_s"] == pytest.approx(row["time_ratio"])
    if name == "input_pipeline":
        assert row["training_images_per_second"] == pytest.approx(128 / row["time_s"])


def test_a_note_says_in_which_orders_the_turns_ran(write_result: Callable[..., Path]) -> None:
    notes = {}
    for order in ("abba", "abba_or_baab"):
        pair = make_pair(comparison="overhead", turn_order=order, num_looks=4)
        (note, *_) = build_table("overhead", collect([write_result(make_content([make_paired_entry(pair)]))])).legend
        notes[order] = note
    assert "(bare, reported, reported, bare) of one process" in notes["abba"]
    assert "(bare, reported, reported, bare, or reported, bare, bare, reported)" in notes["abba_or_baab"]
    assert notes["abba"].endswith("; it holds at each of up to 4 looks")


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_has_something_to_say_of_a_file_without_its_numbers(
    name: str, write_result: Callable[..., Path]
) -> None:
    only_pairs = collect([write_result(make_content([make_paired_entry(make_pair())]))])
    nothing = collect([write_result(make_content([]), "nothing.json")])
    for results in (only_pairs, nothing):
        assert len(render_terminal(build_table(name, results), width=None, color=False)) > 10


def test_few_blocks_give_no_interval_and_say_so(write_result: Callable[..., Path]) -> None:
    pair = make_pair(blocks=((0.1, 0.05, 0.05, 0.1),) * 3)
    table = build_table("interleaved", collect([write_result(make_content([make_paired_entry(pair)]))]))
    assert "2.000x [no interval]" in render_terminal(table, width=None, color=False)


def test_findings_of_an_alternation_stand_below_the_table(write_result: Callable[..., Path]) -> None:
    pair = make_pair(findings=("fp32: times were still falling after 5.0 s of warm-up",))
    table = build_table("interleaved", collect([write_result(make_content([make_paired_entry(pair)]))]))
    assert "test_interleaved[resnet18-amp-fp16]: fp32: times were still falling after 5.0 s of warm-up" in table.notes


@pytest.mark.parametrize("block", [[0.1], [0.1, "x", 0.1, 0.1], [0.1, 0.1, 0.1, 0], "0.1", None])
def test_damaged_blocks_are_refused_in_one_line(block: object, write_result: Callable[..., Path]) -> None:
    entry = make_paired_entry(make_pair())
    entry["extra_info"]["perfsuite"]["blocks"][3] = block
    with pytest.raises(ResultFileError, match=r"benchmarks\[0\]|blocks\[3\]"):
        collect([write_result(make_content([entry]))])


def test_the_same_pair_of_several_runs_is_one_row_with_an_interval_over_processes(
    write_result: Callable[..., Path],
) -> None:
    paths = []
    for number, factor in enumerate((0.5, 0.505, 0.497)):
        blocks = tuple((a, a * factor, a * factor * 1.001, a * 1.002) for a in (0.1, 0.101, 0.099, 0.1, 0.102, 0.1))
        content = make_content([make_paired_entry(make_pair(run_id=f"run-{number}", blocks=blocks))])
        paths.append(write_result(content, f"{number}.json"))
    table = build_table("interleaved", collect(paths))
    (row,) = table.rows()
    assert (row["num_processes"], row["num_blocks"], row["speedup_ratio_basis"]) == (3, 18, "processes")
    assert row["speedup_ratio_low"] < row["speedup_ratio"] < row["speedup_ratio_high"]
    assert "[low, high]: 95% interval over 3 processes" in table.legend
    other = make_pair(run_id="run-9", candidate=make_workload(precision="amp-bf16"))
    more = write_result(make_content([make_paired_entry(other)]), "other.json")
    assert [row["num_processes"] for row in build_table("interleaved", collect([*paths, more])).rows()] == [3, 1]
    overheads = [
        write_result(make_content([make_paired_entry(make_pair(comparison="overhead", run_id=f"f{n}"))]), f"f{n}.json")
        for n in range(2)
    ]
    assert len(build_table("overhead", collect(overheads)).rows()) == 2


def test_the_interval_of_a_check_keeps_the_confidence_that_its_looks_ask_for(
    write_result: Callable[..., Path],
) -> None:
    blocks = tuple((1.0, 1 + n / 1000, 1 + n / 1000, 1.0) for n in range(20))
    widths = []
    for num_looks in (1, 4):
        pair = make_pair(comparison="overhead", limit_ratio=0.03, blocks=blocks, num_looks=num_looks)
        path = write_result(make_content([make_paired_entry(pair)]), f"{num_looks}.json")
        (row,) = build_table("overhead", collect([path])).rows()
        widths.append(row["time_ratio_high"] - row["time_ratio_low"])
    assert widths[0] < widths[1]


def test_the_times_of_several_runs_of_a_pair_agree_with_their_ratio(write_result: Callable[..., Path]) -> None:
    paths = []
    for number, factor in enumerate((0.5, 0.6)):
        blocks = tuple((0.1, 0.1 * factor, 0.1 * factor, 0.12) for _ in range(10 * (number + 1)))
        content = make_content([make_paired_entry(make_pair(run_id=f"run-{number}", blocks=blocks))])
        paths.append(write_result(content, f"{number}.json"))
    (row,) = build_table("interleaved", collect(paths)).rows()
    assert row["num_processes"] == 2
    assert row["time_s"] / row["baseline_time_s"] == pytest.approx(row["time_ratio"])
