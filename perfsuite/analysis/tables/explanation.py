"""The numbers behind one verdict, in words."""

from __future__ import annotations

import difflib
import fnmatch
import math
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.analysis.frames.change_text import percent_text
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.evidence import MIN_AGREEING_RATIO
from perfsuite.analysis.statistics.tail import TAIL_EFFECT_FACTOR, TAIL_FRACTION
from perfsuite.analysis.tables.scaling_changes import scaling_changes_table
from perfsuite.analysis.verdicts.causes import changed_kernels
from perfsuite.analysis.verdicts.scaling_changes import scaling_changes
from perfsuite.errors import InvalidChoiceError
from perfsuite.formatting import MIB_BYTES, duration, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.training_cells import TrainingCell
    from perfsuite.analysis.statistics.decision import Decision
    from perfsuite.analysis.statistics.tail import TailDecision
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict


MAX_SHOWN_DOF = 1000
"""More degrees of freedom than this are as good as a known variance, and a number says nothing."""


def find_explained(comparison: Comparison, name: str) -> int | TrainingVerdict:
    """Return the row of a benchmark, or a full training, by its name, its label, or a part or pattern of one alone.

    Raises:
        InvalidChoiceError: None has it, or several.
    """
    trainings = comparison.trainings.verdicts
    names = [
        *(_names(benchmark) for benchmark in comparison.benchmarks),
        *(_names_of_cell(training.cell) for training in trainings),
    ]
    rows = _matching(names, name)
    num_benchmarks = len(comparison.benchmarks)
    if len(rows) == 1:
        return rows[0] if rows[0] < num_benchmarks else trainings[rows[0] - num_benchmarks]
    if rows:
        some = ", ".join(names[row][0] for row in rows[:3])
        raise InvalidChoiceError(
            f"--explain: {name[:100]!r} matches {len(rows)} benchmarks; be more specific: {some[:300]}"
        )
    near = difflib.get_close_matches(name, [candidates[0] for candidates in names], n=3, cutoff=0.3)
    hint = f"; the nearest: {', '.join(near)[:300]}" if near else ""
    raise InvalidChoiceError(f"--explain: no benchmark and no full training is called {name[:100]!r}{hint}")


def _matching(names: Sequence[Sequence[str]], wanted: str) -> list[int]:
    """Return the rows that are called so; where there are none, those that match the pattern, or have it as a part."""
    whole = [row for row, candidates in enumerate(names) if wanted in candidates]
    if whole:
        return whole
    if "*" in wanted:
        return [row for row, candidates in enumerate(names) if fnmatch.filter(candidates, wanted)]
    return [row for row, candidates in enumerate(names) if any(wanted in candidate for candidate in candidates)]


def _names(benchmark: BenchmarkVerdict) -> tuple[str, ...]:
    if benchmark.workload is None:
        return (benchmark.fullname,)
    return (benchmark.fullname, benchmark.workload.label)


def _names_of_cell(cell: TrainingCell) -> tuple[str, ...]:
    """Return all names of a cell of trainings: its label, and the names of the trainings of every seed."""
    members = (*cell.baseline, *cell.candidate)
    names = (name for training in members for name in (training.fullname, training.name))
    return tuple(dict.fromkeys((cell.fullname, cell.label, *names)))


def explain(comparison: Comparison, row: int) -> str:
    """Return why a benchmark has its verdict, step by step."""
    benchmark = comparison.benchmarks[row]
    lines = [f"{benchmark.fullname}: {benchmark.verdict}", f"  time: {benchmark.time.verdict}: {benchmark.time.reason}"]
    if benchmark.memory is not None:
        lines.append(f"  peak memory: {benchmark.memory.verdict}: {benchmark.memory.reason}")
    lines += ["", "What each process measured, in the order in which they ran", *_processes(comparison, row)]
    if comparison.typical is not None and comparison.typical.judged[row] and comparison.tail is not None:
        lines += ["", "How the verdict on time was reached", *_steps(comparison, row, comparison.typical)]
        lines += ["", f"The slowest {TAIL_FRACTION:.0%} of the rounds (their mean), tested separately"]
        lines += _tail(comparison, row, comparison.tail)
    lines += _efficiency(comparison, benchmark)
    kernels = changed_kernels(comparison.sides, row)
    if kernels:
        lines += ["", "Kernels of an iteration, profiled separately from the rounds", *kernels]
    lines += ["", *(f"note: {note}" for note in comparison.notes)]
    return "\n".join(printable(line) for line in lines).rstrip() + "\n"


def _efficiency(comparison: Comparison, benchmark: BenchmarkVerdict) -> list[str]:
    """Return what became of the efficiency of several devices; nothing of a step of one."""
    lines = []
    for change in scaling_changes(comparison, [benchmark]):
        row = scaling_changes_table([change])
        texts = [f"{column.heading} {column.show(one)}" for one in row.rows() for column in row.columns[1:]]
        lines += ["", "Efficiency, on which no verdict rests", f"  {'; '.join(texts)}"]
    return lines


def _processes(comparison: Comparison, row: int) -> list[str]:
    sides = comparison.sides
    quantile = TYPICAL if comparison.typical is None else comparison.typical.quantile
    what = "median" if quantile == TYPICAL else f"{quantile:.0%} quantile"
    lines = []
    for column in np.argsort(sides.order, kind="stable"):
        process = sides.processes[column]
        typical, slow = sides.logs[quantile][row, column], sides.slowest[row, column]
        side = "candidate" if sides.is_candidate[column] else "baseline "
        if not math.isfinite(typical):
            lines.append(f"  {side}  not measured  {process.path}")
            continue
        text = f"  {side}  {what} {duration(math.exp(typical)):>9}"
        if math.isfinite(slow):
            text += f"  slowest {TAIL_FRACTION:.0%} {duration(math.exp(slow)):>9}"
        peak = sides.peak_bytes[row, column]
        if math.isfinite(peak):
            text += f"  peak {peak / MIB_BYTES:,.1f} MiB"
        lines.append(f"{text}  {process.path}")
    return lines


def _steps(comparison: Comparison, row: int, typical: Decision) -> list[str]:
    benchmark, effect = comparison.benchmarks[row], typical.effect
    num_judged = int(typical.judged.sum())
    least = math.log1p(benchmark.min_effect)
    change = float(effect.change[row])
    what = "median" if typical.quantile == TYPICAL else f"{typical.quantile:.0%} quantile"
    left_out = ", the slowest process of either side left out" if effect.num_left_out else ""
    interval = f"95% interval {percent_text(math.exp(typical.low[row]))} to {percent_text(math.exp(typical.high[row]))}"
    raw, shrunk = _size(effect.raw_sd[row]), _size(effect.sd[row])
    prior = "unlimited" if effect.prior_dof > MAX_SHOWN_DOF else f"{effect.prior_dof:.0f}"
    reached = "it does" if abs(change) >= least else "it does not"
    second = (
        f"  2. Processes of one side differ by {raw} (standard deviation), {shrunk} after shrinking towards the other "
        f"benchmarks (prior degrees of freedom: {prior})."
    )
    lines = [
        f"  1. A process is represented by the {what} of its rounds{left_out}.",
        second,
        f"  3. The change as measured is {_signed(change)}, {interval}, with {effect.dof[row]:.0f} degrees of freedom.",
        f"  4. It must reach the minimum effect of {100 * benchmark.min_effect:.3g}%: {reached}.",
    ]
    if typical.interleaved:
        p_value = float(typical.p_value[row])
        lines.append(
            f"  5. By itself: p = {p_value:.2g}, Holm-adjusted for {num_judged} benchmarks; "
            f"{_against(p_value, typical.alpha)}."
        )
    else:
        lines.append(
            "  5. By itself it shows nothing: the sides ran one after the other, and the machine may have changed."
        )
    lines.append(f"  6. {_compared_with_others(row, typical)}")
    detectable = float(typical.detectable[row])
    if math.isfinite(detectable):
        lines.append(f"  7. A slowdown of {math.expm1(detectable):.1%} would be found with a probability of 95%.")
    else:
        lines.append("  7. In this order no slowdown would be found.")
    return lines


def _compared_with_others(row: int, typical: Decision) -> str:
    common, relative = typical.common, typical.relative
    if common is None:
        return "There are too few benchmarks to compare it with the others."
    p_value = f"p = {common.p_value:.2g}"
    agree = f"{typical.agreeing_ratio:.0%} of the benchmarks are close to their common-mode shift"
    shift = f"which is {_signed(common.change)} ({p_value})"
    if relative is not None:
        margin = (
            f", beyond {_size(relative.margin)} because the sides ran one after the other" if relative.margin else ""
        )
        interval = f"{percent_text(math.exp(relative.low[row]))} to {percent_text(math.exp(relative.high[row]))}"
        verdict = _against(relative.p_value[row], relative.alpha)
        return (
            f"{agree}, {shift}. Relative to the others: {_signed(float(relative.change[row]))}, 95% interval {interval}"
            f"{margin}; p = {relative.p_value[row]:.2g}, {verdict}."
        )
    if typical.moved_together:
        return f"{agree}, {shift}: statistically significant, so these changed together."
    if typical.agreeing_ratio < MIN_AGREEING_RATIO:
        return f"{agree}; at least {MIN_AGREEING_RATIO:.0%} must, for the others to say anything about this one."
    return f"{agree}, {shift}: neither clearly chance nor statistically significant, so it is not taken out."


def _against(p_value: float, alpha: float) -> str:
    return f"{'at most' if p_value <= alpha else 'above'} the allowed {alpha:.3g}"


def _tail(comparison: Comparison, row: int, tail: TailDecision) -> list[str]:
    if not tail.judged[row]:
        return ["  not known: the files have no raw rounds, or numbers of rounds that differ too much"]
    effect = TAIL_EFFECT_FACTOR * comparison.benchmarks[row].min_effect
    verdict = "regressed" if tail.regressed[row] else "no regression"
    interval = f"95% interval {percent_text(math.exp(tail.low[row]))} to {percent_text(math.exp(tail.high[row]))}"
    change = f"{_signed(float(tail.change[row]))}, {interval}"
    against = _against(float(tail.p_value[row]), tail.alpha)
    return [f"  {change}, p = {tail.p_value[row]:.2g}, {against}; must reach {100 * effect:.3g}%: {verdict}"]


def _signed(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.2f}%"


def _size(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):.2f}%"
