"""Which tables there are: results -> a Table by name."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.beside_study import thesis_frame
from perfsuite.analysis.bounds import kernels_table, limits_table, telemetry_table
from perfsuite.analysis.collect import PAIRING_COLUMNS, WORKLOAD_COLUMNS, differing_columns
from perfsuite.analysis.confusion import confusion_table
from perfsuite.analysis.consistency import consistency_findings, disagreeing_speedups, excessive_parts
from perfsuite.analysis.frames import rows_of
from perfsuite.analysis.labels import has_any, shared_in_words, varying
from perfsuite.analysis.noise import noise_notes
from perfsuite.analysis.paired_tables import COMPARISONS, fidelity_table, has_pairs, paired_table, pipeline_table
from perfsuite.analysis.ratio_text import MORE_STEPS, MORE_STEPS_AND_PAIRS, bracket_notes, ratio_of_row
from perfsuite.analysis.speedup import BASELINE, INTERLEAVED, speedup_frame
from perfsuite.analysis.table_parts import (
    SHORT_HEADINGS,
    batch_columns,
    name_column,
    notes_of,
    place_table_columns,
    telling_apart,
    warnings_columns,
    without,
)
from perfsuite.analysis.tables import Column, Table, metric_column, ratio_column, text_column
from perfsuite.analysis.thesis_trainings import comparable_trainings, left_out_in_words, thesis_trainings_table
from perfsuite.analysis.training_tables import accuracy_table, history_table
from perfsuite.errors import choose
from perfsuite.metrics import duration

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd

    from perfsuite.analysis.collect import Results

LEDGER_PARTS = (
    "parameters_bytes",
    "gradients_bytes",
    "optimizer_bytes",
    "activations_bytes",
    "autocast_bytes",
    "temporary_bytes",
    "other_bytes",
)
"""What a peak is made of; the parts add up to what is predicted."""

_LEFT_OVER = "unexplained: measured minus predicted; anything large is a leak"
_LEFT_OVER_ON_A_GPU = (
    "unexplained: measured minus predicted: the allocator's rounding, cuBLAS's workspace and, the rest of it, cuDNN's; "
    "anything larger is a leak"
)

ALWAYS_SHOWN = ("model", "phase")
"""Parts of the workload that people see even where they do not vary."""


def memory_table(frame: pd.DataFrame, *, title: str, notes: tuple[str, ...] = ()) -> Table:
    """Return predicted peaks and what they are made of as a table.

    Args:
        frame: A row per cell: model, precision, batch_size, gradients and the parts of the peak in bytes; with
            `largest_batch_size` where a capacity was given, with `thesis_peak_bytes` where the study has a figure.
        title: Its title.
        notes: What is listed below it.
    """
    shown = [*LEDGER_PARTS, "peak_bytes"]
    shown += [key for key in ("thesis_peak_bytes", "thesis_difference_ratio") if has_any(frame, key, zero=True)]
    return Table(
        title=title,
        frame=frame,
        columns=(
            text_column("model"),
            text_column("precision"),
            *([metric_column("largest_batch_size")] if "largest_batch_size" in frame else batch_columns(frame)),
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
    if not results.ours:
        return _plain_table(results)
    elsewhere = bool(results.pairs or results.trainings)
    if name in {"steps", "speedup", "memory", "limits", "telemetry", "kernels"} and results.benchmarks.empty:
        return Table(
            title="No step benchmarks in these files" if elsewhere else "No benchmark produced a result",
            frame=results.benchmarks,
            columns=(),
            notes=_notes_with_pairs(results),
        )
    return build(results)


def _notes_with_pairs(results: Results) -> tuple[str, ...]:
    """Return the notes, and where to find interleaved pairs."""
    found = [name for name in COMPARISONS if has_pairs(results, name)]
    where = " and ".join(f"--table {name}" for name in found)
    notes = [f"interleaved pairs: {where}"] if found else []
    if results.trainings:
        notes.append("full trainings: --table accuracy, confusion, history, thesis")
    return (*notes, *notes_of(results))


def _steps_table(results: Results) -> Table:
    frame = results.benchmarks
    shown = varying(frame, WORKLOAD_COLUMNS, (*ALWAYS_SHOWN, "precision"))
    columns = [
        *telling_apart(frame),
        *(text_column(column, SHORT_HEADINGS.get(column)) for column in shown),
        *(metric_column(key) for key in ("images_per_second", "time_median_s", "time_p90_s", "time_margin_ratio")),
        *(metric_column(key) for key in ("num_rounds", "peak_allocated_bytes") if key in frame),
        *(metric_column(key) for key in ("peak_reserved_bytes", "num_skipped_steps") if has_any(frame, key)),
        *(
            metric_column(key)
            for key in ("energy_per_image_joules", "detectable_slowdown_ratio")
            if has_any(frame, key)
        ),
        *warnings_columns(frame),
    ]
    detectable = noise_notes(frame) if "noise_measured" in frame else []
    return Table(
        title=f"Training steps{shared_in_words(frame)}",
        frame=without(frame, ("name", "group", "series", "run_id", "started", "label", "machine", "telemetry_absent")),
        columns=tuple(columns),
        notes=(*detectable, *consistency_findings(results), *_notes_with_pairs(results)),
    )


def _speedup_table(results: Results) -> Table:
    frame = speedup_frame(results)
    if frame.empty:
        table = _steps_table(results)
        note = f"no speed-up to show: it needs {BASELINE} and another precision of the same workload"
        return Table(title=table.title, frame=frame, columns=(), notes=(note, *table.notes))
    other = "AMP" if frame["precision"].str.startswith("amp").all() else "other"
    columns = [
        *place_table_columns(results.benchmarks),
        *(text_column(key, SHORT_HEADINGS.get(key)) for key in varying(frame, PAIRING_COLUMNS, ALWAYS_SHOWN)),
        *([text_column("precision")] if frame["precision"].nunique() > 1 else []),
        metric_column("images_per_second", source="baseline_images_per_second", heading="FP32 images/s"),
        metric_column("images_per_second", heading=f"{other} images/s"),
        ratio_column("speedup_ratio", "speed-up"),
        metric_column("peak_allocated_bytes", source="baseline_peak_allocated_bytes", heading="FP32 peak MiB"),
        metric_column("peak_allocated_bytes", heading=f"{other} peak MiB"),
        metric_column("memory_ratio", heading="memory"),
        *warnings_columns(frame),
    ]
    names = ", ".join(sorted(frame["precision"].unique()))
    return Table(
        title=f"{names} against {BASELINE}{shared_in_words(results.benchmarks)}",
        frame=frame,
        columns=tuple(columns),
        notes=(
            *_speedup_notes(frame),
            *_left_out_note(frame),
            *disagreeing_speedups(frame),
            *excessive_parts(results.benchmarks),
            *notes_of(results),
        ),
    )


def steps_gist(results: Results) -> Table | None:
    """Return what AMP gives a whole training step, the gist of a table of steps; None where nothing tells."""
    if not results.ours or results.benchmarks.empty:
        return None
    table = _speedup_table(results)
    if not table.columns:
        return None
    assert not isinstance(table.frame, list)  # noqa: S101 - for the type checker: a frame where there are columns
    whole = table.frame[table.frame["phase"] == "train_step"]
    return table if whole.empty else dataclasses.replace(table, frame=whole)


def _speedup_notes(frame: pd.DataFrame) -> list[str]:
    rows = rows_of(frame)
    interleaved = [f"{row['model']} {row['phase']}" for row in rows if row["speedup_source"] == INTERLEAVED]
    spread_of = "rounds, or of its blocks where interleaved" if interleaved else "rounds"
    more = MORE_STEPS_AND_PAIRS if interleaved else MORE_STEPS
    notes = bracket_notes([ratio_of_row(row, "speedup_ratio") for row in rows], spread_of=spread_of, more=more)
    if interleaved:
        names = ", ".join(dict.fromkeys(interleaved))
        notes.append(f"speed-up measured interleaved (-m speedup): {names}; images/s are of separate cells")
    return notes


def _left_out_note(frame: pd.DataFrame) -> list[str]:
    num_left_out = int(frame["num_left_out"].sum())
    note = f"{num_left_out} benchmarks are not in this table: their run has no counterpart in the other precision"
    return [note] if num_left_out else []


def _plain_table(results: Results) -> Table:
    frame = results.benchmarks
    times = [key for key in _PLAIN_TIMES if key in frame and has_any(frame, key, zero=True)]
    if "time_stddev_s" not in times and (frame["num_rounds"] == 1).any():
        times.append("time_stddev_s")
    counts = [key for key in ("num_rounds", "num_iterations") if key in frame and has_any(frame, key, zero=True)]
    mixed = "run_id" in frame
    return Table(
        title=f"{len(frame)} benchmarks{shared_in_words(frame)}",
        frame=without(
            frame,
            (
                "series",
                "run_id",
                "started",
                "label",
                "machine",
                "telemetry_absent",
                *(() if mixed else WORKLOAD_COLUMNS),
                "images_per_second",
            ),
        ),
        columns=(
            *telling_apart(frame),
            text_column(name_column(frame), "benchmark", foldable=True),
            *(_duration_column(key) for key in times),
            *(metric_column(key) for key in counts),
        ),
        notes=(*(("not all of these files are perfsuite's: a plain table",) if mixed else ()), *notes_of(results)),
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
        return "n/a" if row[key] is None else duration(row[key])

    return Column(heading=_PLAIN_TIMES[key], show=show, numeric=True)


def _ledger_table(results: Results) -> Table:
    """What each measured peak is made of: its parts by a dry run, and what is unexplained."""
    frame = results.benchmarks
    keys = (*LEDGER_PARTS, "predicted_peak_bytes", "remainder_bytes")
    itemised = [
        key
        for key in ("rounding_bytes", "cublas_workspace_bytes", "outside_torch_bytes")
        if has_any(frame, key, zero=True)
    ]
    for key in (*keys, "peak_allocated_bytes", "peak_reserved_bytes"):
        if key not in frame:
            frame = frame.assign(**{key: None})  # results of before there was a ledger
    shown = varying(frame, WORKLOAD_COLUMNS, (*ALWAYS_SHOWN, "precision"))
    identity = [*differing_columns(frame), *WORKLOAD_COLUMNS]
    return Table(
        title=f"Peak memory in MiB and what it is made of{shared_in_words(frame)}",
        frame=frame[["fullname", *identity, *keys, "peak_allocated_bytes", "peak_reserved_bytes", *itemised]],
        columns=(
            *telling_apart(frame),
            *(text_column(column, SHORT_HEADINGS.get(column)) for column in shown),
            *(metric_column(key) for key in keys),
            *(metric_column(key) for key in itemised if key != "outside_torch_bytes"),
            metric_column("peak_allocated_bytes", heading="measured"),
            *(metric_column(key) for key in itemised if key == "outside_torch_bytes"),
        ),
        notes=(
            "weights ... other: what a dry run finds alive at the moment of the peak",
            _LEFT_OVER_ON_A_GPU if itemised else _LEFT_OVER,
            *(
                ["outside torch: CUDA context, kernels and other processes; not in the measured peak"]
                if itemised
                else []
            ),
            *notes_of(results),
        ),
    )


def _thesis_table(results: Results) -> Table:
    """Ours beside the study's tables 5.1 and 5.2: of full trainings where there are any, else what steps project."""
    left_out = left_out_in_words(results)
    frame = thesis_frame(results)
    if comparable_trainings(results).trainings or (left_out and frame.empty):
        return thesis_trainings_table(results)
    if frame.empty:
        note = "nothing to set beside the study: it needs train_step results of resnet18, resnet34 or resnet50"
        return Table(title="The study's tables 5.1 and 5.2", frame=frame, columns=(), notes=(note, *notes_of(results)))
    return Table(
        title=f"Beside the study (Tesla T4, torch 1.6.0){shared_in_words(results.benchmarks)}",
        frame=frame,
        columns=(
            *place_table_columns(results.benchmarks),
            text_column("model"),
            text_column("precision"),
            *([text_column("gradients")] if frame["gradients"].nunique() > 1 else []),
            metric_column("images_per_second"),
            metric_column("projected_training_time_s"),
            metric_column("thesis_training_time_s"),
            ratio_column("projected_time_ratio", "AMP/FP32 time"),
            metric_column("thesis_time_ratio"),
            metric_column("peak_allocated_bytes"),
            metric_column("thesis_peak_bytes"),
            metric_column("memory_ratio", heading="AMP/FP32 memory"),
            metric_column("thesis_memory_ratio"),
        ),
        notes=(
            "projected: epochs x 45,000 images / images per second of a train_step, without evaluation and loading",
            *bracket_notes([ratio_of_row(row, "projected_time_ratio") for row in rows_of(frame)]),
            "peak memory is comparable at batch 128 with gradients kept (--perf-gradients kept), as PyTorch 1.6 did",
            *left_out,
            *notes_of(results),
        ),
    )


TABLES: dict[str, Callable[[Results], Table]] = {
    "steps": _steps_table,
    "speedup": _speedup_table,
    "memory": _ledger_table,
    "thesis": _thesis_table,
    "accuracy": accuracy_table,
    "confusion": confusion_table,
    "history": history_table,
    "paired": paired_table,
    "fidelity": fidelity_table,
    "pipeline": pipeline_table,
    "limits": limits_table,
    "telemetry": telemetry_table,
    "kernels": kernels_table,
}
