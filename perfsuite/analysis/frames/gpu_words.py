"""What is known of each GPU in words: cells of a table, and a line for each network that says which is the best."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.gpu_best import best_of
from perfsuite.analysis.frames.gpus import SECONDS_PER_HOUR
from perfsuite.analysis.frames.labels import shared_in_words, workload_words
from perfsuite.analysis.frames.ratio_text import ratio_text
from perfsuite.formatting import significant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.frames.gpu_best import Best
    from perfsuite.analysis.frames.gpu_steps import Missing, Network
    from perfsuite.analysis.frames.gpus import CostName, GpuDecision, GpuRow

JOULES_PER_KWH = 3.6e6

PREDICTED = "~"
"""Before every value that is computed from other measurements, not measured itself."""

UNITS: dict[CostName, float] = {"time_s": SECONDS_PER_HOUR, "energy_joules": JOULES_PER_KWH, "money": 1.0}
"""What the costs of a full training are shown in: hours, kWh, and whatever the price is in."""

COST_DIGITS = 3

BATCH_DIGITS = 2
"""A predicted batch size is shown with so many digits, rounded down: with more it would look measured."""


def network_words(decision: GpuDecision) -> Callable[[Network], str]:
    """Return what names a network: its model, and what else differs between the networks."""
    frame = pd.DataFrame([_workload(row) for row in decision.rows])
    name = workload_words(frame, but=("precision", "phase", "batch_size", "device_type"))
    return lambda network: name(_columns(network))


def shared_words(decision: GpuDecision) -> str:
    """Return what all rows share of their workload, for a title: `, batch 128, channels_last`."""
    return shared_in_words(pd.DataFrame([_workload(row) for row in decision.rows]))


def _workload(row: GpuRow) -> dict[str, Any]:
    left_out = dict.fromkeys(("precision", "phase", "device_type"))
    return {**_columns(row.network), **left_out, "batch_size": row.batch_size}


def _columns(network: Network) -> dict[str, Any]:
    names = ("model", "image_size", "memory_format", "compiled", "gradients", "cudnn_benchmark")
    return {name: getattr(network, name) for name in names}


def largest_batch_text(size: int | None, basis: str | None, too_large: int | None) -> str:
    """Return what is known of the largest batch: `~2,900` predicted, `≥512` tried, `512 to 1,023`, `<128`.

    Args:
        size: At least as many images fit.
        basis: `predicted` or `measured`.
        too_large: The smallest batch size that was tried and ran out of memory.
    """
    if size is None:
        return "-" if too_large is None else f"<{too_large:,}"
    if basis == "predicted":
        return f"{PREDICTED}{_rounded_down(size):,}"
    if too_large is None:
        return f"≥{size:,}"
    return f"{size:,}" if too_large == size + 1 else f"{size:,} to {too_large - 1:,}"


def _rounded_down(size: int) -> int:
    unit: int = 10 ** max(0, len(str(size)) - BATCH_DIGITS)
    return size // unit * unit


def cost_text(name: CostName, value: float | None, basis: str | None) -> str:
    """Return the hours, the kWh or the money of a full training; what is projected has a sign before it."""
    if value is None:
        return "-"
    return f"{PREDICTED if basis == 'projected' else ''}{significant(value / UNITS[name], COST_DIGITS)}"


def missing_text(row: GpuRow) -> str:
    """Return what has no result at the batch size of a row: `fp32 out of memory`; what was not measured at all."""
    found = [one for one in row.missing if one.batch_size == row.batch_size and one.precision not in row.steps]
    if not row.steps:
        found = list(row.missing)
    if not found and not row.steps and row.measured.time_s is None:
        return "not measured"
    return ", ".join(dict.fromkeys(_missing(one, row) for one in found))


def _missing(one: Missing, row: GpuRow) -> str:
    batch = "" if one.batch_size == row.batch_size else f" b{one.batch_size}"
    return f"{one.precision}{batch} {one.outcome.replace('_', ' ')}"


def best_text(row: GpuRow, found: Sequence[Best]) -> str:
    """Return what a row is the best at: `fastest, cheapest`."""
    return ", ".join(best.words() for best in found if any(row is one for one in best.rows))


def decision_lines(decision: GpuDecision) -> tuple[str, ...]:
    """Return a line for each network where two or more environments can be compared: which is the best, and by what."""
    name = network_words(decision) if decision.rows else None
    lines = []
    for rows in decision.by_network():
        found = best_of(rows, decision)
        if found and name is not None:
            lines.append(f"{name(rows[0].network)}: {'; '.join(_best_words(best, decision) for best in found)}")
    return tuple(lines)


def _best_words(best: Best, decision: GpuDecision) -> str:
    rows = [_row_words(row, best, decision) for row in best.rows]
    return f"{best.words()} {' and '.join(rows)}"


def _row_words(row: GpuRow, best: Best, decision: GpuDecision) -> str:
    label = row.environment.label
    if best.criterion == "fastest":
        baseline = "" if decision.baseline is None else decision.baseline.label
        return label if row.speed is None else f"{label}, {ratio_text(row.speed, brief=True)} vs {baseline}"
    if best.criterion == "largest batch":
        largest = row.largest_batch
        return f"{label}, {largest_batch_text(largest.size, largest.basis, largest.too_large)}"
    name: CostName = "money" if best.criterion == "cheapest" else "energy_joules"
    side = row.measured if best.basis == "measured" else row.projected
    unit = " kWh" if name == "energy_joules" else ""
    return f"{label}, {cost_text(name, getattr(side, name), best.basis)}{unit}"
