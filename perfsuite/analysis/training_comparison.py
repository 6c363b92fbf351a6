"""A comparison of full trainings as a table, as JSON, and the numbers behind one verdict."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.statistics.accuracy import SEED_SD_DOF
from perfsuite.analysis.tables import Column, Table
from perfsuite.analysis.training_groups import determining_in_words
from perfsuite.analysis.training_verdicts import TIME_SHARE, points
from perfsuite.analysis.verdict_words import STYLES, counts_in_words, shown_ratio, shown_verdict
from perfsuite.analysis.verdicts import WORST_FIRST, MetricVerdict
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.training_cells import TrainingCell
    from perfsuite.analysis.training_verdicts import TrainingComparison, TrainingVerdict
    from perfsuite.training_record import TrainingRecord

ALSO_SHOWN = ("training_images_per_second", "time_to_target_s", "num_skipped_steps", "num_interruptions", "lost_time_s")
"""Metrics of both sides without a verdict of their own: they follow from accuracy and time, or may be their causes."""

EXPLAINED_EPOCHS = 6
"""Epochs of which `--explain` prints losses and accuracy."""


def ranked_trainings(found: TrainingComparison) -> list[TrainingVerdict]:
    """Return the verdicts in the order in which they are shown: the worst first, within them the largest losses."""
    return sorted(found.verdicts, key=lambda one: (WORST_FIRST.index(one.verdict), one.accuracy.change or 0.0))


def training_rows(found: TrainingComparison) -> list[dict[str, Any]]:
    """Return a row per cell, everything in base units."""
    return [_row(one) for one in ranked_trainings(found)]


def _row(one: TrainingVerdict) -> dict[str, Any]:
    row: dict[str, Any] = {
        "fullname": one.cell.fullname,
        "label": one.cell.label,
        "verdict": one.verdict,
        "reason": one.reason,
        "num_baseline": len(one.cell.baseline),
        "num_candidate": len(one.cell.candidate),
        "num_failed_baseline": one.num_failed[0],
        "num_failed_candidate": one.num_failed[1],
        "min_effect": one.min_effect,
    }
    for name, metric, unit in (("time", one.time, "s"), ("memory", one.memory, "bytes")):
        for key in ("verdict", "ratio", "ci_low", "ci_high"):
            row[f"{name}_{key}"] = None if metric is None else getattr(metric, key)
        row[f"{name}_baseline_{unit}"] = None if metric is None else metric.baseline
        row[f"{name}_candidate_{unit}"] = None if metric is None else metric.candidate
    for field in dataclasses.fields(one.accuracy):
        if field.name not in {"reason", "details"}:
            row[f"accuracy_{field.name}"] = getattr(one.accuracy, field.name)
    return row


def trainings_table(found: TrainingComparison, alpha: float) -> Table | None:
    """Return the full trainings as a table; None where there are none."""
    if not found.verdicts:
        return None
    rows = training_rows(found)
    seen = any(row["accuracy_change"] is not None for row in rows)
    memory = any(row["memory_ratio"] is not None for row in rows)
    return Table(
        title=f"Full trainings: {counts_in_words(one.verdict for one in found.verdicts)}",
        frame=rows,
        columns=(
            Column(heading="verdict", show=shown_verdict, style=lambda row: STYLES[row["verdict"]]),
            Column(heading="training", show=lambda row: row["label"], foldable=True),
            Column(heading="accuracy %", show=_accuracies, numeric=True),
            *([Column(heading="points [95%]", show=_change, numeric=True)] if seen else []),
            *([Column(heading="detectable points", show=_detectable, numeric=True)] if seen else []),
            *([Column(heading="time", show=lambda row: shown_ratio(row, "time"), numeric=True)] if seen else []),
            *([Column(heading="memory", show=lambda row: shown_ratio(row, "memory"), numeric=True)] if memory else []),
            Column(heading="reason", show=lambda row: row["reason"], foldable=True),
        ),
        notes=(*(_legend(found, alpha) if seen else ()), *found.notes),
    )


def _legend(found: TrainingComparison, alpha: float) -> list[str]:
    time_alpha = alpha * TIME_SHARE
    lines = [
        (
            "accuracy: baseline -> candidate on the test images, mean over seeds; points: candidate - baseline [95% "
            "interval]; time: ratio of the training times, candidate / baseline"
        ),
        (
            f"unchanged: a loss of {points(found.margin)} or more is excluded (non-inferiority); detectable: the "
            "smallest loss that is found with a probability of 95%"
        ),
        f"chance of any false verdict in this table: {alpha:.3g}, of it {time_alpha:.2g} for training times",
    ]
    if any(one.time.ratio is not None and one.time.ci_low is None for one in found.verdicts):
        lines.append(
            "training time is judged from 3 processes a side on, interleaved: perfsuite ab ... -- -m full_training"
        )
    return lines


def _accuracies(row: dict[str, Any]) -> str:
    before, after = (
        "n/a" if row[f"accuracy_{side}"] is None else f"{100 * row[f'accuracy_{side}']:.2f}"
        for side in ("baseline", "candidate")
    )
    return f"{before} -> {after}"


def _change(row: dict[str, Any]) -> str:
    change, low, high = (row[f"accuracy_{key}"] for key in ("change", "ci_low", "ci_high"))
    return "-" if change is None else f"{100 * change:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def _detectable(row: dict[str, Any]) -> str:
    detectable = row["accuracy_detectable"]
    return "-" if detectable is None else f"{100 * detectable:.2f}"


def training_json(one: TrainingVerdict) -> dict[str, Any]:
    """Return a verdict as plain values."""
    accuracy = one.accuracy
    details = accuracy.details
    values = {name: value for name, value in _row(one).items() if name.startswith("accuracy_")}
    return {
        "fullname": one.cell.fullname,
        "label": one.cell.label,
        "verdict": one.verdict,
        "reason": one.reason,
        "num_trainings": {"baseline": len(one.cell.baseline), "candidate": len(one.cell.candidate)},
        "num_failed": dict(zip(("baseline", "candidate"), one.num_failed, strict=True)),
        "seeds": {name: list(one.cell.seeds(candidate=name == "candidate")) for name in ("baseline", "candidate")},
        "accuracy": {
            **{name.removeprefix("accuracy_"): value for name, value in values.items()},
            "is_paired": None if details is None else details.is_paired,
            "reason": accuracy.reason,
        },
        "time": _metric_json(one.time, "s"),
        "memory": None if one.memory is None else _metric_json(one.memory, "bytes"),
        "also": {key: _means(one.cell, key) for key in ALSO_SHOWN},
        "causes": list(one.causes),
    }


def _metric_json(metric: MetricVerdict, unit: str) -> dict[str, Any]:
    return {
        "ratio": metric.ratio,
        "ci_low": metric.ci_low,
        "ci_high": metric.ci_high,
        f"baseline_{unit}": metric.baseline,
        f"candidate_{unit}": metric.candidate,
        "verdict": metric.verdict,
        "reason": metric.reason,
    }


def _means(cell: TrainingCell, key: str) -> dict[str, float | None]:
    return {name: _mean_metric(cell.records(candidate=name == "candidate"), key) for name in ("baseline", "candidate")}


def _mean_metric(records: Sequence[TrainingRecord], key: str) -> float | None:
    values = [record.metrics.get(key) for record in records]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def explain_training(found: TrainingComparison, one: TrainingVerdict, alpha: float) -> str:
    """Return the numbers behind a verdict, in words."""
    cell, accuracy, details = one.cell, one.accuracy, one.accuracy.details
    lines = [f"{cell.label}: {one.verdict}", f"  {one.reason}", "", f"Trained: {determining_in_words(cell.family)}", ""]
    lines.append("Test accuracy of each training in %:")
    for name in ("baseline", "candidate"):
        by_seed = cell.seeds(candidate=name == "candidate")
        texts = [
            f"seed {seed}: {', '.join(f'{100 * record.test_accuracy:.2f}' for record in records)}"
            for seed, records in by_seed.items()
        ]
        lines.append(f"  {name:<10} {'; '.join(texts) or 'none'}")
    if details is not None and accuracy.change is not None:
        lines += ["", *_explained_accuracy(found, one, alpha)]
    lines += ["", "Training time: " + _explained_metric(one.time, METRICS["training_time_s"].show)]
    if one.memory is not None:
        lines.append("Peak memory in MiB: " + _explained_metric(one.memory, METRICS["peak_allocated_bytes"].show))
    for key in ALSO_SHOWN:
        means = _means(cell, key)
        if any(value is not None for value in means.values()):
            before, after = (METRICS[key].show(means[name]) for name in ("baseline", "candidate"))
            lines.append(f"{METRICS[key].heading}: {before} -> {after}")
    lines += ["", *_explained_epochs(cell)]
    return "\n".join(lines) + "\n"


def _explained_accuracy(found: TrainingComparison, one: TrainingVerdict, alpha: float) -> list[str]:
    accuracy, details = one.accuracy, one.accuracy.details
    assert details is not None  # noqa: S101 - for the type checker: asked for above
    numbers = (accuracy.change, accuracy.ci_low, accuracy.ci_high, accuracy.lower_bound)
    change, low, high, bound = (f"{100 * (number or 0.0):+.2f}" for number in numbers)
    how = (
        f"{details.num_baseline} pair{'' if details.num_baseline == 1 else 's'} of trainings with one seed and split"
        if details.is_paired
        else f"{details.num_baseline} seeds of the baseline, {details.num_candidate} others of the candidate, unpaired"
    )
    images = f"{100 * details.image_variance**0.5:.2f}"
    samples = "n/a (one)" if details.sample_variance is None else f"{100 * details.sample_variance**0.5:.2f}"
    what = "a difference" if details.is_paired else "an accuracy"
    accuracy_alpha = alpha * (1 - TIME_SHARE)
    return [
        f"Change: {change} points, 95% interval {low} to {high}, from {how}",
        (
            f"  standard deviation of {what}: {images} points from the finite number of test images "
            f"({'discordant images, McNemar' if details.is_paired else 'binomial'}), {samples} as measured"
        ),
        (
            f"  between seeds {100 * found.seed_sd:.2f} points are assumed, with the weight of {SEED_SD_DOF} degrees "
            f"of freedom; the seeds have {details.dof}"
        ),
        (
            f"  no change: p = {accuracy.p_value:.2g}; regressed and improved need at most {accuracy_alpha:.3g} and "
            f"{points(found.margin)}"
        ),
        (
            f"  a loss of {points(found.margin)} or more: p = {accuracy.p_inferior:.2g} (Holm over all cells); "
            f"unchanged needs at most {accuracy_alpha:.3g}; one-sided 95% bound of this cell alone {bound}"
        ),
    ]


def _explained_metric(metric: MetricVerdict, show: Any) -> str:
    if metric.ratio is None:
        return f"n/a ({metric.reason})"
    interval = "" if metric.ci_low is None else f" [{metric.ci_low:.3f}, {metric.ci_high:.3f}]"
    return f"{show(metric.baseline)} -> {show(metric.candidate)}, ratio {metric.ratio:.3f}{interval}: {metric.reason}"


def _explained_epochs(cell: TrainingCell) -> list[str]:
    """Return losses and validation accuracy of both sides at some epochs, means over trainings."""
    sides = [cell.records(candidate=side) for side in (False, True)]
    num = min((len(record.history) for side in sides for record in side), default=0)
    if not num or not all(sides):
        return []
    steps = min(EXPLAINED_EPOCHS, num)
    shown = sorted({round(1 + (num - 1) * step / max(steps - 1, 1)) for step in range(steps)})
    lines = ["epoch   training loss        validation loss      validation accuracy %"]
    for epoch in shown:
        parts = []
        for name, factor, digits in (("train_loss", 1, 4), ("validation_loss", 1, 4), ("validation_accuracy", 100, 2)):
            means = [_mean_of_epoch(side, epoch, name) for side in sides]
            before, after = ("n/a" if mean is None else f"{factor * mean:.{digits}f}" for mean in means)
            parts.append(f"{before} -> {after}".ljust(20))
        lines.append(f"{epoch:>5}   {' '.join(parts)}".rstrip())
    return lines


def _mean_of_epoch(records: Sequence[TrainingRecord], epoch: int, name: str) -> float | None:
    """Return the mean over trainings of a value of an epoch, counted from 1; None where one is absent."""
    values = [getattr(record.history[epoch - 1], name) for record in records]
    return None if None in values else sum(values) / len(values)
