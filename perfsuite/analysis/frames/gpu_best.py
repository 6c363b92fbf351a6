"""Which environment is the best for a network, in words: fastest, cheapest, least energy, largest batch."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from perfsuite.analysis.frames.gpu_steps import most_common_size, speed_ratio

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
        num_compared: How many environments have a value; of a price, how many devices.
        num_environments: How many there are of the network, counted alike.
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

    Only environments that were measured at the batch size that most were measured at are compared.

    Args:
        rows: Of one network.
        decision: What they are of.
    """
    comparable = comparable_rows(rows)
    found = [
        _best("fastest", comparable, _slowness, decision),
        _least_cost("cheapest", comparable, "money", decision),
        _least_cost("least energy", comparable, "energy_joules", decision),
        _best("largest batch", comparable, _smallness, decision),
    ]
    return [
        dataclasses.replace(best, num_environments=_num_places(rows, best.criterion))
        for best in found
        if best is not None
    ]


def _num_places(rows: Sequence[GpuRow], criterion: Criterion) -> int:
    """Return how many environments there are; of costs how many devices, for a price is that of a device."""
    if criterion == "cheapest":
        return len({row.environment.short_device for row in rows})
    return len(rows)


def comparable_rows(rows: Sequence[GpuRow]) -> list[GpuRow]:
    """Return the rows at the batch size that most are of, where two or more are; and those without steps."""
    counts = Counter(row.batch_size for row in rows if row.steps and row.batch_size is not None)
    size = most_common_size(counts)
    num = 0 if size is None else counts[size]
    is_common = num > 1 or len(counts) == 1
    return [row for row in rows if not row.steps or (is_common and row.batch_size == size)]


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
    compared = [rows[number] for _, number in values]
    return Best(
        criterion=criterion,
        rows=(best, *others),
        num_compared=_num_places(compared, criterion),
        num_environments=_num_places(rows, criterion),
    )


UNSURE_RATIO = 1.05
"""Values without an interval over processes that are closer than this are not distinguished: two runs of unchanged code
differ by as much. Half of 18 cells on a shared CPU did by 3.5% or more."""


def _is_larger(ratio: float, row: GpuRow, best: GpuRow, criterion: Criterion, decision: GpuDecision) -> bool:
    """Whether a value is larger than the best by more than the times that it is computed from leave open."""
    steps, fastest = row.fastest, best.fastest
    if criterion not in {"fastest", "cheapest"} or steps is None or fastest is None:
        return ratio > UNSURE_RATIO
    speed: Ratio = speed_ratio(fastest, steps, decision.results)
    if speed.level is None or speed.low is None:
        return ratio > UNSURE_RATIO
    return ratio * speed.low / speed.ratio > 1
