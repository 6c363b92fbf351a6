"""Whether anything regressed, in words: benchmarks and full trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.report.answers import MAX_NAMED, Answer
from perfsuite.analysis.verdicts.metric_verdict import percent
from perfsuite.analysis.verdicts.ranking import ranked, ranked_trainings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeVar

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict, Verdict
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict

    Judged = TypeVar("Judged", bound=BenchmarkVerdict | TrainingVerdict)


def regressions_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen, where there is a baseline."""
    comparison = figure_data.comparison
    if comparison is None:
        return None
    benchmarks, trainings = ranked(comparison), ranked_trainings(comparison.trainings)
    lines = [f"{_name(benchmark)}: {benchmark.time.reason}" for benchmark in _of(benchmarks, "failed")[:MAX_NAMED]]
    lines += [f"{training.cell.label}: {training.reason}" for training in _of(trainings, "failed")[:MAX_NAMED]]
    for benchmark in _of(benchmarks, "regressed")[:MAX_NAMED]:
        lines += _benchmark_lines(benchmark)
    for training in _of(trainings, "regressed")[:MAX_NAMED]:
        lines += _training_lines(training)
    missing = [benchmark.fullname.rsplit("::", 1)[-1] for benchmark in _of(benchmarks, "missing")]
    missing += [training.cell.label for training in _of(trainings, "missing")]
    if missing:
        lines.append(f"missing in the candidate: {_first_names(missing)}")
    lines.append(", ".join(f"{num} {verdict}" for verdict, num in comparison.count().items()))
    lead, tone = _lead(comparison)
    return Answer(question="Did anything regress?", lead=lead, lines=tuple(lines), tone=tone, target="verdicts")


def _first_names(names: Sequence[str]) -> str:
    words = ", ".join(names[:MAX_NAMED])
    return words if len(names) <= MAX_NAMED else f"{words} and {len(names) - MAX_NAMED} more"


def _of(judged: Sequence[Judged], verdict: Verdict) -> list[Judged]:
    return [one for one in judged if one.verdict == verdict]


def _name(benchmark: BenchmarkVerdict) -> str:
    return benchmark.fullname.rsplit("::", 1)[-1] if benchmark.workload is None else benchmark.workload.label


def _benchmark_lines(benchmark: BenchmarkVerdict) -> list[str]:
    name = _name(benchmark)
    if benchmark.time.by_tail:
        return [f"{name}: {benchmark.time.reason}", *_memory_lines(name, benchmark.memory)]
    return [*_time_lines(name, benchmark.time, "time"), *_memory_lines(name, benchmark.memory)]


def _training_lines(training: TrainingVerdict) -> list[str]:
    name, accuracy = training.cell.label, training.accuracy
    lines = []
    if accuracy.verdict == "regressed":
        numbers = (accuracy.change, accuracy.change_low, accuracy.change_high)
        change, low, high = (f"{100 * (number or 0.0):+.2f}" for number in numbers)
        lines.append(f"{name}: {change} [{low}, {high}] points of test accuracy")
    return [*lines, *_time_lines(name, training.time, "training time"), *_memory_lines(name, training.memory)]


def _time_lines(name: str, time: MetricVerdict, what: str) -> list[str]:
    if time.verdict != "regressed" or not (time.ratio and time.ratio_low and time.ratio_high):
        return []
    return [f"{name}: {percent(time.ratio)} [{percent(time.ratio_low)}, {percent(time.ratio_high)}] {what}"]


def _memory_lines(name: str, memory: MetricVerdict | None) -> list[str]:
    return [f"{name}: peak memory {memory.reason}"] if memory is not None and memory.verdict == "regressed" else []


def _lead(comparison: Comparison) -> tuple[str, str]:
    """Return the answer in a few words, and how it is shown."""
    counts = comparison.count()
    if "failed" in counts:
        failed = f"{_shares(comparison, 'failed')} failed"
        also = f", {_shares(comparison, 'regressed')} regressed" if "regressed" in counts else ""
        return f"Yes: {failed}{also}", "bad"
    if "regressed" in counts:
        return f"Yes: {_shares(comparison, 'regressed')}", "bad"
    return _lead_without_regressions(comparison)


def _lead_without_regressions(comparison: Comparison) -> tuple[str, str]:
    counts = comparison.count()
    if "incomparable" in counts:
        return "Cannot be said: the machines are not the same", "unsure"
    if comparison.why_not_judged is not None:
        return f"Cannot be said: {_what(comparison)} could be judged", "unsure"
    if "missing" in counts:
        return f"Missing: {_shares(comparison, 'missing')}", "bad"
    if "inconclusive" in counts:
        return f"None shown, but {_shares(comparison, 'inconclusive')} could not be judged", "unsure"
    return "No", "good"


def _shares(comparison: Comparison, verdict: Verdict) -> str:
    """Return how many of each kind have a verdict: `1 of 12 benchmarks, 1 of 4 full trainings`."""
    kinds: dict[str, Sequence[BenchmarkVerdict | TrainingVerdict]] = {
        "benchmarks": comparison.benchmarks,
        "full trainings": comparison.trainings.verdicts,
    }
    shares = []
    for kind, judged in kinds.items():
        num = len(_of(judged, verdict))
        if num:
            shares.append(f"{num} of {len(judged)} {kind}")
    return ", ".join(shares)


def _what(comparison: Comparison) -> str:
    return "not one benchmark" if comparison.benchmarks else "not one full training"
