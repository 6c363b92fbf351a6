"""A comparison as a table for people, and as JSON for programs."""

from __future__ import annotations

import dataclasses
from collections import Counter
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import row_change_text
from perfsuite.analysis.frames.group_means import group_label
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.significance import MIN_PROCESSES
from perfsuite.analysis.tables.pull_request import HEAD_ROWS, SHORT_ROWS, render_comments
from perfsuite.analysis.tables.scaling_changes import TITLE as EFFICIENCIES
from perfsuite.analysis.tables.scaling_changes import scaling_changes_table
from perfsuite.analysis.tables.table import Column, Priority, Table, shown
from perfsuite.analysis.tables.training_verdicts import shown_num, shown_peaks, shown_times, trainings_table
from perfsuite.analysis.verdicts.groups import comparison_groups
from perfsuite.analysis.verdicts.metric_verdict import metric_columns
from perfsuite.analysis.verdicts.row_choice import (
    ALL_ROWS,
    chosen_benchmarks,
    chosen_trainings,
    shown_note,
)
from perfsuite.analysis.verdicts.scaling_changes import scaling_changes
from perfsuite.analysis.verdicts.training_rows import training_row
from perfsuite.analysis.verdicts.trust import trust_line
from perfsuite.analysis.verdicts.verdict_words import STYLES, counts_in_words, shown_verdict
from perfsuite.formatting import plural
from perfsuite.records.spread_workload import SpreadWorkload

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.group_means import GroupMean
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.row_choice import RowChoice
    from perfsuite.analysis.verdicts.verdict import Verdict


def comparison_table(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> Table:
    """Return the comparison as a table, the worst verdicts and the largest changes first.

    Args:
        comparison: What was decided.
        choice: Which rows are shown, and in which order.
    """
    labels = _labels(comparison.benchmarks)
    rows = [_row(benchmark, labels[id(benchmark)]) for benchmark in chosen_benchmarks(comparison, choice)]
    memory = any(row["memory_ratio"] is not None for row in rows)
    reasons = {row["reason"] for row in rows}
    shared_reason = reasons.pop() if len(rows) > 1 and len(reasons) == 1 else None
    notes = list(comparison.notes)
    if shared_reason is not None:
        what = "all benchmarks" if len(rows) == len(comparison.benchmarks) else "all that are shown"
        notes.insert(0, f"{what}: {shared_reason}")
    typical = comparison.typical
    judged = typical is not None and bool(typical.judged.any())
    by_others = typical is not None and bool(typical.by_others.any())
    change_heading = "change [95%]" if judged else "change"
    columns = shown(
        Column(heading="verdict", show=shown_verdict, style=lambda row: STYLES[row["verdict"]]),
        Column(heading="benchmark", show=lambda row: row["label"], foldable=True),
        Column(heading="times", show=shown_times, numeric=True),
        Column(
            heading=change_heading,
            show=lambda row: row_change_text(row, "time_ratio"),
            numeric=True,
            priority=Priority.MAIN,
        ),
        Column(heading="n", show=shown_num, numeric=True),
        Column(heading="detectable %", show=_detectable, numeric=True, shown_when=judged, priority=Priority.DETAIL),
        Column(heading="peak memory", show=shown_peaks, numeric=True, shown_when=memory),
        Column(heading="reason", show=lambda row: row["reason"], foldable=True, shown_when=shared_reason is None),
    )
    return Table(
        title=_headline(comparison, by_change=choice.sort in {"verdict", "change"}),
        frame=rows,
        columns=columns if rows else (),
        notes=tuple(notes),
        legend=tuple(_legend(comparison, judged=judged, by_others=by_others)) if rows else (),
    )


MAX_TERMINAL_ROWS = 2000
"""More rows are not read by anybody, and take half a minute to set."""


def first_rows(table: Table) -> Table:
    """Return a table of the most notable rows, with a note if there are more."""
    num_rows = len(table.frame)
    if num_rows <= MAX_TERMINAL_ROWS:
        return table
    note = f"the first {MAX_TERMINAL_ROWS:,} of {num_rows:,} benchmarks are shown; --format csv and json have all"
    return dataclasses.replace(table, frame=table.frame[:MAX_TERMINAL_ROWS], notes=(note, *table.notes))


def _legend(comparison: Comparison, *, judged: bool, by_others: bool) -> list[str]:
    typical = comparison.typical
    if typical is None or all(one.time.ratio is None for one in comparison.benchmarks):
        return []
    statistic = "median" if typical.quantile == TYPICAL else f"{typical.quantile:.0%} quantile"
    what = f"geometric mean over processes of the {statistic} of their rounds"
    interval = " [95% interval]" if judged else ""
    lines = [f"times: baseline -> candidate, {what}; change: of the time{interval}; n: processes a side"]
    if any(isinstance(one.workload, SpreadWorkload) for one in comparison.benchmarks):
        lines.append("of several ranks: the time until the slowest is done, and the peak of the one with the most")
    if judged:
        lines.append("detectable: the smallest slowdown that is found with a probability of 95%")
        lines.append(f"chance of any false verdict in the whole table, slower or faster: {comparison.alpha:.3g}")
    if by_others:
        lines.append("relative to the others: the change beyond what the benchmarks have in common [95%], significant")
    is_open = any(one.verdict == "inconclusive" for one in comparison.benchmarks)
    if judged and typical.interleaved and is_open:
        lines.append("scatter: standard deviation between processes of one side, shrunk towards the other benchmarks")
        lines.append(
            "needs N a side: so many processes give a verdict with a probability of 95%: where the change is within "
            "the minimum effect, if nothing changed; where it is beyond, if it is the true one"
        )
    return lines


def _headline(comparison: Comparison, *, by_change: bool) -> str:
    counts = counts_in_words(one.verdict for one in comparison.benchmarks) or "nothing to compare"
    sides = [len(comparison.sides.side(candidate=candidate)) for candidate in (False, True)]
    seen = any(one.time.ratio is not None for one in comparison.benchmarks)
    if seen and comparison.typical is not None and min(sides) < MIN_PROCESSES:
        order = ", largest changes first" if by_change else ""
        counts = f"too few runs for verdicts{order}: {counts}"
    baseline, candidate = (plural(num, "process") for num in sides)
    return f"{counts}; {candidate} of the candidate against {baseline} of the baseline"


def _labels(benchmarks: Sequence[BenchmarkVerdict]) -> dict[int, str]:
    """Name benchmarks by their workload, else by the part of their name behind the module, where that is unique.

    Returns:
        The names by the `id` of the verdict: two workloads may have one full name.
    """
    counts = Counter(one.short_label for one in benchmarks)
    return {id(one): one.short_label if counts[one.short_label] == 1 else one.fullname for one in benchmarks}


def _row(benchmark: BenchmarkVerdict, label: str) -> dict[str, Any]:
    row: dict[str, Any] = {
        "fullname": benchmark.fullname,
        "label": label,
        "verdict": benchmark.verdict,
        "reason": _reason(benchmark),
        "num_baseline": benchmark.num_baseline,
        "num_candidate": benchmark.num_candidate,
        "num_failed_baseline": benchmark.num_failed[0],
        "num_failed_candidate": benchmark.num_failed[1],
        "min_effect": benchmark.min_effect,
    }
    row |= metric_columns("time", benchmark.time, "s")
    row |= metric_columns("memory", benchmark.memory, "bytes")
    row["time_mde95"] = benchmark.time.mde95
    row["time_p_value"] = benchmark.time.p_value
    for name, other in (("relative", benchmark.time.relative), ("slowest_rounds", benchmark.time.tail)):
        for key in ("ratio", "ratio_low", "ratio_high", "p_value"):
            row[f"time_{name}_{key}"] = None if other is None else getattr(other, key)
    row["num_processes_needed"] = benchmark.time.num_processes_needed
    return row


def _reason(benchmark: BenchmarkVerdict) -> str:
    """Return the reason of the metric that decided; memory is named, time goes without saying."""
    memory = benchmark.memory
    if memory is not None and memory.verdict == benchmark.verdict != benchmark.time.verdict:
        return f"peak memory: {memory.reason}"
    if memory is not None and memory.verdict in {"regressed", "inconclusive"} and memory.verdict == benchmark.verdict:
        return f"{benchmark.time.reason}; peak memory: {memory.reason}"
    return benchmark.time.reason


def _detectable(row: dict[str, Any]) -> str:
    return "n/a" if row["time_mde95"] is None else f"{100 * row['time_mde95']:.1f}"


CHANGED: tuple[Verdict, ...] = ("failed", "regressed", "improved", "missing", "new", "incomparable")


def comparison_tables(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> list[Table]:
    """Return the comparison as tables: of benchmarks, efficiencies, groups, and full trainings, if there are any.

    Args:
        comparison: What was decided.
        choice: Which rows are shown, and in which order.
    """
    trainings = trainings_table(comparison, choice)
    found = []
    if comparison.benchmarks or trainings is None:
        found.append(comparison_table(comparison, choice))
    changes = scaling_changes(comparison, chosen_benchmarks(comparison, choice))
    if changes:
        found.append(scaling_changes_table(changes))
    groups = comparison_groups(comparison)
    if groups:
        found.append(groups_table(groups))
    if trainings is not None:
        if not found:
            trainings = dataclasses.replace(trainings, notes=(*trainings.notes, *comparison.notes))
        found.append(trainings)
    notes = (*shown_note(comparison, choice), trust_line(comparison), *found[0].notes)
    found[0] = dataclasses.replace(found[0], notes=notes)
    return found


def groups_table(groups: Sequence[GroupMean]) -> Table:
    """Return geometric means as a table."""
    rows = [{"label": group_label(one.by, one.value), **one.columns()} for one in groups]
    has_interval = any(row["ratio_level"] is not None for row in rows)
    note = "change: of the time, geometric mean over the benchmarks of a group"
    return Table(
        title="Geometric means of candidate / baseline",
        frame=rows,
        columns=(
            Column(heading="group", show=lambda row: row["label"]),
            Column(heading="benchmarks", show=lambda row: f"{row['num_cells']:,}", numeric=True),
            Column(
                heading="change [95%]" if has_interval else "change",
                show=row_change_text,
                numeric=True,
            ),
        ),
        legend=(f"{note}; [95% interval]: a process, by its mean over them, is one sample" if has_interval else note,),
    )


def comparison_rows(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> Table:
    """Return one table of the rows, `kind` says which is a full training; absent values are None.

    Args:
        comparison: What was decided.
        choice: Which rows it has, and in which order.
    """
    benchmarks = comparison_table(comparison, choice).rows()
    chosen = chosen_benchmarks(comparison, choice)
    efficiencies = {id(one.benchmark): one.columns() for one in scaling_changes(comparison, chosen)}
    benchmarks = [{**row, **efficiencies.get(id(one), {})} for row, one in zip(benchmarks, chosen, strict=True)]
    trainings = [training_row(one) for one in chosen_trainings(comparison, choice)]
    kinds = {"benchmark": benchmarks, "training": trainings}
    names = dict.fromkeys(name for rows in kinds.values() for row in rows for name in row)
    rows = [{"kind": kind, **dict.fromkeys(names), **row} for kind, of_kind in kinds.items() for row in of_kind]
    return Table(title=_headline(comparison, by_change=True), frame=rows, columns=())


def comparison_markdown(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> str:
    """Return the comparison for a pull request: what changed first, everything folded below.

    Args:
        comparison: What was decided.
        choice: Which rows are shown, and in which order.
    """
    tables = comparison_tables(comparison, choice)
    shown = [(table, _changed_rows(table)) for table in tables]
    return render_comments(shown, what=[_kind_of_rows(table) for table in tables])


def _changed_rows(table: Table) -> Table | None:
    """Return what is seen first of verdicts, those that changed; None of other tables."""
    rows = table.rows()
    if not rows or "verdict" not in rows[0]:
        return None
    changed = [row for row in rows if row["verdict"] in CHANGED]
    cut = f"; the first {HEAD_ROWS} that changed" if len(changed) > SHORT_ROWS else ""
    shown = changed[:HEAD_ROWS] if cut else changed
    columns = table.columns if changed else ()
    return Table(title=f"{table.title}{cut}", frame=shown, columns=columns, notes=table.notes, legend=table.legend)


def _kind_of_rows(table: Table) -> str:
    if table.title.startswith("Full trainings"):
        return "full trainings"
    if table.title == EFFICIENCIES:
        return "steps on several devices"
    return "benchmarks" if table.columns and table.columns[0].heading == "verdict" else "groups"
