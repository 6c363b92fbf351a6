"""Full trainings of both sides -> a verdict per cell: accuracy, training time, peak memory, likely causes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.frames.training_cells import (
    accuracy_change,
    has_same_weights,
    join_trainings,
    mean_accuracy,
    training_times,
)
from perfsuite.analysis.frames.training_words import ACCURACY_MARGIN, points
from perfsuite.analysis.statistics.accuracy import MAX_NUM_SEEDS, SEED_SD, AccuracyChange, decide_accuracy
from perfsuite.analysis.statistics.decision import Decision, decide
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.tail import decide_tail
from perfsuite.analysis.verdicts.attempts import verdict_without_times, with_failures
from perfsuite.analysis.verdicts.machine_difference import training_machines_differ
from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict, memory_verdict, time_verdict
from perfsuite.analysis.verdicts.outcomes import attempts_of_cell
from perfsuite.analysis.verdicts.training_causes import likely_causes, missed_targets
from perfsuite.analysis.verdicts.verdict import WORST_FIRST, Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from perfsuite.analysis.frames.training_cells import TrainingCell, TrainingTimes
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.statistics.accuracy import AccuracyDecision
    from perfsuite.analysis.statistics.effect import Floats
    from perfsuite.analysis.verdicts.attempts import Attempts
    from perfsuite.records.outcome import Outcome


TIME_SHARE = 0.2
"""Of alpha, for training times; the rest is for accuracies."""

SAME_TRAINING = "both sides have the same training, one of them as a replay: train again (--perf-restart), or elsewhere"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccuracyVerdict:
    """The verdict on the test accuracy of one cell; accuracies and their differences are ratios.

    Attributes:
        verdict: `unchanged` says that a loss of the margin or more is excluded.
        reason: For it, in words.
        baseline: Mean over seeds, or None where a side has none.
        candidate: The same.
        change: Candidate minus baseline: of the pairs of seeds where they are paired, else of the means.
        change_low: Lower end of its 95% interval.
        change_high: Upper end.
        lower_bound: One-sided 95% lower bound.
        p_value: Of no change, two-sided, adjusted for all cells.
        p_inferior: Of a loss of the margin or more, one-sided, adjusted for all cells.
        detectable: The true loss that is found with a probability of 95%.
        num_seeds_needed: Per side, to show that the candidate is not worse, if it is not; None where it is decided or
            more than 50 are needed.
        details: What the change rests on.
    """

    verdict: Verdict
    reason: str
    baseline: float | None = None
    candidate: float | None = None
    change: float | None = None
    change_low: float | None = None
    change_high: float | None = None
    lower_bound: float | None = None
    p_value: float | None = None
    p_inferior: float | None = None
    detectable: float | None = None
    num_seeds_needed: int | None = None
    details: AccuracyChange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingVerdict:
    """The verdicts on one cell of full trainings.

    Attributes:
        cell: What was compared.
        verdict: The worst of its metrics'; time that could not be judged is none of them.
        reason: For it, in words.
        accuracy: On its test accuracy.
        time: On its training time.
        memory: On the peak memory of its steps, or None where it is unknown.
        min_effect: What counts as a change of time, as a ratio minus 1.
        causes: What else differs and may be the cause, in words.
        num_failed: Trainings of the baseline and of the candidate that recorded that they failed.
    """

    cell: TrainingCell
    verdict: Verdict
    reason: str
    accuracy: AccuracyVerdict
    time: MetricVerdict
    memory: MetricVerdict | None
    min_effect: float
    causes: tuple[str, ...] = ()
    num_failed: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingComparison:
    """The full trainings of a comparison, judged.

    Attributes:
        verdicts: One per cell.
        margin: The smallest loss of accuracy that counts, as a ratio.
        seed_sd: Standard deviation between seeds that was assumed, as a ratio of all test images.
        times: What was decided on training times; None where nothing was compared.
        notes: What a reader should know, in words.
    """

    verdicts: tuple[TrainingVerdict, ...] = ()
    margin: float = ACCURACY_MARGIN
    seed_sd: float = SEED_SD
    times: Decision | None = None
    notes: tuple[str, ...] = ()


def compare_trainings(
    baseline: Sequence[FullTraining],
    candidate: Sequence[FullTraining],
    *,
    min_effect: Callable[[str], float],
    margin: float,
    alpha: float,
    ignore_host: bool,
    outcomes: tuple[Sequence[Outcome], Sequence[Outcome]] = ((), ()),
) -> TrainingComparison:
    """Judge every cell of full trainings.

    Args:
        baseline: Of all files of the baseline.
        candidate: Of all files of the candidate.
        min_effect: Gives what counts as a change of time by pytest's name, as a ratio minus 1.
        margin: The smallest loss of accuracy that counts, as a ratio.
        alpha: Chance of any false verdict among all cells.
        ignore_host: Whether machines of other host names count as the same.
        outcomes: Of trainings that gave no result, of the baseline, and of the candidate.
    """
    cells = join_trainings(baseline, candidate)
    if not cells:
        return TrainingComparison(margin=margin)
    # By the place of a cell: what is compared, and what is not and why.
    verdicts: dict[int, TrainingVerdict] = {}
    compared: list[int] = []
    for place, cell in enumerate(cells):
        differing = training_machines_differ([*cell.baseline, *cell.candidate], ignore_host=ignore_host)
        if cell.baseline and cell.candidate and differing is None:
            compared.append(place)
        else:
            attempts = attempts_of_cell(cell, outcomes)
            verdicts[place] = _not_compared(cell, differing, min_effect(cell.fullname), attempts)
    notes = _version_notes(baseline, candidate)
    if not compared:
        return TrainingComparison(verdicts=tuple(verdicts.values()), margin=margin, notes=notes)
    both = [cells[place] for place in compared]
    changes = [accuracy_change(cell) for cell in both]
    accuracy = decide_accuracy(changes, margin=margin, alpha=alpha * (1 - TIME_SHARE))
    effects = np.array([min_effect(cell.fullname) for cell in both], dtype=float)
    times = training_times(both)
    time = _decide_times(times, effects, alpha * TIME_SHARE)
    for row, place in enumerate(compared):
        on_accuracy = _accuracy_verdict(both[row], row, changes[row], accuracy, margin)
        judged = _judged(both[row], row, on_accuracy, time, times, effects[row])
        verdicts[place] = _with_outcomes(judged, attempts_of_cell(both[row], outcomes))
    in_order = tuple(verdicts[place] for place in range(len(cells)))
    return TrainingComparison(
        verdicts=in_order,
        margin=margin,
        seed_sd=accuracy.seed_sd,
        times=time,
        notes=(*_notes(in_order, accuracy), *notes),
    )


def _with_outcomes(found: TrainingVerdict, attempts: tuple[Attempts, Attempts]) -> TrainingVerdict:
    """Add to a verdict on what was trained to the end what is recorded of the trainings that were not."""
    verdict, reason = with_failures(found.verdict, found.reason, *attempts)
    num_failed = (attempts[0].num_failed, attempts[1].num_failed)
    return dataclasses.replace(found, verdict=verdict, reason=reason, num_failed=num_failed)


def _not_compared(
    cell: TrainingCell, differing: str | None, effect: float, attempts: tuple[Attempts, Attempts]
) -> TrainingVerdict:
    verdict: Verdict
    if cell.is_same_training:
        verdict, reason = with_failures("inconclusive", SAME_TRAINING, *attempts)
    elif not cell.candidate or not cell.baseline:
        verdict, reason = verdict_without_times(*attempts)
    else:
        verdict, reason = with_failures("incomparable", str(differing), *attempts)
    accuracy = AccuracyVerdict(
        verdict=verdict,
        reason=reason,
        baseline=mean_accuracy(cell, candidate=False),
        candidate=mean_accuracy(cell, candidate=True),
    )
    time = MetricVerdict(verdict=verdict, reason=reason)
    return TrainingVerdict(
        cell=cell,
        verdict=verdict,
        reason=reason,
        accuracy=accuracy,
        time=time,
        memory=None,
        min_effect=effect,
        num_failed=(attempts[0].num_failed, attempts[1].num_failed),
    )


def _accuracy_verdict(
    cell: TrainingCell, row: int, change: AccuracyChange, found: AccuracyDecision, margin: float
) -> AccuracyVerdict:
    size = f"{100 * change.change:+.2f} points"
    within = points(margin)
    needed = found.num_seeds_needed[row]
    num_seeds_needed: int | None = None
    verdict: Verdict
    if has_same_weights(cell):
        verdict, reason = "unchanged", "the same weights, bit for bit"
    elif found.regressed[row]:
        verdict, reason = "regressed", f"accuracy {size}, significant"
    elif found.improved[row]:
        verdict, reason = "improved", f"accuracy {size}, significant"
    elif found.non_inferior[row]:
        verdict, reason = "unchanged", f"accuracy no worse (within {within})"
    else:
        needed = max(needed, max(change.num_baseline, change.num_candidate) + 1)
        num_seeds_needed = int(needed) if needed <= MAX_NUM_SEEDS else None
        seeds = f"needs {num_seeds_needed} seeds" if num_seeds_needed else f"more than {MAX_NUM_SEEDS} seeds needed"
        verdict, reason = "inconclusive", f"accuracy: a loss of {within} is not excluded, {seeds} a side"
    return AccuracyVerdict(
        verdict=verdict,
        reason=reason,
        baseline=mean_accuracy(cell, candidate=False),
        candidate=mean_accuracy(cell, candidate=True),
        change=change.change,
        change_low=float(found.low[row]),
        change_high=float(found.high[row]),
        lower_bound=float(found.bound[row]),
        p_value=float(found.p_value[row]),
        p_inferior=float(found.p_inferior[row]),
        detectable=float(found.detectable[row]),
        num_seeds_needed=num_seeds_needed,
        details=change,
    )


def _decide_times(times: TrainingTimes, effects: Floats, alpha: float) -> Decision:
    """Decide on training times as on those of steps: a process is a sample, and the order of the processes counts."""
    return decide({TYPICAL: times.logs}, times.is_candidate, times.order, min_effect=np.log1p(effects), alpha=alpha)


def _judged(
    cell: TrainingCell,
    row: int,
    accuracy: AccuracyVerdict,
    decision: Decision,
    times: TrainingTimes,
    effect: float,
) -> TrainingVerdict:
    known = np.isfinite(times.logs[row])
    num = int((known & ~times.is_candidate).sum()), int((known & times.is_candidate).sum())
    no_rounds = np.full_like(times.logs, np.nan)
    tail = decide_tail(no_rounds, times.is_candidate, times.order, min_effect=np.zeros(len(no_rounds)), alpha=1.0)
    time = time_verdict(row, decision, tail, effect, num)
    peaks = times.peak_bytes[row]
    has_baseline = bool(np.isfinite(peaks[known & ~times.is_candidate]).all())  # not so before schema version 4
    memory = memory_verdict(peaks, times.is_candidate, known if has_baseline else None)
    metrics = [(accuracy.verdict, accuracy.reason)]
    is_time_judged = bool(decision.judged[row]) and decision.interleaved
    if is_time_judged:
        metrics.append((time.verdict, f"training time: {time.reason}"))
    if memory is not None:
        metrics.append((memory.verdict, f"peak memory: {memory.reason}"))
    verdict = min((one for one, _ in metrics), key=WORST_FIRST.index)
    causes = () if verdict == "unchanged" else likely_causes(cell, accuracy, time)
    reasons = [text for one, text in metrics if one == verdict]
    missed = missed_targets(cell)
    if missed is not None:
        reasons.append(missed)
    return TrainingVerdict(
        cell=cell,
        verdict=verdict,
        reason="; ".join([*reasons, *causes]),
        accuracy=accuracy,
        time=time if is_time_judged else dataclasses.replace(time, verdict="inconclusive"),
        memory=memory,
        min_effect=effect,
        causes=causes,
    )


def _notes(verdicts: Sequence[TrainingVerdict], accuracy: AccuracyDecision) -> list[str]:
    changes = [one.accuracy.details for one in verdicts if one.accuracy.details is not None]
    notes = []
    deviation = f"{100 * accuracy.seed_sd:.2g} points"
    if all(one.dof == 0 for one in changes):
        notes.append(
            f"one seed a side: a standard deviation of {deviation} between seeds is assumed, not measured; where it is "
            "larger, false verdicts are more frequent than alpha: --perf-seeds 3"
        )
    elif accuracy.seed_sd > SEED_SD:
        notes.append(f"seeds scatter by {deviation} beyond what the test images explain; {100 * SEED_SD:g} are assumed")
    if any(not one.is_paired for one in changes):
        notes.append("the sides have different seeds or splits: accuracies are compared unpaired, which is less sharp")
    return notes


def _version_notes(baseline: Sequence[FullTraining], candidate: Sequence[FullTraining]) -> tuple[str, ...]:
    notes = []
    for column in ("torch", "torchvision", "cuda", "cudnn", "driver"):
        old, new = _versions(baseline, column), _versions(candidate, column)
        if old and new and old != new:
            notes.append(f"{column} of the trainings differs: {old} -> {new}")
    return tuple(notes)


def _versions(side: Sequence[FullTraining], column: str) -> str:
    found = {one.environment[column] for one in side}
    return ", ".join(sorted(str(version) for version in found if version is not None))
