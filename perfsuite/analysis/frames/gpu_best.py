"""Which environment is the best for a network, in words: fastest, cheapest, least energy, largest batch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.analysis.frames.gpu_steps import speed_ratio

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.frames.gpus import CostBasis, CostName, GpuDecision, GpuRow
    from perfsuite.analysis.statistics.intervals import Ratio

Criterion = Literal["fastest", "cheapest", "least energy", "largest batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best environments of a network by one criterion.

    Attributes:
        criterion: Which.
        rows: Those that it is; several where the measurements do not distinguish them, the best value first.
        num_compared: How many environments have a value.
        num_environments: How many there are of the network.
        basis: Of costs: all of them measured, or all projected, whatever else is known of some.
    """

    criterion: Criterion
    rows: tuple[GpuRow, ...]
    num_compared: int
    num_environments: int
    basis: CostBasis | None = None

    def words(self) -> str:
        """Return the criterion: `cheapest`, `among fastest` of several, `cheapest of 2` where others have no value."""
        words = self.criterion if len(self.rows) == 1 else f"among {self.criterion}"
        return words if self.num_compared == self.num_environments else f"{words} of {self.num_compared}"


def best_of(rows: Sequence[GpuRow], decision: GpuDecision) -> list[Best]:
    """Return the best rows of a network by every criterion that two or more environments have a value of.

    Nothing is the best where environments were measured at different batch sizes.

    Args:
        rows: Of one network.
        decision: What they are of.
    """
    if len({row.batch_size for row in rows if row.steps}) > 1:
        return []
    found = [
        _best("fastest", rows, _slowness, decision),
        _least_cost("cheapest", rows, "money", decision),
        _least_cost("least energy", rows, "energy_joules", decision),
        _best("largest batch", rows, _smallness, decision),
    ]
    return [best for best in found if best is not None]


def _slowness(row: GpuRow) -> float | None:
    return None if row.fastest is None else 1 / row.fastest.images_per_second


def _smallness(row: GpuRow) -> float | None:
    """Return what is the smallest for the largest batch; only predictions tell more than what was tried."""
    size = row.largest_batch.size
    return None if size is None or row.largest_batch.basis != "predicted" else 1 / size


def _least_cost(criterion: Criterion, rows: Sequence[GpuRow], name: CostName, decision: GpuDecision) -> Best | None:
    """Return the best rows by a cost: as measured where every environment has measured it, else as projected for all.

    What is measured has validation and data loading in it and is never compared with what is projected.
    """
    known = [row for row in rows if row.cost("time_s").value is not None]
    all_measured = bool(known) and all(getattr(row.measured, name) is not None for row in known)
    basis: CostBasis = "measured" if all_measured else "projected"
    best = _best(criterion, rows, lambda row: getattr(row.measured if all_measured else row.projected, name), decision)
    return None if best is None else dataclasses.replace(best, basis=basis)


def _best(
    criterion: Criterion, rows: Sequence[GpuRow], value_of: Callable[[GpuRow], float | None], decision: GpuDecision
) -> Best | None:
    """Return the rows with the smallest value, and those that are not shown to have a larger one."""
    values = [(value, number) for number, row in enumerate(rows) if (value := value_of(row)) is not None]
    if len(values) < 2:  # noqa: PLR2004 - one is neither the best nor the worst
        return None
    least, number = min(values)
    best = rows[number]
    others = [
        rows[other]
        for value, other in values
        if other != number and not _is_larger(value / least, rows[other], best, criterion, decision)
    ]
    if len(others) == len(values) - 1:
        return None
    return Best(criterion=criterion, rows=(best, *others), num_compared=len(values), num_environments=len(rows))


def _is_larger(ratio: float, row: GpuRow, best: GpuRow, criterion: Criterion, decision: GpuDecision) -> bool:
    """Whether a value is larger than the best by more than the times that it is computed from leave open."""
    steps, fastest = row.fastest, best.fastest
    if criterion not in {"fastest", "cheapest"} or steps is None or fastest is None:
        return ratio > 1
    speed: Ratio = speed_ratio(fastest, steps, decision.results)
    if speed.low is None:
        return ratio > 1
    return ratio * speed.low / speed.ratio > 1
