"""Records of PyTorch's benchmark database, schema v3.

Source: clickhouse_db_schema/oss_ci_benchmark_v3/schema.sql of pytorch/test-infra. What the upload adds by itself
(timestamp, repository, commit, workflow, job) is left to it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.exporters.exported_run import require, unit_of
from perfsuite.formatting import printable_json
from perfsuite.precisions import POLICIES
from perfsuite.records.workload import CALL, INFERENCE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.exporters.exported_run import ExportedRun
    from perfsuite.analysis.history.run_values import Value

SUITE = "perfsuite"
"""Name of the benchmark in the database."""

OTHER_SUITE = "pytest-benchmark"
"""The same, of files that perfsuite did not write."""

MAX_FLOAT32 = 3.4028234e38
"""Source: IEEE 754; benchmark_values are Float32."""

PACKAGES = {"torch": "pytorch/pytorch", "torchvision": "pytorch/vision"}
"""Of the versions of a run, those that are dependencies with a repository."""


def pytorch_text(runs: Sequence[ExportedRun]) -> str:
    """Return a record a benchmark and metric; runs of one machine, commit and versions are its values."""
    found: dict[tuple[Any, ...], list[tuple[ExportedRun, Value]]] = defaultdict(list)
    for one in runs:
        place = tuple(sorted(one.run.place.items()))
        for value in one.values:
            found[one.run.machine, place, value.benchmark, value.metric].append((one, value))
    require(found, "values that have a history")
    records = [_record(entries) for entries in found.values()]
    return printable_json(json.dumps(records, indent=1, allow_nan=False, ensure_ascii=False)) + "\n"


def _record(entries: Sequence[tuple[ExportedRun, Value]]) -> dict[str, Any]:
    one, value = entries[0]
    place, workload = one.run.place, value.workload
    benchmark: dict[str, Any] = {"name": OTHER_SUITE if workload is None else SUITE}
    model: dict[str, Any] = {"name": value.benchmark, "type": "benchmark", "origins": ["pytest-benchmark"]}
    if workload is not None:
        benchmark["dtype"] = _dtype(workload.precision)
        if workload.phase != CALL:  # which of the two it is, only its author knows
            benchmark["mode"] = "inference" if workload.phase == INFERENCE else "training"
        benchmark["extra_info"] = _texts(
            benchmark=value.benchmark,
            precision=workload.precision,
            phase=workload.phase,
            batch_size=workload.batch_size,
            image_size=workload.image_size,
            memory_format=workload.memory_format,
            compile_mode=workload.compile_mode,
        )
        is_own = not workload.model_digest
        model = {"name": workload.model, "type": "model", "origins": ["torchvision" if is_own else "user"]}
        model["backend"] = workload.compile_mode if workload.is_compiled else "eager"
    return {
        "benchmark": benchmark,
        "model": model,
        "metric": {
            "name": value.metric,
            "benchmark_values": [min(found.value, MAX_FLOAT32) for _, found in entries],
            "extra_info": _texts(unit=unit_of(value)),
        },
        "runners": [_runner(one.run.machine, place)],
        "dependencies": {
            package: {"repo": repository, "version": place[package]}
            for package, repository in PACKAGES.items()
            if package in place
        },
    }


def _dtype(precision: str) -> str:
    """Return what most of the arithmetic is done in."""
    policy = POLICIES.get(precision)
    if policy is None:
        return precision
    return "tf32" if policy.arithmetic == "tf32" else policy.compute


def _runner(machine: str, place: dict[str, str]) -> dict[str, Any]:
    named = ("driver", "CUDA", "cuDNN", "board", "power limit", "commit")
    return {
        "name": place.get("host", "unknown"),
        "type": machine,
        "extra_info": {name: place[name] for name in named if name in place},
    }


def _texts(**values: object) -> dict[str, str]:
    """Return the values as texts: the database's maps hold nothing else."""
    return {name: str(value) for name, value in values.items()}
