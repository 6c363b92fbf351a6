"""The numbers behind one verdict, in words."""

from __future__ import annotations

import difflib
import math
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import stdtr

from perfsuite.analysis.circumstances import changed_kernels
from perfsuite.analysis.estimate import MIN_POOLED, SLOW, TYPICAL
from perfsuite.analysis.regression import TAIL_EFFECT_FACTOR, TAIL_SHARE
from perfsuite.analysis.tables import printable
from perfsuite.errors import InvalidChoiceError
from perfsuite.metrics import MIB_BYTES, duration

if TYPE_CHECKING:
    from perfsuite.analysis.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.regression import Judgement


def find_benchmark(comparison: Comparison, name: str) -> int:
    """Return the row of a benchmark by its full name, its label, or any part of either that only one has.

    Raises:
        InvalidChoiceError: None has it, or several.
    """
    names = [_names(benchmark) for benchmark in comparison.benchmarks]
    rows = [row for row, candidates in enumerate(names) if name in candidates]
    rows = rows or [row for row, candidates in enumerate(names) if any(name in candidate for candidate in candidates)]
    if len(rows) == 1:
        return rows[0]
    if rows:
        some = ", ".join(comparison.benchmarks[row].fullname for row in rows[:3])
        raise InvalidChoiceError(f"--explain: {name[:100]!r} is part of {len(rows)} names; say more: {some[:300]}")
    near = difflib.get_close_matches(name, [candidates[0] for candidates in names], n=3, cutoff=0.3)
    hint = f"; the nearest: {', '.join(near)[:300]}" if near else ""
    raise InvalidChoiceError(f"--explain: no benchmark is called {name[:100]!r}{hint}")


def _names(benchmark: BenchmarkVerdict) -> tuple[str, ...]:
    return (benchmark.fullname, *(() if benchmark.workload is None else (benchmark.workload.label,)))


def explain(comparison: Comparison, row: int) -> str:
    """Return why a benchmark has its verdict, step by step."""
    benchmark = comparison.benchmarks[row]
    lines = [f"{benchmark.fullname}: {benchmark.verdict}", f"  time: {benchmark.time.verdict}: {benchmark.time.reason}"]
    if benchmark.memory is not None:
        lines.append(f"  peak memory: {benchmark.memory.verdict}: {benchmark.memory.reason}")
    lines += ["", "What each process measured, in the order in which they ran", *_processes(comparison, row)]
    if comparison.typical is not None and comparison.typical.judged[row] and comparison.slowest is not None:
        lines += ["", "How the verdict on time came about", *_steps(comparison, row, comparison.typical)]
        lines += ["", f"The slowest tenth of the rounds (quantile {SLOW:.0%}), tested by itself"]
        lines += _tail(comparison, row, comparison.slowest)
    kernels = changed_kernels(comparison.sides, row)
    if kernels:
        lines += ["", "What became of the kernels of a pass, profiled apart from the rounds", *kernels]
    lines += ["", *(f"note: {note}" for note in comparison.notes)]
    return "\n".join(printable(line) for line in lines).rstrip() + "\n"


def _processes(comparison: Comparison, row: int) -> list[str]:
    sides = comparison.sides
    lines = []
    for column in np.argsort(sides.order, kind="stable"):
        process = sides.processes[column]
        typical, slow = sides.logs[TYPICAL][row, column], sides.logs[SLOW][row, column]
        side = "candidate" if sides.is_candidate[column] else "baseline "
        if not math.isfinite(typical):
            lines.append(f"  {side}  not measured          {process.path}")
            continue
        text = f"  {side}  median {duration(math.exp(typical)):>9}"
        text += f"  90% {duration(math.exp(slow)):>9}" if math.isfinite(slow) else ""
        peak = sides.peak_bytes[row, column]
        text += f"  peak {peak / MIB_BYTES:,.1f} MiB" if math.isfinite(peak) else ""
        lines.append(f"{text}  {process.path}")
    return lines


def _steps(comparison: Comparison, row: int, judged: Judgement) -> list[str]:
    benchmark, estimate = comparison.benchmarks[row], judged.estimate
    change, error, dof = float(judged.change[row]), float(judged.se[row]), float(estimate.dof[row])
    margin = float(judged.threshold[row]) - math.log1p(benchmark.min_effect)
    statistic = (abs(change) - margin) / error
    alone = float(stdtr(dof, -statistic))
    adjusted = float(min(judged.p_slower[row], judged.p_faster[row]))
    num_judged = int(judged.judged.sum())
    allowed = float(judged.levels[row])
    reached = abs(change) >= float(judged.threshold[row])
    what = "median" if estimate.quantile == TYPICAL else f"{estimate.quantile:.0%} quantile"
    trimmed = ", the slowest process of either side left out" if estimate.num_trimmed else ""
    lines = [f"  1. A process counts as the {what} of its rounds{trimmed}."]
    if estimate.common_removed:
        offsets = [f"{100 * offset:+.1f}" for offset in estimate.offsets[np.argsort(comparison.sides.order)]]
        lines.append(f"  2. What all benchmarks of a process share is taken out, in %: {' '.join(offsets)}.")
    else:
        lines.append("  2. The benchmarks of a process share nothing that is worth taking out.")
    if len(estimate.own) >= MIN_POOLED and math.isfinite(estimate.common_se):
        real = "beyond chance" if estimate.common_is_real else "may be chance"
        counted = "it counts" if judged.interleaved and estimate.common_is_real else "it does not count"
        lines.append(f"     The sides differ in it by {_signed(estimate.common)} ({real}): {counted} in this change.")
    scatter = f"Processes of one side scatter by {_size(estimate.own_spread[row])} in this benchmark"
    lent = f"{_size(estimate.spread[row])} after the other benchmarks lent {estimate.lent_dof:.0f} degrees of freedom"
    lines.append(f"  3. {scatter}, {lent}.")
    test = f"t = {statistic:.2f} with {dof:.0f} degrees of freedom, p = {alone:.2g}"
    holm = f"Holm-adjusted over {num_judged} benchmarks {adjusted:.2g}"
    limit = f"{'at most' if adjusted <= allowed else 'above'} the allowed {allowed:.3g}"
    lines.append(f"  4. The change is {_signed(change)}, its standard error {_size(error)}: {test}; {holm}, {limit}.")
    because = f" ({_size(margin)} of that because the sides ran one after the other)" if margin > 0 else ""
    threshold = _size(float(judged.threshold[row]))
    lines.append(f"  5. It must reach {threshold}{because}: {'it does' if reached else 'it does not'}.")
    lines.append(f"  6. A slowdown of {math.expm1(judged.mde95[row]):.1%} would have been shown 95 times of 100.")
    return lines


def _tail(comparison: Comparison, row: int, slowest: Judgement) -> list[str]:
    if not slowest.judged[row]:
        return ["  not known: the files have no raw rounds"]
    effect = TAIL_EFFECT_FACTOR * comparison.benchmarks[row].min_effect
    verdict = "regressed" if slowest.regressed[row] else "no regression"
    allowed = f"allowed {comparison.alpha * TAIL_SHARE:.3g}"
    change = f"{_signed(float(slowest.change[row]))}, Holm-adjusted p = {slowest.p_slower[row]:.2g} ({allowed})"
    return [f"  {change}, must reach {effect:.1%}: {verdict}"]


def _signed(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):+.2f}%"


def _size(log_ratio: float) -> str:
    return f"{100 * math.expm1(log_ratio):.2f}%"
