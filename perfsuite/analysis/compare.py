"""Baseline against candidate -> a verdict per benchmark and metric, each with its reason in words."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.circumstances import circumstances
from perfsuite.analysis.estimate import SLOW
from perfsuite.analysis.regression import (
    TAIL_EFFECT_FACTOR,
    TAIL_SHARE,
    Judgement,
    judge,
    judge_slowest,
)
from perfsuite.analysis.verdicts import WORST_FIRST, MetricVerdict, Verdict, memory_verdict, percent, time_verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.sides import ProcessResult, Sides
    from perfsuite.records import Workload

MIN_EFFECT = 0.02
"""The change from which on a user cares, as a ratio. At five processes a side whose times scatter by 1%, 2% is where
the arithmetic ends (a known variance would show 2.9% in 95 of 100 cases); less would only add noise to the verdicts."""

ALPHA = 0.05
"""Chance of any false alarm among all benchmarks of a comparison."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkVerdict:
    """The verdicts on one benchmark.

    Attributes:
        fullname: pytest's name of it.
        workload: Our workload, or None.
        verdict: The worst of its metrics'.
        time: On its time.
        memory: On its peak memory, or None where neither side has it.
        num_baseline: Processes of the baseline that have it.
        num_candidate: Processes of the candidate that have it.
        min_effect: What counts as a change, as a ratio less 1.
    """

    fullname: str
    workload: Workload | None
    verdict: Verdict
    time: MetricVerdict
    memory: MetricVerdict | None
    num_baseline: int
    num_candidate: int
    min_effect: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison, judged.

    Attributes:
        sides: What was compared.
        benchmarks: A verdict for each, in the order of the files.
        typical: The judgement on typical rounds; None where the machines are not the same.
        slowest: The judgement on the slowest tenth.
        alpha: Chance of any false alarm.
        notes: What a reader should know, in words.
    """

    sides: Sides
    benchmarks: tuple[BenchmarkVerdict, ...]
    typical: Judgement | None
    slowest: Judgement | None
    alpha: float
    notes: tuple[str, ...]

    def count(self) -> dict[Verdict, int]:
        """Return how many benchmarks have each verdict, the worst first; those that none has are left out."""
        found = [benchmark.verdict for benchmark in self.benchmarks]
        return {verdict: found.count(verdict) for verdict in WORST_FIRST if verdict in found}

    def fails_on(self, what: str) -> bool:
        """Tell whether a gate closes: on `regressed`; on `inconclusive`, which is all but a clean pass; `never`."""
        found = set(self.count())
        clean: set[Verdict] = {"improved", "unchanged", "new"}
        return {"regressed": "regressed" in found, "inconclusive": bool(found - clean), "never": False}[what]


def compare(
    sides: Sides,
    *,
    min_effect: Callable[[str], float] = lambda _fullname: MIN_EFFECT,
    alpha: float = ALPHA,
    ignore_host: bool = False,
) -> Comparison:
    """Judge every benchmark.

    Args:
        sides: Both sides, joined.
        min_effect: Gives what counts as a change of a benchmark, as a ratio less 1.
        alpha: Chance of any false alarm in time among all benchmarks; peak memory is deterministic and takes none.
        ignore_host: Whether machines of other host names count as the same.
    """
    effects = np.array([min_effect(name) for name in sides.fullnames], dtype=float)
    differing = machines_differ(sides.processes, ignore_host=ignore_host)
    if differing is not None:
        benchmarks = [_incomparable(sides, row, differing, effects[row]) for row in range(len(sides.keys))]
        return Comparison(
            sides=sides, benchmarks=tuple(benchmarks), typical=None, slowest=None, alpha=alpha, notes=sides.notes
        )
    typical = judge(
        sides.logs,
        sides.is_candidate,
        sides.order,
        min_effect=np.log1p(effects),
        alpha=alpha * (1 - TAIL_SHARE),
    )
    slowest = judge_slowest(
        sides.logs[SLOW],
        sides.is_candidate,
        sides.order,
        min_effect=np.log1p(TAIL_EFFECT_FACTOR * effects),
        alpha=alpha * TAIL_SHARE,
    )
    benchmarks = [_judged(sides, row, typical, slowest, effects[row]) for row in range(len(sides.keys))]
    return Comparison(
        sides=sides,
        benchmarks=tuple(benchmarks),
        typical=typical,
        slowest=slowest,
        alpha=alpha,
        notes=(*_notes(sides, typical), *sides.notes),
    )


def machines_differ(processes: Sequence[ProcessResult], *, ignore_host: bool = False) -> str | None:
    """Return in words what tells the machines apart, or None if all processes ran on the same one."""
    for name in ("GPU", "CPU") if ignore_host else ("GPU", "CPU", "host"):
        found = sorted({process.machine.get(name, "unknown") for process in processes})
        if len(found) > 1:
            return f"another {name}: {', '.join(found)}"
    return None


def _present(sides: Sides, row: int) -> tuple[int, int]:
    present = np.isfinite(sides.logs[0.5][row])
    return int((present & ~sides.is_candidate).sum()), int((present & sides.is_candidate).sum())


def _incomparable(sides: Sides, row: int, differing: str, effect: float) -> BenchmarkVerdict:
    num_baseline, num_candidate = _present(sides, row)
    one_sided = _on_one_side(num_baseline, num_candidate)
    reason = f"{differing}; --across gpu sets machines side by side, without verdicts"
    time = one_sided or MetricVerdict(verdict="incomparable", reason=reason)
    return BenchmarkVerdict(
        fullname=sides.fullnames[row],
        workload=sides.workloads[row],
        verdict=time.verdict,
        time=time,
        memory=None,
        num_baseline=num_baseline,
        num_candidate=num_candidate,
        min_effect=effect,
    )


def _on_one_side(num_baseline: int, num_candidate: int) -> MetricVerdict | None:
    if not num_candidate:
        return MetricVerdict(verdict="missing", reason="no candidate file has it")
    if not num_baseline:
        return MetricVerdict(verdict="new", reason="no baseline file has it")
    return None


def _judged(sides: Sides, row: int, typical: Judgement, slowest: Judgement, effect: float) -> BenchmarkVerdict:
    num_baseline, num_candidate = _present(sides, row)
    time = _on_one_side(num_baseline, num_candidate) or time_verdict(
        row, typical, slowest, effect, (num_baseline, num_candidate)
    )
    if time.ratio is not None and time.verdict != "unchanged":
        cause = circumstances(sides, row, time.ratio)
        time = time if cause is None else dataclasses.replace(time, reason=f"{time.reason}; {cause}")
    memory = None if num_baseline == 0 or num_candidate == 0 else memory_verdict(sides.peak_bytes[row], sides)
    verdicts = [metric.verdict for metric in (time, memory) if metric is not None]
    return BenchmarkVerdict(
        fullname=sides.fullnames[row],
        workload=sides.workloads[row],
        verdict=min(verdicts, key=WORST_FIRST.index),
        time=time,
        memory=memory,
        num_baseline=num_baseline,
        num_candidate=num_candidate,
        min_effect=effect,
    )


def _notes(sides: Sides, typical: Judgement) -> list[str]:
    notes = []
    estimate = typical.estimate
    if typical.judged.any():
        if estimate.num_trimmed:
            notes.append(
                f"this host is not steady: each process counts as the {estimate.quantile:.0%} quantile of its rounds, "
                "without the slowest process of either side"
            )
        if not typical.interleaved:
            notes.append(
                "the sides ran one after the other: a slow drift of the machine looks like a change of the code; "
                "interleave them (A B B A) for sharper verdicts"
            )
        if math.isfinite(estimate.common_se) and estimate.common_is_real:
            what = (
                "code, for the sides took turns" if typical.interleaved else "machine or code, this order cannot tell"
            )
            notes.append(f"all benchmarks shifted together by {percent(math.exp(estimate.common))}: {what}")
    notes += _version_notes(sides)
    return notes


def _version_notes(sides: Sides) -> list[str]:
    notes = []
    for name in ("torch", "torchvision", "CUDA", "cuDNN", "driver"):
        old, new = (
            ", ".join(sorted({process.versions.get(name, "unknown") for process in sides.side(candidate=candidate)}))
            for candidate in (False, True)
        )
        if old != new and "unknown" not in (old, new):
            notes.append(f"{name} differs: {old} in the baseline, {new} in the candidate")
    return notes
