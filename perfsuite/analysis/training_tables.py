"""Full trainings: accuracy and time with seeds as samples, AMP against FP32, confusion matrices, the loss scale."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import differing_columns, place_columns
from perfsuite.analysis.ratio_text import bracket_notes, ratio_columns, ratio_of_row
from perfsuite.analysis.speedup import BASELINE
from perfsuite.analysis.statistics.intervals import bare_ratio, ratio_over_processes
from perfsuite.analysis.table_parts import notes_of, place_in_words, place_table_columns, telling_apart
from perfsuite.analysis.tables import Column, Table, metric_column, ratio_column, text_column
from perfsuite.study import study_result

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from perfsuite.analysis.collect import FullTraining, Results
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


def training_origins(results: Results) -> pd.DataFrame:
    """Return where each training comes from: its environment, file, series and name."""
    return pd.DataFrame([_origin(training) for training in results.trainings])


def _origin(training: FullTraining) -> dict[str, Any]:
    return {**training.environment, "file": training.file, "series": training.series, "name": training.name}


def training_groups(results: Results) -> dict[tuple[Hashable, ...], list[FullTraining]]:
    """Return trainings that differ in their seed alone: by place in words, workload, recipe and data."""
    groups: dict[tuple[Hashable, ...], list[FullTraining]] = {}
    columns = place_table_columns(training_origins(results))
    for training in results.trainings:
        record = training.record
        key = (
            place_in_words(columns, _origin(training)),
            record.workload.model,
            record.recipe.name,
            record.data.fingerprint,
            record.data.num_train,
            record.workload.memory_format,
            record.workload.compiled,
            record.workload.precision,
        )
        groups.setdefault(key, []).append(training)
    return groups


def accuracy_frame(results: Results) -> pd.DataFrame:
    """Return a row per group: mean, standard deviation and number of seeds, and AMP against FP32.

    Returns:
        Columns: device, torch and what else differs between places, `place` in words, model, recipe, data, precision,
        `num_seeds`, `test_accuracy`, `test_accuracy_sd`, `training_time_s`, `time_to_target_s`,
        `peak_allocated_bytes`, `peak_net_bytes`, `energy_joules`, `num_skipped_steps`, `target_accuracy`, and against
        FP32 of the same group `accuracy_difference` with `difference_low` (one-sided 95%), `time_ratio` with what
        `ratio_columns` adds, `memory_ratio`, `non_inferior`.
    """
    groups = training_groups(results)
    places = place_columns(training_origins(results))
    rows = []
    for key, members in groups.items():
        origin = _origin(members[0])
        records = [member.record for member in members]
        baseline = groups.get((*key[:-1], BASELINE), [])
        row: dict[str, Any] = {
            **{column: origin[column] for column in dict.fromkeys(("device", "torch", *places))},
            "place": key[0],
            "model": key[1],
            "recipe": key[2],
            "data": records[0].data.name,
            "precision": key[-1],
            "num_seeds": len({record.seed for record in records}),
            "test_accuracy": _mean([record.test_accuracy for record in records]),
            "test_accuracy_sd": _deviation([record.test_accuracy for record in records]),
            **{name: _mean_metric(records, name) for name in _METRICS},
            "target_accuracy": records[0].recipe.target_accuracy if records[0].data.is_canonical else None,
        }
        row.update(_against([member.record for member in baseline], records) if key[-1] != BASELINE else {})
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


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _deviation(values: Sequence[float]) -> float | None:
    return float(np.std(values, ddof=1)) if len(values) > 1 else None


def _mean_metric(records: Sequence[TrainingRecord], name: str) -> float | None:
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
    shown = [name for name in ("recipe", "data") if frame[name].nunique() > 1]
    common = [name for name in ("recipe", "data", "device") if frame[name].nunique(dropna=False) == 1]
    shared = ", ".join(str(frame[name].iloc[0]) for name in common)
    compared = "accuracy_difference" in frame
    targets = bool(frame["target_accuracy"].notna().any())
    return Table(
        title=f"Full trainings: {shared}",
        frame=frame,
        columns=(
            *places,
            *(text_column(name) for name in shown),
            text_column("model"),
            text_column("precision"),
            Column(heading="test accuracy %", show=_accuracy, numeric=True),
            *([Column(heading="target %", show=_target, numeric=True)] if targets else []),
            *([Column(heading="AMP - FP32 points", show=_difference, numeric=True)] if compared else []),
            metric_column("training_time_s"),
            *(_present(frame, ("time_to_target_s", "training_images_per_second", "peak_allocated_bytes"))),
            *(_present(frame, ("peak_net_bytes", "energy_joules", "num_skipped_steps"))),
        ),
        notes=(
            *(["+- standard deviation of n seeds"] if frame["num_seeds"].max() > 1 else []),
            *([_NON_INFERIORITY] if compared else []),
            *_data_notes(results),
            *notes_of(results),
        ),
    )


_NON_INFERIORITY = (
    "AMP - FP32: difference of the test accuracies and the lower end of its one-sided 95% interval, binomial error of "
    "the test images and variance of seeds counted; no worse: it lies above -1 point"
)


def _present(frame: pd.DataFrame, names: Sequence[str]) -> list[Column]:
    return [metric_column(name) for name in names if frame[name].notna().any()]


def _data_notes(results: Results) -> list[str]:
    if all(training.record.data.is_canonical for training in results.trainings):
        return []
    return ["these images are not the original CIFAR-10: the study's accuracies are not asked of them"]


def _accuracy(row: dict[str, Any]) -> str:
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
    rows = [
        {
            **{column: _origin(training)[column] for column in apart},
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
        for training in results.trainings
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


def beside_study_table(results: Results) -> Table:
    """Return the study's tables 5.1 and 5.2 with ours beside them."""
    rows = []
    for row in accuracy_frame(results).to_dict("records"):
        theirs = study_result(str(row["model"]), str(row["precision"]))
        base = study_result(str(row["model"]), "fp32")
        if theirs is None or base is None:
            continue
        rows.append(
            {
                **{str(key): value for key, value in row.items()},
                "thesis_accuracy": theirs.test_accuracy,
                "thesis_training_time_s": theirs.training_time_s,
                "thesis_peak_bytes": theirs.peak_allocated_bytes,
                "thesis_time_ratio": None if theirs is base else theirs.training_time_s / base.training_time_s,
            }
        )
    if not rows:
        return nothing(results, "The study's tables 5.1 and 5.2")
    frame = pd.DataFrame(rows)
    if "time_ratio" not in frame:
        frame = frame.assign(**ratio_columns("time_ratio", None))
    return Table(
        title="Full trainings beside the study (Tesla T4, torch 1.6.0)",
        frame=frame,
        columns=(
            *place_table_columns(training_origins(results)),
            *([text_column("recipe")] if set(frame["recipe"]) != {"study"} else []),
            text_column("model"),
            text_column("precision"),
            Column(heading="accuracy %", show=_accuracy, numeric=True),
            Column(heading="study's %", show=lambda row: f"{100 * row['thesis_accuracy']:.2f}", numeric=True),
            metric_column("training_time_s", heading="time"),
            metric_column("thesis_training_time_s"),
            ratio_column("time_ratio", "AMP/FP32 time"),
            metric_column("thesis_time_ratio"),
            metric_column("peak_allocated_bytes"),
            metric_column("thesis_peak_bytes"),
        ),
        notes=(
            "peak memory is comparable with gradients kept (--perf-gradients kept), as PyTorch 1.6 did",
            *bracket_notes([ratio_of_row(row, "time_ratio") for row in rows], samples="trainings"),
            *_data_notes(results),
            *notes_of(results),
        ),
    )


def nothing(results: Results, title: str) -> Table:
    """Return the table of files without full trainings."""
    return Table(title=title, frame=pd.DataFrame(), columns=(), notes=(NO_TRAININGS, *notes_of(results)))
