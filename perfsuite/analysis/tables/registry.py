"""Which tables there are: results -> a Table by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.tables.confusion import confusion_table
from perfsuite.analysis.tables.kernels import kernels_table
from perfsuite.analysis.tables.memory import ledger_table
from perfsuite.analysis.tables.pairs import input_pipeline_table, interleaved_table, overhead_table
from perfsuite.analysis.tables.roofline import limits_table
from perfsuite.analysis.tables.speedup import speedup_table
from perfsuite.analysis.tables.steps import notes_with_pairs, plain_table, steps_table
from perfsuite.analysis.tables.table import Table
from perfsuite.analysis.tables.telemetry import telemetry_table
from perfsuite.analysis.tables.thesis import thesis_table
from perfsuite.analysis.tables.trainings import accuracy_table, epochs_table
from perfsuite.parsing import choose

if TYPE_CHECKING:
    from collections.abc import Callable

    from perfsuite.analysis.frames.results import Results


def build_table(name: str, results: Results) -> Table:
    """Return a table by name.

    Foreign files have no workloads: with one among them, every name gives the plain table, with a note.

    Raises:
        InvalidChoiceError: An unknown name.
    """
    build = choose(TABLES, name, kind="table")
    if not results.has_records:
        return plain_table(results)
    elsewhere = bool(results.pairs or results.trainings)
    if name in {"steps", "speedup", "memory", "limits", "telemetry", "kernels"} and results.benchmarks.empty:
        return Table(
            title="No step benchmarks in these files" if elsewhere else "No benchmark produced a result",
            frame=results.benchmarks,
            columns=(),
            notes=notes_with_pairs(results),
        )
    return build(results)


TABLES: dict[str, Callable[[Results], Table]] = {
    "steps": steps_table,
    "speedup": speedup_table,
    "memory": ledger_table,
    "thesis": thesis_table,
    "accuracy": accuracy_table,
    "confusion": confusion_table,
    "epochs": epochs_table,
    "interleaved": interleaved_table,
    "overhead": overhead_table,
    "input_pipeline": input_pipeline_table,
    "limits": limits_table,
    "telemetry": telemetry_table,
    "kernels": kernels_table,
}
