"""What was different about the exchange of gradients on either side of a comparison: causes of verdicts."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.scaling_groups import bus_bytes_per_second, communication_share
from perfsuite.analysis.verdicts.process_results import NCCL
from perfsuite.metrics import METRICS
from perfsuite.records.scaling import ScalingRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perfsuite.records.cell import Record

BUS_CHANGE_RATIO = 0.05
"""By which share the bus bandwidth of a bare all-reduce must have changed to be named, besides that no process of
one side is among those of the other."""

COMMUNICATION_CHANGE = 0.01
"""By which share of a step communication must have changed to be named."""


def exchange_causes(old: Sequence[Record | ScalingRecord], new: Sequence[Record | ScalingRecord]) -> str | None:
    """Return in words what was different about the exchange on the candidate's side, or None.

    Args:
        old: Records of the baseline.
        new: Records of the candidate; those that are of one device say nothing.
    """
    before, after = _of_several_devices(old), _of_several_devices(new)
    if not before or not after:
        return None
    causes = (_backend(before, after), _communication(before, after), _bus(before, after))
    return "; ".join(text for text in causes if text is not None) or None


def _of_several_devices(records: Sequence[Record | ScalingRecord]) -> list[ScalingRecord]:
    return [record for record in records if isinstance(record, ScalingRecord)]


def _backend(old: Sequence[ScalingRecord], new: Sequence[ScalingRecord]) -> str | None:
    """Return another backend, or another version of NCCL; other backends come with torch, which has a note."""
    before, after = _names(record.backend for record in old), _names(record.backend for record in new)
    if before != after:
        return f"backend {before} -> {after}"
    before = _names(record.backend_version for record in old if record.backend == NCCL)
    after = _names(record.backend_version for record in new if record.backend == NCCL)
    return None if before == after else f"NCCL {before} -> {after}"


def _names(values: Iterable[str]) -> str:
    return ", ".join(sorted(set(values)))


def _communication(old: Sequence[ScalingRecord], new: Sequence[ScalingRecord]) -> str | None:
    found = _apart(old, new, communication_share)
    if found is None:
        return None
    before, after = found
    if abs(after - before) < COMMUNICATION_CHANGE:
        return None
    return f"communication {100 * before:.1f}% -> {100 * after:.1f}% of a step"


def _bus(old: Sequence[ScalingRecord], new: Sequence[ScalingRecord]) -> str | None:
    found = _apart(old, new, bus_bytes_per_second)
    if found is None:
        return None
    before, after = found
    if abs(after / before - 1) < BUS_CHANGE_RATIO:
        return None
    show = METRICS["bus_bytes_per_second"].show
    return f"bus bandwidth of a bare all-reduce {show(before)} -> {show(after)} GB/s"


def _apart(
    old: Sequence[ScalingRecord], new: Sequence[ScalingRecord], value: Callable[[ScalingRecord], float | None]
) -> tuple[float, float] | None:
    """Return the medians of both sides where no process of one is among those of the other, else None."""
    before = [found for found in map(value, old) if found is not None]
    after = [found for found in map(value, new) if found is not None]
    if not before or not after:
        return None
    if max(before) >= min(after) and max(after) >= min(before):
        return None
    return statistics.median(before), statistics.median(after)
