"""Builds records and result files as the suite writes them."""

from __future__ import annotations

import copy
import statistics
from typing import TYPE_CHECKING, Any

from perfsuite.records.cell import Record
from perfsuite.records.environment import Environment, Process
from perfsuite.records.numerics import Claim, Curve, NumericsRecord
from perfsuite.records.pair import Comparison, PairedRecord, SideCost
from perfsuite.records.proof import ProofReading
from perfsuite.records.schema import KEY, SCHEMA_VERSION
from perfsuite.records.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Iterable

    from perfsuite.records.outcome import Outcome

ENVIRONMENT = Environment(
    perfsuite="0.1.0",
    python="3.12.3",
    torch="2.13.0+cu130",
    torchvision="0.28.0",
    device_type="cuda",
    device="Tesla T4",
    gpu="Tesla T4",
    gpu_memory_bytes=15_843_721_216,
    num_gpus=1,
    compute_capability="7.5",
    driver="580.95.05",
    cuda="13.0",
    cudnn="91002",
    power_limit_watts=70.0,
    max_sm_clock_mhz=1590,
    max_memory_clock_mhz=5001,
    cpu="Intel(R) Xeon(R) CPU @ 2.20GHz",
    num_cpus=2,
    num_threads=1,
    memory_bytes=13_609_435_136,
    cpu_capability="AVX2",
    system="Linux 6.6.105 x86_64",
    commit="0123456789012345678901234567890123456789",
    commit_dirty=False,
)


def make_workload(**changes: Any) -> Workload:
    values: dict[str, Any] = {
        "model": "resnet18",
        "precision": "fp32",
        "phase": "train_step",
        "batch_size": 128,
        "device_type": "cuda",
    }
    return Workload(**{**values, **changes})


def make_record(workload: Workload | None = None, *, run_id: str = "run-1", peak: int = 700 * 1024**2) -> Record:
    return Record(
        workload=workload or make_workload(),
        metrics={
            "peak_allocated_bytes": peak,
            "peak_reserved_bytes": None,
            "num_skipped_steps": 0,
            "num_timed_steps": 30,
            "num_warm_up_steps": 10,
            "warm_up_s": 1.0,
        },
        absent={"peak_reserved_bytes": "the allocator holds nothing in reserve"},
        settings={"optimizer": "sgd"},
        proof=(ProofReading(probe="conv2d forward", relative_error=2e-7, dtype="float32", low=0.0, high=1.5e-5),),
        findings=(),
        process=Process(run_id=run_id, pid=1, started="2026-01-05T10:00:00+00:00"),
    )


def make_pair(*, comparison: Comparison = "speedup", run_id: str = "run-1", **changes: Any) -> PairedRecord:
    """Build an interleaving in which the candidate takes half the time, or as long as overhead."""
    is_faster = comparison in {"speedup", "switch"}
    factor = 0.5 if is_faster else 1.0
    candidates = {"speedup": {"precision": "amp-fp16"}, "switch": {"memory_format": "channels_last"}}
    costs = tuple(SideCost(peak_allocated_bytes=peak * 1024**2, start_s=peak / 200) for peak in (400, 300))
    values: dict[str, Any] = {
        "comparison": comparison,
        "baseline": make_workload(),
        "candidate": make_workload(**candidates.get(comparison, {})),
        "num_iterations": 5,
        "blocks": tuple(
            (a, a * factor, a * factor * 1.001, a * 1.002) for a in (0.1, 0.101, 0.099, 0.1, 0.102, 0.1, 0.1)
        ),
        "limit_ratio": None if is_faster else 0.01,
        "costs": costs if comparison == "switch" else (),
        "settings": {"optimizer": "sgd"},
        "findings": (),
        "process": Process(run_id=run_id, pid=1, started="2026-01-05T10:00:00+00:00"),
    }
    return PairedRecord(**{**values, **changes})


def make_claim(**changes: Any) -> Claim:
    values: dict[str, Any] = {
        "name": "largest FP16 number",
        "measured": 65504.0,
        "expected": 65504.0,
        "tolerance": 0.0,
        "source": "IEEE 754-2019, table 3.5",
    }
    return Claim(**{**values, **changes})


def make_numerics(*, run_id: str = "run-1", **changes: Any) -> NumericsRecord:
    values: dict[str, Any] = {
        "study": "formats",
        "workload": None,
        "images": "",
        "claims": (make_claim(),),
        "notes": (),
        "curves": (Curve(name="fp16", x=(1.0, 1.5, 2.0), y=(2046.0, 3069.0, 2046.0)),),
        "settings": {},
        "findings": (),
        "process": Process(run_id=run_id, pid=4711, started="2026-06-30T08:00:00+00:00"),
    }
    return NumericsRecord(**{**values, **changes})


def make_numerics_entry(record: NumericsRecord) -> dict[str, Any]:
    name = f"test_{record.study}" + (f"[{record.workload.model}]" if record.workload else "")
    stats = {"min": 3.0, "max": 3.0, "mean": 3.0, "stddev": 0.0, "median": 3.0, "rounds": 1, "iterations": 1}
    return {
        "group": "numerics",
        "name": name,
        "fullname": f"benchmarks/test_numerics.py::{name}",
        "stats": {**stats, "data": [3.0]},
        "extra_info": {KEY: record.to_json()},
    }


def make_paired_entry(record: PairedRecord) -> dict[str, Any]:
    """Build an entry of `benchmarks` for an interleaving: pytest-benchmark's rounds are whole blocks."""
    entry = make_entry(make_record(record.candidate), [sum(block) * record.num_iterations for block in record.blocks])
    test = {"speedup": "interleaved", "switch": "switches"}.get(record.comparison, record.comparison)
    name = f"test_{test}[{record.candidate.model}-{record.candidate.precision}]"
    entry.update(name=name, fullname=f"benchmarks/test_interleaved.py::{name}", extra_info={KEY: record.to_json()})
    return entry


def make_entry(record: Record, times_s: Iterable[float]) -> dict[str, Any]:
    """Build an entry of `benchmarks` as pytest-benchmark writes it."""
    data = list(times_s)
    workload = record.workload
    name = f"test_{workload.phase}[{workload.model}-{workload.precision}-b{workload.batch_size}]"
    return {
        "group": f"{workload.model} {workload.phase}",
        "name": name,
        "fullname": f"benchmarks/test_step.py::{name}",
        "params": {"model": workload.model},
        "param": workload.model,
        "extra_info": {KEY: record.to_json()},
        "options": {},
        "stats": {
            "min": min(data),
            "max": max(data),
            "mean": statistics.mean(data),
            "stddev": statistics.stdev(data) if len(data) > 1 else 0,
            "median": statistics.median(data),
            "rounds": len(data),
            "iterations": 1,
            "data": data,
        },
    }


def make_content(
    entries: list[dict[str, Any]], *, environment: Environment = ENVIRONMENT, outcomes: Iterable[Outcome] = ()
) -> dict[str, Any]:
    """Build the content of a result file."""
    return copy.deepcopy(
        {
            "machine_info": {"node": "host", KEY: environment.to_json()},
            "commit_info": {"id": environment.commit, "dirty": False},
            "benchmarks": entries,
            "datetime": "2026-01-05T10:00:00+00:00",
            "version": "5.3.1",
            KEY: {
                "schema_version": SCHEMA_VERSION,
                "complete": True,
                "outcomes": [outcome.to_json() for outcome in outcomes],
            },
        }
    )
