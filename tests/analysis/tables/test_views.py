from __future__ import annotations

import csv
import dataclasses
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload

from perfsuite.analysis.frames.results import Results, collect
from perfsuite.analysis.frames.speedup import speedup_frame
from perfsuite.analysis.tables.data_formats import render_csv, render_json
from perfsuite.analysis.tables.latex import render_latex
from perfsuite.analysis.tables.markdown import render_markdown
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.errors import InvalidChoiceError
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

FOREIGN = Path(__file__).parents[2] / "data" / "foreign" / "pytest_benchmark_5.3.1.json"


def run_content(run_id: str = "run-1", *, scale: float = 1.0, **environment: Any) -> dict[str, Any]:
    """Build a run in which AMP takes half the time and 60% of the memory."""
    generator = np.random.default_rng(len(run_id))
    entries = []
    for model in ("resnet18", "resnet50"):
        for precision, factor, peak in (("fp32", 1.0, 1000), ("amp-fp16", 0.5, 600)):
            record = make_record(make_workload(model=model, precision=precision), run_id=run_id, peak=peak * 1024**2)
            times = 0.1 * factor * scale * (1 + 0.01 * generator.standard_normal(30))
            entries.append(make_entry(record, times.tolist()))
    return make_content(entries, environment=dataclasses.replace(ENVIRONMENT, **environment))


@pytest.fixture
def one_run(write_result: Callable[..., Path]) -> Results:
    return collect([write_result(run_content())])


def test_speedup_sets_amp_against_fp32_per_model_with_the_spread_of_the_run(one_run: Results) -> None:
    frame = speedup_frame(one_run)
    assert frame["model"].tolist() == ["resnet18", "resnet50"]
    for row in frame.to_dict("records"):
        assert row["precision"] == "amp-fp16"
        assert row["speedup_ratio"] == pytest.approx(2.0, rel=0.02)
        assert row["speedup_ratio_low"] < row["speedup_ratio"] < row["speedup_ratio_high"]
        assert row["memory_ratio"] == 0.6
        assert row["images_per_second"] / row["baseline_images_per_second"] == pytest.approx(row["speedup_ratio"])
        assert (row["speedup_ratio_basis"], row["num_processes"]) == ("one run", 1)
        assert row["speedup_ratio_level"] is None


def test_several_runs_of_one_machine_are_several_processes(write_result: Callable[..., Path]) -> None:
    paths = [
        write_result(run_content(name, scale=scale), f"{name}.json") for name, scale in (("run-1", 1.0), ("run-2", 1.2))
    ]
    frame = speedup_frame(collect(paths))
    assert frame["speedup_ratio_basis"].tolist() == ["processes"] * 2
    assert frame["num_processes"].tolist() == [2, 2]
    table = build_table("speedup", collect(paths))
    assert "[low, high]: 95% interval over 2 processes" in table.legend


def test_runs_of_two_machines_are_two_sets_of_rows(write_result: Callable[..., Path]) -> None:
    paths = [write_result(run_content("a"), "a.json"), write_result(run_content("b", device="NVIDIA A10"), "b.json")]
    frame = speedup_frame(collect(paths))
    assert frame["device"].tolist() == ["Tesla T4", "Tesla T4", "NVIDIA A10", "NVIDIA A10"]
    assert "NVIDIA A10" in render_terminal(build_table("speedup", collect(paths)), width=None, color=False)


def test_fp32_and_amp_of_different_processes_are_still_set_against_each_other(
    write_result: Callable[..., Path],
) -> None:
    paths = []
    for precision, name in (("fp32", "fp32-1"), ("amp-fp16", "amp-1"), ("fp32", "fp32-2"), ("amp-fp16", "amp-2")):
        content = run_content(name)
        content["benchmarks"] = [
            entry
            for entry in content["benchmarks"]
            if entry["extra_info"]["perfsuite"]["workload"]["precision"] == precision
        ]
        paths.append(write_result(content, f"{name}.json"))
    assert speedup_frame(collect(paths[:2]))["speedup_ratio_basis"].tolist() == ["one run"] * 2
    assert speedup_frame(collect(paths))["speedup_ratio_basis"].tolist() == ["processes"] * 2


def test_all_figures_of_a_speedup_are_of_the_runs_that_have_both_sides(write_result: Callable[..., Path]) -> None:
    slow_machine = run_content("b", scale=4.0)
    slow_machine["benchmarks"] = slow_machine["benchmarks"][::2]  # FP32 only
    results = collect([write_result(run_content("a"), "run-1.json"), write_result(slow_machine, "run-2.json")])
    for row in speedup_frame(results).to_dict("records"):
        assert row["images_per_second"] / row["baseline_images_per_second"] == pytest.approx(row["speedup_ratio"])
        assert row["num_left_out"] == 1
    assert any("2 benchmarks are not in this table" in note for note in build_table("speedup", results).notes)


def test_records_without_a_peak_still_give_a_speedup(write_result: Callable[..., Path]) -> None:
    for peaks in ({}, {"peak_allocated_bytes": 0}):
        content = run_content()
        for entry in content["benchmarks"]:
            del entry["extra_info"]["perfsuite"]["metrics"]["peak_allocated_bytes"]
            entry["extra_info"]["perfsuite"]["metrics"].update(peaks)
        results = collect([write_result(content)])
        for name in ("steps", "speedup"):
            rows = json.loads(render_json(build_table(name, results)))
            assert all(row.get("memory_ratio") is None for row in rows)
            assert render_terminal(build_table(name, results), width=80, color=False)


def study_content(*, batch_size: int = 128, gradients: str = "kept", amp: str = "amp-fp16") -> dict[str, Any]:
    """Build a run of 500 and 1000 images/s with the thesis's own peaks of ResNet-18."""
    entries = []
    for precision, rate, peak in (("fp32", 500, 707), (amp, 1000, 445)):
        workload = make_workload(precision=precision, batch_size=batch_size, gradients=gradients)
        record = make_record(workload, peak=peak * 1024**2)
        entries.append(make_entry(record, [batch_size / rate] * 10))
    return make_content(entries)


def test_the_study_s_tables_stand_beside_ours(write_result: Callable[..., Path]) -> None:
    table = build_table("thesis", collect([write_result(study_content())]))
    fp32, amp = json.loads(render_json(table))
    assert fp32["projected_training_time_s"] == pytest.approx(50 * 45_000 / 500)
    assert (fp32["thesis_training_time_s"], amp["thesis_training_time_s"]) == (3593, 1793)
    assert (fp32["thesis_peak_bytes"], amp["thesis_peak_bytes"]) == (707 * 1024**2, 445 * 1024**2)
    assert amp["projected_time_ratio"] == pytest.approx(0.5)
    assert amp["thesis_time_ratio"] == pytest.approx(1793 / 3593)
    assert amp["memory_ratio"] == amp["thesis_memory_ratio"] == pytest.approx(445 / 707)
    assert fp32["memory_ratio"] is None
    text = render_terminal(table, width=None, color=False)
    assert "1:15:00" in text
    assert "0:59:53" in text
    assert "projected" in text


def test_another_batch_or_freed_gradients_are_not_set_beside_the_study_s_memory(
    write_result: Callable[..., Path],
) -> None:
    for changes in ({"batch_size": 64}, {"gradients": "freed"}):
        rows = json.loads(render_json(build_table("thesis", collect([write_result(study_content(**changes))]))))
        assert [row["thesis_peak_bytes"] for row in rows] == [None, None]
        assert rows[0]["thesis_training_time_s"] == 3593


def test_nothing_of_the_study_s_says_so(write_result: Callable[..., Path]) -> None:
    content = make_content([make_entry(make_record(make_workload(phase="forward")), [0.1, 0.2])])
    text = render_terminal(build_table("thesis", collect([write_result(content)])), width=80, color=False)
    assert "nothing to compare with the thesis" in text


def test_the_ledger_is_shown_with_what_is_left_over(write_result: Callable[..., Path]) -> None:
    content = run_content()
    for entry in content["benchmarks"]:
        entry["extra_info"]["perfsuite"]["metrics"].update(activations_bytes=500 * 1024**2, remainder_bytes=7 * 1024**2)
    text = render_terminal(build_table("memory", collect([write_result(content)])), width=None, color=False)
    assert "500.0" in text
    assert "7.0" in text
    old = render_terminal(build_table("memory", collect([write_result(run_content())])), width=None, color=False)
    assert "activations" in old  # results of before there was a ledger


def test_without_raw_rounds_the_ratio_says_that_it_has_no_interval(write_result: Callable[..., Path]) -> None:
    content = run_content()
    for entry in content["benchmarks"]:
        del entry["stats"]["data"]
    text = render_terminal(build_table("speedup", collect([write_result(content)])), width=None, color=False)
    assert "[no interval]" in text


def test_a_run_of_one_precision_says_why_there_is_no_speedup(write_result: Callable[..., Path]) -> None:
    content = run_content()
    content["benchmarks"] = content["benchmarks"][:1]
    table = build_table("speedup", collect([write_result(content)]))
    assert table.is_empty
    assert "it needs fp32 and another precision" in render_terminal(table, width=80, color=False)
    assert json.loads(render_json(table)) == []


def test_every_row_of_the_steps_table_has_every_figure(one_run: Results) -> None:
    rows = json.loads(render_json(build_table("steps", one_run)))
    assert len(rows) == 4
    for row in rows:
        for key in ("model", "precision", "phase", "batch_size", "device", "torch", "images_per_second"):
            assert row[key] is not None, key
        for key in ("time_median_s", "peak_allocated_bytes", "time_p90_s", "num_rounds", "num_skipped_steps"):
            assert isinstance(row[key], int | float), key
        assert row["images_per_second"] == pytest.approx(row["batch_size"] / row["time_median_s"])


def test_csv_and_json_hold_the_same_values(one_run: Results) -> None:
    table = build_table("steps", one_run)
    from_csv = list(csv.DictReader(io.StringIO(render_csv(table))))
    from_json = json.loads(render_json(table))
    assert list(from_csv[0]) == list(from_json[0])
    for one, other in zip(from_csv, from_json, strict=True):
        assert one == {key: "" if value is None else str(value) for key, value in other.items()}


def test_the_terminal_table_fits_80_columns_and_is_never_cut(one_run: Results) -> None:
    for name in ("steps", "speedup"):
        lines = render_terminal(build_table(name, one_run), width=80, color=False).splitlines()
        assert max(map(len, lines)) <= 80
    narrow = render_terminal(build_table("speedup", one_run), width=40, color=False)
    for part in ("2.0", "0.60x", "train_step", "not shown at a width of 40"):
        assert part in narrow
    assert "\N{HORIZONTAL ELLIPSIS}" not in narrow


def test_colour_is_used_only_where_it_is_wanted(one_run: Results) -> None:
    table = build_table("speedup", one_run)
    assert "\x1b[" in render_terminal(table, width=80, color=True)
    assert "\x1b[" not in render_terminal(table, width=80, color=False)


def test_what_did_not_become_a_number_stands_below_the_table(write_result: Callable[..., Path]) -> None:
    content = run_content()
    outcome = Outcome(nodeid="test_x[tf32]", outcome="out_of_memory", reason="2 GiB were missing")
    content["perfsuite"]["outcomes"] = [outcome.to_json()]
    content["benchmarks"][0]["extra_info"]["perfsuite"]["findings"] = ["not stable after 5 s"]
    results = collect([write_result(content)])
    text = render_terminal(build_table("steps", results), width=None, color=False)
    assert "out of memory: test_x[tf32]: 2 GiB were missing" in text
    assert "not stable after 5 s" in text
    assert "2 GiB were missing" in render_markdown(build_table("steps", results))


def test_foreign_files_give_a_plain_table() -> None:
    table = build_table("speedup", collect([FOREIGN]))
    text = render_terminal(table, width=None, color=False)
    assert "test_sum[1000]" in text
    assert " us" in text
    assert "model" not in table.rows()[0]


def test_mixed_files_give_a_plain_table_and_say_so(write_result: Callable[..., Path]) -> None:
    text = render_terminal(
        build_table("steps", collect([write_result(run_content()), FOREIGN])), width=None, color=False
    )
    assert "not all of these files are perfsuite's" in text
    assert "test_sum[10]" in text
    assert "test_train_step[resnet18-fp32-b128]" in text


@pytest.mark.parametrize("name", ["a|b", "<script>alert(1)</script>", "\x1b[31mred", "*x* [y](z) `c`", "名前", "a\nb"])
def test_hostile_names_show_as_text(write_result: Callable[..., Path], name: str) -> None:
    content = {"benchmarks": [{"fullname": name, "stats": {"median": 1.0, "rounds": 1}}]}
    table = build_table("steps", collect([write_result(content)]))
    terminal = render_terminal(table, width=80, color=False)
    assert "\x1b" not in terminal
    markdown = render_markdown(table)
    assert "<script>" not in markdown
    row = markdown.splitlines()[4]
    assert row.replace("\\|", "").count("|") == 5
    assert json.loads(render_json(table))[0]["fullname"] == name


def test_latex_reads_no_name_as_a_command(write_result: Callable[..., Path]) -> None:
    content = {"benchmarks": [{"fullname": "\\input{x} 50% a_b [c] #1 $x^2$ ~&", "stats": {"median": 1.0}}]}
    text = render_latex(build_table("steps", collect([write_result(content)])))
    row = text.splitlines()[5]
    assert row.startswith(
        r"\textbackslash{}input\{x\} 50\% a\_b {[}c{]} \#1 \$x\textasciicircum{}2\$ \textasciitilde{}\& &"
    )
    assert row.endswith(" \\\\")
    assert text.splitlines()[1] == r"\begin{tabular}{lr}"


def test_thousands_of_foreign_benchmarks_are_read(write_result: Callable[..., Path]) -> None:
    entries = [
        {"fullname": f"t::b{n}", "name": f"b{n}", "stats": {"median": 1e-3, "rounds": 3, "data": [1e-3] * 3}}
        for n in range(5000)
    ]
    table = build_table("steps", collect([write_result({"benchmarks": entries})]))
    assert len(render_csv(table).splitlines()) == 5001


def test_an_unknown_table_is_refused_by_name(one_run: Results) -> None:
    with pytest.raises(InvalidChoiceError, match="unknown table 'pivot'; choose from accuracy, confusion, epochs"):
        build_table("pivot", one_run)
