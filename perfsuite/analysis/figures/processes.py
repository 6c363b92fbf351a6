"""Every process of a comparison, one dot each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.figures.style import AMP_FP16, FP32, in_style
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.formatting import plural, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.statistics.effect import Floats
    from perfsuite.analysis.verdicts.compare import Comparison
    from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict
    from perfsuite.records.training import TrainingRecord


COLORS = {"baseline": FP32, "candidate": AMP_FP16}


@in_style()
def process_chart(comparison: Comparison, row: int) -> Any:
    """Draw what every process of both sides measured of one benchmark, in the order in which they ran.

    Returns:
        A matplotlib Figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    sides, benchmark = comparison.sides, comparison.benchmarks[row]
    quantile = TYPICAL if comparison.typical is None else comparison.typical.quantile
    times_ms = 1e3 * np.exp(sides.logs[quantile][row])
    order = np.argsort(np.argsort(sides.order, kind="stable")) + 1
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    time = benchmark.time
    for name, side, marker, mean_s in (
        ("baseline", ~sides.is_candidate, "o", time.baseline),
        ("candidate", sides.is_candidate, "s", time.candidate),
    ):
        chosen = side & np.isfinite(times_ms)
        if not chosen.any():
            continue
        level = 1e3 * mean_s if mean_s is not None else float(np.exp(np.log(times_ms[chosen]).mean()))
        axes.plot(
            order[chosen],
            times_ms[chosen],
            marker,
            color=COLORS[name],
            label=f"{name}, {plural(int(chosen.sum()), 'process')}, mean {level:.4g} ms",
        )
        axes.axhline(level, color=COLORS[name], linewidth=1, linestyle="-" if name == "baseline" else "--")
    axes.set_xlabel("process, in the order in which they ran")
    axes.set_ylabel(f"{'median' if quantile == TYPICAL else f'{quantile:.0%} quantile'} of the rounds, ms")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.15)
    title = f"{_shortened(benchmark.label)}\n{benchmark.time.verdict}"
    if time.ratio is not None and time.ratio_low is not None and time.ratio_high is not None:
        title += f": {time.ratio:.3f} of the baseline's time [{time.ratio_low:.3f}, {time.ratio_high:.3f}]"
    axes.set_title(_plain(title), loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


@in_style()
def training_chart(verdict: TrainingVerdict) -> Any:
    """Draw losses and validation accuracy of both sides, epoch by epoch: the mean over trainings, and their range.

    Returns:
        A matplotlib Figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    cell, accuracy = verdict.cell, verdict.accuracy
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    panels = figure.subplots(1, len(CURVES))
    for axes, (name, (factor, title)) in zip(panels, CURVES.items(), strict=True):
        for side, line in (("baseline", "-"), ("candidate", "--")):
            values = _values(cell.records(candidate=side == "candidate"), name)
            if values is not None:
                _draw_mean(axes, factor * values, side, line)
        axes.set_title(title, loc="left", fontsize=9)
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.spines[["top", "right"]].set_visible(False)
    title = f"{_shortened(cell.label)}\n{verdict.verdict}"
    if accuracy.change is not None and accuracy.change_low is not None and accuracy.change_high is not None:
        numbers = (accuracy.change, accuracy.change_low, accuracy.change_high)
        change, low, high = (f"{100 * number:+.2f}" for number in numbers)
        title += f": test accuracy {change} points [{low}, {high}]"
    figure.suptitle(_plain(title), x=0.01, ha="left", fontsize=10)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _values(records: Sequence[TrainingRecord], name: str) -> Floats | None:
    """Return a field of the epochs that all trainings have [trainings, epochs]; None where there are none."""
    num_epochs = min((len(record.history) for record in records), default=0)
    if not num_epochs:
        return None
    return np.array([_first_epochs(record, name, num_epochs) for record in records])


def _first_epochs(record: TrainingRecord, name: str, num_epochs: int) -> list[float]:
    return [getattr(epoch, name) for epoch in record.history[:num_epochs]]


def _draw_mean(axes: Axes, values: Floats, side: str, line: str) -> None:
    """Draw the mean over trainings, and their range where there are several."""
    num_trainings, num_epochs = values.shape
    epochs = np.arange(1, num_epochs + 1)
    label = f"{side}, {plural(num_trainings, 'training')}"
    marker = "o" if num_epochs == 1 else None
    axes.plot(epochs, values.mean(axis=0), line, marker=marker, color=COLORS[side], label=label)
    if num_trainings > 1:
        axes.fill_between(epochs, values.min(axis=0), values.max(axis=0), color=COLORS[side], alpha=0.2)


CURVES = {
    "train_loss": (1.0, "training loss (cross-entropy)"),
    "validation_loss": (1.0, "validation loss (cross-entropy)"),
    "validation_accuracy": (100.0, "validation accuracy, %"),
}
"""Fields of an epoch that a training's chart shows, with what they are multiplied with."""


def _shortened(text: str, longest: int = 80) -> str:
    """Keep the end, which distinguishes names of tests."""
    return text if len(text) <= longest else f"...{text[-longest:]}"


def _plain(text: str) -> str:
    """Leave nothing in a name that acts on a reader."""
    return "\n".join(printable(line) for line in text.split("\n"))
