"""Result files of several GPUs, as tests of the decision between them need them."""

from __future__ import annotations

import dataclasses
from typing import Any

from builders import ENVIRONMENT, make_content, make_entry, make_record, make_workload

from perfsuite.formatting import MIB_BYTES
from perfsuite.records.environment import Process
from perfsuite.records.outcome import Outcome
from perfsuite.records.telemetry import Telemetry

T4 = ENVIRONMENT
A100 = dataclasses.replace(
    ENVIRONMENT,
    device="NVIDIA A100-SXM4-40GB",
    gpu="NVIDIA A100-SXM4-40GB",
    gpu_memory_bytes=42_413_588_480,
    compute_capability="8.0",
    power_limit_watts=400.0,
)
V100 = dataclasses.replace(
    ENVIRONMENT, device="Tesla V100-SXM2-16GB", gpu="Tesla V100-SXM2-16GB", gpu_memory_bytes=16_935_682_048
)
TITAN = dataclasses.replace(ENVIRONMENT, device="NVIDIA TITAN RTX", gpu="NVIDIA TITAN RTX", gpu_memory_bytes=None)
CPU = dataclasses.replace(
    ENVIRONMENT, device_type="cpu", device=ENVIRONMENT.cpu, gpu=None, gpu_memory_bytes=None, cuda=None, driver=None
)

Cells = dict[tuple[str, str, int], list[float]]
"""Rounds in seconds by network, precision and batch size."""


def gpu_content(
    cells: Cells,
    *,
    environment: Any = T4,
    run_id: str = "run-1",
    joules_per_image: float | None = None,
    throttled: float = 0.0,
    outcomes: tuple[Outcome, ...] = (),
    **workload: Any,
) -> dict[str, Any]:
    """Build the file of one process; its peaks are 100 MiB and 4 MiB an image, of which 60 MiB are always there."""
    entries = []
    for (model, precision, batch_size), times in cells.items():
        values = {"device_type": environment.device_type, **workload}
        record = make_record(make_workload(model=model, precision=precision, batch_size=batch_size, **values))
        peak = (100 + 4 * batch_size) * MIB_BYTES
        metrics: dict[str, Any] = {
            "peak_allocated_bytes": peak,
            "predicted_peak_bytes": peak - 2 * MIB_BYTES,
            "parameters_bytes": 30 * MIB_BYTES,
            "optimizer_bytes": 30 * MIB_BYTES,
            "gradients_bytes": 20 * MIB_BYTES,
        }
        telemetry = None
        if joules_per_image is not None:
            telemetry = Telemetry(
                num_samples=20,
                seconds=2.0,
                energy_joules=1000 * joules_per_image,
                energy_num_images=1000,
                throttle_ratio={"power cap": throttled} if throttled else {},
            )
        process = Process(run_id=run_id, pid=1, started="2026-01-05T10:00:00+00:00")
        record = dataclasses.replace(record, metrics=metrics, absent={}, process=process, telemetry=telemetry)
        entries.append(make_entry(record, times))
    return make_content(entries, environment=environment, outcomes=outcomes)


def out_of_memory(
    precision: str, batch_size: int, *, model: str = "resnet18", outcome: Any = "out_of_memory"
) -> Outcome:
    workload = make_workload(model=model, precision=precision, batch_size=batch_size)
    return Outcome(nodeid=f"test[{workload.label}]", outcome=outcome, reason="tried 2 GiB", workload=workload)
