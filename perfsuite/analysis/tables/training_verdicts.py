"""A comparison of full trainings as a table, as JSON, and the numbers behind one verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import peaks_text, row_change_text, times_text
from perfsuite.analysis.frames.training_words import points
from perfsuite.analysis.tables.table import Column, Priority, Table, shown
from perfsuite.analysis.verdicts.row_choice import ALL_ROWS, chosen_trainings
from perfsuite.analysis.verdicts.training_rows import training_row
from perfsuite.analysis.verdicts.training_verdicts import TIME_SHARE
from perfsuite.analysis.verdicts.verdict_words import STYLES, counts_in_words, shown_verdict

if TYPE_CHECKING:
    from perfsuite.analysis.verdicts.compare import Comparison
    from perfsuite.analysis.verdicts.row_choice import RowChoice
    from perfsuite.analysis.verdicts.training_verdicts import TrainingComparison


EXPLAINED_EPOCHS = 6
"""Epochs of which `--explain` prints losses and accuracy."""


def trainings_table(comparison: Comparison, choice: RowChoice = ALL_ROWS) -> Table | None:
    """Return the full trainings as a table; None where there are none."""
    found = comparison.trainings
    if not found.verdicts:
        return None
    rows = [training_row(one) for one in chosen_trainings(comparison, choice)]
    seen = any(row["accuracy_change"] is not None for row in rows)
    memory = any(row["memory_ratio"] is not None for row in rows)
    columns = shown(
        Column(heading="verdict", show=shown_verdict, style=lambda row: STYLES[row["verdict"]]),
        Column(heading="training", show=lambda row: row["label"], foldable=True),
        Column(heading="accuracy %", show=_accuracies, numeric=True),
        Column(heading="points [95%]", show=_change, numeric=True, shown_when=seen, priority=Priority.MAIN),
        Column(heading="n", show=shown_num, numeric=True),
        Column(heading="detectable points", show=_detectable, numeric=True, shown_when=seen, priority=Priority.DETAIL),
        Column(heading="times", show=shown_times, numeric=True, shown_when=seen),
        Column(
            heading="time change", show=lambda row: row_change_text(row, "time_ratio"), numeric=True, shown_when=seen
        ),
        Column(heading="peak memory", show=shown_peaks, numeric=True, shown_when=memory),
        Column(heading="reason", show=lambda row: row["reason"], foldable=True),
    )
    return Table(
        title=f"Full trainings: {counts_in_words(one.verdict for one in found.verdicts)}",
        frame=rows,
        columns=columns if rows else (),
        legend=tuple(_legend(found, comparison.alpha)) if seen else (),
        notes=found.notes,
    )


def shown_times(row: dict[str, Any]) -> str:
    """Return the times of both sides of a row."""
    return times_text(row["time_baseline_s"], row["time_candidate_s"])


def shown_peaks(row: dict[str, Any]) -> str:
    """Return the peaks of both sides of a row, with the change where they differ."""
    return peaks_text(row["memory_baseline_bytes"], row["memory_candidate_bytes"])


def shown_num(row: dict[str, Any]) -> str:
    """Return how many samples each side of a row has: one number where both have as many, else baseline/candidate."""
    old, new = row["num_baseline"], row["num_candidate"]
    return f"{old}" if old == new else f"{old}/{new}"


def _legend(found: TrainingComparison, alpha: float) -> list[str]:
    time_alpha = alpha * TIME_SHARE
    lines = [
        (
            "accuracy: baseline -> candidate on the test images, mean over seeds; points: candidate - baseline [95% "
            "interval]; times: training times, baseline -> candidate; n: trainings a side"
        ),
        (
            f"unchanged: a loss of {points(found.margin)} or more is excluded (non-inferiority); detectable: the "
            "smallest loss that is found with a probability of 95%"
        ),
        f"chance of any false verdict in this table: {alpha:.3g}, of it {time_alpha:.2g} for training times",
    ]
    if any(one.time.ratio is not None and one.time.ratio_low is None for one in found.verdicts):
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
    change, low, high = (row[f"accuracy_{key}"] for key in ("change", "change_low", "change_high"))
    return "-" if change is None else f"{100 * change:+.2f} [{100 * low:+.2f}, {100 * high:+.2f}]"


def _detectable(row: dict[str, Any]) -> str:
    detectable = row["accuracy_detectable"]
    return "-" if detectable is None else f"{100 * detectable:.2f}"
