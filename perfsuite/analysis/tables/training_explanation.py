"""The verdict on a full training, step by step in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.training_groups import determining_in_words
from perfsuite.analysis.frames.training_words import points
from perfsuite.analysis.statistics.accuracy import SEED_SD_DOF
from perfsuite.analysis.tables.training_verdicts import EXPLAINED_EPOCHS
from perfsuite.analysis.verdicts.training_rows import ALSO_SHOWN, side_means
from perfsuite.analysis.verdicts.training_verdicts import TIME_SHARE
from perfsuite.formatting import plural
from perfsuite.metrics import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.frames.training_cells import TrainingCell
    from perfsuite.analysis.verdicts.metric_verdict import MetricVerdict
    from perfsuite.analysis.verdicts.training_verdicts import TrainingComparison, TrainingVerdict
    from perfsuite.records.training import TrainingRecord


def explain_training(found: TrainingComparison, one: TrainingVerdict, alpha: float) -> str:
    """Return the numbers behind a verdict, in words."""
    cell, accuracy, details = one.cell, one.accuracy, one.accuracy.details
    lines = [f"{cell.label}: {one.verdict}", f"  {one.reason}", "", f"Trained: {determining_in_words(cell.family)}", ""]
    lines.append("Test accuracy of each training in %:")
    lines.append(f"  {'baseline':<10} {_accuracies_of_seeds(cell.seeds(candidate=False))}")
    lines.append(f"  {'candidate':<10} {_accuracies_of_seeds(cell.seeds(candidate=True))}")
    if details is not None and accuracy.change is not None:
        lines += ["", *_explained_accuracy(found, one, alpha)]
    lines += ["", "Training time: " + _explained_metric(one.time, METRICS["training_time_s"].show)]
    if one.memory is not None:
        lines.append("Peak memory in MiB: " + _explained_metric(one.memory, METRICS["peak_allocated_bytes"].show))
    for key in ALSO_SHOWN:
        means = side_means(cell, key)
        if any(value is not None for value in means.values()):
            show = METRICS[key].show
            lines.append(f"{METRICS[key].heading}: {show(means['baseline'])} -> {show(means['candidate'])}")
    lines += ["", *_explained_epochs(cell)]
    return "\n".join(lines) + "\n"


def _accuracies_of_seeds(by_seed: Mapping[int, Sequence[TrainingRecord]]) -> str:
    texts = []
    for seed, records in by_seed.items():
        accuracies = [f"{100 * record.test_accuracy:.2f}" for record in records]
        texts.append(f"seed {seed}: {', '.join(accuracies)}")
    return "; ".join(texts) or "none"


def _explained_accuracy(found: TrainingComparison, one: TrainingVerdict, alpha: float) -> list[str]:
    accuracy, details = one.accuracy, one.accuracy.details
    assert details is not None  # noqa: S101 - for the type checker: asked for above
    numbers = (accuracy.change, accuracy.change_low, accuracy.change_high, accuracy.lower_bound)
    change, low, high, bound = (f"{100 * (number or 0.0):+.2f}" for number in numbers)
    how = (
        f"{plural(details.num_baseline, 'pair')} of trainings with one seed and split"
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
    interval = "" if metric.ratio_low is None else f" [{metric.ratio_low:.3f}, {metric.ratio_high:.3f}]"
    return f"{show(metric.baseline)} -> {show(metric.candidate)}, ratio {metric.ratio:.3f}{interval}: {metric.reason}"


def _explained_epochs(cell: TrainingCell) -> list[str]:
    """Return losses and validation accuracy of both sides at some epochs, means over trainings."""
    old, new = cell.records(candidate=False), cell.records(candidate=True)
    num = min((len(record.history) for record in (*old, *new)), default=0)
    if not num or not old or not new:
        return []
    steps = min(EXPLAINED_EPOCHS, num)
    shown = sorted({round(1 + (num - 1) * step / max(steps - 1, 1)) for step in range(steps)})
    lines = ["epoch   training loss        validation loss      validation accuracy %"]
    for epoch in shown:
        parts = []
        for name, factor, digits in (("train_loss", 1, 4), ("validation_loss", 1, 4), ("validation_accuracy", 100, 2)):
            before = _scaled(_mean_of_epoch(old, epoch, name), factor, digits)
            after = _scaled(_mean_of_epoch(new, epoch, name), factor, digits)
            parts.append(f"{before} -> {after}".ljust(20))
        lines.append(f"{epoch:>5}   {' '.join(parts)}".rstrip())
    return lines


def _scaled(value: float | None, factor: int, digits: int) -> str:
    return "n/a" if value is None else f"{factor * value:.{digits}f}"


def _mean_of_epoch(records: Sequence[TrainingRecord], epoch: int, name: str) -> float | None:
    """Return the mean over trainings of a value of an epoch, counted from 1; None where one is absent."""
    values = [getattr(record.history[epoch - 1], name) for record in records]
    return None if None in values else sum(values) / len(values)
