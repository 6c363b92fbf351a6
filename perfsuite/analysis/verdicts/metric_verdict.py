"""The verdict on one metric of one benchmark, with its reason in words."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.frames.change_text import percent_text
from perfsuite.analysis.statistics.significance import MIN_PROCESSES
from perfsuite.analysis.statistics.tail import TAIL_FRACTION
from perfsuite.formatting import MIB_BYTES, plural

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.decision import Decision
    from perfsuite.analysis.statistics.effect import Bools, Floats
    from perfsuite.analysis.statistics.evidence import Relative
    from perfsuite.analysis.statistics.tail import TailDecision
    from perfsuite.analysis.verdicts.verdict import Verdict

MEMORY_ROUNDING_BYTES = MIB_BYTES
"""Growth of a peak that the allocator's rounding explains: 512 bytes for each of at most two thousand live tensors.
Source: PyTorch, CUDA semantics, "Memory management" (kMinBlockSize = 512)."""

MAX_ASKED_PROCESSES = 50
"""More processes a side than this are not worth asking for; less background load is."""

NOT_INTERLEAVED = "code or drift: not interleaved"
"""The reason where the sides ran one after the other; a note below the table says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherChange:
    """A change of something else than typical rounds, with an interval of its own.

    Attributes:
        ratio: Candidate over baseline.
        ratio_low: Lower end of its 95% interval.
        ratio_high: Upper end.
        p_value: Two-sided, adjusted for all benchmarks.
    """

    ratio: float
    ratio_low: float
    ratio_high: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """The verdict on one metric of one benchmark; ratios are candidate over baseline as measured, None where unknown.

    Attributes:
        verdict: What it is.
        reason: Why, in words; where inconclusive, what would settle it.
        ratio: The change.
        ratio_low: Lower end of its 95% interval.
        ratio_high: Upper end.
        mde95: Smallest slowdown that is detected with a probability of 95%, as a ratio minus 1.
        p_value: Two-sided error probability of the change by itself, adjusted for all benchmarks.
        baseline: Value of the baseline, in the metric's base unit.
        candidate: Value of the candidate.
        relative: The change relative to the other benchmarks (divided by what all have in common), where they say
            something about this one.
        tail: The change of the slowest rounds, where there are raw rounds.
        by_tail: Whether it is the slowest rounds that decided the verdict.
        num_processes_needed: Processes a side that would settle an inconclusive verdict; None where no number would.
    """

    verdict: Verdict
    reason: str
    ratio: float | None = None
    ratio_low: float | None = None
    ratio_high: float | None = None
    mde95: float | None = None
    p_value: float | None = None
    baseline: float | None = None
    candidate: float | None = None
    relative: OtherChange | None = None
    tail: OtherChange | None = None
    by_tail: bool = False
    num_processes_needed: int | None = None


def time_verdict(row: int, typical: Decision, tail: TailDecision, effect: float, num: tuple[int, int]) -> MetricVerdict:
    """Put the decision on a benchmark's time into words: short ones, which a legend below the table explains.

    Args:
        row: Of the benchmark.
        typical: What was decided on typical rounds.
        tail: What was decided on the slowest rounds.
        effect: What counts as a change, as a ratio minus 1.
        num: Processes of baseline and candidate that have it.
    """
    change = float(typical.effect.change[row])
    seconds = math.exp(typical.effect.baseline[row])
    known: dict[str, Any] = {"ratio": math.exp(change), "baseline": seconds, "candidate": seconds * math.exp(change)}
    if typical.out_of_order[row]:
        return MetricVerdict(verdict="inconclusive", reason=f"{NOT_INTERLEAVED} where it was measured", **known)
    if not typical.judged[row]:
        reason = (
            f"{plural(min(num), 'process')} on a side cannot separate code from noise: run at least "
            f"{MIN_PROCESSES}, better 5 a side, in the order A B B A (perfsuite ab does that)"
        )
        return MetricVerdict(verdict="inconclusive", reason=reason, **known)
    detectable = float(typical.detectable[row])
    known |= {
        "ratio_low": math.exp(typical.low[row]),
        "ratio_high": math.exp(typical.high[row]),
        "mde95": math.expm1(detectable) if math.isfinite(detectable) else None,
        "p_value": float(typical.p_value[row]),
        "relative": _relative(typical, row),
        "tail": _tail(tail, row),
        "by_tail": bool(tail.regressed[row]) and not typical.regressed[row],
    }
    needed = max(int(typical.num_processes_needed[row]), max(num) + 1)
    verdict, reason = _decided(row, typical, tail, effect) or (
        "inconclusive",
        _why_inconclusive(row, typical, effect, needed),
    )
    unsettled = verdict == "inconclusive" and not typical.unchanged[row] and typical.interleaved
    return MetricVerdict(
        verdict=verdict,
        reason=reason,
        num_processes_needed=needed if unsettled and needed <= MAX_ASKED_PROCESSES else None,
        **known,
    )


def _decided(row: int, typical: Decision, tail: TailDecision, effect: float) -> tuple[Verdict, str] | None:
    """Return verdict and reason where the data decide; None where they do not."""
    if typical.regressed[row]:
        return "regressed", _why_changed(row, typical, "slower")
    if tail.regressed[row]:
        but = "typical rounds are faster" if typical.improved[row] else "typical rounds: no regression"
        return "regressed", f"{_tail_in_words(row, tail)}, significant; {but}"
    if typical.improved[row]:
        return "improved", _why_changed(row, typical, "faster")
    if not typical.unchanged[row]:
        return None
    within = f"no change (within {100 * effect:.3g}%)"
    if tail.suspicious[row]:
        return "inconclusive", f"typical rounds: {within}; but {_tail_in_words(row, tail)}: run more processes"
    return "unchanged", within


def _relative(typical: Decision, row: int) -> OtherChange | None:
    return None if typical.relative is None else _other_change(typical.relative, row)


def _tail(tail: TailDecision, row: int) -> OtherChange | None:
    return _other_change(tail, row) if tail.judged[row] else None


def _other_change(found: Relative | TailDecision, row: int) -> OtherChange:
    return OtherChange(
        ratio=math.exp(found.change[row]),
        ratio_low=math.exp(found.low[row]),
        ratio_high=math.exp(found.high[row]),
        p_value=float(found.p_value[row]),
    )


def _why_changed(row: int, typical: Decision, direction: str) -> str:
    if typical.by_itself[row]:
        return f"{direction}, significant"
    if typical.by_shift[row] and typical.common is not None:
        shift = percent_text(math.exp(typical.common.change))
        return f"{direction}, like nearly all benchmarks: their common-mode shift of {shift} is significant"
    relative = _relative(typical, row)
    assert relative is not None  # noqa: S101 - for the type checker: nothing else makes a change significant
    interval = f"[{percent_text(relative.ratio_low)}, {percent_text(relative.ratio_high)}]"
    return f"{direction}, relative to the others: {percent_text(relative.ratio)} {interval}"


def _tail_in_words(row: int, tail: TailDecision) -> str:
    low, high = (percent_text(math.exp(end[row])) for end in (tail.low, tail.high))
    return f"the slowest {TAIL_FRACTION:.0%} of the rounds: {percent_text(math.exp(tail.change[row]))} [{low}, {high}]"


def _why_inconclusive(row: int, typical: Decision, effect: float, needed: int) -> str:
    if not typical.interleaved:
        common = typical.common
        together = ""
        if common is not None and abs(common.change) > math.log1p(effect):
            together = f"the benchmarks shifted by {percent_text(math.exp(common.change))} together: "
        return f"{together}{NOT_INTERLEAVED}"
    scatter = f"scatter {math.expm1(typical.effect.sd[row]):.1%}"
    beyond = abs(float(typical.effect.change[row])) - math.log1p(effect)
    if 0 <= beyond < math.log1p(effect) / 2 and needed > MAX_ASKED_PROCESSES:
        return f"{scatter}, too close to the minimum effect"
    if needed > MAX_ASKED_PROCESSES:
        return f"{scatter}: more than {MAX_ASKED_PROCESSES} processes a side needed, reduce background load"
    return f"{scatter}, needs {needed} a side"


def memory_verdict(peaks: Floats, is_candidate: Bools, has_it: Bools | None = None) -> MetricVerdict | None:
    """Judge peak memory: deterministic, so one process a side is enough, and only the allocator's rounding is allowed.

    Args:
        peaks: Peak allocated in bytes [processes], NaN where unknown.
        is_candidate: [processes]
        has_it: Which processes have the benchmark [processes]; those without a usable peak make the verdict
            inconclusive. None: those with a known peak.
    """
    known_peaks = np.isfinite(peaks)
    has_it = known_peaks if has_it is None else has_it
    is_on_both = (has_it & is_candidate).any() and (has_it & ~is_candidate).any()
    if not known_peaks.any() or not is_on_both:
        return None  # not measured here at all
    unusable = has_it & ~(peaks > 0)
    if unusable.any():
        return _no_peak(peaks, is_candidate, has_it, unusable)
    old, new = (peaks[(is_candidate == side) & has_it] for side in (False, True))
    ratio = float(np.median(new) / np.median(old))
    change = f"{np.median(old) / MIB_BYTES:,.1f} -> {np.median(new) / MIB_BYTES:,.1f} MiB"
    known: dict[str, Any] = {
        "ratio": ratio,
        "ratio_low": new.min() / old.max(),
        "ratio_high": new.max() / old.min(),
        "baseline": float(np.median(old)),
        "candidate": float(np.median(new)),
    }
    if new.min() > old.max() + MEMORY_ROUNDING_BYTES:
        return MetricVerdict(verdict="regressed", reason=f"{change}: more than rounding explains", **known)
    if new.max() < old.min() - MEMORY_ROUNDING_BYTES:
        return MetricVerdict(verdict="improved", reason=f"{change}: less than rounding explains", **known)
    if max(new.max(), old.max()) - min(new.min(), old.min()) <= MEMORY_ROUNDING_BYTES:
        return MetricVerdict(verdict="unchanged", reason="the same up to the allocator's rounding", **known)
    return MetricVerdict(
        verdict="inconclusive",
        reason=f"{change}, but the peaks of one side differ from each other: another algorithm was chosen, or another "
        "process held memory",
        **known,
    )


def _no_peak(peaks: Floats, is_candidate: Bools, has_it: Bools, unusable: Bools) -> MetricVerdict:
    parts = []
    for name, side in (("baseline", ~is_candidate), ("candidate", is_candidate)):
        is_absent = np.isnan(peaks[unusable & side])
        if is_absent.size:
            what = "not recorded" if is_absent.all() else "not recorded, 0 or negative"
            what = what if is_absent.any() else "0 or negative"
            parts.append(f"{what} in {is_absent.size} of {int((has_it & side).sum())} processes of the {name}")
    return MetricVerdict(verdict="inconclusive", reason=f"the peak is {' and '.join(parts)}")


def metric_columns(name: str, metric: MetricVerdict | None, unit: str) -> dict[str, Any]:
    """Return the verdict on a metric as columns of a row, all None where it was not judged.

    Args:
        name: What the columns begin with: `time`, `memory`.
        metric: The verdict.
        unit: Of the values of both sides, as names end with it.
    """
    columns = {f"{name}_{key}": getattr(metric, key, None) for key in ("verdict", "ratio", "ratio_low", "ratio_high")}
    columns[f"{name}_baseline_{unit}"] = getattr(metric, "baseline", None)
    columns[f"{name}_candidate_{unit}"] = getattr(metric, "candidate", None)
    return columns
