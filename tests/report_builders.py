"""Result files with everything a report can show, from few or many environments and processes."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from builders import ENVIRONMENT, make_content, make_entry, make_pair, make_paired_entry, make_record, make_workload

from perfsuite.formatting import MIB_BYTES
from perfsuite.records.environment import Process
from perfsuite.records.operators import OperatorCost
from perfsuite.records.profile import Kernel, Profile
from perfsuite.records.telemetry import Spread, Telemetry
from perfsuite.records.training import EpochRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.records.environment import Environment

MODELS = {"resnet18": 1.0, "resnet34": 1.8, "resnet50": 3.1}
PHASES = {"forward": 0.31, "backward": 0.62, "train_step": 1.0}
LEDGER_MIB = {"parameters": 45, "gradients": 45, "optimizer": 45, "activations": 560, "temporary": 21, "other": 2}
HOSTILE = (
    "<script>alert(1)</script>",
    '" onload="alert(1)',
    "' onerror='alert(1)",
    "</style><img src=x onerror=alert(1)>",
    "]]><svg/onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    "=HYPERLINK(1)",
    "$x$ & \\frac{1}{2}\x00\x1b[31m\u202eabc",
    "a" * 300,
)


def t4() -> Environment:
    return dataclasses.replace(ENVIRONMENT)


def h100(torch: str = "2.13.0+cu130") -> Environment:
    return dataclasses.replace(ENVIRONMENT, device="NVIDIA H100 80GB", gpu="NVIDIA H100 80GB", torch=torch)


def step_file(  # noqa: PLR0913 - a matrix has many properties
    path: Path,
    *,
    environment: Environment = ENVIRONMENT,
    run_id: str = "run-1",
    seed: int = 0,
    models: Iterable[str] = MODELS,
    precisions: Sequence[str] = ("fp32", "amp-fp16"),
    memory: bool = True,
    batch_sizes: Sequence[int] = (128,),
    evidence: bool = False,
    factor: float = 1.0,
) -> Path:
    """Write a whole matrix as one process measured it."""
    generator = np.random.default_rng(seed)
    entries = []
    for model in models:
        for phase, share in PHASES.items():
            for precision in precisions:
                for batch_size in batch_sizes:
                    workload = make_workload(model=model, phase=phase, precision=precision, batch_size=batch_size)
                    fast = {"fp32": 1.0, "tf32": 0.8}.get(precision, 0.52) * factor * np.exp(generator.normal(0, 0.005))
                    seconds = 0.1 * MODELS[model] * share * fast * batch_size / 128
                    rounds = seconds * np.exp(generator.normal(0, 0.01, 30))
                    record = make_record(workload, run_id=run_id)
                    process = Process(run_id=run_id, pid=1, started=f"2026-01-05T10:{seed % 60:02d}:00+00:00")
                    metrics: dict[str, Any] = _memory(precision, MODELS[model]) if memory else {}
                    metrics |= _evidence_metrics(seconds) if evidence else {}
                    record = dataclasses.replace(record, metrics=metrics, absent={}, process=process)
                    if evidence:
                        record = dataclasses.replace(
                            record, telemetry=TELEMETRY, profile=PROFILE, operators=_operators(seconds)
                        )
                    entries.append(make_entry(record, rounds.tolist()))
    path.write_text(json.dumps(make_content(entries, environment=environment)))
    return path


TELEMETRY = Telemetry(
    num_samples=40,
    seconds=4.0,
    sm_clock_mhz=Spread(minimum=1200.0, median=1350.0, maximum=1590.0),
    power_watts=Spread(minimum=60.0, median=69.0, maximum=70.0),
    temperature_celsius=Spread(minimum=60.0, median=70.0, maximum=77.0),
    throttle_ratio={"power cap": 0.8},
    energy_joules=150.0,
    energy_num_images=7000,
)
PROFILE = Profile(
    wall_s=0.1,
    device_s=0.09,
    kernels_s=0.08,
    synchronize_s=0.0,
    bound="launch-bound",
    kernels=(Kernel(name="<b>gemm</b>", seconds=0.06, num_calls=3.0, ratio=0.75),),
    num_kernels=60.0,
    tensor_core_ratio=0.5,
)


def _evidence_metrics(seconds: float) -> dict[str, float]:
    """Return probes of 8 TFLOP/s, and work of which an iteration reaches 40% of that."""
    return {
        "step_flops": 0.4 * 8e12 * seconds,
        "min_bytes": 1e6,
        "probe_gemm_flops_per_second": 8e12,
        "probe_conv_flops_per_second": 6e12,
        "probe_copy_bytes_per_second": 2.4e11,
        "roofline_s": 0.6 * seconds,
    }


def _operators(seconds: float) -> tuple[OperatorCost, ...]:
    """Return a normalisation that takes a fifth of an iteration, and a convolution that waits for no memory."""
    alike = {"num_calls": 20, "num_bytes": 2**30}
    return (
        OperatorCost(
            name="native_batch_norm",
            kind="normalisation",
            flops=0,
            roofline_s=0.2 * seconds,
            lost_s=0.2 * seconds,
            **alike,
        ),
        OperatorCost(
            name="convolution",
            kind="convolution",
            flops=round(3.2e12 * seconds),
            roofline_s=0.4 * seconds,
            lost_s=0.0,
            **alike,
        ),
    )


def _memory(precision: str, size: float) -> dict[str, int]:
    half = precision.startswith("amp")
    parts = {
        f"{name}_bytes": int(mebibytes * size * (0.5 if half and name == "activations" else 1) * MIB_BYTES)
        for name, mebibytes in LEDGER_MIB.items()
    }
    parts["autocast_bytes"] = int(17 * size * MIB_BYTES) if half else 0
    predicted = sum(parts.values())
    return {
        **parts,
        "predicted_peak_bytes": predicted,
        "remainder_bytes": 9 * MIB_BYTES,
        "peak_allocated_bytes": predicted + 9 * MIB_BYTES,
    }


def training_epochs(num: int, precision: str) -> tuple[EpochRecord, ...]:
    scaled = precision == "amp-fp16"
    return tuple(
        EpochRecord(
            epoch=epoch,
            learning_rate=0.1 * 0.5 ** (epoch // 20),
            train_loss=2.3 * 0.93**epoch,
            validation_loss=2.2 * 0.95**epoch + (0.02 if scaled else 0.0),
            validation_accuracy=0.84 * (1 - 0.88**epoch),
            loss_scale=65536.0 * 2 ** (epoch // 15) if scaled else None,
            num_skipped_steps=1 if scaled else 0,
            training_s=50.0,
            evaluation_s=1.0,
        )
        for epoch in range(1, num + 1)
    )


def hostile_file(path: Path) -> Path:
    """Write a file in which everything that can be a name is an attack."""
    workload = make_workload(model=HOSTILE[0])
    entries = []
    for precision in ("fp32", "amp-fp16"):
        record = make_record(dataclasses.replace(workload, precision=precision))
        record = dataclasses.replace(record, findings=HOSTILE)
        entries.append({**make_entry(record, [0.1, 0.11, 0.1, 0.1, 0.12]), "name": HOSTILE[1], "fullname": HOSTILE[2]})
    pair = make_pair(candidate=make_workload(model=HOSTILE[3], precision="amp-fp16"), findings=HOSTILE)
    entries.append({**make_paired_entry(pair), "name": HOSTILE[4]})
    environment = dataclasses.replace(ENVIRONMENT, device=HOSTILE[3], torch=HOSTILE[5], commit=HOSTILE[6])
    path.write_text(json.dumps(make_content(entries, environment=environment)))
    return path


def plain_file(path: Path, names: Iterable[str]) -> Path:
    """Write a file of pytest-benchmark alone."""
    content = make_content([])
    del content["perfsuite"], content["machine_info"]["perfsuite"]
    content["machine_info"]["cpu"] = {"brand_raw": HOSTILE[0]}
    for number, name in enumerate(names):
        data = [1e-3 * (1 + number % 97), 1.1e-3 * (1 + number % 97)] * 3
        content["benchmarks"].append(
            {
                "group": None,
                "name": name,
                "fullname": f"tests/test_it.py::{name}",
                "params": None,
                "param": None,
                "extra_info": {},
                "options": {},
                "stats": {
                    "min": min(data),
                    "max": max(data),
                    "mean": float(np.mean(data)),
                    "stddev": float(np.std(data, ddof=1)),
                    "median": float(np.median(data)),
                    "rounds": len(data),
                    "iterations": 1,
                    "data": data,
                },
            }
        )
    path.write_text(json.dumps(content))
    return path
