"""Full trainings: accuracy and time with seeds as samples, AMP against FP32, confusion matrices, the loss scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import differing_columns, place_columns
from perfsuite.analysis.ratio_text import ratio_columns
from perfsuite.analysis.statistics.intervals import bare_ratio, ratio_over_processes
from perfsuite.analysis.table_parts import notes_of, place_table_columns, telling_apart
from perfsuite.analysis.tables import Column, Table, metric_column, text_column
from perfsuite.analysis.training_groups import (
    UNKNOWN_PLACE,
    baseline_of,
    distinguishing_values,
    origin_of,
    training_groups,
    training_origins,
    value_columns,
    values_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.collect import Results
    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.training_record import TrainingRecord

NON_INFERIORITY_MARGIN = 0.01
"""AMP may be one point of accuracy below FP32 and still count as no worse."""

CONFIDENCE = 0.95
"""One-sided, of a non-inferiority."""

SEED_DEVIATION = 0.004
"""Of the test accuracy between seeds, where one seed a side tells nothing of it: about as much as the binomial
deviation of 10,000 images. Several seeds (--perf-seeds) replace it by what they show."""

NO_TRAININGS = "no full trainings in these files: pytest -m full_training makes them"


def accuracy_frame(results: Results) -> pd.DataFrame:
    """Return a row per group: mean, standard deviation and number of seeds, and AMP against FP32.

    Returns:
        Columns: device, torch and what else differs between places, `place` in words, model, recipe, precision, the
        values that determine the result (see `values_of`), `num_seeds`, `test_accuracy`, `test_accuracy_sd`,
        `training_time_s`, `time_to_target_s`,
        `peak_allocated_bytes`, `peak_net_bytes`, `energy_joules`, `num_skipped_steps`, `target_accuracy`, and against
        FP32 of the same group `accuracy_difference` with `difference_low` (one-sided 95%), `time_ratio` with what
        `ratio_columns` adds, `memory_ratio`, `non_inferior`.
    """
    groups = training_groups(results)
    places = place_columns(training_origins(results))
    distinguishing = distinguishing_values(groups)
    rows = []
    for group in groups:
        origin, records = origin_of(group.members[0]), group.records
        baseline = baseline_of(group, groups)
        row: dict[str, Any] = {
            **{column: origin[column] for column in dict.fromkeys(("device", "torch", *places))},
            "place": group.family.place,
            "model": group.family.model,
            "recipe": group.recipe,
            "precision": group.precision,
            **values_of(group.family, distinguishing),
            "num_seeds": len({record.seed for record in records}),
            "test_accuracy": _mean([record.test_accuracy for record in records]),
            "test_accuracy_sd": _deviation([record.test_accuracy for record in records]),
            **{name: _mean_metric(records, name) for name in _METRICS},
            "target_accuracy": _common_target(records) if records[0].data.is_canonical else None,
        }
        row.update({} if baseline is None else _against(baseline.records, records))
        rows.append(row)
    return pd.DataFrame(rows)


_METRICS = (
    "training_time_s",
    "time_to_target_s",
    "peak_allocated_bytes",
    "peak_net_bytes",
    "energy_joules",
    "num_skipped_steps",
    "training_images_per_second",
)


def _common_target(records: Sequence[TrainingRecord]) -> float | None:
    """Return the target of all of them; it does not determine the result, so that one group may have several."""
    targets = {record.recipe.target_accuracy for record in records}
    return targets.pop() if len(targets) == 1 else None


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _mean_metric(records: Sequence[TrainingRecord], name: str) -> float | None:
    if name == "time_to_target_s" and _common_target(records) is None:
        return None
    values = [record.metrics.get(name) for record in records]
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(records) else None


def _against(baseline: Sequence[TrainingRecord], candidate: Sequence[TrainingRecord]) -> dict[str, Any]:
    """Judge by non-inferiority: the binomial error of the test images and the variance between seeds both count.

    Source: Blackwelder, "Proving the null hypothesis" in clinical trials, Controlled Clinical Trials 3 (1982).
    """
    if not baseline:
        return {}
    from scipy.special import stdtrit

    accuracies = [[record.test_accuracy for record in side] for side in (baseline, candidate)]
    difference = _mean(accuracies[1]) - _mean(accuracies[0])
    variance, dof = 0.0, 0.0
    for values, side in zip(accuracies, (baseline, candidate), strict=True):
        mean = _mean(values)
        binomial = mean * (1 - mean) / side[0].data.num_test
        seeds = float(np.var(values, ddof=1)) if len(values) > 1 else binomial + SEED_DEVIATION**2
        variance += max(seeds, binomial) / len(values)
        dof += len(values) - 1
    quantile = float(stdtrit(dof, CONFIDENCE)) if dof >= 1 else 1.645
    low = difference - quantile * math.sqrt(variance)
    peaks = [_mean_metric(side, "peak_allocated_bytes") for side in (baseline, candidate)]
    return {
        "accuracy_difference": difference,
        "difference_low": low,
        "non_inferior": low > -NON_INFERIORITY_MARGIN,
        **ratio_columns("time_ratio", _time_ratio(baseline, candidate)),
        "memory_ratio": peaks[1] / peaks[0] if peaks[0] and peaks[1] else None,
    }


def _time_ratio(baseline: Sequence[TrainingRecord], candidate: Sequence[TrainingRecord]) -> Ratio | None:
    """Return the training time of one side over the other's; two trainings a side give an interval."""
    times = [[record.metrics.get("training_time_s") or 0.0 for record in side] for side in (candidate, baseline)]
    if not all(all(side) for side in times):
        return None
    top, bottom = (np.array(side) for side in times)
    if min(len(top), len(bottom)) > 1:
        return ratio_over_processes(top, bottom, paired=False)
    return bare_ratio(float(np.exp(np.log(top).mean() - np.log(bottom).mean())))


def accuracy_table(results: Results) -> Table:
    """Return accuracy, time and memory of full trainings."""
    frame = accuracy_frame(results)
    if frame.empty:
        return nothing(results, "Full trainings")
    places = place_table_columns(training_origins(results))
    distinguishing = distinguishing_values(training_groups(results))
    common = [name for name in ("recipe", "data", "device") if frame[name].nunique(dropna=False) == 1]
    shared = ", ".join(str(frame[name].fillna(UNKNOWN_PLACE).iloc[0]) for name in common)
    compared = "accuracy_difference" in frame
    targets = bool(frame["target_accuracy"].notna().any())
    return Table(
        title=f"Full trainings: {shared}",
        frame=frame,
        columns=(
            *places,
            *([text_column("recipe")] if frame["recipe"].nunique() > 1 else []),
            *value_columns(distinguishing),
            text_column("model"),
            text_column("precision"),
            Column(heading="test accuracy %", show=accuracy_in_words, numeric=True),
            *([Column(heading="target %", show=_target, numeric=True)] if targets else []),
            *([Column(heading="AMP - FP32 points", show=_difference, numeric=True)] if compared else []),
            metric_column("training_time_s"),
            *(_present(frame, ("time_to_target_s", "training_images_per_second", "peak_allocated_bytes"))),
            *(_present(frame, ("peak_net_bytes", "energy_joules", "num_skipped_steps"))),
        ),
        notes=(
            *(["+- standard deviation of n seeds"] if frame["num_seeds"].max() > 1 else []),
            *([_NON_INFERIORITY] if compared else []),
            *data_notes(results),
            *notes_of(results),
        ),
    )


_NON_INFERIORITY = (
    "AMP - FP32: difference of the test accuracies and the lower end of its one-sided 95% interval, binomial error of "
    "the test images and variance of seeds counted; no worse: it lies above -1 point"
)


def _present(frame: pd.DataFrame, names: Sequence[str]) -> list[Column]:
    return [metric_column(name) for name in names if frame[name].notna().any()]


def data_notes(results: Results) -> list[str]:
    """Return the note on images that are not CIFAR-10 itself."""
    if all(training.record.data.is_canonical for training in results.trainings):
        return []
    return ["these images are not the original CIFAR-10: the study's accuracies are not asked of them"]


def accuracy_in_words(row: dict[str, Any]) -> str:
    """Return the test accuracy of a row in percent, over several seeds with its standard deviation."""
    text = f"{100 * row['test_accuracy']:.2f}"
    if row["test_accuracy_sd"] is not None:
        text += f" +- {100 * row['test_accuracy_sd']:.2f} (n={row['num_seeds']})"
    return text


def _target(row: dict[str, Any]) -> str:
    return "-" if row["target_accuracy"] is None else f"{100 * row['target_accuracy']:.2f}"


def _difference(row: dict[str, Any]) -> str:
    difference = row.get("accuracy_difference")
    if difference is None:
        return "-"
    verdict = "no worse" if row["non_inferior"] else "not shown"
    return f"{100 * difference:+.2f} (from {100 * row['difference_low']:+.2f}): {verdict}"


def history_table(results: Results) -> Table:
    """Return every epoch: losses, accuracy, learning rate, loss scale, skipped steps."""
    origins = training_origins(results)
    apart = differing_columns(origins)
    groups = training_groups(results)
    distinguishing = distinguishing_values(groups)
    rows = [
        {
            **{column: origin_of(training)[column] for column in apart},
            "recipe": training.record.recipe.name,
            **{name: group.family.value(name) for name in distinguishing},
            "model": training.record.workload.model,
            "precision": training.record.workload.precision,
            "seed": training.record.seed,
            "epoch": epoch.epoch,
            "learning_rate": epoch.learning_rate,
            "train_loss": epoch.train_loss,
            "validation_loss": epoch.validation_loss,
            "validation_accuracy": epoch.validation_accuracy,
            "training_images_per_second": training.record.data.num_train / epoch.training_s,
            "loss_scale": epoch.loss_scale,
            "num_skipped_steps": epoch.num_skipped_steps,
        }
        for group in groups
        for training in group.members
        for epoch in training.record.history
    ]
    if not rows:
        return nothing(results, "Epochs")
    frame = pd.DataFrame(rows)
    return Table(
        title="Epochs of full trainings",
        frame=frame,
        columns=(
            *telling_apart(origins),
            *([text_column("recipe")] if frame["recipe"].nunique() > 1 else []),
            *value_columns(distinguishing),
            text_column("model"),
            text_column("precision"),
            *([text_column("seed")] if frame["seed"].nunique() > 1 else []),
            text_column("epoch"),
            Column(heading="learning rate", show=lambda row: f"{row['learning_rate']:g}", numeric=True),
            Column(heading="train loss", show=lambda row: f"{row['train_loss']:.4f}", numeric=True),
            Column(heading="validation loss", show=lambda row: f"{row['validation_loss']:.4f}", numeric=True),
            metric_column("validation_accuracy"),
            metric_column("training_images_per_second"),
            Column(
                heading="loss scale",
                show=lambda row: "-" if row["loss_scale"] is None else f"{row['loss_scale']:g}",
                numeric=True,
            ),
            metric_column("num_skipped_steps"),
        ),
        notes=notes_of(results),
    )


def nothing(results: Results, title: str) -> Table:
    """Return the table of files without full trainings."""
    return Table(title=title, frame=pd.DataFrame(), columns=(), notes=(NO_TRAININGS, *notes_of(results)))
