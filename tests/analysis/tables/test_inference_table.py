from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from builders import make_content, make_entry, make_record, make_workload

from perfsuite.analysis.frames.results import collect
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.tables.registry import build_table, held_tables
from perfsuite.analysis.tables.terminal import render_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LATENCIES = tuple(float(seconds) for seconds in np.random.default_rng(1).gamma(9, 0.001, 1000))


def inference(batch_size: int = 1, latencies: tuple[float, ...] = LATENCIES, **changes: Any) -> dict[str, Any]:
    record = make_record(make_workload(phase="inference", batch_size=batch_size, **changes))
    return make_entry(dataclasses.replace(record, latencies_s=latencies), [0.004] * 20)


def test_latency_and_throughput_are_those_of_the_file(write_result: Callable[..., Path]) -> None:
    results = collect([write_result(make_content([inference(), inference(batch_size=64)]))])
    assert held_tables(results) == ["inference"]
    first, second = rows_of(build_table("inference", results).frame)  # type: ignore[arg-type]
    assert first["latency_p99_s"] == pytest.approx(np.percentile(LATENCIES, 99))
    assert (first["images_per_second"], second["images_per_second"]) == (pytest.approx(250), pytest.approx(16000))
    text = render_terminal(build_table("inference", results), width=80, color=False)
    assert "p50, p95, p99: of 1,000 single iterations with a wait after each" in text


def test_too_few_iterations_leave_a_percentile_out(write_result: Callable[..., Path]) -> None:
    results = collect([write_result(make_content([inference(latencies=LATENCIES[:50])]))])
    (row,) = rows_of(build_table("inference", results).frame)  # type: ignore[arg-type]
    assert row["latency_p95_s"] is not None
    assert row["latency_p99_s"] is None


def test_steps_and_inference_have_a_table_each(write_result: Callable[..., Path]) -> None:
    step = make_entry(make_record(), [0.1] * 20)
    results = collect([write_result(make_content([step, inference()]))])
    assert held_tables(results) == ["steps", "inference"]
    assert build_table("steps", results).title.startswith("Training steps and inference")
    assert len(build_table("inference", results).frame) == 1


def test_files_without_inference_say_how_to_measure_it(write_result: Callable[..., Path]) -> None:
    table = build_table("inference", collect([write_result(make_content([make_entry(make_record(), [0.1] * 20)]))]))
    assert table.notes[0] == "no inference was measured: pytest benchmarks -m inference does that"


def test_a_network_of_others_counts_samples_and_a_callable_too(write_result: Callable[..., Path]) -> None:
    for changes in ({"model": "x.py:net", "model_digest": "ab12"}, {"phase": "call", "model": "product"}):
        entry = make_entry(make_record(make_workload(**changes)), [0.1] * 20)
        table = build_table("steps", collect([write_result(make_content([entry]))]))
        assert "samples/s" in [column.heading for column in table.columns]
    own = build_table("steps", collect([write_result(make_content([make_entry(make_record(), [0.1] * 20)]))]))
    assert "images/s" in [column.heading for column in own.columns]
