"""Which classes full trainings confuse, and how alike the errors of AMP and FP32 are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.frames.columns import place_columns
from perfsuite.analysis.frames.confusion import confusion_of, likeness, with_shown_classes
from perfsuite.analysis.frames.training_groups import (
    baseline_of,
    distinguishing_values,
    family_words,
    training_groups,
    training_origins,
)
from perfsuite.analysis.tables.shared_columns import notes_of, place_table_columns, value_columns
from perfsuite.analysis.tables.table import Column, Priority, Table, shown, text_column
from perfsuite.analysis.tables.trainings import nothing
from perfsuite.precisions import BASELINE
from perfsuite.records.predictions import MAX_CONFUSION_CLASSES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results

NOT_KEPT = f"no confusion matrix of more than {MAX_CONFUSION_CLASSES} classes is kept"


def confusion_table(results: Results) -> Table:
    """Return confusion matrices (rows true), summed over seeds, and how alike those of AMP and FP32 are."""
    groups = training_groups(results)
    if not groups:
        return nothing(results, "Confusion matrices")
    places = place_columns(training_origins(results))
    distinguishing, family_name = distinguishing_values(groups), family_words(groups)
    rows: list[dict[str, Any]] = []
    notes = []
    headings: dict[str, None] = {}
    for group, classes in with_shown_classes(groups):
        origin, family, precision = group.members[0].origin, group.family, group.precision
        name, total = family_name(family), confusion_of(group)
        row = {
            **{column: origin[column] for column in places},
            "model": family.model,
            "precision": precision,
            "recipe": group.recipe,
            **{value: family.value(value) for value in distinguishing},
        }
        columns = _column_names(classes.names, {*row, "true"})
        headings.update(dict.fromkeys(columns))
        for class_name, counts in zip(classes.names, classes.reduced(total).tolist(), strict=True):
            rows.append({**row, "true": class_name, **dict(zip(columns, counts, strict=True))})
        notes += classes.in_words()
        confused = _most_confused(total, group.records[0].class_names)
        notes.append(f"{name} {precision}: most confused: {', '.join(confused)}")
        baseline = baseline_of(group, groups)
        if baseline is not None:
            alike = likeness(confusion_of(baseline), total)
            notes.append(
                f"{name}: similarity of the errors of {precision} and {BASELINE}: {alike:.2f} (1: the same pairs)"
            )
    notes += [
        f"{family_name(group.family)} {group.precision}: {NOT_KEPT}"
        for group in groups
        if not group.records[0].confusion
    ]
    return Table(
        title="Confusion matrices: true class in the row, predicted class in the column",
        frame=pd.DataFrame(rows),
        columns=shown(
            *place_table_columns(training_origins(results)),
            text_column("recipe", shown_when=len({group.recipe for group in groups}) > 1),
            *value_columns(distinguishing),
            text_column("model"),
            text_column("precision"),
            text_column("true"),
            *(Column(heading=name, show=_count(name), numeric=True, priority=Priority.MAIN) for name in headings),
        ),
        legend=tuple(dict.fromkeys(notes)),
        notes=notes_of(results),
    )


def _column_names(names: Sequence[str], taken: set[str]) -> list[str]:
    """Return the names of classes as columns, other ones where a column of this name is there already."""
    columns: list[str] = []
    for name in names:
        column = name
        while column in taken or (column != name and column in names):
            column = f"class {column}"
        taken.add(column)
        columns.append(column)
    return columns


def _count(name: str) -> Any:
    """Return what shows a count; nothing where the images of a row have no such class."""
    return lambda row: "" if pd.isna(row[name]) else str(int(row[name]))


def _most_confused(confusion: Any, names: Sequence[str], num: int = 3) -> list[str]:
    both = np.triu(confusion + confusion.T, 1)
    ranked = np.argsort(both, axis=None)[::-1][:num]
    pairs = [np.unravel_index(index, both.shape) for index in ranked]
    return [f"{names[a]} and {names[b]} ({both[a, b]})" for a, b in pairs if both[a, b] > 0]
