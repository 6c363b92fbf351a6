"""The verdict on one metric of one benchmark, with its reason in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from perfsuite.analysis.regression import MIN_PROCESSES
from perfsuite.metrics import MIB_BYTES

if TYPE_CHECKING:
    from perfsuite.analysis.estimate import Floats
    from perfsuite.analysis.regression import Judgement
    from perfsuite.analysis.sides import Sides

Verdict = Literal["regressed", "incomparable", "missing", "inconclusive", "improved", "new", "unchanged"]

WORST_FIRST: tuple[Verdict, ...] = (
    "regressed",
    "incomparable",
    "missing",
    "inconclusive",
    "improved",
    "new",
    "unchanged",
)
"""A benchmark's verdict is the first of these that one of its metrics has."""

MEMORY_ROUNDING_BYTES = MIB_BYTES
"""Growth of a peak that the allocator's rounding explains: 512 bytes for each of at most two thousand live tensors.
Source: PyTorch, CUDA semantics, "Memory management" (kMinBlockSize = 512)."""

MOST_TO_ASK_FOR = 50
"""More processes a side than this are not worth asking for; a steadier machine is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """The verdict on one metric of one benchmark; ratios are candidate over baseline, None where there is none.

    Attributes:
        verdict: What it is.
        reason: Why, in words; where inconclusive, what would settle it.
        ratio: The change.
        ci_low: Lower end of its 95% interval.
        ci_high: Upper end.
        mde95: Smallest slowdown that would have been called regressed 95 times of 100, as a ratio less 1.
        p_value: Holm-adjusted error probability of the direction in which it changed.
    """

    verdict: Verdict
    reason: str
    ratio: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    mde95: float | None = None
    p_value: float | None = None


def time_verdict(
    row: int, typical: Judgement, slowest: Judgement, effect: float, num: tuple[int, int]
) -> MetricVerdict:
    """Put the judgement on a benchmark's time into words.

    Args:
        row: Of the benchmark.
        typical: The judgement on typical rounds.
        slowest: The judgement on the slowest tenth.
        effect: What counts as a change, as a ratio less 1.
        num: Processes of baseline and candidate that have it.
    """
    ratio = math.exp(typical.change[row])
    if not typical.judged[row]:
        few = min(num)
        return MetricVerdict(
            verdict="inconclusive",
            reason=f"{percent(ratio)} seen, but {few} process{'' if few == 1 else 'es'} a side cannot tell code from "
            f"chance: run 5 a side in the order A B B A ({MIN_PROCESSES} at least)",
            ratio=ratio,
        )
    known = {
        "ratio": ratio,
        "ci_low": math.exp(typical.low[row]),
        "ci_high": math.exp(typical.high[row]),
        "mde95": math.expm1(typical.mde95[row]),
        "p_value": float(min(typical.p_slower[row], typical.p_faster[row])),
    }
    if typical.regressed[row]:
        return MetricVerdict(verdict="regressed", reason=f"{percent(ratio)}: slower beyond chance", **known)
    if slowest.regressed[row] and not typical.improved[row]:
        tail = math.exp(slowest.change[row])
        reason = f"the slowest tenth of the rounds: {percent(tail)}, beyond chance; typical ones {percent(ratio)}"
        return MetricVerdict(verdict="regressed", reason=reason, **known)
    if typical.improved[row]:
        return MetricVerdict(verdict="improved", reason=f"{percent(ratio)}: faster beyond chance", **known)
    if typical.unchanged[row]:
        return MetricVerdict(verdict="unchanged", reason=f"surely within {effect:.1%}", **known)
    return MetricVerdict(verdict="inconclusive", reason=_why_inconclusive(row, typical, effect, num), **known)


def _why_inconclusive(row: int, typical: Judgement, effect: float, num: tuple[int, int]) -> str:
    change = float(typical.change[row])
    estimate = typical.estimate
    shift = estimate.common
    seen = f"{percent(math.exp(change))} seen"
    if not typical.interleaved and abs(shift) > math.log1p(effect):
        return (
            f"{seen}, but all benchmarks shifted by {percent(math.exp(shift))} together, and the sides ran one after "
            "the other: machine or code, this order cannot tell; run them in the order A B B A"
        )
    needed = int(min(typical.num_to_settle[row], 1e6))
    scatter = f"processes scatter by {math.expm1(estimate.spread[row]):.1%}"
    if needed > MOST_TO_ASK_FOR:
        return f"{seen}, but {scatter}: no reasonable number of processes tells that from chance; quieten the machine"
    needed = max(needed, max(num) + 1)
    return f"{seen}, but {scatter}: {needed} processes a side in the order A B B A would settle it"


def memory_verdict(peaks: Floats, sides: Sides) -> MetricVerdict | None:
    """Judge peak memory: deterministic, so one process a side is enough, and only the allocator's rounding is allowed.

    Args:
        peaks: Peak allocated in bytes [processes], NaN where unknown.
        sides: Both sides.
    """
    old, new = (peaks[(sides.is_candidate == side) & np.isfinite(peaks)] for side in (False, True))
    if not len(old) or not len(new) or not old.min() > 0 or not new.min() > 0:
        return None
    ratio = float(np.median(new) / np.median(old))
    change = f"{np.median(new) / MIB_BYTES:,.1f} MiB after {np.median(old) / MIB_BYTES:,.1f} MiB"
    known: dict[str, Any] = {"ratio": ratio, "ci_low": new.min() / old.max(), "ci_high": new.max() / old.min()}
    if new.min() > old.max() + MEMORY_ROUNDING_BYTES:
        return MetricVerdict(verdict="regressed", reason=f"{change}: more than rounding explains", **known)
    if new.max() < old.min() - MEMORY_ROUNDING_BYTES:
        return MetricVerdict(verdict="improved", reason=f"{change}: less than rounding explains", **known)
    if max(new.max(), old.max()) - min(new.min(), old.min()) <= MEMORY_ROUNDING_BYTES:
        return MetricVerdict(verdict="unchanged", reason="the same up to the allocator's rounding", **known)
    return MetricVerdict(
        verdict="inconclusive",
        reason=f"{change}, but the peaks of one side differ among themselves: another algorithm was chosen, or another "
        "process held memory",
        **known,
    )


def percent(ratio: float) -> str:
    """Return a ratio as a change: `+5.1%`."""
    return f"{100 * (ratio - 1):+.1f}%"
