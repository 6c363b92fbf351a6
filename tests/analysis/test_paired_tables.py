from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload

from perfsuite.analysis.collect import Results, collect
from perfsuite.analysis.paired_tables import is_faithful
from perfsuite.analysis.tables import render_json, render_terminal
from perfsuite.analysis.views import TABLES, build_table
from perfsuite.errors import ResultFileError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def results(write_result: Callable[..., Path]) -> Results:
    """A run that measured FP32 and AMP in cells of their own, in alternation, and the fidelity of FP32."""
    entries = [
        make_entry(make_record(make_workload(precision=precision)), [time, time * 1.01] * 15)
        for precision, time in (("fp32", 0.1), ("amp-fp16", 0.06))
    ]
    entries += [make_paired_entry(make_pair()), make_paired_entry(make_pair(comparison="fidelity"))]
    return collect([write_result(make_content(entries))])


def test_an_alternation_is_never_taken_for_a_cell(results: Results) -> None:
    assert results.ours
    assert len(results.benchmarks) == len(results.times_s) == 2
    assert len(results.pairs) == 2
    for name in ("steps", "speedup", "memory", "thesis"):
        assert len(build_table(name, results).frame) == {"steps": 2, "speedup": 1, "memory": 2, "thesis": 2}[name]


def test_the_paired_speedup_stands_beside_the_quotient_of_separate_cells(results: Results) -> None:
    table = build_table("paired", results)
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


def test_without_cells_of_the_same_run_there_is_no_quotient(write_result: Callable[..., Path]) -> None:
    other = make_content([make_entry(make_record(run_id="run-0"), [0.1] * 20)])
    paths = [write_result(make_content([make_paired_entry(make_pair())])), write_result(other, "other.json")]
    (row,) = build_table("paired", collect(paths)).rows()
    assert row["separate_time_ratio"] is None
    assert not any("separate" in column.heading for column in build_table("paired", collect(paths)).columns)


def test_fidelity_says_how_far_the_reported_step_is_from_the_bare_one(results: Results) -> None:
    table = build_table("fidelity", results)
    (row,) = table.rows()
    assert row["faithful"] == "yes"
    text = render_terminal(table, width=None, color=False)
    assert "-0.05 [-0.05, -0.05]" in text
    assert "yes (1%)" in text


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.995, 1.005, "yes"),
        (0.995, 1.02, "cannot tell"),
        (0.97, 1.02, "cannot tell"),
        (1.011, 1.02, "no"),
        (0.9, 0.98, "no"),
        (None, None, "cannot tell"),
    ],
)
def test_faithful_is_said_only_of_what_is_surely_within_the_limit(low: Any, high: Any, verdict: str) -> None:
    assert is_faithful({"time_ratio_low": low, "time_ratio_high": high, "limit_ratio": 0.01}) == verdict


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
    table = build_table("paired", collect([write_result(make_content([make_paired_entry(pair)]))]))
    assert "2.000x [no interval]" in render_terminal(table, width=None, color=False)


def test_findings_of_an_alternation_stand_below_the_table(write_result: Callable[..., Path]) -> None:
    pair = make_pair(findings=("fp32: times were still falling after 5.0 s of warm-up",))
    table = build_table("paired", collect([write_result(make_content([make_paired_entry(pair)]))]))
    assert "test_speedup[resnet18-amp-fp16]: fp32: times were still falling after 5.0 s of warm-up" in table.notes


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
    table = build_table("paired", collect(paths))
    (row,) = table.rows()
    assert (row["num_processes"], row["num_blocks"], row["speedup_ratio_basis"]) == (3, 18, "processes")
    assert row["speedup_ratio_low"] < row["speedup_ratio"] < row["speedup_ratio_high"]
    assert "[low, high]: 95% interval over 3 processes" in table.notes
    other = make_pair(run_id="run-9", candidate=make_workload(precision="amp-bf16"))
    more = write_result(make_content([make_paired_entry(other)]), "other.json")
    assert [row["num_processes"] for row in build_table("paired", collect([*paths, more])).rows()] == [3, 1]
    fidelities = [
        write_result(make_content([make_paired_entry(make_pair(comparison="fidelity", run_id=f"f{n}"))]), f"f{n}.json")
        for n in range(2)
    ]
    assert len(build_table("fidelity", collect(fidelities)).rows()) == 2
