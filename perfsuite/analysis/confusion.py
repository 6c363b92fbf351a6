"""Which classes full trainings confuse, and how alike the errors of AMP and FP32 are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import place_columns
from perfsuite.analysis.speedup import BASELINE
from perfsuite.analysis.table_parts import notes_of, place_table_columns
from perfsuite.analysis.tables import Column, Table, text_column
from perfsuite.analysis.training_tables import nothing, training_groups, training_origins

if TYPE_CHECKING:
    from perfsuite.analysis.collect import Results

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Label 0 to 9. Source: Krizhevsky, Learning Multiple Layers of Features from Tiny Images (2009)."""


def confusion_table(results: Results) -> Table:
    """Return confusion matrices (rows true), summed over seeds, and how alike those of AMP and FP32 are."""
    groups = training_groups(results)
    if not groups:
        return nothing(results, "Confusion matrices")
    places = place_columns(training_origins(results))
    rows, notes = [], []
    for key, members in groups.items():
        origin = members[0].environment | {"series": members[0].series}
        name = f"{key[1]} ({key[0]})" if key[0] else str(key[1])
        total = np.sum([member.record.confusion for member in members], axis=0)
        for label, counts in enumerate(total.tolist()):
            row = {"model": key[1], "precision": key[-1], "recipe": key[2], "true": CLASSES[label]}
            row = {**{column: origin[column] for column in places}, **row}
            rows.append({**row, **dict(zip(CLASSES, counts, strict=True))})
        notes.append(f"{name} {key[-1]}: most confused: {', '.join(_most_confused(total))}")
        baseline = groups.get((*key[:-1], BASELINE))
        if baseline and key[-1] != BASELINE:
            alike = likeness(np.sum([member.record.confusion for member in baseline], axis=0), total)
            notes.append(f"{name}: errors of {key[-1]} and {BASELINE} are alike by {alike:.2f} (1: the same pairs)")
    return Table(
        title="Confusion matrices: true class in the row, taken for the one in the column",
        frame=pd.DataFrame(rows),
        columns=(
            *place_table_columns(training_origins(results)),
            text_column("model"),
            text_column("precision"),
            text_column("true"),
            *(Column(heading=name[:5], show=_count(name), numeric=True) for name in CLASSES),
        ),
        notes=(*notes, *notes_of(results)),
    )


def _count(name: str) -> Any:
    return lambda row: str(row[name])


def likeness(one: Any, other: Any) -> float:
    """Return the correlation of the off-diagonal counts of two confusion matrices [10, 10]; 1 means the same errors."""
    outside = ~np.eye(len(CLASSES), dtype=bool)
    first, second = np.asarray(one)[outside].astype(float), np.asarray(other)[outside].astype(float)
    if first.std() == 0 or second.std() == 0:
        return float(np.array_equal(first, second))
    return float(np.corrcoef(first, second)[0, 1])


def _most_confused(confusion: Any, num: int = 3) -> list[str]:
    both = np.triu(confusion + confusion.T, 1)
    ranked = np.argsort(both, axis=None)[::-1][:num]
    pairs = [np.unravel_index(index, both.shape) for index in ranked]
    return [f"{CLASSES[a]} and {CLASSES[b]} ({both[a, b]})" for a, b in pairs if both[a, b] > 0]
