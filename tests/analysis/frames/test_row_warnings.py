from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from builders import make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload
from training_builders import make_training, make_training_entry

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.analysis.tables.trainings import amp_table
from perfsuite.records.telemetry import Telemetry

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STEADY = [0.1] * 20
NOISY = [0.1, 0.2] * 10
THROTTLED = Telemetry(num_samples=10, seconds=1.0, throttle_ratio={"power cap": 0.5, "thermal (software)": 0.3})
SHARED = Telemetry(num_samples=10, seconds=1.0, num_other_processes=1, other_processes_bytes=None)

LOADED = Telemetry(num_samples=0, seconds=1.0, background_cpu_ratio=0.3, steal_ratio=0.1)
QUIET = Telemetry(num_samples=0, seconds=1.0, background_cpu_ratio=0.05, steal_ratio=0.01)


def entry(times: list[float], precision: str = "fp32", **changes: Any) -> dict[str, Any]:
    found = make_entry(dataclasses.replace(make_record(make_workload(precision=precision)), **changes), times)
    quartiles = sorted(times)
    found["stats"].update(q1=quartiles[len(times) // 4], q3=quartiles[3 * len(times) // 4])
    return found


@pytest.mark.parametrize(
    ("times", "changes", "expected"),
    [
        (STEADY, {}, None),
        (NOISY, {"findings": ("the middle half of the rounds",)}, "noisy"),
        (STEADY, {"telemetry": THROTTLED, "findings": ("power cap", "thermal")}, "throttled"),
        (STEADY, {"telemetry": SHARED, "findings": ("another process",)}, "other GPU processes"),
        (STEADY, {"telemetry": LOADED, "findings": ("background", "steal")}, "background load, steal time"),
        (STEADY, {"telemetry": QUIET}, None),
        (STEADY, {"findings": ("still getting faster",)}, "see notes"),
        (NOISY, {"telemetry": THROTTLED, "findings": ("a", "b", "c", "d")}, "noisy, throttled, see notes"),
    ],
)
def test_what_spoils_a_cell_is_in_its_own_row(
    write_result: Callable[..., Path], times: list[float], changes: dict[str, Any], expected: str | None
) -> None:
    results = collect([write_result(make_content([entry(STEADY, "amp-fp16"), entry(times, **changes)]))])
    assert results.benchmarks["warnings"].fillna("").tolist() == ["", expected or ""]
    steps = render_terminal(build_table("steps", results), width=None, color=False)
    row = next(line for line in steps.splitlines() if " fp32 " in line)
    assert row.endswith(expected or "700.0")
    assert ("warnings" in steps) is (expected is not None)
    speedup = render_terminal(build_table("speedup", results), width=None, color=False)
    (row,) = (line for line in speedup.splitlines() if line.startswith("resnet18"))
    assert row.endswith(f"fp32 {expected}" if expected else "x")


def test_a_pair_with_a_finding_says_so_in_its_row(write_result: Callable[..., Path]) -> None:
    pair = make_pair(findings=("amp-fp16: still getting faster",))
    text = render_terminal(
        build_table("interleaved", collect([write_result(make_content([make_paired_entry(pair)]))])),
        width=None,
        color=False,
    )
    assert next(line for line in text.splitlines() if line.startswith("resnet18")).endswith("see notes")


def test_a_pair_under_background_load_says_so_in_its_row(write_result: Callable[..., Path]) -> None:
    pair = make_pair(telemetry=LOADED, findings=("background", "steal", "amp-fp16: still getting faster"))
    results = collect([write_result(make_content([make_paired_entry(pair)]))])
    text = render_terminal(build_table("interleaved", results), width=None, color=False)
    row = next(line for line in text.splitlines() if line.startswith("resnet18"))
    assert row.endswith("background load, steal time, see notes")


def test_trainings_say_in_their_rows_what_spoils_them(write_result: Callable[..., Path]) -> None:
    loaded = dataclasses.replace(make_training("amp-fp16"), telemetry=LOADED, findings=("background", "steal"))
    entries = [make_training_entry(make_training("fp32")), make_training_entry(loaded)]
    results = collect([write_result(make_content(entries))])
    accuracy = render_terminal(build_table("accuracy", results), width=None, color=False)
    row = next(line for line in accuracy.splitlines() if " amp-fp16 " in line)
    assert row.endswith("background load, steal time")
    amp = render_terminal(amp_table(results), width=None, color=False)
    row = next(line for line in amp.splitlines() if " amp-fp16 " in line)
    assert row.endswith("amp-fp16 background load, steal time")
