"""Baseline against candidate -> a verdict per benchmark and metric, each with its reason in words."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.frames.training_words import ACCURACY_MARGIN
from perfsuite.analysis.load.full_training import without_replays
from perfsuite.analysis.statistics.decision import TAIL_SHARE, Decision, decide
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.tail import TAIL_EFFECT_FACTOR, TailDecision, decide_tail
from perfsuite.analysis.verdicts.attempts import verdict_without_times, with_failures
from perfsuite.analysis.verdicts.causes import likely_causes
from perfsuite.analysis.verdicts.comparison_notes import comparison_notes, nothing_in_common
from perfsuite.analysis.verdicts.machine_difference import machines_differ
from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict, memory_verdict, time_verdict
from perfsuite.analysis.verdicts.training_verdicts import TrainingComparison, TrainingVerdict, compare_trainings
from perfsuite.analysis.verdicts.verdict import JUDGED, WORST_FIRST, Verdict, failing_verdicts
from perfsuite.analysis.verdicts.verdict_words import count_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.verdicts.samples import Sides
    from perfsuite.records.workload import Workload

MIN_EFFECT = 0.02
"""The smallest change that matters, as a ratio minus 1. With five processes a side whose times scatter by 1% no rule
finds less than 2.9% in 95 of 100 cases, even with a known variance."""

ALPHA = 0.05
"""Chance of any false verdict, slower or faster, among all benchmarks of a comparison."""


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
        min_effect: What counts as a change, as a ratio minus 1.
        num_failed: Processes of the baseline and of the candidate that recorded that it failed.
    """

    fullname: str
    workload: Workload | None
    verdict: Verdict
    time: MetricVerdict
    memory: MetricVerdict | None
    num_baseline: int
    num_candidate: int
    min_effect: float
    num_failed: tuple[int, int] = (0, 0)

    @property
    def label(self) -> str:
        """Its workload in words; pytest's name where that is not known."""
        return self.fullname if self.workload is None else self.workload.label

    @property
    def short_label(self) -> str:
        """The same, of pytest's name the part behind the module."""
        return self.fullname.rsplit("::", 1)[-1] if self.workload is None else self.workload.label


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A comparison, judged.

    Attributes:
        sides: What was compared.
        benchmarks: A verdict for each, in the order of the files.
        typical: What was decided on typical rounds; None where the machines are not the same.
        tail: What was decided on the slowest rounds.
        alpha: Chance of any false verdict.
        notes: What a reader should know, in words.
        trainings: The full trainings; their alpha is the same, by itself.
    """

    sides: Sides
    benchmarks: tuple[BenchmarkVerdict, ...]
    typical: Decision | None
    tail: TailDecision | None
    alpha: float
    notes: tuple[str, ...]
    trainings: TrainingComparison

    def count(self) -> dict[Verdict, int]:
        """Return how many benchmarks and full trainings have each verdict, the worst first; without those of none."""
        return count_verdicts(one.verdict for one in self._judged())

    def _judged(self) -> list[BenchmarkVerdict | TrainingVerdict]:
        return [*self.benchmarks, *self.trainings.verdicts]

    @property
    def why_not_judged(self) -> str | None:
        """Why nothing could be judged, in a line; None where at least one benchmark was."""
        if any(one.verdict in JUDGED for one in self._judged()):
            return None
        counts = ", ".join(f"{num} {verdict}" for verdict, num in self.count().items())
        reasons = {one.time.reason for one in self.benchmarks} | {one.reason for one in self.trainings.verdicts}
        why = f" ({reasons.pop()})" if len(reasons) == 1 else ""
        return f"nothing could be judged: {counts or 'no benchmarks'}{why}"

    def failures(self, fail_on: Sequence[str]) -> list[str]:
        """Return what fails a gate, in a line each.

        Args:
            fail_on: Of `FAIL_ON`.
        """
        if "never" in fail_on:
            return []
        if not self.sides.has_results(candidate=True):
            return ["the candidate files contain no results"]
        counts = self.count()
        failing = failing_verdicts(fail_on)
        lines = [f"{num} {verdict}" for verdict, num in counts.items() if verdict in failing]
        if {"unjudged", "inconclusive"} & set(fail_on) and self.why_not_judged is not None:
            lines.append(self.why_not_judged)
        return lines


def compare(
    sides: Sides,
    *,
    min_effect: Callable[[str], float] = lambda _fullname: MIN_EFFECT,
    alpha: float = ALPHA,
    margin: float = ACCURACY_MARGIN,
    ignore_host: bool = False,
) -> Comparison:
    """Judge every benchmark and every full training.

    Args:
        sides: Both sides, joined.
        min_effect: Gives what counts as a change of a benchmark, as a ratio minus 1.
        alpha: Chance of any false verdict on time among all benchmarks; peak memory is deterministic and takes none.
            Full trainings have as much again.
        margin: The smallest loss of accuracy that counts, as a ratio.
        ignore_host: Whether machines of other host names count as the same.
    """
    trainings = compare_trainings(
        *(without_replays(trainings) for trainings in sides.trainings),
        outcomes=sides.training_outcomes,
        min_effect=min_effect,
        margin=margin,
        alpha=alpha,
        ignore_host=ignore_host,
    )
    effects = np.array([min_effect(name) for name in sides.fullnames], dtype=float)
    differing = machines_differ(sides.processes, ignore_host=ignore_host)
    if differing is not None:
        benchmarks = [_incomparable(sides, row, differing, effects[row]) for row in range(len(sides.keys))]
        return Comparison(
            sides=sides,
            benchmarks=tuple(benchmarks),
            typical=None,
            tail=None,
            alpha=alpha,
            notes=sides.notes,
            trainings=trainings,
        )
    typical = decide(
        sides.logs,
        sides.is_candidate,
        sides.order,
        min_effect=np.log1p(effects),
        alpha=alpha * (1 - TAIL_SHARE),
        resolution=sides.resolution,
    )
    tail = decide_tail(
        sides.slowest,
        sides.is_candidate,
        sides.order,
        min_effect=np.log1p(TAIL_EFFECT_FACTOR * effects),
        alpha=alpha * TAIL_SHARE,
    )
    benchmarks = [_judged(sides, row, typical, tail, effects[row]) for row in range(len(sides.keys))]
    return Comparison(
        sides=sides,
        benchmarks=tuple(benchmarks),
        typical=typical,
        tail=tail,
        alpha=alpha,
        notes=(*nothing_in_common(benchmarks), *comparison_notes(sides, typical), *sides.notes),
        trainings=trainings,
    )


def _incomparable(sides: Sides, row: int, differing: str, effect: float) -> BenchmarkVerdict:
    time = _without_times(sides, row)
    if time is None:
        time = _with_failures(sides, row, MetricVerdict(verdict="incomparable", reason=differing))
    return _benchmark_verdict(sides, row, time, None, effect)


def _without_times(sides: Sides, row: int) -> MetricVerdict | None:
    """Return the verdict where not both sides have times that can be compared; None where they have."""
    present = np.isfinite(sides.logs[TYPICAL][row])
    if present[sides.is_candidate].any() and present[~sides.is_candidate].any():
        return None
    verdict, reason = verdict_without_times(*sides.attempts[row])
    if verdict in {"missing", "new"} and sides.has_other_network(row):
        verdict, reason = "incomparable", "another network has this name: its code, parameters or package differ"
    return MetricVerdict(verdict=verdict, reason=reason)


def _with_failures(sides: Sides, row: int, time: MetricVerdict) -> MetricVerdict:
    verdict, reason = with_failures(time.verdict, time.reason, *sides.attempts[row])
    return dataclasses.replace(time, verdict=verdict, reason=reason)


def _judged(sides: Sides, row: int, typical: Decision, tail: TailDecision, effect: float) -> BenchmarkVerdict:
    old, new = sides.attempts[row]
    time = _without_times(sides, row)
    if time is None:
        time = time_verdict(row, typical, tail, effect, (old.num_measured, new.num_measured))
        if time.ratio is not None and time.verdict != "unchanged":
            cause = likely_causes(sides, row, time.ratio)
            time = time if cause is None else dataclasses.replace(time, reason=f"{time.reason}; {cause}")
        time = _with_failures(sides, row, time)
    has_it = np.isfinite(sides.logs[TYPICAL][row])
    memory = memory_verdict(sides.peak_bytes[row], sides.is_candidate, has_it)
    return _benchmark_verdict(sides, row, time, memory, effect)


def _benchmark_verdict(
    sides: Sides, row: int, time: MetricVerdict, memory: MetricVerdict | None, effect: float
) -> BenchmarkVerdict:
    old, new = sides.attempts[row]
    return BenchmarkVerdict(
        fullname=sides.fullnames[row],
        workload=sides.workloads[row],
        verdict=min((metric.verdict for metric in (time, memory) if metric is not None), key=WORST_FIRST.index),
        time=time,
        memory=memory,
        num_baseline=old.num_measured,
        num_candidate=new.num_measured,
        min_effect=effect,
        num_failed=(old.num_failed, new.num_failed),
    )
