"""Numbers of a step on several devices: each computed a second time, and intervals scored on a simulated machine."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import ENVIRONMENT, make_claim
from scaling_builders import (
    GRADIENT_BYTES,
    QUIET,
    Machine,
    make_fsdp2,
    make_scaling,
    scaling_file,
    scaling_matrix,
)
from scaling_coverage import SCENES, coverage

from perfsuite.analysis.frames.pooled import by_file
from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.scaling import absent_in_words, failed_checks_in_words, scaling_frame
from perfsuite.analysis.frames.scaling_steps import with_scaling_steps
from perfsuite.analysis.frames.unmeasured import unmeasured
from perfsuite.records.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from perfsuite.records.scaling import ScalingRecord


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., list[dict[str, Any]]]:
    """Write records to a file and return its rows."""

    def read(*records: ScalingRecord) -> list[dict[str, Any]]:
        return rows_of(scaling_frame(collect([scaling_file(tmp_path / "run.json", records)])))

    return read


def hodges_lehmann(logs: Any) -> float:
    """Return the median of all pairwise means, by the definition."""
    return float(np.median([(a + b) / 2 for i, a in enumerate(logs) for b in logs[i:]]))


@pytest.mark.parametrize("scaling", ["weak", "strong"])
def test_every_number_is_what_a_second_computation_gives(scaling: str, rows: Callable[..., Any]) -> None:
    machine = Machine(rank_sd=0.03, rank_offset_sd=0.02, drift=0.2)
    record = make_scaling(machine=machine, world_size=3, batch_size=24, scaling=scaling)
    (row,) = rows(record)
    alone, without, with_ = (np.log(np.array(values)) for values in (record.alone_s, *_slowest(record)))
    per_block = alone.mean(axis=1) - with_.mean(axis=1)
    ideal = 3.0 if scaling == "strong" else 1.0
    assert row["efficiency_ratio"] == pytest.approx(math.exp(hodges_lehmann(per_block)) / ideal)
    assert row["speedup_ratio"] == pytest.approx(3 * row["efficiency_ratio"])
    sharing = alone.mean(axis=1) - without.mean(axis=1)
    assert row["sharing_ratio"] == pytest.approx(math.exp(hodges_lehmann(sharing)) / ideal)
    exchanged = without.mean(axis=1) - with_.mean(axis=1)
    assert row["communication_ratio"] == pytest.approx(1 - math.exp(hodges_lehmann(exchanged)))
    by_rank = np.array(record.exchange_s).reshape(3, -1).T.tolist()
    assert row["step_slowest_s"] == pytest.approx(np.median([max(times) for times in by_rank]))
    assert row["step_median_rank_s"] == pytest.approx(np.median([sorted(times)[1] for times in by_rank]))
    assert row["images_per_second"] == pytest.approx(72 / row["step_slowest_s"])
    seconds = sorted(record.all_reduce_s)
    middle = (seconds[9] + seconds[10]) / 2
    assert row["bus_bytes_per_second"] == pytest.approx(GRADIENT_BYTES["resnet18"] / middle * 4 / 3)
    assert row["peak_allocated_bytes"] == max(record.peak_allocated_bytes)
    predicted = record.predicted_peak_bytes or 1
    deviation = (max(record.peak_allocated_bytes) - predicted) / predicted
    assert row["peak_deviation_ratio"] == pytest.approx(deviation)
    assert row["efficiency_ratio_low"] < row["efficiency_ratio"] < row["efficiency_ratio_high"]
    assert row["communication_ratio_low"] < row["communication_ratio"] < row["communication_ratio_high"]


def _slowest(record: ScalingRecord) -> tuple[list[list[float]], list[list[float]]]:
    found = [
        [[max(rank[n][turn] for rank in ranks) for turn in (0, 1)] for n in range(len(ranks[0]))]
        for ranks in (record.no_exchange_s, record.exchange_s)
    ]
    return found[0], found[1]


def test_a_ring_whose_links_carry_so_much_has_that_bus_bandwidth(rows: Callable[..., Any]) -> None:
    """The simulated ring sends an N-th of the bytes 2 (N - 1) times: its links' rate is what the bus has."""
    machine = Machine(bytes_per_second=7e9, latency_s=0.0)
    for world_size in (2, 4, 8):
        (row,) = rows(make_scaling(machine=machine, world_size=world_size))
        assert row["bus_bytes_per_second"] == pytest.approx(7e9, rel=0.01)


def test_what_a_quiet_machine_loses_is_what_it_was_built_to_lose(rows: Callable[..., Any]) -> None:
    machine = dataclasses.replace(QUIET, lost_by_sharing=0.05, overlap=0.0, latency_s=0.0, launch_s=0.0)
    record = make_scaling(machine=machine, world_size=4, batch_size=100)
    (row,) = rows(record)
    alone_s = 100 * machine.image_s
    exchange_s = 1.5 * GRADIENT_BYTES["resnet18"] / machine.bytes_per_second
    assert row["sharing_ratio"] == pytest.approx(1 / 1.15)
    assert row["communication_ratio"] == pytest.approx(exchange_s / (1.15 * alone_s + exchange_s))
    assert row["efficiency_ratio"] == pytest.approx(row["sharing_ratio"] * (1 - row["communication_ratio"]))


def test_a_drift_of_half_changes_no_efficiency(rows: Callable[..., Any]) -> None:
    (still,) = rows(make_scaling(machine=QUIET))
    (drifting,) = rows(make_scaling(machine=dataclasses.replace(QUIET, drift=math.log(1.5))))
    for name in ("efficiency_ratio", "sharing_ratio", "communication_ratio"):
        assert drifting[name] == pytest.approx(still[name], abs=1e-9)


@pytest.mark.no_cover
@pytest.mark.parametrize("title", SCENES)
def test_intervals_contain_the_truth_of_a_machine_that_drifts_and_is_disturbed(title: str) -> None:
    found = coverage(SCENES[title], 80)
    assert all(0.87 <= share <= 0.999 for share in found), found


def test_an_interval_that_ignores_the_order_of_turns_would_not_contain_it() -> None:
    """What the palindrome is for: from two kinds of turn, one after the other, a drift would be taken for a loss."""
    from scaling_builders import simulated_turns

    machine = Machine(rank_sd=0.002, drift=1.0)
    turns = simulated_turns(machine, world_size=2, batch_size=64, num_blocks=6)
    alone, with_ = np.array(turns["alone_s"]), np.max(turns["exchange_s"], axis=0)
    true = np.array(simulated_turns(QUIET, world_size=2, batch_size=64, num_blocks=1)["alone_s"]).mean()
    truth = (
        true / np.max(simulated_turns(QUIET, world_size=2, batch_size=64, num_blocks=1)["exchange_s"], axis=0).mean()
    )
    first_only = np.exp(np.mean(np.log(alone[:, 0] / with_[:, 0])))
    both = np.exp(np.mean(np.log(alone / with_)))
    assert abs(both / truth - 1) < 0.005
    assert abs(first_only / truth - 1) > 0.03


def test_several_runs_of_a_cell_are_one_row_with_an_interval_over_processes(tmp_path: Path) -> None:
    paths = [scaling_file(tmp_path / f"run-{n}.json", run_id=f"r{n}", seed=n) for n in range(3)]
    results = collect(paths)
    frame = scaling_frame(results)
    assert frame["num_processes"].tolist() == [3] * 4
    assert frame["num_blocks"].tolist() == [36] * 4
    for name in ("efficiency_ratio", "communication_ratio"):
        assert set(frame[f"{name}_basis"]) == {"processes"}
        assert set(frame[f"{name}_level"]) == {0.95}
    assert len(scaling_frame(by_file(results))) == 12


def test_a_copy_is_no_second_run_and_two_backends_are_not_one_number(tmp_path: Path) -> None:
    paths = [scaling_file(tmp_path / f"{name}.json") for name in ("one", "copy")]
    results = collect(paths)
    assert len(results.scaling) == 4
    assert "left out" in results.notes[0]
    other = [
        make_scaling(run_id="gloo", backend="gloo", backend_version="2.13.0"),
        make_scaling(run_id="gloo", world_size=1),
    ]
    frame = scaling_frame(collect([paths[0], scaling_file(tmp_path / "two.json", other)]))
    same = frame[(frame["precision"] == "fp32") & (frame["world_size"] == 2)]
    assert sorted(same["backend"]) == ["gloo", "nccl"]
    assert set(same["num_processes"]) == {1}


def test_the_efficiency_from_two_launches_and_amp_against_fp32_are_ratios_of_cells(tmp_path: Path) -> None:
    frame = scaling_frame(collect([scaling_file(tmp_path / "run.json", world_sizes=(1, 2, 4))]))
    rows = {(row["precision"], row["world_size"]): row for row in rows_of(frame)}
    for precision in ("fp32", "amp-fp16"):
        assert rows[precision, 1]["launch_efficiency_ratio"] is None
        for world_size in (2, 4):
            row, alone = rows[precision, world_size], rows[precision, 1]
            expected = row["images_per_second"] / (world_size * alone["images_per_second"])
            assert row["launch_efficiency_ratio"] == pytest.approx(expected)
            assert row["launch_efficiency_ratio_low"] <= expected <= row["launch_efficiency_ratio_high"]
    for world_size in (1, 2, 4):
        fp32, amp = rows["fp32", world_size], rows["amp-fp16", world_size]
        assert fp32["amp_speedup_ratio"] is None
        expected = amp["images_per_second"] / fp32["images_per_second"]
        assert amp["amp_speedup_ratio"] == pytest.approx(expected)


def test_on_strong_scaling_one_rank_with_the_whole_batch_is_what_the_others_are_compared_with(
    rows: Callable[..., Any],
) -> None:
    records = [make_scaling(world_size=n, batch_size=64 // n, scaling="strong", seed=n) for n in (1, 2, 4)]
    found = rows(*records)
    assert [row["line"] for row in found] == [0, 0, 0]
    for row in found[1:]:
        expected = row["images_per_second"] / (row["world_size"] * found[0]["images_per_second"])
        assert row["launch_efficiency_ratio"] == pytest.approx(expected)
        assert row["efficiency_ratio"] == pytest.approx(expected, rel=0.02)


def test_one_rank_of_another_file_is_no_cross_check(tmp_path: Path) -> None:
    paths = [scaling_file(tmp_path / f"run-{n}.json", scaling_matrix(world_sizes=(n,), run_id=f"r{n}")) for n in (1, 2)]
    frame = scaling_frame(collect(paths))
    assert frame["launch_efficiency_ratio"].isna().all()
    assert frame["amp_speedup_ratio"].notna().sum() == 2


def test_a_strategy_that_cannot_step_without_exchange_has_an_efficiency_and_says_why_no_more(tmp_path: Path) -> None:
    results = collect([scaling_file(tmp_path / "run.json", [make_fsdp2(), make_fsdp2(world_size=4, seed=1)])])
    for row in rows_of(scaling_frame(results)):
        assert row["efficiency_ratio"] is not None
        assert (row["communication_ratio"], row["sharing_ratio"]) == (None, None)
    (note,) = absent_in_words(results)
    assert note.startswith("not measured: steps without exchange, and so the share of communication: fully sharded: ")
    assert note.endswith("(resnet18 fp32 train_step b64 2 ranks fsdp2, resnet18 fp32 train_step b64 4 ranks fsdp2)")


def test_absent_is_none_and_never_0(rows: Callable[..., Any]) -> None:
    absent = {"peak_allocated_bytes": "not on a CPU", "predicted_peak_bytes": "no", "all_reduce_s": "no"}
    changes: dict[str, Any] = {"peak_allocated_bytes": (), "predicted_peak_bytes": None, "all_reduce_s": ()}
    (row,) = rows(make_scaling(absent=absent, **changes))
    names = (
        "peak_allocated_bytes",
        "predicted_peak_bytes",
        "peak_deviation_ratio",
        "all_reduce_s",
        "bus_bytes_per_second",
    )
    assert [row[name] for name in names] == [None] * 5


def test_one_rank_has_no_bus(rows: Callable[..., Any]) -> None:
    (row,) = rows(make_scaling(world_size=1, all_reduce_s=(0.001,)))
    assert row["bus_bytes_per_second"] is None


def test_too_few_blocks_give_a_ratio_without_an_interval(rows: Callable[..., Any]) -> None:
    (row,) = rows(make_scaling(num_blocks=5))
    assert row["efficiency_ratio"] > 0.8
    assert row["efficiency_ratio_low"] is None


def test_gradients_that_differ_between_ranks_are_in_the_row_and_in_words(tmp_path: Path) -> None:
    claim = make_claim(name="gradients are equal", measured=0.5, expected=1e-6, relation="at most")
    results = collect([scaling_file(tmp_path / "run.json", [make_scaling(checks=(claim,))])])
    (row,) = rows_of(scaling_frame(results))
    assert row["warnings"] == "checks FAILED"
    where = "resnet18 fp32 train_step b64 2 ranks ddp"
    said = "does not hold: gradients are equal: measured 0.5, expected at most 1e-06"
    assert failed_checks_in_words(results) == [f"{where}: {said}"]


def test_first_answers_are_left_out_where_there_are_full_measurements(tmp_path: Path) -> None:
    quick = scaling_file(tmp_path / "quick.json", [make_scaling(run_id="q", quick=True)])
    full = scaling_file(tmp_path / "full.json", [make_scaling(run_id="f", seed=3)])
    assert len(collect([quick]).scaling) == 1
    assert "--perf-quick" in collect([quick]).notes[0]
    (one,) = collect([quick, full]).scaling
    assert one.record.process.run_id == "f"


def test_an_outcome_of_a_measured_cell_is_not_a_lost_cell(tmp_path: Path) -> None:
    name = "benchmarks/test_scaling.py::test_scaling[resnet18-fp32-b64-2-ddp]"
    outcomes = [Outcome(nodeid=one, outcome="failed", reason="x", workload=None) for one in (name, f"{name}2")]
    results = collect([scaling_file(tmp_path / "run.json", outcomes=outcomes)])
    assert [one.name for one in unmeasured(results)] == [f"{name}2".rpartition("::")[2]]


def test_rows_among_steps_of_one_device_have_the_times_of_turns_until_the_slowest_rank_was_done(tmp_path: Path) -> None:
    record = make_scaling(world_size=4)
    results = with_scaling_steps(collect([scaling_file(tmp_path / "run.json", [record])]))
    (row,) = rows_of(results.benchmarks)
    (times,) = results.times_s
    assert times is not None
    assert times.tolist() == [turn for block in _slowest(record)[1] for turn in block]
    assert row["time_median_s"] == np.median(times)
    assert (row["world_size"], row["strategy"], row["torch"]) == (4, "ddp", ENVIRONMENT.torch)


def test_files_without_such_steps_have_no_row(tmp_path: Path) -> None:
    results = collect([scaling_file(tmp_path / "none.json", [])])
    assert scaling_frame(results).empty
    assert with_scaling_steps(results) is results
