from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from builders import ENVIRONMENT, make_content, make_pair, make_paired_entry, make_workload

from perfsuite.analysis.figures.registry import build_chart
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.switches import EAGER, switches_frame
from perfsuite.analysis.report.data import gather
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main
from perfsuite.records.outcome import Outcome
from perfsuite.records.pair import SideCost

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

GRAPHS = make_workload(cuda_graphs=True)
NO_GPU = Outcome(
    nodeid="benchmarks/test_interleaved.py::test_switches[resnet18-fp32-b128-cuda_graphs]",
    outcome="skipped",
    reason="CUDA graphs need a GPU; this is the CPU",
    workload=GRAPHS,
)


def pair(factor: float, scatter: float = 0.001, start_s: float = 1.5, **switched_on: Any) -> dict[str, Any]:
    """Build an interleaving whose candidate takes `factor` times as long as 100 ms, and `start_s` to start."""
    steps = (0.1 * (1 + scatter * number) for number in (-2, -1, 0, 1, 2, 0))
    record = make_pair(
        comparison="switch",
        candidate=make_workload(**switched_on),
        blocks=tuple((a, a * factor, a * factor, a) for a in steps),
        costs=tuple(
            SideCost(peak_allocated_bytes=peak * 1024**2, start_s=start) for peak, start in ((400, 0.5), (300, start_s))
        ),
    )
    entry = make_paired_entry(record)
    entry["fullname"] = f"{entry['fullname']}-{sorted(switched_on.items())}"
    return entry


@pytest.fixture
def path(write_result: Callable[..., Path]) -> Path:
    entries = [
        pair(0.8, memory_format="channels_last"),
        pair(0.5, precision="amp-fp16"),
        pair(0.4, start_s=30.5, memory_format="channels_last", precision="amp-fp16", compile_mode="default"),
        pair(1.1, compile_mode="max-autotune"),
    ]
    return write_result(make_content(entries, outcomes=[NO_GPU]))


def test_each_combination_is_a_row_below_the_eager_step_and_what_was_not_measured_has_its_reason(path: Path) -> None:
    frame = switches_frame(collect([path]))
    assert frame["switched_on"].tolist() == [
        EAGER,
        "channels_last",
        "amp-fp16",
        "channels_last + amp-fp16 + compiled",
        "compiled max-autotune",
        "CUDA graphs",
    ]
    assert frame["reason"].tolist()[-1] == "skipped: CUDA graphs need a GPU; this is the CPU"
    assert frame["subject"].unique().tolist() == ["resnet18"]


def test_speed_memory_and_start_are_those_of_the_pair(path: Path) -> None:
    eager, channels_last, _, compiled, slower, _ = rows_of(switches_frame(collect([path])))
    assert eager["time_s"] == pytest.approx(0.1)
    assert eager["images_per_second"] == pytest.approx(1280)
    assert channels_last["speedup_ratio"] == pytest.approx(1.25)
    assert channels_last["images_per_second"] == pytest.approx(1280 * 1.25)
    assert channels_last["memory_ratio"] == pytest.approx(0.75)
    assert compiled["start_s"] == 30.5
    # 30 s more to start, 60 ms less a step
    assert compiled["break_even_steps"] == pytest.approx(30 / 0.06)
    assert slower["break_even_steps"] is None


def test_the_table_answers_in_a_line_what_is_fastest_and_what_it_costs(path: Path) -> None:
    text = " ".join(render_terminal(build_table("switches", collect([path])), width=100, color=False).split())
    assert "What to switch on here for resnet18: a training step, batch 128" in text
    assert "fastest here: channels_last + amp-fp16 + compiled, 2.50x (" in text
    assert "0.75x the memory, 30.5 s to start" in text
    assert "500 steps" in text
    assert "CUDA graphs need a GPU; this is the CPU" in text


def test_what_cannot_be_told_from_the_fastest_is_named(write_result: Callable[..., Path]) -> None:
    noisy = [
        pair(0.5, scatter=0.1, precision="amp-fp16"),
        pair(0.51, scatter=0.1, memory_format="channels_last"),
    ]
    shaken = []
    for number, entry in enumerate(noisy):
        blocks = entry["extra_info"]["perfsuite"]["blocks"]
        entry["extra_info"]["perfsuite"]["blocks"] = [
            [a, b * (1 + 0.1 * (-1) ** (index + number)), c, d] for index, (a, b, c, d) in enumerate(blocks)
        ]
        shaken.append(entry)
    (note, *_) = build_table("switches", collect([write_result(make_content(shaken))])).notes
    assert "not distinguishable from it by these brackets: " in note


def test_where_nothing_is_faster_it_says_so(write_result: Callable[..., Path]) -> None:
    table = build_table("switches", collect([write_result(make_content([pair(1.2, precision="amp-fp16")]))]))
    assert "nothing is faster than the eager FP32 step beyond its scatter" in table.notes


def test_files_without_switches_say_how_to_measure_them(write_result: Callable[..., Path]) -> None:
    pairs = [make_paired_entry(make_pair())]
    table = build_table("switches", collect([write_result(make_content(pairs))]))
    assert table.notes[0] == "no switches were measured: pytest benchmarks -m switches does that"


def test_several_runs_are_one_ratio_with_an_interval(write_result: Callable[..., Path]) -> None:
    paths = []
    for number, factor in enumerate((0.5, 0.51, 0.49)):
        entry = pair(factor, precision="amp-fp16")
        record = entry["extra_info"]["perfsuite"]
        record["process"] = {**record["process"], "run_id": f"run-{number}"}
        paths.append(write_result(make_content([entry]), f"run-{number}.json"))
    _, row = rows_of(switches_frame(collect(paths)))
    assert (row["speedup_ratio_basis"], row["speedup_ratio_num_processes"]) == ("processes", 3)
    assert row["speedup_ratio"] == pytest.approx(2.0, rel=0.01)


def test_the_figure_has_a_bar_for_each_and_says_what_was_not_measured(path: Path) -> None:
    drawing = build_chart("switches", gather([path]))
    assert sum(panel.num_rows for panel in drawing.panels) == 4
    assert drawing.notes == ("not measured: CUDA graphs: skipped: CUDA graphs need a GPU; this is the CPU",)


def test_a_pair_of_a_side_without_its_cost_is_refused() -> None:
    from perfsuite.errors import RecordError

    record = make_pair(comparison="switch")
    with pytest.raises(RecordError, match="costs are of 1 sides; of both or of none is needed"):
        dataclasses.replace(record, costs=record.costs[:1])


def test_the_fastest_of_two_places_is_named_with_its_place(write_result: Callable[..., Path]) -> None:
    paths = []
    for number, (torch, factor) in enumerate((("2.12.0", 0.5), ("2.13.0", 0.8))):
        entry = pair(factor, precision="amp-fp16")
        record = entry["extra_info"]["perfsuite"]
        record["process"] = {**record["process"], "run_id": f"run-{number}"}
        environment = dataclasses.replace(ENVIRONMENT, torch=torch)
        paths.append(write_result(make_content([entry], environment=environment), f"run-{number}.json"))
    notes = build_table("switches", collect(paths)).notes
    assert notes[0].startswith("torch 2.12.0: fastest here: amp-fp16, 2.00x")
    assert notes[1].startswith("torch 2.13.0: fastest here: amp-fp16, 1.25x")


def test_the_page_of_switches_begins_with_their_figure(path: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert main(["report", str(path), "-o", str(page)]) == 0
    first_screen = page.read_text().partition("<nav")[0]
    assert "What to switch on here" in first_screen
