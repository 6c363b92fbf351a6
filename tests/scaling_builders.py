"""Steps on several devices as they might come out: a machine that is simulated step by step, and files of it.

The simulation knows ranks, links and a machine that drifts; it knows nothing of efficiencies and shares.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from builders import ENVIRONMENT, make_claim, make_content, make_workload

from perfsuite.formatting import MIB_BYTES
from perfsuite.records.environment import Process
from perfsuite.records.scaling import SCALING_TURNS, ScalingRecord
from perfsuite.records.schema import KEY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from perfsuite.records.environment import Environment
    from perfsuite.records.outcome import Outcome

CHECK = "gradients differ between ranks by at most"
GRADIENT_BYTES = {"resnet18": 44_695_848, "resnet34": 85_147_688, "resnet50": 94_114_088}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a simulated machine does.

    Attributes:
        image_s: Seconds that one device alone takes for an image.
        launch_s: Seconds of a step that no batch saves.
        lost_by_sharing: By which share each further rank slows all others down.
        bytes_per_second: That a link carries.
        latency_s: Of a message.
        overlap: Share of an exchange that is hidden behind the backward pass.
        rank_sd: Scatter of a rank's steps from step to step, as a logarithm.
        rank_offset_sd: How much ranks differ from each other for a whole run, as a logarithm.
        drift: By how much steps become slower until the end of the run, as a logarithm.
        outliers: Share of the turns in which a neighbour takes `outlier_factor` times as long.
        outlier_factor: See there.
    """

    image_s: float = 4e-4
    launch_s: float = 2e-3
    lost_by_sharing: float = 0.02
    bytes_per_second: float = 9e9
    latency_s: float = 2e-5
    overlap: float = 0.6
    rank_sd: float = 0.004
    rank_offset_sd: float = 0.0
    drift: float = 0.0
    outliers: float = 0.0
    outlier_factor: float = 1.3

    def all_reduce_s(self, num_bytes: int, world_size: int) -> float:
        """Walk the ring: each of N - 1 rounds of adding and N - 1 of handing on sends an N-th of the bytes."""
        seconds = 0.0
        for _ in range(2 * (world_size - 1)):
            seconds += self.latency_s + num_bytes / world_size / self.bytes_per_second
        return seconds


QUIET = Machine(rank_sd=0.0)


def simulated_turns(
    machine: Machine,
    *,
    world_size: int,
    batch_size: int,
    scaling: str = "weak",
    gradient_bytes: int = GRADIENT_BYTES["resnet18"],
    num_blocks: int = 12,
    num_iterations: int = 5,
    seed: int = 0,
) -> dict[str, Any]:
    """Run all turns one after the other, step by step.

    Returns:
        `alone_s`, `no_exchange_s` and `exchange_s` as a record has them.
    """
    random = np.random.default_rng(seed)
    offsets = np.exp(machine.rank_offset_sd * random.standard_normal(world_size))
    found: dict[str, list[list[Any]]] = {kind: [] for kind in set(SCALING_TURNS)}
    for block in range(num_blocks):
        of_block: dict[str, list[Any]] = {kind: [] for kind in found}
        for turn, kind in enumerate(SCALING_TURNS):
            progress = (block * len(SCALING_TURNS) + turn) / (num_blocks * len(SCALING_TURNS))
            slow = np.exp(machine.drift * progress)
            if random.random() < machine.outliers:
                slow *= machine.outlier_factor
            busy = 1 if kind == "alone" else world_size
            images = batch_size * world_size if kind == "alone" and scaling == "strong" else batch_size
            steps = (machine.launch_s + images * machine.image_s) * slow * (1 + machine.lost_by_sharing * (busy - 1))
            own = steps * offsets[:busy] * np.exp(machine.rank_sd * random.standard_normal((num_iterations, busy)))
            if kind == "exchange":
                visible = (1 - machine.overlap) * machine.all_reduce_s(gradient_bytes, world_size)
                own = np.repeat(own.max(axis=1, keepdims=True) + visible * slow, busy, axis=1)
            of_block[kind].append(own.mean(axis=0))
        for kind, turns in of_block.items():
            found[kind].append(turns)

    def by_rank(kind: str) -> tuple[tuple[tuple[float, ...], ...], ...]:
        times = np.moveaxis(np.array(found[kind]), 2, 0)
        return tuple(tuple(tuple(map(float, block)) for block in rank) for rank in times)

    return {
        "alone_s": by_rank("alone")[0],
        "no_exchange_s": by_rank("no exchange"),
        "exchange_s": by_rank("exchange"),
    }


def make_scaling(  # noqa: PLR0913 - a cell has many properties
    *,
    machine: Machine | None = None,
    world_size: int = 2,
    model: str = "resnet18",
    precision: str = "fp32",
    batch_size: int = 64,
    scaling: str = "weak",
    num_blocks: int = 12,
    seed: int = 0,
    run_id: str = "run-1",
    started: str = "2026-01-05T10:00:00+00:00",
    **changes: Any,
) -> ScalingRecord:
    """Build the record of a cell, simulated; with mixed precision a step takes 0.55 of the time."""
    machine = machine or Machine()
    faster = 1.0 if precision == "fp32" else 0.55
    larger = {"resnet18": 1.0, "resnet34": 1.8}.get(model, 3.1)
    machine = dataclasses.replace(machine, image_s=machine.image_s * faster * larger)
    compressed = changes.get("compression", "none") == "bf16"
    gradient_bytes = GRADIENT_BYTES.get(model, 10**8) // (2 if compressed else 1)
    random = np.random.default_rng([seed, 1])
    bare_s = machine.all_reduce_s(gradient_bytes, world_size)
    all_reduce_s = tuple((bare_s * np.exp(0.01 * random.standard_normal(20))).tolist()) if world_size > 1 else ()
    peak = int((160 + 6 * batch_size * faster) * larger) * MIB_BYTES
    values: dict[str, Any] = {
        "workload": make_workload(model=model, precision=precision, batch_size=batch_size),
        "world_size": world_size,
        "strategy": "ddp",
        "compression": "none",
        "scaling": scaling,
        "backend": "nccl",
        "backend_version": "2.27.3",
        "num_iterations": 5,
        **simulated_turns(
            machine,
            world_size=world_size,
            batch_size=batch_size,
            scaling=scaling,
            gradient_bytes=gradient_bytes,
            num_blocks=num_blocks,
            seed=seed,
        ),
        "all_reduce_s": all_reduce_s,
        "gradient_bytes": gradient_bytes,
        "peak_allocated_bytes": tuple(peak + rank * MIB_BYTES for rank in range(world_size)),
        "predicted_peak_bytes": peak - 8 * MIB_BYTES,
        "absent": {} if world_size > 1 else {"all_reduce_s": "one rank exchanges nothing"},
        "checks": (make_claim(name=CHECK, measured=0.0, expected=1e-6, relation="at most", source="PyTorch"),),
        "settings": {"bucket_cap_mb": 25},
        "findings": (),
        "process": Process(run_id=run_id, pid=1, started=started),
    }
    return ScalingRecord(**{**values, **changes})


def make_fsdp2(**changes: Any) -> ScalingRecord:
    """Build a cell of the strategy that cannot step without exchange."""
    reason = "fully sharded: a step cannot be done without an exchange"
    absent = {"no_exchange_s": reason, **changes.pop("absent", {})}
    return make_scaling(strategy="fsdp2", no_exchange_s=(), absent=absent, **changes)


def make_scaling_entry(record: ScalingRecord) -> dict[str, Any]:
    """Build an entry of `benchmarks`: pytest-benchmark's rounds are whole blocks."""
    work = record.workload
    parts = [work.model, work.precision, f"b{work.batch_size}", f"{record.world_size}", record.strategy]
    parts += [] if record.compression == "none" else [record.compression]
    parts += [] if record.scaling == "weak" else [record.scaling]
    name = f"test_scaling[{'-'.join(parts)}]"
    data = [float(np.sum(block)) * record.num_iterations for block in record.alone_s]
    stats = {"min": min(data), "max": max(data), "mean": float(np.mean(data)), "stddev": float(np.std(data))}
    return {
        "group": f"{work.model} scaling",
        "name": name,
        "fullname": f"benchmarks/test_scaling.py::{name}",
        "stats": {**stats, "median": float(np.median(data)), "rounds": len(data), "iterations": 1, "data": data},
        "extra_info": {KEY: record.to_json()},
    }


def scaling_file(
    path: Path,
    records: Iterable[ScalingRecord] | None = None,
    *,
    environment: Environment = ENVIRONMENT,
    run_id: str = "run-1",
    outcomes: Iterable[Outcome] = (),
    **changes: Any,
) -> Path:
    """Write a file of cells; without any, of one and two ranks in FP32 and with AMP."""
    if records is None:
        records = scaling_matrix(run_id=run_id, **changes)
    entries = [make_scaling_entry(record) for record in records]
    path.write_text(json.dumps(make_content(entries, environment=environment, outcomes=outcomes)), encoding="utf-8")
    return path


def scaling_matrix(
    *,
    models: Sequence[str] = ("resnet18",),
    precisions: Sequence[str] = ("fp32", "amp-fp16"),
    world_sizes: Sequence[int] = (1, 2),
    seed: int = 0,
    **changes: Any,
) -> list[ScalingRecord]:
    """Build every cell of a matrix, each with noise of its own."""
    found: list[ScalingRecord] = []
    for model in models:
        for precision in precisions:
            for world_size in world_sizes:
                record = make_scaling(
                    model=model,
                    precision=precision,
                    world_size=world_size,
                    seed=1000 * seed + len(found),
                    **changes,
                )
                found.append(record)
    return found
