"""Whether anything regressed, in words: benchmarks and full trainings."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.frames.change_text import percent_change_text, percent_text
from perfsuite.analysis.frames.labels import enumerate_words, workload_words
from perfsuite.analysis.load.machine_info import VERSIONS
from perfsuite.analysis.report.answers import Answer, sentence, small_table
from perfsuite.analysis.report.short_names import short_names
from perfsuite.analysis.report.trust import trust_sentence
from perfsuite.analysis.verdicts.ranking import ranked, ranked_trainings
from perfsuite.analysis.verdicts.verdict_words import counts_in_words
from perfsuite.formatting import MIB_BYTES, duration, plural, significant

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict
    from perfsuite.analysis.verdicts.process_results import ProcessResult
    from perfsuite.analysis.verdicts.training_verdicts import AccuracyVerdict, TrainingVerdict
    from perfsuite.analysis.verdicts.trust_evidence import Trust
    from perfsuite.analysis.verdicts.verdict import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A metric of a benchmark or of a full training that has a verdict.

    Attributes:
        kind: Key of `KINDS`.
        name: Of the benchmark.
        change: With its interval and, where it is not time, its metric.
        from_to: Values of the baseline and of the candidate.
        size: For the order: the larger the worse.
    """

    kind: str
    name: str
    change: str
    from_to: str
    size: float


KINDS = {
    "failed": ("failed", "failed"),
    "accuracy": ("less accurate", "less accurate"),
    "time": ("slower", "slower"),
    "memory": ("uses more memory", "use more memory"),
}
"""What regressed, the worst first: of one, and of several."""

KINDS_IMPROVED = {
    "accuracy": ("more accurate", "more accurate"),
    "time": ("faster", "faster"),
    "memory": ("uses less memory", "use less memory"),
}


def regressions_answer(comparison: Comparison, trust: Trust) -> Answer:
    """Return the first answer of a page with a baseline.

    Args:
        comparison: The verdicts.
        trust: Their grade.
    """
    lead, tone, shown = _lead(comparison, trust)
    changes = sorted(_changes(comparison, shown), key=lambda one: (list(KINDS).index(one.kind), -one.size))
    if shown != "regressed":
        changes.sort(key=lambda one: -one.size)
    has_intervals = any("[" in one.change for one in changes)
    tables, more = small_table(
        ("", f"change [{'95%' if has_intervals else 'no interval'}]", "baseline -> candidate"),
        [(one.name, one.change, one.from_to) for one in changes],
    )
    missing = _missing(comparison)
    counts = counts_in_words([*(one.verdict for one in comparison.benchmarks), *_verdicts_of_trainings(comparison)])
    return Answer(
        question="Did anything regress?",
        lead=lead,
        context=" · ".join(_context(comparison)),
        tables=tables,
        lines=(*more, *missing, sentence([counts]), trust_sentence(trust)),
        tone=tone,
        target="verdicts",
    )


def _verdicts_of_trainings(comparison: Comparison) -> list[Verdict]:
    return [one.verdict for one in comparison.trainings.verdicts]


def _lead(comparison: Comparison, trust: Trust) -> tuple[str, str, Verdict]:
    """Return the answer in a few words, how it is shown, and which verdicts are listed below it."""
    counts, total = comparison.count(), _total(comparison)
    worse = _kinds_in_words(_changes(comparison, "regressed"), KINDS)
    if worse:
        return f"Regressed: {worse}, of {total}.", "bad", "regressed"
    if "incomparable" in counts:
        return "Cannot be judged: the machines are not the same.", "unsure", "incomparable"
    if comparison.why_not_judged is not None:
        return f"Cannot be judged: none of {total}.", "unsure", "inconclusive"
    if "missing" in counts:
        return f"Missing: {counts['missing']} of {total}.", "bad", "missing"
    better = _kinds_in_words(_changes(comparison, "improved"), KINDS_IMPROVED)
    also = f"; {better}" if better else ""
    if "inconclusive" in counts:
        num = counts["inconclusive"]
        return f"No regression shown{also}; {num} of {total} could not be judged.", "unsure", "inconclusive"
    return f"No regression among {total}{also}.", "plain" if trust.grade == "low" else "good", "improved"


def _total(comparison: Comparison) -> str:
    counts = {"benchmark": len(comparison.benchmarks), "full training": len(comparison.trainings.verdicts)}
    return enumerate_words([plural(num, noun) for noun, num in counts.items() if num]) or "nothing"


def _kinds_in_words(changes: Sequence[Change], kinds: dict[str, tuple[str, str]]) -> str:
    nums = Counter(change.kind for change in changes)
    return ", ".join(f"{nums[kind]} {words[nums[kind] > 1]}" for kind, words in kinds.items() if nums[kind])


def _changes(comparison: Comparison, verdict: Verdict) -> list[Change]:
    """Return every metric that has this verdict; `regressed` includes what failed."""
    name = _namer(comparison.benchmarks)
    found = []
    for benchmark in ranked(comparison):
        found += _metrics(name(benchmark), benchmark, verdict, "")
    for training in ranked_trainings(comparison.trainings):
        label = training.cell.label
        if training.accuracy.verdict == verdict and training.verdict != "failed":
            found += _accuracy(label, training.accuracy)
        found += _metrics(label, training, verdict, " training time")
    return found


def _metrics(name: str, judged: BenchmarkVerdict | TrainingVerdict, verdict: Verdict, what: str) -> list[Change]:
    found = []
    if judged.verdict == "failed" and verdict == "regressed":
        reason = getattr(judged, "reason", judged.time.reason)
        found.append(Change(kind="failed", name=name, change="failed", from_to=reason.partition(";")[0], size=math.inf))
    if judged.time.verdict == verdict and judged.time.ratio is not None:
        found.append(_time(name, judged.time, what))
    memory = judged.memory
    if memory is not None and memory.verdict == verdict and memory.ratio is not None:
        found.append(_memory(name, memory))
    return found


def _time(name: str, time: MetricVerdict, what: str) -> Change:
    ratio, low, high = time.ratio, time.ratio_low, time.ratio_high
    if time.by_tail and time.tail is not None:
        ratio, low, high, what = time.tail.ratio, time.tail.ratio_low, time.tail.ratio_high, " slowest rounds"
    assert ratio is not None  # noqa: S101 - for the type checker: asked by the caller
    values = "" if time.by_tail else _from_to(time.baseline, time.candidate, duration)
    change = f"{percent_change_text(ratio, low, high)}{what}"
    return Change(kind="time", name=name, change=change, from_to=values, size=abs(math.log(ratio)))


def _memory(name: str, memory: MetricVerdict) -> Change:
    ratio = memory.ratio or 1.0
    values = _from_to(memory.baseline, memory.candidate, lambda peak: f"{significant(peak / MIB_BYTES)} MiB")
    return Change(
        kind="memory", name=name, change=f"{percent_text(ratio)} memory", from_to=values, size=abs(math.log(ratio))
    )


def _accuracy(name: str, accuracy: AccuracyVerdict) -> list[Change]:
    change, low, high = (
        100 * (number or 0.0) for number in (accuracy.change, accuracy.change_low, accuracy.change_high)
    )
    values = _from_to(accuracy.baseline, accuracy.candidate, lambda ratio: f"{100 * ratio:.2f} %")
    words = f"{change:+.2f} [{low:+.2f}, {high:+.2f}] points of accuracy"
    return [Change(kind="accuracy", name=name, change=words, from_to=values, size=abs(change))]


def _from_to(baseline: float | None, candidate: float | None, show: Callable[[float], str]) -> str:
    """Return `161.2 -> 181.0 ms`, the unit once where it is the same."""
    if baseline is None or candidate is None:
        return ""
    before, after = show(baseline), show(candidate)
    value, _, unit = before.partition(" ")
    return f"{value if after.endswith(f' {unit}') else before} -> {after}"


def _namer(benchmarks: Sequence[BenchmarkVerdict]) -> Callable[[BenchmarkVerdict], str]:
    """Return what names a benchmark: its workload without what all share, else the end of its name."""
    workloads = [dataclasses.asdict(one.workload) for one in benchmarks if one.workload is not None]
    words = workload_words(pd.DataFrame(workloads), but=()) if workloads else None
    short = short_names(one.fullname for one in benchmarks)

    def name(one: BenchmarkVerdict) -> str:
        if one.workload is not None and words is not None:
            return words(dataclasses.asdict(one.workload))
        return short[one.fullname]

    return name


def _missing(comparison: Comparison) -> list[str]:
    name = _namer(comparison.benchmarks)
    names = [name(one) for one in comparison.benchmarks if one.verdict == "missing"]
    names += [one.cell.label for one in comparison.trainings.verdicts if one.verdict == "missing"]
    if not names:
        return []
    more = f" and {len(names) - MAX_MISSING:,} more" if len(names) > MAX_MISSING else ""
    return [f"missing in the candidate: {', '.join(names[:MAX_MISSING])}{more}"]


MAX_MISSING = 3


def _context(comparison: Comparison) -> list[str]:
    """Return what is compared with what, on what, by how many runs."""
    sides = comparison.sides
    old, new = sides.side(candidate=False), sides.side(candidate=True)
    parts = [f"{name} {after} vs {before}" for name, before, after in _differing(old, new)]
    machines = {process.machine.get("GPU") or process.machine.get("CPU") for process in sides.processes}
    machines |= {one.environment["device"] for side in sides.trainings for one in side}
    parts += sorted(machine for machine in machines if machine is not None)
    parts += _num_in_words("run", len(new), len(old))
    return parts + _num_in_words("full training", len(sides.trainings[1]), len(sides.trainings[0]))


def _num_in_words(noun: str, new: int, old: int) -> list[str]:
    if not new and not old:
        return []
    return [f"{plural(new, noun)} each" if new == old else f"{plural(new, noun)} vs {old:,}"]


def _differing(old: Sequence[ProcessResult], new: Sequence[ProcessResult]) -> list[tuple[str, str, str]]:
    """Return the name of each version that differs, and its values on both sides; without any, the commits."""
    found = []
    for name in (*VERSIONS, "NCCL"):
        before = _versions({one.versions.get(name) for one in old})
        after = _versions({one.versions.get(name) for one in new})
        if before and after and before != after:
            found.append(_without_shared_build(name, before, after))
    if found:
        return found
    before, after = _versions({one.commit for one in old}), _versions({one.commit for one in new})
    return [("commit", before, after)] if before and after and before != after else []


def _versions(values: set[str | None]) -> str:
    return ", ".join(sorted(value for value in values if value is not None))


def _without_shared_build(name: str, before: str, after: str) -> tuple[str, str, str]:
    """Leave out `+cu130` where both have it."""
    (old, _, old_build), (new, _, new_build) = before.partition("+"), after.partition("+")
    return (name, old, new) if old_build == new_build and old != new else (name, before, after)
