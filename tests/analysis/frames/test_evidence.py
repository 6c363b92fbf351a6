"""Evidence of a result: limits, telemetry, kernels, noise floors; and what compare makes of them."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import make_content, make_entry, make_record, make_workload

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.roofline import bounds_of
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.verdicts.causes import changed_kernels, likely_causes
from perfsuite.analysis.verdicts.process_results import read_process
from perfsuite.analysis.verdicts.samples import join_sides
from perfsuite.cli import main
from perfsuite.gpus import GPUS, gpu_named
from perfsuite.records.operators import OperatorCost
from perfsuite.records.profile import Kernel, Profile
from perfsuite.records.telemetry import Spread, Telemetry

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.records.cell import Record

METRICS = {
    "step_flops": 426_111_664_128,
    "min_bytes": 1_557_759_312,
    "probe_gemm_flops_per_second": 5e12,
    "probe_conv_flops_per_second": 6e12,
    "probe_copy_bytes_per_second": 250e9,
}


def telemetry(clock: float = 1590.0, **changes: Any) -> Telemetry:
    values: dict[str, Any] = {
        "num_samples": 50,
        "seconds": 5.0,
        "sm_clock_mhz": Spread(minimum=clock - 15, median=clock, maximum=clock + 15),
        "power_watts": Spread(minimum=40.0, median=69.0, maximum=70.0),
        "temperature_celsius": Spread(minimum=50.0, median=60.0, maximum=66.0),
        "throttle_ratio": {},
        "num_other_processes": 0,
        "energy_joules": 140.0,
        "energy_num_images": 2000,
        "max_sm_clock_mhz": 1590.0,
    }
    return Telemetry(**{**values, **changes})


def profile(*kernels: tuple[str, float], bound: str = "device-bound") -> Profile:
    total = sum(seconds for _, seconds in kernels)
    return Profile(
        wall_s=total,
        device_s=total,
        kernels_s=total,
        synchronize_s=0.0,
        bound=bound,
        kernels=tuple(
            Kernel(name=name, seconds=seconds, num_calls=1.0, ratio=seconds / total) for name, seconds in kernels
        ),
        num_kernels=float(len(kernels)),
        tensor_core_ratio=0.0,
    )


def with_evidence(run_id: str = "run-1", **changes: Any) -> Record:
    record = make_record(run_id=run_id)
    return dataclasses.replace(record, metrics={**record.metrics, **METRICS}, **changes)


def write(path: Path, record: Record, *, seconds: float = 0.1) -> Path:
    path.write_text(json.dumps(make_content([make_entry(record, [seconds * (1 + 0.001 * k) for k in range(30)])])))
    return path


def test_a_limit_is_the_arithmetic_or_the_memory_whichever_takes_longer() -> None:
    found = bounds_of(METRICS, median_s=0.1, precision="fp32", gpu="Tesla T4")
    assert found["limit_s"] == pytest.approx(426_111_664_128 / 6e12)
    assert found["probe_ratio"] == pytest.approx(0.710, abs=0.001)
    assert found["data_sheet_ratio"] == pytest.approx(426_111_664_128 / 8.1e12 / 0.1)
    memory = {**METRICS, "probe_copy_bytes_per_second": 10e9}
    assert bounds_of(memory, median_s=0.1, precision="fp32", gpu="Tesla T4")["limit_s"] == pytest.approx(0.1557759312)
    # The caches of a CPU may hold what is kept for the backward pass.
    assert bounds_of(memory, median_s=0.1, precision="fp32", gpu=None)["limit_s"] == found["limit_s"]


def test_without_probes_or_data_sheet_there_is_no_ratio() -> None:
    assert set(bounds_of({}, median_s=0.1, precision="fp32", gpu=None).values()) == {None}
    found = bounds_of(METRICS, median_s=0.1, precision="amp-bf16", gpu="Tesla T4")
    assert found["data_sheet_ratio"] is None  # a T4 has no BF16
    assert bounds_of(METRICS, median_s=0.1, precision="fp32", gpu="Some GPU")["data_sheet_ratio"] is None


def test_data_sheets_are_found_by_torch_s_name_and_have_a_source() -> None:
    sheet = gpu_named("Tesla T4")
    assert sheet is GPUS["t4"]
    assert (sheet.peak_for("amp-fp16"), sheet.peak_for("tf32")) == (65e12, None)
    assert gpu_named(None) is None
    assert all(gpu.source.startswith(("NVIDIA", "AMD")) for gpu in GPUS.values())


def test_tables_show_limits_telemetry_and_kernels(tmp_path: Path) -> None:
    record = with_evidence(
        telemetry=telemetry(975.0, throttle_ratio={"power cap": 0.8}),
        profile=profile(("conv_kernel", 0.07), ("batch_norm", 0.02)),
    )
    results = collect([write(tmp_path / "a.json", record)])
    assert "70.0" in render_terminal(build_table("roofline", results), width=None, color=False)
    text = render_terminal(build_table("telemetry", results), width=None, color=False)
    for part in ("975", "69", "66", "80.0", "power cap 80%", "70.0"):
        assert part in text
    text = render_terminal(build_table("kernels", results), width=None, color=False)
    assert "conv_kernel" in text
    assert "77.8" in text
    assert "mJ/image" in render_terminal(build_table("steps", results), width=None, color=False)


def test_tables_of_results_without_evidence_say_so(tmp_path: Path) -> None:
    results = collect([write(tmp_path / "a.json", make_record())])
    missing = {"roofline": "no probes", "operators": "no operators", "telemetry": "no telemetry"}
    for name, part in {**missing, "kernels": "no profiles"}.items():
        assert part in render_terminal(build_table(name, results), width=None, color=False)


def test_tables_of_cells_whose_operators_could_not_be_counted_say_so(tmp_path: Path) -> None:
    """A callable of others: its record names the metric and has no value for it, as has every cell of the file."""
    record = make_record()
    record = dataclasses.replace(
        record,
        metrics={**record.metrics, "roofline_s": None},
        absent={**record.absent, "roofline_s": "a callable is not counted"},
    )
    results = collect([write(tmp_path / "a.json", record)])
    assert "no operators" in render_terminal(build_table("operators", results), width=None, color=False)
    assert "no probes" in render_terminal(build_table("roofline", results), width=None, color=False)


def cost(name: str, kind: str, *, roofline_s: float, lost_s: float) -> OperatorCost:
    return OperatorCost(
        name=name, kind=kind, num_calls=20, flops=0, num_bytes=2**30, roofline_s=roofline_s, lost_s=lost_s
    )


def test_the_roofline_and_what_operators_lose_stand_beside_a_measured_step(tmp_path: Path) -> None:
    """A step of 0.1 s with a roofline of 0.08 s, of which batch normalisation loses 0.02 s and activations 0.0004 s."""
    operators = (
        cost("native_batch_norm", "normalisation", roofline_s=0.02, lost_s=0.02),
        cost("relu_", "activation", roofline_s=0.0004, lost_s=0.0004),
        cost("convolution", "convolution", roofline_s=0.0596, lost_s=0.0),
    )
    record = with_evidence(operators=operators)
    record = dataclasses.replace(record, metrics={**record.metrics, "roofline_s": 0.08})
    results = collect([write(tmp_path / "a.json", record)])
    assert results.benchmarks["roofline_ratio"].tolist() == pytest.approx([0.08 / 0.10145])
    text = render_terminal(build_table("roofline", results), width=None, color=False)
    assert "78.9" in text
    assert "is memory's: normalisation 25%" in text
    assert "activation" not in text  # below one percent
    table = build_table("operators", results)
    lost = {row["operator"]: row["lost_ratio"] for row in table.rows()}
    assert lost == pytest.approx({"native_batch_norm": 0.25, "relu_": 0.005, "convolution": 0.0})
    text = render_terminal(table, width=None, color=False)
    for part in ("native_batch_norm", "normalisation", "25.0", "1,024", "20"):
        assert part in text


def sides_of(tmp_path: Path, old: Record, new: Record) -> Any:
    paths = [
        [write(tmp_path / f"{name}-{number}.json", renamed(record, f"{name}-{number}")) for number in range(2)]
        for name, record in (("old", old), ("new", new))
    ]
    return join_sides(*([read_process(path) for path in side] for side in paths))


def renamed(record: Record, run_id: str) -> Record:
    return dataclasses.replace(record, process=dataclasses.replace(record.process, run_id=run_id))


def started(record: Record, minute: int) -> Record:
    return dataclasses.replace(
        record, process=dataclasses.replace(record.process, started=f"2026-01-05T10:{minute:02d}:00+00:00")
    )


@pytest.mark.parametrize(
    ("new", "ratio", "words"),
    [
        (telemetry(1395.0), 1.13, "12% lower (1,590 -> 1,395 MHz): that is the clock, not the code"),
        (telemetry(1395.0), 1.40, "12% lower (1,590 -> 1,395 MHz): the clock explains a part of it"),
        (telemetry(1395.0), 0.90, "12% lower (1,590 -> 1,395 MHz)"),
        (telemetry(throttle_ratio={"thermal (software)": 0.5}), 1.1, "throttled by thermal (software) in 50%"),
        (telemetry(num_other_processes=1), 1.1, "another process was on the GPU of the candidate"),
        (
            telemetry(background_cpu_ratio=0.5),
            1.1,
            "other processes took 50% of the cores' time while the candidate was measured, 2% in the baseline",
        ),
        (telemetry(steal_ratio=0.3), 1.1, "other virtual machines took 30% of the cores' time while the candidate"),
    ],
)
def test_what_the_hardware_did_is_said_beside_the_verdict(
    tmp_path: Path, new: Telemetry, ratio: float, words: str
) -> None:
    old = telemetry(background_cpu_ratio=0.02, steal_ratio=0.0)
    sides = sides_of(tmp_path, with_evidence(telemetry=old), with_evidence(telemetry=new))
    text = likely_causes(sides, 0, ratio)
    assert text is not None
    assert words in text
    assert not (ratio < 1 and "code" in text)


def test_equal_circumstances_are_no_cause(tmp_path: Path) -> None:
    same = with_evidence(telemetry=telemetry())
    assert likely_causes(sides_of(tmp_path, same, same), 0, 1.2) is None
    assert likely_causes(sides_of(tmp_path, make_record(), same), 0, 1.2) is None


def test_the_kernels_that_changed_are_named_the_largest_change_first(tmp_path: Path) -> None:
    old = with_evidence(profile=profile(("conv", 0.07), ("norm", 0.02), ("copy", 0.01), ("same", 0.001)))
    # What is not among the ten took at most as long as the last of them: the change is told as the least that it was.
    new = with_evidence(
        profile=profile(("conv", 0.09), ("norm", 0.02), ("cast", 0.004), ("same", 0.001), bound="launch-bound")
    )
    lines = changed_kernels(sides_of(tmp_path, old, new), 0)
    assert "conv: 70.00 ms -> 90.00 ms" in lines[1]
    assert "copy: at least, no longer among the ten most expensive" in lines[2]
    assert lines[2].strip().startswith("-8.9% of an iteration")
    assert "cast: at least, new among the ten most expensive" in lines[3]
    assert not any("norm" in line or "same" in line for line in lines)
    assert lines[-1].strip() == "device-bound -> launch-bound"
    assert changed_kernels(sides_of(tmp_path, old, make_record()), 0) == []


def test_a_slowdown_with_a_lower_clock_is_said_to_be_that(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(3)
    paths: dict[str, list[str]] = {"old": [], "new": []}
    for number in range(5):
        for name, seconds, clock in (("old", 0.1, 1590.0), ("new", 0.112, 1410.0)):
            first = (number % 2 == 1) == (name == "old")  # A B B A
            record = started(renamed(with_evidence(telemetry=telemetry(clock)), f"{name}-{number}"), 2 * number + first)
            path = tmp_path / f"{name}{number}.json"
            noisy = seconds * float(generator.normal(1, 0.002))
            entry = make_entry(record, [float(value) for value in generator.normal(noisy, 0.0002, 30)])
            path.write_text(json.dumps(make_content([entry])))
            paths[name].append(str(path))
    assert main(["compare", "--baseline", *paths["old"], "--candidate", *paths["new"], "--format", "json"]) == 1
    (verdict,) = json.loads(capsys.readouterr().out)["benchmarks"]
    assert verdict["verdict"] == "regressed"
    assert "SM clock was 11% lower (1,590 -> 1,410 MHz): that is the clock, not the code" in verdict["time"]["reason"]


def test_the_bound_is_called_that_of_direct_convolution_and_no_minimum(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "--gpu", "t4", "--model", "resnet18", "--precision", "fp32"]) == 0
    text = capsys.readouterr().out
    assert "Predicted training on a T4, batch 128" in text
    assert "operations of direct convolution / dense peak" in text
    assert "Winograd's algorithm needs up to 2.25 times fewer operations" in text
    assert "at least" not in text
    assert "The least" not in text


def test_the_bound_and_the_prediction_of_a_t4_stand_beside_the_thesis(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", "--gpu", "T4", "--model", "resnet18", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["precision"] for row in rows] == ["fp32", "amp-fp16"]
    assert rows[0]["bound_training_s"] == pytest.approx(7.5e15 / 8.1e12, rel=0.01)
    for row in rows:
        assert row["bound_training_s"] < row["training_low_s"] < row["training_s"] < row["training_high_s"]
        assert row["training_s"] < row["thesis_training_time_s"]
        assert row["thesis_ratio"] == pytest.approx(row["training_s"] / row["thesis_training_time_s"])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--gpu", "gtx"], "--gpu: unknown GPU 'gtx'; choose from gtx-1080-ti"),
        (["--precision", "amp-bf16"], "--precision: the data sheet of a t4 has no amp-bf16; it has fp32, amp-fp16"),
        (["--batch-size", "none"], "--batch-size: 'none' is not a batch size"),
        (["--model", "vgg"], "unknown model 'vgg'"),
    ],
)
def test_a_bad_limit_is_one_line(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["limits", *arguments]) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


def test_records_carry_their_evidence_through_json() -> None:
    from perfsuite.records.reading import read_record

    record = with_evidence(telemetry=telemetry(), profile=profile(("conv", 0.07)))
    assert read_record(record.to_json()) == record
    assert make_workload().label in record.workload.label
