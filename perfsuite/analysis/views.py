"""Which tables there are: results -> a Table by name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.beside_study import thesis_frame
from perfsuite.analysis.collect import PAIRING_COLUMNS, WORKLOAD_COLUMNS, differing_columns
from perfsuite.analysis.speedup import BASELINE, speedup_frame
from perfsuite.analysis.tables import Column, Table, metric_column, ratio_column, text_column
from perfsuite.errors import choose
from perfsuite.metrics import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.analysis.collect import Results

ALWAYS_SHOWN = ("model", "phase")
"""Parts of the workload that people see even where they do not vary."""

SHORT_HEADINGS = {"batch_size": "batch"}


_COMMIT_ID = re.compile(r"([0-9a-f]{10})[0-9a-f]{30}((?:\+dirty)?)$")


def memory_table(frame: pd.DataFrame, *, title: str, notes: tuple[str, ...] = ()) -> Table:
    """Return predicted peaks and what they are made of as a table.

    Args:
        frame: A row per cell: model, precision, batch_size, gradients and the parts of the peak in bytes; with
            `largest_batch_size` where a capacity was given, with `thesis_peak_bytes` where the study has a figure.
        title: Its title.
        notes: What stands below it.
    """
    parts = ("parameters_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes", "temporary_bytes")
    shown = [*parts, "other_bytes", "peak_bytes"]
    shown += [key for key in ("thesis_peak_bytes", "thesis_difference_ratio") if _any(frame, key, zero=True)]
    return Table(
        title=title,
        frame=frame,
        columns=(
            text_column("model"),
            text_column("precision"),
            *([metric_column("largest_batch_size")] if "largest_batch_size" in frame else []),
            *([text_column("gradients")] if frame["gradients"].nunique() > 1 else []),
            *(metric_column(key) for key in shown),
        ),
        notes=notes,
    )


def build_table(name: str, results: Results) -> Table:
    """Return a table by name.

    Files that are not all ours have no workloads: whatever was asked for, they give the plain table, with a note.

    Raises:
        InvalidChoiceError: An unknown name.
    """
    build = choose(TABLES, name, kind="table")
    return build(results) if results.ours else _plain_table(results)


def _steps_table(results: Results) -> Table:
    frame = results.benchmarks
    shown = _varying(frame, WORKLOAD_COLUMNS, (*ALWAYS_SHOWN, "precision"))
    columns = [
        *_apart(frame),
        *(text_column(column, SHORT_HEADINGS.get(column)) for column in shown),
        *(metric_column(key) for key in ("images_per_second", "time_median_s", "time_p90_s", "time_margin_ratio")),
        *(metric_column(key) for key in ("num_rounds", "peak_allocated_bytes") if key in frame),
        *(metric_column(key) for key in ("peak_reserved_bytes", "num_skipped_steps") if _any(frame, key)),
    ]
    return Table(
        title=f"Training steps{_on(frame)}",
        frame=_without(frame, ("name", "group", "run_id", "started")),
        columns=tuple(columns),
        notes=_notes(results),
    )


def _speedup_table(results: Results) -> Table:
    frame = speedup_frame(results)
    if frame.empty:
        table = _steps_table(results)
        note = f"no speed-up to show: it needs {BASELINE} and another precision of the same workload"
        return Table(title=table.title, frame=frame, columns=(), notes=(note, *table.notes))
    shown = _varying(frame, PAIRING_COLUMNS, ALWAYS_SHOWN)
    other = "AMP" if frame["precision"].str.startswith("amp").all() else "other"
    columns = [
        *_apart(results.benchmarks, but="file"),
        *(text_column(column, SHORT_HEADINGS.get(column)) for column in shown),
        *([text_column("precision")] if frame["precision"].nunique() > 1 else []),
        metric_column("images_per_second", source="baseline_images_per_second", heading="FP32 images/s"),
        metric_column("images_per_second", heading=f"{other} images/s"),
        ratio_column("speedup_ratio", "speedup_low", "speedup_high", "speed-up"),
        metric_column("peak_allocated_bytes", source="baseline_peak_allocated_bytes", heading="FP32 peak MiB"),
        metric_column("peak_allocated_bytes", heading=f"{other} peak MiB"),
        metric_column("memory_ratio", heading="memory"),
    ]
    names = ", ".join(sorted(frame["precision"].unique()))
    return Table(
        title=f"{names} against {BASELINE}{_on(results.benchmarks)}",
        frame=frame,
        columns=tuple(columns),
        notes=(_basis_note(frame), *_left_out_note(frame), *_notes(results)),
    )


def _basis_note(frame: pd.DataFrame) -> str:
    fewest = int(frame["num_processes"].min())
    if (frame["speedup_basis"] == "processes").all():
        return f"[low, high]: 95% interval over {fewest} or more processes"
    return (
        "[low, high]: 95% interval over the rounds of one process; what differs from process to process is not in it "
        "(give several files of the same machine for that)"
    )


def _left_out_note(frame: pd.DataFrame) -> list[str]:
    num_left_out = int(frame["num_left_out"].sum())
    if not num_left_out:
        return []
    return [f"{num_left_out} benchmarks are not in this table: their run has no counterpart in the other precision"]


def _plain_table(results: Results) -> Table:
    frame = results.benchmarks
    times = [key for key in _PLAIN_TIMES if key in frame and _any(frame, key, zero=True)]
    counts = [key for key in ("num_rounds", "num_iterations") if key in frame and _any(frame, key, zero=True)]
    mixed = "run_id" in frame
    return Table(
        title=f"{len(frame)} benchmarks",
        frame=_without(frame, ("run_id", "started", *(() if mixed else WORKLOAD_COLUMNS), "images_per_second")),
        columns=(
            *_apart(frame),
            text_column("fullname", "benchmark", foldable=True),
            *(_duration_column(key) for key in times),
            *(metric_column(key) for key in counts),
        ),
        notes=(*(("not all of these files are perfsuite's: a plain table",) if mixed else ()), *_notes(results)),
    )


_PLAIN_TIMES = {
    "time_min_s": "min",
    "time_median_s": "median",
    "time_mean_s": "mean",
    "time_max_s": "max",
    "time_stddev_s": "std dev",
}


def _duration_column(key: str) -> Column:
    """Show a time in the unit that suits it: foreign benchmarks reach from nanoseconds to hours."""

    def show(row: dict[str, Any]) -> str:
        return "-" if row[key] is None else duration(row[key])

    return Column(heading=_PLAIN_TIMES[key], show=show, numeric=True)


def _ledger_table(results: Results) -> Table:
    """What each measured peak is made of: its parts by a dry run, and what is left over."""
    frame = results.benchmarks
    parts = ("parameters_bytes", "gradients_bytes", "optimizer_bytes", "activations_bytes", "temporary_bytes")
    keys = (*parts, "other_bytes", "predicted_peak_bytes", "remainder_bytes")
    for key in keys:
        if key not in frame:
            frame = frame.assign(**{key: None})  # results of before there was a ledger
    shown = _varying(frame, WORKLOAD_COLUMNS, (*ALWAYS_SHOWN, "precision"))
    identity = [*differing_columns(frame), *WORKLOAD_COLUMNS]
    return Table(
        title=f"Peak memory in MiB and what it is made of{_on(frame)}",
        frame=frame[["fullname", *identity, *keys, "peak_allocated_bytes", "peak_reserved_bytes"]],
        columns=(
            *_apart(frame),
            *(text_column(column, SHORT_HEADINGS.get(column)) for column in shown),
            *(metric_column(key) for key in keys),
            metric_column("peak_allocated_bytes", heading="measured"),
        ),
        notes=(
            "weights ... other: what a dry run finds alive at the moment of the peak",
            "left over: measured less predicted; on a GPU rounding and cuDNN's workspace; anything large is a leak",
            *_notes(results),
        ),
    )


def _thesis_table(results: Results) -> Table:
    """Ours beside the study's tables 5.1 and 5.2."""
    frame = thesis_frame(results)
    if frame.empty:
        note = "nothing to set beside the study: it needs train_step results of resnet18, resnet34 or resnet50"
        return Table(title="The study's tables 5.1 and 5.2", frame=frame, columns=(), notes=(note, *_notes(results)))
    return Table(
        title=f"Beside the study (Tesla T4, torch 1.6.0){_on(results.benchmarks)}",
        frame=frame,
        columns=(
            *_apart(results.benchmarks),
            text_column("model"),
            text_column("precision"),
            *([text_column("gradients")] if frame["gradients"].nunique() > 1 else []),
            metric_column("images_per_second"),
            metric_column("projected_training_time_s"),
            metric_column("thesis_training_time_s"),
            metric_column("projected_time_ratio"),
            metric_column("thesis_time_ratio"),
            metric_column("peak_allocated_bytes"),
            metric_column("thesis_peak_bytes"),
            metric_column("memory_ratio", heading="AMP/FP32 memory"),
            metric_column("thesis_memory_ratio"),
        ),
        notes=(
            "projected: epochs x 45,000 images / images per second of a train_step, without evaluation and loading",
            "peak memory is comparable at batch 128 with gradients kept (--perf-gradients kept), as PyTorch 1.6 did",
            *_notes(results),
        ),
    )


TABLES: dict[str, Callable[[Results], Table]] = {
    "steps": _steps_table,
    "speedup": _speedup_table,
    "memory": _ledger_table,
    "thesis": _thesis_table,
}


def _without(frame: pd.DataFrame, columns: tuple[str, ...]) -> pd.DataFrame:
    return frame.drop(columns=[column for column in columns if column in frame])


def _varying(frame: pd.DataFrame, columns: tuple[str, ...], always: tuple[str, ...]) -> list[str]:
    return [column for column in columns if column in always or frame[column].nunique(dropna=False) > 1]


def _any(frame: pd.DataFrame, key: str, *, zero: bool = False) -> bool:
    """Whether a column has anything to show: a value, and one other than 0 unless zero counts."""
    if key not in frame:
        return False
    values = pd.to_numeric(frame[key]).dropna()
    return not values.empty and (zero or bool((values != 0).any()))


def _apart(frame: pd.DataFrame, but: str | None = None) -> list[Column]:
    columns = []
    for name in differing_columns(frame):
        if name == "commit":
            columns.append(Column(heading="commit", show=lambda row: _short_commit(row["commit"])))
        elif name != but:
            columns.append(text_column(name, foldable=name == "file"))
    return columns


def _short_commit(commit: str | None) -> str:
    if commit is None:
        return "-"
    found = _COMMIT_ID.match(commit)
    return commit if found is None else found[1] + found[2]


def _on(frame: pd.DataFrame) -> str:
    """What all rows share of workload and environment, for the title; what goes without saying is left out."""
    if frame.empty:
        return ""
    shared = {column: frame[column].iloc[0] for column in frame if column in _IN_TITLE and _is_shared(frame[column])}
    workload = [words(shared[column]) for column, words in _WORKLOAD_IN_WORDS.items() if column in shared]
    where = [f"{label}{shared[column]}" for column, label in _ENVIRONMENT_IN_WORDS.items() if column in shared]
    text = "".join(f", {part}" for part in workload if part)
    return text + (f" on {', '.join(where)}" if where else "")


def _is_shared(values: pd.Series[Any]) -> bool:
    return bool(values.notna().all()) and values.nunique() == 1


_WORKLOAD_IN_WORDS: dict[str, Callable[[Any], str]] = {
    "batch_size": lambda size: f"batch {size}",
    "memory_format": lambda name: "" if name == "contiguous" else str(name),
    "compiled": lambda compiled: "compiled" if compiled else "",
    "gradients": lambda name: "" if name == "freed" else f"gradients {name}",
}
_ENVIRONMENT_IN_WORDS = {"device": "", "torch": "torch ", "cuda": "CUDA ", "driver": "driver "}
_IN_TITLE = {*_WORKLOAD_IN_WORDS, *_ENVIRONMENT_IN_WORDS}


def _notes(results: Results) -> tuple[str, ...]:
    notes = list(results.notes)
    frame = results.benchmarks
    if "findings" in frame:
        notes += [f"{row.name}: {row.findings}" for row in frame[frame["findings"].fillna("") != ""].itertuples()]
    notes += results.outcomes_in_words()
    return tuple(notes)
