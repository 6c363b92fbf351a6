"""Two sides of runs that measured steps on several devices, interleaved, of which the truth is known."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from builders import ENVIRONMENT
from scaling_builders import Machine, make_scaling, scaling_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from perfsuite.records.scaling import ScalingRecord

CELLS: tuple[dict[str, Any], ...] = (
    {"world_size": 1},
    {"world_size": 2},
    {"world_size": 4},
    {"world_size": 2, "precision": "amp-fp16"},
    {"world_size": 2, "compression": "bf16"},
    {"world_size": 2, "scaling": "strong", "batch_size": 32},
)


def write_scaling_sides(  # noqa: PLR0913 - two sides have many properties
    folder: Path,
    *,
    cells: Sequence[dict[str, Any]] = CELLS,
    machine: Machine | None = None,
    candidate: Machine | None = None,
    num: int = 5,
    process_sd: float = 0.005,
    seed: int = 0,
    num_blocks: int = 8,
    versions: tuple[str, str] = ("2.27.3", "2.27.3"),
    torches: tuple[str, str] = ("2.13.0+cu130", "2.13.0+cu130"),
    candidate_changes: dict[str, Any] | None = None,
) -> tuple[list[Path], list[Path]]:
    """Write `num` processes a side in the order A B B A; a process's device and links differ by `process_sd`."""
    machine = machine or Machine(rank_sd=0.005)
    random = np.random.default_rng(seed)
    sides: tuple[list[Path], list[Path]] = ([], [])
    for index in range(num):
        for side in (0, 1):
            first = (index % 2 == 1) == (side == 0)
            minute = 10 * (2 * index + first)
            base = (candidate or machine) if side else machine
            device, links = np.exp(process_sd * random.standard_normal(2))
            own = dataclasses.replace(
                base, image_s=base.image_s * device, bytes_per_second=base.bytes_per_second * links
            )
            records: list[ScalingRecord] = []
            for cell in cells:
                changes = (candidate_changes or {}) if side else {}
                record = make_scaling(
                    machine=own,
                    seed=int(random.integers(2**31)),
                    run_id=f"{side}-{index}",
                    started=f"2026-01-05T{10 + minute // 60:02d}:{minute % 60:02d}:00+00:00",
                    num_blocks=num_blocks,
                    **{"backend_version": versions[side], **cell, **changes},
                )
                records.append(record)
            environment = dataclasses.replace(ENVIRONMENT, torch=torches[side])
            path = folder / f"{'new' if side else 'old'}{index}.json"
            sides[side].append(scaling_file(path, records, environment=environment))
    return sides
