"""Steps on several devices as a table: readable at 80 columns, units in the names of CSV and JSON, reasons below."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_claim, make_pair, make_paired_entry
from report_builders import HOSTILE, step_file
from scaling_builders import Machine, make_fsdp2, make_scaling, make_scaling_entry, scaling_file, scaling_matrix

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.tables.registry import build_table, held_tables
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.cli import main
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from pathlib import Path


def rendered(*paths: Path, width: int | None = 80) -> str:
    return render_terminal(build_table("scaling", collect(paths)), width=width, color=False)


def headings(text: str) -> list[str]:
    return text.split("\n\n")[1].partition("───")[0].split()


def test_at_80_columns_step_images_per_second_efficiency_and_communication_are_shown(tmp_path: Path) -> None:
    text = rendered(scaling_file(tmp_path / "run.json"))
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert headings(text) == ["precision", "ranks", "step", "images/s", "efficiency", "communication", "ms"]
    assert "model: resnet18" in lines
    row = next(line for line in lines if line.startswith("fp32       2"))
    assert " ".join(row.split()) == "fp32 2 30.21 4,237 91.4% (91.3 to 91.5) 6.7% (6.7 to 6.8)"
    assert lines[0].startswith("Scaling over several devices, ddp, weak scaling, nccl, batch 64 on Tesla T4")
    words = " ".join(text.split())
    assert "efficiency: images/s of all ranks over N times those of one device alone" in words
    assert "pytest benchmarks -m scaling --benchmark-json=runN.json" in words


def test_a_wide_terminal_has_all_columns(tmp_path: Path) -> None:
    text = rendered(scaling_file(tmp_path / "run.json"), width=None)
    assert "not shown" not in text
    for heading in ("without exchange", "vs 1 rank", "vs FP32", "predicted", "blocks", "images/s"):
        assert heading in text.split("───")[0]


def test_the_cross_check_is_shown_where_one_rank_was_measured_and_strategies_where_they_differ(tmp_path: Path) -> None:
    without = rendered(scaling_file(tmp_path / "two.json", world_sizes=(2, 4)), width=None)
    assert "vs 1 rank" not in without
    assert "strategy" not in without
    records = [*scaling_matrix(world_sizes=(1, 2)), make_fsdp2(), make_scaling(compression="bf16", seed=9)]
    text = rendered(scaling_file(tmp_path / "all.json", records), width=None)
    assert "strategy  compression" in text
    fsdp2 = next(line for line in text.splitlines() if "fsdp2  " in line)
    assert " - " in fsdp2
    assert "not measured: steps without exchange, and so the share of communication: fully sharded" in text
    assert "one rank exchanges nothing" not in text


def test_several_runs_have_intervals_in_square_brackets(tmp_path: Path) -> None:
    machine = Machine(rank_sd=0.01)
    paths = [scaling_file(tmp_path / f"run-{n}.json", run_id=f"r{n}", seed=n, machine=machine) for n in range(3)]
    text = rendered(*paths)
    assert "[low, high]: 95% interval over 3 processes" in text
    assert "spread within one run" not in text


def test_on_strong_scaling_the_speed_up_is_shown_and_said_what_it_is(tmp_path: Path) -> None:
    records = [make_scaling(world_size=n, scaling="strong", batch_size=64 // n, seed=n) for n in (1, 2, 4)]
    text = rendered(scaling_file(tmp_path / "run.json", records), width=None)
    assert "speed-up" in text.split("───")[0]
    assert "with the batch of all ranks; speed-up: N x efficiency" in text
    assert "speed-up" not in rendered(scaling_file(tmp_path / "weak.json"), width=None).split("───")[0]


@pytest.mark.parametrize(("num_blocks", "is_said"), [(5, True), (6, False)])
def test_a_run_of_too_few_blocks_for_an_interval_says_so(num_blocks: int, is_said: bool, tmp_path: Path) -> None:
    text = rendered(scaling_file(tmp_path / "run.json", num_blocks=num_blocks))
    assert ("[no interval]: one run of fewer than 6 blocks" in text) is is_said
    assert ("% [no interval]" in text) is is_said


def test_csv_and_json_have_units_in_the_names_of_their_columns(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(scaling_file(tmp_path / "run.json"))
    assert main(["collect", path, "--table", "scaling", "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 4
    for name in (
        *("step_slowest_s", "step_median_rank_s", "images_per_second", "all_reduce_s", "bus_bytes_per_second"),
        *("gradient_bytes", "peak_allocated_bytes", "predicted_peak_bytes", "peak_deviation_ratio"),
        *("efficiency_ratio", "efficiency_ratio_low", "efficiency_ratio_high", "communication_ratio"),
    ):
        assert float(rows[1][name]) or name in rows[1]
    assert rows[0]["bus_bytes_per_second"] == ""
    assert main(["collect", path, "--format", "json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["rows"] if isinstance(content, dict) else content) == 4


def test_files_hold_it_by_themselves_and_beside_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = scaling_file(tmp_path / "scaling.json")
    assert held_tables(collect([alone])) == ["scaling"]
    steps = step_file(tmp_path / "steps.json", run_id="s")
    content = json.loads(steps.read_text())
    content["benchmarks"] += [make_paired_entry(make_pair(run_id="s")), make_scaling_entry(make_scaling(run_id="s"))]
    steps.write_text(json.dumps(content))
    assert held_tables(collect([steps])) == ["steps", "interleaved", "scaling"]
    assert main(["collect", str(steps)]) == 0
    assert "Scaling over several devices" in capsys.readouterr().out
    assert main(["collect", str(steps), "--table", "steps"]) == 0
    assert "several devices: --table scaling" in capsys.readouterr().out
    assert main(["collect", str(alone), "--table", "steps"]) == 0
    output = capsys.readouterr().out
    assert "No step benchmarks in these files" in output
    assert "several devices: --table scaling" in output


def test_rows_are_selected_and_sorted_as_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(scaling_file(tmp_path / "run.json"))
    assert main(["collect", path, "--select", "amp-fp16", "--sort", "time"]) == 0
    output = capsys.readouterr().out
    assert "amp-fp16" in output
    assert " fp32 " not in output
    assert main(["collect", path, "--select", "2ranks and ddp and weak"]) == 0
    assert "shown: 2 of 4 rows" in capsys.readouterr().out


def test_without_any_the_table_says_how_to_measure_it(tmp_path: Path) -> None:
    outcome = Outcome(nodeid="test_scaling[2]", outcome="skipped", reason="2 GPUs needed, 1 found", workload=None)
    text = rendered(scaling_file(tmp_path / "none.json", [], outcomes=[outcome]))
    assert "pytest benchmarks -m scaling" in text
    assert "2 GPUs needed, 1 found" in text


def test_gradients_that_are_not_equal_are_a_warning_in_the_row_and_a_note(tmp_path: Path) -> None:
    claim = make_claim(name="gradients equal on all ranks", measured=0.5, expected=0.0)
    text = rendered(scaling_file(tmp_path / "run.json", [make_scaling(checks=(claim,))]), width=None)
    assert "checks FAILED" in text
    assert "does not hold: gradients equal on all ranks: measured 0.5, expected 0" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_reach_no_terminal(name: str, tmp_path: Path) -> None:
    changes: dict[str, Any] = {
        "backend": name,
        "backend_version": name,
        "findings": (name,),
        "absent": {"all_reduce_s": name},
        "checks": (make_claim(name=name, measured=1.0, expected=0.0),),
    }
    records = [make_scaling(model=name, **changes), make_scaling(model="resnet18", run_id="b")]
    text = rendered(scaling_file(tmp_path / "run.json", records), width=120)
    assert not {"\x1b", "\u202e", "\x00"} & set(text)


@pytest.mark.parametrize("world_sizes", [(1,), (2,), (1, 2, 4, 8, 16)])
def test_any_number_of_ranks_has_a_row(world_sizes: tuple[int, ...], tmp_path: Path) -> None:
    records = scaling_matrix(precisions=("fp32",), world_sizes=world_sizes, num_blocks=6)
    table = build_table("scaling", collect([scaling_file(tmp_path / "run.json", records)]))
    assert [row["world_size"] for row in table.rows()] == list(world_sizes)
