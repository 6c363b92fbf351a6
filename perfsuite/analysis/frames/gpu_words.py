"""What is known of each GPU in words: cells of a table, and a line for each network that says which is the best."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.gpu_best import best_of
from perfsuite.analysis.frames.gpus import SECONDS_PER_HOUR
from perfsuite.analysis.frames.labels import enumerate_words, shared_in_words, workload_words
from perfsuite.analysis.frames.ratio_text import ratio_text
from perfsuite.formatting import num_decimals, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.frames.gpu_best import Best, Criterion
    from perfsuite.analysis.frames.gpu_steps import Missing, Network
    from perfsuite.analysis.frames.gpus import CostName, GpuDecision, GpuRow
    from perfsuite.analysis.statistics.intervals import Ratio

JOULES_PER_KWH = 3.6e6

PREDICTED = "~"
"""Before every value that is computed from other measurements, not measured itself."""

UNITS: dict[CostName, float] = {"time_s": SECONDS_PER_HOUR, "energy_joules": JOULES_PER_KWH, "money": 1.0}
"""What the costs of a full training are shown in: hours, kWh, and whatever the price is in."""

COST_DIGITS = 3

SPEED_DIGITS = 3

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
    return {field.name: getattr(network, field.name) for field in dataclasses.fields(network)}


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
    """Return the best by one criterion: `A100 is cheapest of the 2 with a price, ~0.0838`."""
    verb, verb_of_several, which = _WORDS[best.criterion]
    labels = [row.environment.label for row in best.rows]
    incomplete = best.num_compared < best.num_environments
    of = f" of the {best.num_compared} {which}" if incomplete else ""
    texts = [text for row in best.rows if (text := _value_text(row, best, decision))]
    value = f", {enumerate_words(texts)}" if texts else ""
    against = ""
    if best.criterion == "fastest" and texts and decision.baseline is not None:
        against = f" vs {decision.baseline.label}"
    return f"{enumerate_words(labels)} {verb if len(labels) == 1 else verb_of_several}{of}{value}{against}"


_WORDS: dict[Criterion, tuple[str, str, str]] = {
    "fastest": ("is fastest", "are fastest", "compared"),
    "cheapest": ("is cheapest", "are cheapest", "with a price"),
    "least energy": ("needs least energy", "need least energy", "that measured it"),
    "largest batch": ("fits the largest batch", "fit the largest batch", "with a prediction"),
}
"""What is said of one, of several that are not distinguished, and which are compared where that is not all."""


def _value_text(row: GpuRow, best: Best, decision: GpuDecision) -> str:
    if best.criterion == "fastest":
        return "" if row.speed is None or decision.baseline is None else speed_text(row.speed)
    if best.criterion == "largest batch":
        largest = row.largest_batch
        return largest_batch_text(largest.size, largest.basis, largest.too_large)
    name: CostName = "money" if best.criterion == "cheapest" else "energy_joules"
    side = row.measured if best.basis == "measured" else row.projected
    unit = " kWh" if name == "energy_joules" else ""
    return f"{cost_text(name, getattr(side, name), best.basis)}{unit}"


def speed_text(ratio: Ratio) -> str:
    """Return a speed with three significant digits: `17.0x`, `3.34x`, `0.299x`, and its interval with as many."""
    return ratio_text(ratio, decimals=num_decimals(ratio.ratio, SPEED_DIGITS), brief=True)
