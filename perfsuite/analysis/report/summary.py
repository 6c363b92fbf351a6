"""The first screen in words: the verdict, AMP vs FP32, the grade of trust, what was measured; and all warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.frames.consistency import consistency_findings
from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.analysis.frames.ratio_text import MORE_STEPS, MORE_STEPS_AND_PAIRS
from perfsuite.analysis.frames.scaling import absent_in_words, failed_checks_in_words
from perfsuite.analysis.frames.speedup import INTERLEAVED
from perfsuite.analysis.load.result_file import is_dirty
from perfsuite.analysis.report.fastest import fastest_answer
from perfsuite.analysis.report.foreign import foreign_answer
from perfsuite.analysis.report.machines import machines_answer
from perfsuite.analysis.report.measured import measured_answer, values_of
from perfsuite.analysis.report.numerics import numerics_answer
from perfsuite.analysis.report.regressions import regressions_answer
from perfsuite.analysis.report.scaling import scaling_answer
from perfsuite.analysis.report.speedups import speedups_answer
from perfsuite.analysis.report.trainings import trainings_answer
from perfsuite.analysis.report.trust import trust_answer, trust_of
from perfsuite.analysis.tables.shared_columns import notes_of
from perfsuite.analysis.tables.trainings import NOT_CANONICAL
from perfsuite.formatting import duration

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.report.answers import Answer

MAX_DEVICES = 2
"""That the title of a page names."""


def summarize(figure_data: FigureData, warnings: Sequence[str] | None = None) -> tuple[Answer, ...]:
    """Return the answers that the results allow; the first one is what the page is opened for.

    Args:
        figure_data: What they are about.
        warnings: As `warnings_of` returns them, where they are known.
    """
    warnings = warnings_of(figure_data) if warnings is None else warnings
    trust = trust_of(figure_data)
    comparison = figure_data.comparison
    answers = [
        None if comparison is None else regressions_answer(comparison, trust),
        machines_answer(figure_data),
        # Of equal machines one is always the fastest by chance.
        None if figure_data.fleet.is_fleet and len(figure_data.fleet.kinds) == 1 else fastest_answer(figure_data),
        speedups_answer(figure_data),
        scaling_answer(figure_data),
        trainings_answer(figure_data),
        numerics_answer(figure_data),
        foreign_answer(figure_data) if comparison is None else None,
        trust_answer(trust, len(warnings)),
        measured_answer(figure_data),
    ]
    return tuple(answer for answer in answers if answer is not None)


def headline(figure_data: FigureData) -> str:
    """Return the title of the page."""
    devices = values_of(figure_data, "device") or values_of(figure_data, "cpu")
    what = "Mixed precision" if figure_data.results.has_records else "Benchmarks"
    if len(devices) > MAX_DEVICES:
        return f"{what} on {len(devices)} machines"
    return f"{what} on {enumerate_words(devices)}" if devices else f"{what}: report"


def warnings_of(figure_data: FigureData) -> list[str]:
    """Return all that a reader should know before trusting the numbers, in words."""
    results = figure_data.results
    found = []
    speedups = figure_data.speedups
    if not speedups.empty and (speedups["speedup_ratio_basis"] == "one run").any():
        more = MORE_STEPS_AND_PAIRS if (speedups["speedup_source"] == INTERLEAVED).any() else MORE_STEPS
        found.append(f"speed-ups are of one run: their spread does not cover other runs; {more}")
    found += consistency_findings(results)
    found += failed_checks_in_words(results)
    found += absent_in_words(results)
    if any(map(is_dirty, values_of(figure_data, "commit"))):
        found.append("measured from a working tree with uncommitted changes")
    found += _training_warnings(results.trainings)
    few = _few_rounds(results.benchmarks[results.benchmarks["model"].notna()])  # others have findings of their own
    if few is not None:
        found.append(few)
    if figure_data.comparison is not None:
        found += figure_data.comparison.notes
        found += figure_data.comparison.trainings.notes
    if figure_data.across is not None:
        found += figure_data.across.notes
    found += notes_of(results)
    return list(dict.fromkeys(found))


def _training_warnings(trainings: Sequence[FullTraining]) -> list[str]:
    records = [training.record for training in trainings]
    found = []
    if any(not record.is_target_of_its_data for record in records):
        found.append(NOT_CANONICAL)
    if len({record.seed for record in records}) == 1:
        found.append("one seed a training: the difference between seeds is assumed, not measured")
    if any(record.recipe.name == "smoke" for record in records):
        found.append("the recipe smoke trains on a small part of the images; its accuracy shows only that it learns")
    return found


def _few_rounds(frame: pd.DataFrame, least: int = 5) -> str | None:
    if frame.empty or "num_rounds" not in frame:
        return None
    few = frame[pd.to_numeric(frame["num_rounds"]) < least]
    if few.empty:
        return None
    shortest = duration(float(few["time_median_s"].min())) if few["time_median_s"].notna().any() else "unknown"
    return f"{len(few)} benchmarks have fewer than {least} rounds (the shortest takes {shortest})"
