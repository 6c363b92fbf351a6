"""Full trainings in the report: accuracy against target with its interval first, then what AMP changed."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.figures.registry import draw
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.training_words import (
    accuracies_in_words,
    accuracy_line,
    accuracy_percent,
    is_smoke,
    target_words,
)
from perfsuite.analysis.frames.trainings import accuracy_frame
from perfsuite.analysis.report.answers import Answer, first_lines, small_table
from perfsuite.analysis.report.speedups import saved_memory
from perfsuite.analysis.tables.trainings import accuracy_table, amp_table
from perfsuite.precisions import BASELINE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Drawing
    from perfsuite.analysis.tables.table import Table

MAX_TRAININGS = 8

NO_INTERVAL = "[no interval]"
"""How `ratio_text` says it."""


def trainings_answer(figure_data: FigureData) -> Answer | None:
    """Return the answer of the first screen: every accuracy against its target, and what AMP changed."""
    rows = rows_of(accuracy_frame(figure_data.results))
    if not rows:
        return None
    precisions = dict.fromkeys(row["precision"] for row in rows if row["precision"] != BASELINE)
    other = next(iter(precisions)) if len(precisions) == 1 else "other"
    ratios = [ratio_of_row(row, "time_ratio") for row in rows]
    has_interval = any(ratio is not None and ratio.low is not None for ratio in ratios)
    heads = ("", "fp32", other, "points (lower bound)", "time" if has_interval else f"time {NO_INTERVAL}", "memory")
    texts = _by_family(rows, several=len(precisions) > 1)
    if not has_interval:  # said once, above the column
        texts = [(*text[:4], text[4].removesuffix(f" {NO_INTERVAL}"), text[5]) for text in texts]
    tables, more = small_table(heads, texts, most=MAX_TRAININGS)
    return Answer(
        question="How accurate are the full trainings?",
        lead=accuracies_in_words(rows),
        context="test accuracy, mean over seeds [95% interval]",
        tables=tables,
        lines=tuple(more),
        tone=_tone(rows),
        target="trainings",
    )


def _tone(rows: Sequence[dict[str, Any]]) -> str:
    """Return how the trainings went; those of the recipe smoke have no verdict."""
    judged = [row for row in rows if not is_smoke(row)]
    outcomes = Counter(row["target_outcome"] for row in judged)
    is_inferior = any(row.get("non_inferior") is False for row in judged)
    if outcomes["missed"]:
        return "bad"
    if judged and outcomes["reached"] == len(judged) and not is_inferior:
        return "good"
    return "unsure" if outcomes["cannot tell"] or is_inferior else "plain"


def _by_family(rows: Sequence[dict[str, Any]], *, several: bool) -> list[tuple[str, ...]]:
    """Return a row for each pair of FP32 and another precision of the same training, and for each that has no other."""
    families: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        families.setdefault(str(row["label"]).removesuffix(f" {row['precision']}"), []).append(row)
    found: list[tuple[str, ...]] = []
    for name, members in families.items():
        baseline = next((row for row in members if row["precision"] == BASELINE), None)
        own = "" if baseline is None else _accuracy(baseline)
        others = [row for row in members if row["precision"] != BASELINE]
        if not others:
            found.append((name, own, "", "", "", ""))
        for row in others:
            label = f"{name} {row['precision']}" if several else name
            found.append((label, own, _accuracy(row), _change(row), _time(row), _memory(row)))
    return found


def _accuracy(row: Mapping[Any, Any]) -> str:
    """Return the accuracy with its interval, and what became of its target unless it is reached."""
    if is_smoke(row):
        return f"{accuracy_percent(row)}, {target_words(row)}"
    outcome = row["target_outcome"]
    return accuracy_percent(row) if outcome in {None, "reached"} else f"{accuracy_percent(row)}: target {outcome}"


def _change(row: Mapping[Any, Any]) -> str:
    """Return what AMP changed in the accuracy; nothing of the recipe smoke, whose accuracy has no verdict."""
    if not is_known(row.get("accuracy_difference")) or is_smoke(row):
        return ""
    verdict = "no worse" if row["non_inferior"] else "not shown to be no worse"
    return f"{100 * row['accuracy_difference']:+.2f} ({100 * row['accuracy_difference_bound']:+.2f}): {verdict}"


def _time(row: Mapping[Any, Any]) -> str:
    ratio = ratio_of_row(row, "time_ratio")
    return "" if ratio is None else ratio_text(ratio, brief=True)


def _memory(row: Mapping[Any, Any]) -> str:
    return saved_memory([row["memory_ratio"]], brief=True) if is_known(row.get("memory_ratio")) else ""


def trainings_words(figure_data: FigureData) -> tuple[str, ...]:
    """Return the first line of the section: every accuracy with its interval, its target, and whether it is reached."""
    rows = rows_of(accuracy_frame(figure_data.results))
    return (f"{'; '.join(first_lines([accuracy_line(row) for row in rows]))}.",) if rows else ()


def trainings_drawings(figure_data: FigureData) -> tuple[Drawing, ...]:
    """Return the figures of the section: all cells at a glance, then curves."""
    built = [draw(kind, figure_data) for kind in ("accuracy", "epochs")]
    return tuple(drawing for drawing in built if drawing is not None)


def trainings_tables(figure_data: FigureData) -> tuple[Table, ...]:
    """Return the tables of the section: what AMP changed, and accuracy, time and memory of each cell."""
    results = figure_data.results
    tables = (amp_table(results), accuracy_table(results)) if results.has_records and results.trainings else ()
    return tuple(table for table in tables if table.columns)
