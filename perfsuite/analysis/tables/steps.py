"""Training steps, and benchmarks of other projects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.consistency import consistency_findings
from perfsuite.analysis.frames.extra_info import PREFIX, SHORT_CHARACTERS, extra_text
from perfsuite.analysis.frames.labels import has_any, name_column, shared_in_words, varying
from perfsuite.analysis.frames.noise_floor import noise_notes
from perfsuite.analysis.frames.pairs import COMPARISONS, has_pairs
from perfsuite.analysis.frames.pooled import pooled_benchmarks
from perfsuite.analysis.tables.registry import tables_of
from perfsuite.analysis.tables.shared_columns import (
    SHORT_HEADINGS,
    cell_columns,
    cell_keys,
    distinguishing_columns,
    is_pooled,
    notes_of,
    pooled_legend,
    throughput_heading,
    warnings_column,
    without,
)
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, shown, text_column
from perfsuite.formatting import duration, plural
from perfsuite.records.workload import INFERENCE, PHASES

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

    from perfsuite.analysis.frames.results import Results


ALWAYS_SHOWN = ("model", "phase")
"""Parts of the workload that people see even where they do not vary."""

ALWAYS_MEASURED = ("time_median_s", "time_p90_s")

SOMETIMES_MEASURED = (
    "peak_reserved_bytes",
    "num_skipped_steps",
    "compile_s",
    "num_graph_breaks",
    "num_recompilations",
    "compile_peak_bytes",
    "energy_per_image_joules",
    "detectable_slowdown_ratio",
)
"""Columns that are left out where no cell has anything to show in them."""

_PRIORITIES = {
    "time_median_s": Priority.MAIN,
    "time_p90_s": Priority.DETAIL,
    "peak_reserved_bytes": Priority.DETAIL,
    "detectable_slowdown_ratio": Priority.DETAIL,
    "compile_peak_bytes": Priority.DETAIL,
}


def other_tables(results: Results, shown: Sequence[str] = ()) -> tuple[str, ...]:
    """Return where to find what the table of steps, and the tables that are shown with it, do not show."""
    lines = []
    pairs = [name for name in COMPARISONS if has_pairs(results, name) and name not in shown]
    if pairs:
        where = " and ".join(f"--table {name}" for name in pairs)
        lines.append(f"interleaved pairs: {where}")
    if results.trainings:
        names = [name for name in sorted(tables_of("trainings")) if name not in shown]
        lines.append(f"full trainings: --table {', '.join(names)}")
    if results.scaling and "scaling" not in shown:
        lines.append("several devices: --table scaling")
    if results.numerics:
        names = [name for name in tables_of("numerics") if name not in shown]
        if "types" in names and not any(one.record.operators for one in results.numerics):
            names.remove("types")
        if names:
            lines.append(f"why mixed precision works: --table {', '.join(names)}")
    return tuple(lines)


def steps_table(results: Results) -> Table:
    """Return a row per cell: throughput, time, memory, energy, warnings."""
    frame = pooled_benchmarks(results)
    pooled = is_pooled(frame)
    workload = varying(frame, WORKLOAD_COLUMNS, (*ALWAYS_SHOWN, "precision"))
    columns = shown(
        *cell_columns(frame),
        *(text_column(name, SHORT_HEADINGS.get(name)) for name in workload),
        metric_column("images_per_second", heading=throughput_heading(frame)),
        *(metric_column(key, priority=_PRIORITIES.get(key)) for key in ALWAYS_MEASURED),
        metric_column("process_margin_ratio", shown_when=pooled),
        metric_column("time_margin_ratio", shown_when=not pooled or has_any(frame, "time_margin_ratio")),
        metric_column("num_processes", heading="runs", shown_when=pooled),
        metric_column("num_rounds", shown_when="num_rounds" in frame, priority=Priority.DETAIL),
        metric_column("peak_allocated_bytes", shown_when="peak_allocated_bytes" in frame, priority=Priority.MAIN),
        *(
            metric_column(key, shown_when=has_any(frame, key), priority=_PRIORITIES.get(key))
            for key in SOMETIMES_MEASURED
        ),
        warnings_column(frame),
    )
    legend = noise_notes(frame) if "noise_measured" in frame else []
    left_out = {"name", "group", "series", "run_id", "started", "label", "machine", "telemetry_absent"}
    return Table(
        title=f"{_what(frame)}{shared_in_words(frame)}",
        frame=without(frame, tuple(left_out - set(cell_keys(frame)))),
        columns=columns,
        legend=(*pooled_legend(frame), *legend),
        notes=(*consistency_findings(results), *notes_of(results)),
    )


def _what(frame: pd.DataFrame) -> str:
    """Return what the rows are about."""
    phases = set(frame["phase"].dropna())
    if phases <= set(PHASES):
        return "Training steps"
    if not phases & set(PHASES):
        return "Inference" if phases == {INFERENCE} else "Benchmarks"
    return "Training steps and inference" if phases <= {*PHASES, INFERENCE} else "Training steps and benchmarks"


def no_steps_table(results: Results) -> Table:
    """Return the table of files without step benchmarks: what else they hold, and what failed."""
    elsewhere = bool(results.pairs or results.trainings or results.numerics or results.scaling)
    return Table(
        title="No step benchmarks in these files" if elsewhere else "No benchmark produced a result",
        frame=results.benchmarks,
        columns=(),
        legend=other_tables(results),
        notes=notes_of(results),
    )


def plain_table(results: Results) -> Table:
    """Return benchmarks of any project: their times and rounds."""
    frame = results.benchmarks
    times = {key: has_any(frame, key, zero=True) for key in _PLAIN_TIMES}
    times["time_stddev_s"] |= bool((frame["num_rounds"] == 1).any())  # of one round there is none, and it is said
    main = next((key for key in ("time_median_s", "time_mean_s") if times[key]), "time_min_s")
    counts = ("num_rounds", "num_iterations")
    left_out = ["series", "run_id", "started", "label", "machine", "telemetry_absent", "images_per_second"]
    notes = []
    if "run_id" in frame:
        notes.append("not all of these files are perfsuite's: a plain table")
    else:
        left_out += WORKLOAD_COLUMNS
    return Table(
        title=f"{plural(len(frame), 'benchmark')}{shared_in_words(frame)}",
        frame=without(frame, tuple(left_out)),
        columns=shown(
            *distinguishing_columns(frame),
            text_column(name_column(frame), "benchmark", foldable=True),
            *(_extra_column(str(name), frame) for name in frame if str(name).startswith(PREFIX)),
            *(_duration_column(key, shown_when=is_shown, is_main=key == main) for key, is_shown in times.items()),
            *(
                metric_column(key, shown_when=has_any(frame, key, zero=True), priority=Priority.DETAIL)
                for key in counts
            ),
        ),
        notes=(*notes, *notes_of(results)),
    )


def _extra_column(name: str, frame: pd.DataFrame) -> Column:
    """Show what a suite wrote in `extra_info`; numbers as such where there is nothing else."""
    known = [value for value in frame[name] if extra_text(value) != "-"]
    is_numeric = bool(known) and all(isinstance(value, int | float) and not isinstance(value, bool) for value in known)
    is_short = all(len(extra_text(value)) <= SHORT_CHARACTERS for value in known)
    return Column(
        heading=name.removeprefix(PREFIX),
        show=lambda row: extra_text(row[name]),
        numeric=is_numeric,
        foldable=not is_short,
        priority=Priority.NORMAL,
    )


_PLAIN_TIMES = {
    "time_min_s": "min",
    "time_median_s": "median",
    "time_mean_s": "mean",
    "time_max_s": "max",
    "time_stddev_s": "std dev",
}


def _duration_column(key: str, *, shown_when: bool, is_main: bool) -> Column:
    """Show a time in the unit that suits it: foreign benchmarks reach from nanoseconds to hours."""

    def show(row: dict[str, Any]) -> str:
        return "n/a" if row[key] is None else duration(row[key])

    priority = Priority.MAIN if is_main else Priority.NORMAL
    return Column(heading=_PLAIN_TIMES[key], show=show, numeric=True, shown_when=shown_when, priority=priority)
