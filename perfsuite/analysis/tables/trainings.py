"""Full trainings as tables: accuracy against target, AMP vs FP32, epochs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import differing_columns
from perfsuite.analysis.frames.labels import compared_name, differs, has_any
from perfsuite.analysis.frames.ratio_text import bracket_notes, ratio_of_row
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.training_groups import (
    UNKNOWN_PLACE,
    distinguishing_values,
    training_groups,
    training_origins,
)
from perfsuite.analysis.frames.training_words import TOLERANCE_POINTS
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.analysis.tables.shared_columns import (
    distinguishing_columns,
    notes_of,
    place_table_columns,
    value_columns,
    warnings_column,
)
from perfsuite.analysis.tables.table import Column, Priority, Table, metric_column, ratio_column, shown, text_column
from perfsuite.precisions import BASELINE
from perfsuite.recipes import SMOKE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.frames.results import Results
    from perfsuite.records.training import EpochRecord, TrainingRecord

NO_TRAININGS = "no full trainings in these files: pytest -m full_training makes them"

NOT_CANONICAL = "these images are not the original CIFAR-10: accuracy targets are not checked, except that of smoke"


INTERVAL_NOTE = (
    "[low, high]: 95% interval of the mean accuracy over seeds, from the finite number of test images and the variance "
    "between seeds"
)
MEASURED = (
    "time_to_target_s",
    "training_images_per_second",
    "peak_allocated_bytes",
    "evaluation_peak_allocated_bytes",
    "peak_net_bytes",
    "energy_joules",
    "num_skipped_steps",
)
"""What a training measures, as far as its device has it."""

_PRIORITIES = {
    "training_images_per_second": Priority.DETAIL,
    "evaluation_peak_allocated_bytes": Priority.DETAIL,
    "peak_net_bytes": Priority.DETAIL,
    "num_skipped_steps": Priority.DETAIL,
}

LOST = ("num_interruptions", "lost_time_s")
"""What is shown of a training that was interrupted."""

TARGET_NOTE = (
    f"target: reached where the interval lies above the target minus {TOLERANCE_POINTS}, missed where it lies below; "
    f"the test itself asserts that each training reaches the target minus {TOLERANCE_POINTS}"
)


def accuracy_table(results: Results) -> Table:
    """Return accuracy, target, time and memory of full trainings."""
    frame = accuracy_frame(results)
    if frame.empty:
        return nothing(results, "Full trainings")
    common = [name for name in ("recipe", "data", "device") if frame[name].nunique(dropna=False) == 1]
    shared = ", ".join(str(frame[name].fillna(UNKNOWN_PLACE).iloc[0]) for name in common)
    keys = _key_columns(results, frame)
    return Table(
        title=f"Full trainings: {shared}",
        frame=frame,
        columns=(*keys, *_accuracy_columns(frame)),
        legend=tuple(_accuracy_notes(frame)),
        notes=(*data_notes(results), *notes_of(results)),
    )


def _accuracy_columns(frame: pd.DataFrame) -> tuple[Column, ...]:
    several_seeds = bool(frame["num_seeds"].max() > 1)
    has_target = bool(frame["target_outcome"].notna().any())
    has_both_precisions = "accuracy_difference" in frame
    return shown(
        Column(heading="test accuracy %", show=accuracy_in_words, numeric=True),
        metric_column(
            "test_accuracy",
            source="test_accuracy_sd",
            heading="sd of seeds",
            shown_when=several_seeds,
            priority=Priority.DETAIL,
        ),
        Column(heading="target %", show=_target, numeric=True, shown_when=has_target, priority=Priority.MAIN),
        Column(
            heading=f"{_other(frame)} vs FP32, points", show=_difference, foldable=True, shown_when=has_both_precisions
        ),
        metric_column("training_time_s", priority=Priority.MAIN),
        *(
            metric_column(key, shown_when=has_any(frame, key, zero=True), priority=_PRIORITIES.get(key))
            for key in MEASURED
        ),
        *(metric_column(key, shown_when=has_any(frame, key), priority=Priority.DETAIL) for key in LOST),
        warnings_column(frame),
    )


def _accuracy_notes(frame: pd.DataFrame) -> list[str]:
    notes = [INTERVAL_NOTE]
    outcomes = frame["target_outcome"].dropna()
    if (outcomes != "not checked").any():
        notes.append(TARGET_NOTE)
    if "accuracy_difference" in frame:
        notes.append(_amp_note(frame))
    return notes


def amp_table(results: Results) -> Table:
    """Return what AMP changed of full trainings: accuracy, time, memory, skipped steps."""
    frame = accuracy_frame(results)
    if "accuracy_difference" not in frame:
        return nothing(results, "AMP vs FP32")
    keys = _key_columns(results, frame)
    frame = frame[frame["accuracy_difference"].notna()]
    other = _other(frame)
    ratios = [ratio_of_row(row, "time_ratio") for row in rows_of(frame)]
    has_skipped = bool(frame[["num_skipped_steps", "num_skipped_steps_baseline"]].notna().any(axis=None))
    columns = shown(
        *keys,
        Column(heading="accuracy points [95%]", show=difference_in_words, numeric=True),
        Column(heading="lower bound", show=_bound, numeric=True),
        Column(heading="non-inferiority", show=_non_inferior, priority=Priority.MAIN),
        ratio_column("time_ratio", f"time, {other} / FP32"),
        metric_column("memory_ratio", heading=f"memory, {other} / FP32"),
        Column(
            heading="skipped steps",
            show=_skipped,
            numeric=True,
            shown_when=has_skipped,
            priority=Priority.DETAIL,
        ),
        warnings_column(frame, source="comparison_warnings"),
    )
    return Table(
        title=f"{_compared(frame)} vs FP32 in full trainings",
        frame=frame,
        columns=columns,
        legend=(_amp_note(frame), *bracket_notes(ratios, samples="trainings", more="")),
    )


def _compared(frame: pd.DataFrame) -> str:
    return compared_name(frame["precision"][frame["precision"] != BASELINE])


def _other(frame: pd.DataFrame) -> str:
    return "AMP" if _compared(frame) == "AMP" else "other"


def _amp_note(frame: pd.DataFrame) -> str:
    from perfsuite.analysis.frames.training_words import (  # scipy: only where it was needed before
        ACCURACY_MARGIN,
        points,
    )

    return (
        f"{_compared(frame)} vs FP32: difference of the test accuracies in points and its one-sided 95% lower bound, "
        f"paired by seed where both have it; no worse: the bound lies above -{points(ACCURACY_MARGIN)}, each row by "
        "itself (no correction for several rows)"
    )


def _key_columns(results: Results, frame: pd.DataFrame) -> tuple[Column, ...]:
    return shown(
        *place_table_columns(training_origins(results)),
        text_column("recipe", shown_when=differs(frame, "recipe")),
        *value_columns(distinguishing_values(training_groups(results))),
        text_column("model"),
        text_column("precision"),
    )


def data_notes(results: Results) -> list[str]:
    """Return the note on images that are not CIFAR-10 itself."""
    return [] if all(training.record.is_target_of_its_data for training in results.trainings) else [NOT_CANONICAL]


def accuracy_in_words(row: dict[str, Any]) -> str:
    """Return the test accuracy of a row in percent with its interval, and the number of seeds where there are more."""
    mean, low, high = (f"{100 * row[f'test_accuracy{end}']:.2f}" for end in ("", "_low", "_high"))
    return f"{mean} [{low}, {high}]" + (f" (n={row['num_seeds']})" if row["num_seeds"] > 1 else "")


def _target(row: dict[str, Any]) -> str:
    target = row["target_accuracy"]
    return "-" if target is None else f"{100 * target:.2f} {row['target_outcome']}"


def _difference(row: dict[str, Any]) -> str:
    difference = row.get("accuracy_difference")
    if difference is None:
        return "-"
    verdict = "no worse" if row["non_inferior"] else "non-inferiority not shown"
    if row["recipe"] == SMOKE.name:
        verdict = NOT_JUDGED
    return f"{100 * difference:+.2f} (lower bound {_bound(row)}): {verdict}"


def _bound(row: dict[str, Any]) -> str:
    return f"{100 * row['accuracy_difference_bound']:+.2f}"


def difference_in_words(row: dict[str, Any]) -> str:
    """Return the difference of accuracy to FP32 in points with its 95% interval."""
    ends = (f"{100 * row[f'accuracy_difference{end}']:+.2f}" for end in ("", "_low", "_high"))
    return "{} [{}, {}]".format(*ends)


NOT_JUDGED = "smoke: not judged"
"""Of trainings on a small part of the images: their accuracy shows only that they learn."""


def _non_inferior(row: dict[str, Any]) -> str:
    if row["recipe"] == SMOKE.name:
        return NOT_JUDGED
    return "shown" if row["non_inferior"] else "not shown"


def _skipped(row: dict[str, Any]) -> str:
    before, after = (row[name] for name in ("num_skipped_steps_baseline", "num_skipped_steps"))
    return " -> ".join("n/a" if value is None else f"{value:,.0f}" for value in (before, after))


def epochs_table(results: Results) -> Table:
    """Return every epoch: losses, accuracy, learning rate, loss scale, skipped steps."""
    origins = training_origins(results)
    apart = differing_columns(origins)
    groups = training_groups(results)
    distinguishing = distinguishing_values(groups)
    rows = []
    for group in groups:
        values = {name: group.family.value(name) for name in distinguishing}
        for training in group.members:
            origin = {column: training.origin[column] for column in apart}
            rows += [_epoch_row(training.record, epoch, origin, values) for epoch in training.record.history]
    if not rows:
        return nothing(results, "Epochs")
    frame = pd.DataFrame(rows)
    columns = shown(
        *distinguishing_columns(origins),
        text_column("recipe", shown_when=differs(frame, "recipe")),
        *value_columns(distinguishing),
        text_column("model"),
        text_column("precision"),
        text_column("seed", shown_when=differs(frame, "seed")),
        text_column("epoch"),
        Column(
            heading="learning rate",
            show=lambda row: f"{row['learning_rate']:g}",
            numeric=True,
            priority=Priority.NORMAL,
        ),
        Column(heading="train loss", show=lambda row: f"{row['train_loss']:.4f}", numeric=True),
        Column(heading="validation loss", show=_validation_loss, numeric=True),
        metric_column("validation_accuracy", priority=Priority.MAIN),
        metric_column("training_images_per_second", priority=Priority.DETAIL),
        Column(heading="loss scale", show=_loss_scale, numeric=True),
        metric_column("num_skipped_steps"),
    )
    return Table(title="Epochs of full trainings", frame=frame, columns=columns, notes=notes_of(results))


def _epoch_row(
    record: TrainingRecord, epoch: EpochRecord, origin: Mapping[str, Any], values: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **origin,
        "recipe": record.recipe.name,
        **values,
        "model": record.workload.model,
        "precision": record.workload.precision,
        "seed": record.seed,
        "epoch": epoch.epoch,
        "learning_rate": epoch.learning_rate,
        "train_loss": epoch.train_loss,
        "validation_loss": epoch.validation_loss,
        "validation_accuracy": epoch.validation_accuracy,
        "training_images_per_second": record.data.num_train / epoch.training_s,
        "loss_scale": epoch.loss_scale,
        "num_skipped_steps": epoch.num_skipped_steps,
    }


def _loss_scale(row: Mapping[str, Any]) -> str:
    return "-" if row["loss_scale"] is None else f"{row['loss_scale']:g}"


def _validation_loss(row: Mapping[str, Any]) -> str:
    return "-" if row["validation_loss"] is None else f"{row['validation_loss']:.4f}"


def nothing(results: Results, title: str) -> Table:
    """Return the table of files without full trainings."""
    return Table(title=title, frame=pd.DataFrame(), columns=(), notes=(NO_TRAININGS, *notes_of(results)))
