"""The first screen in words: what was measured on what, AMP vs FP32, full trainings, what regressed, warnings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.consistency import consistency_findings
from perfsuite.analysis.frames.labels import PHASE_TITLES, enumerate_words, place_words, workload_words
from perfsuite.analysis.frames.ratio_text import (
    MORE_STEPS,
    MORE_STEPS_AND_PAIRS,
    bracket_notes,
    is_interval,
    ratio_of_row,
    ratio_text,
)
from perfsuite.analysis.frames.rows import is_known, plain, rows_of
from perfsuite.analysis.frames.speedup import INTERLEAVED
from perfsuite.analysis.report.answers import MAX_NAMED, Answer, first_lines
from perfsuite.analysis.report.regressions import regressions_answer
from perfsuite.analysis.report.trainings import trainings_answer
from perfsuite.analysis.tables.shared_columns import notes_of
from perfsuite.analysis.tables.trainings import NOT_CANONICAL
from perfsuite.formatting import duration, plural

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.frames.results import Pair, Results
    from perfsuite.analysis.load.full_training import FullTraining
    from perfsuite.analysis.statistics.intervals import Ratio


def summarize(figure_data: FigureData) -> tuple[Answer, ...]:
    """Return the answers that the results allow."""
    answers = [
        _measured(figure_data),
        _amp_steps(figure_data),
        trainings_answer(figure_data),
        regressions_answer(figure_data),
    ]
    return tuple(answer for answer in (*answers, _warnings(figure_data)) if answer is not None)


def headline(figure_data: FigureData) -> str:
    """Return the title of the page."""
    devices = _values(figure_data, "device") or _values(figure_data, "cpu")
    what = "Mixed precision" if figure_data.results.has_records else "Benchmarks"
    return f"{what} on {enumerate_words(devices[:MAX_NAMED])}" if devices else f"{what}: report"


def _values(figure_data: FigureData, column: str) -> list[str]:
    results = figure_data.results
    found = [] if results.benchmarks.empty or column not in results.benchmarks else list(results.benchmarks[column])
    found += [_value(one, column) for one in results.pairs] + [_value(one, column) for one in results.trainings]
    return [str(value) for value in dict.fromkeys(found) if is_known(value)]


def _value(one: Pair | FullTraining, column: str) -> Any:
    return one.file if column == "file" else one.environment[column]


def _measured(figure_data: FigureData) -> Answer:
    results = figure_data.results
    lines = []
    if not results.benchmarks.empty and results.has_records:
        lines.append(_workloads_line(results.benchmarks))
    lines += _environment_lines(figure_data)
    files = _values(figure_data, "file")
    if len(files) > 1:
        lines.append(f"{len(files)} files")
    if figure_data.comparison is not None:
        num = len(figure_data.comparison.sides.side(candidate=False))
        processes = "process" if num == 1 else "processes"
        lines.append(f"compared with {num} {processes} of a baseline")
    num_without_result = len(results.outcomes)
    if num_without_result:
        lines.append(f"{plural(num_without_result, 'cell')} did not produce a result")
    return Answer(
        question="What was measured",
        lead=enumerate_words(_counts(results)) or "nothing",
        lines=tuple(lines),
        target="environment",
    )


def _counts(results: Results) -> list[str]:
    """Return how many results of each kind there are."""
    names = set() if results.benchmarks.empty else set(results.benchmarks["fullname"])
    counts = {
        "step" if results.has_records else "benchmark": len(names),
        "interleaved pair": len(results.pairs),
        "full training": len(results.trainings),
    }
    return [plural(num, kind) for kind, num in counts.items() if num]


def _workloads_line(frame: pd.DataFrame) -> str:
    models = [str(model) for model in dict.fromkeys(frame["model"])]
    precisions = [str(precision) for precision in dict.fromkeys(frame["precision"])]
    batch_sizes = [str(size) for size in sorted({int(size) for size in frame["batch_size"]})]
    return f"{enumerate_words(models)} in {enumerate_words(precisions)}, batch {enumerate_words(batch_sizes)}"


def _environment_lines(figure_data: FigureData) -> list[str]:
    lines = []
    for column, label in (("device", ""), ("torch", "torch "), ("cuda", "CUDA "), ("driver", "driver ")):
        values = _values(figure_data, column)
        if values:
            lines.append(f"{label}{enumerate_words(values)}")
    return lines or _values(figure_data, "cpu")


def _amp_steps(figure_data: FigureData) -> Answer | None:
    frame = figure_data.speedups
    if frame.empty:
        return None
    phase = next(name for name in (*PHASE_TITLES, *frame["phase"]) if (frame["phase"] == name).any())
    rows = rows_of(frame[frame["phase"] == phase])
    lead = f"{_span([float(row['speedup_ratio']) for row in rows])} times as fast"
    memories = [float(row["memory_ratio"]) for row in rows if is_known(row["memory_ratio"])]
    if memories:
        lead += f", {_span(memories)} of the memory"
    several = frame["precision"].nunique() > 1
    speedups = [ratio_of_row(row, "speedup_ratio") for row in rows]
    notes = bracket_notes(speedups, spread_of="rounds or interleaved blocks", more="")
    compared = "AMP" if frame["precision"].str.startswith("amp").all() else "another precision"
    return Answer(
        question=f"{compared} vs FP32 ({PHASE_TITLES.get(phase, phase)})",
        lead=lead,
        lines=(*_speedup_lines(rows, figure_data.results.benchmarks, several=several), *notes),
        tone=_tone(speedups),
        target="speedup",
    )


def _span(ratios: Sequence[float]) -> str:
    """Return `1.50 to 2.10`, or one number where both are printed the same."""
    ends = (f"{min(ratios):.2f}", f"{max(ratios):.2f}")
    return " to ".join(dict.fromkeys(ends))


def _speedup_lines(rows: Sequence[dict[str, Any]], benchmarks: pd.DataFrame, *, several: bool) -> list[str]:
    """Return a line per row, or per place where there are several.

    Args:
        rows: Of speed-ups.
        benchmarks: What they are distinguished among.
        several: Whether there are several precisions, so that each must be named.
    """
    place, label = place_words(benchmarks), workload_words(benchmarks)
    by_place: dict[str, list[str]] = {}
    for row in rows:
        where = place(row)
        name = f"{label(row)} {row['precision']}" if several else label(row)
        ratio = ratio_of_row(row, "speedup_ratio")
        speed = "unknown" if ratio is None else ratio_text(ratio)
        if where:
            text = f"{name} {speed}"
        else:
            text = f"{name}: {speed} the speed"
            if is_known(row["memory_ratio"]):
                text += f", {row['memory_ratio']:.2f}x the memory"
        by_place.setdefault(where, []).append(text)
    if len(by_place) == 1:
        (texts,) = by_place.values()
        return first_lines(texts)
    return first_lines([f"{where}: {', '.join(first_lines(texts))}" for where, texts in by_place.items()])


def _tone(speedups: Sequence[Ratio | None]) -> str:
    """Return `good` only where intervals show that all are faster; the spread within one run shows nothing."""
    if not all(is_interval(ratio) for ratio in speedups):
        return "plain"
    return "good" if all(ratio is not None and (ratio.low or 0) > 1 for ratio in speedups) else "unsure"


def warnings_of(figure_data: FigureData) -> list[str]:
    """Return all that a reader should know before trusting the numbers, in words."""
    results = figure_data.results
    found = []
    speedups = figure_data.speedups
    if not speedups.empty and (speedups["speedup_ratio_basis"] == "one run").any():
        more = MORE_STEPS_AND_PAIRS if (speedups["speedup_source"] == INTERLEAVED).any() else MORE_STEPS
        found.append(f"speed-ups are of one run: their spread says nothing of other runs; {more}")
    found += consistency_findings(results)
    if any(commit.endswith("+dirty") for commit in _values(figure_data, "commit")):
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
    if any(not record.data.is_canonical for record in records):
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


def _warnings(figure_data: FigureData) -> Answer:
    found = warnings_of(figure_data)
    if not found:
        return Answer(question="Can I trust this?", lead="No warnings", lines=(), tone="good")
    lines = [_cut(text) for text in found[:MAX_NAMED]]
    if len(found) > len(lines):
        lines.append(f"and {len(found) - len(lines):,} more")
    num = len(found)
    lead = plural(num, "warning")
    return Answer(question="Can I trust this?", lead=lead, lines=tuple(lines), tone="unsure", target="warnings")


def _cut(text: str, longest: int = 190) -> str:
    return text if len(text) <= longest else f"{text[:longest]} ..."


def environment_rows(figure_data: FigureData, columns: Sequence[str]) -> pd.DataFrame:
    """Return a row per environment, and in which files it stands."""
    results = figure_data.results
    records: list[dict[Any, Any]] = [] if results.benchmarks.empty else rows_of(results.benchmarks)
    records += [{**pair.environment, "file": pair.file} for pair in results.pairs]
    records += [{**training.environment, "file": training.file} for training in results.trainings]
    found: dict[tuple[Any, ...], dict[Any, None]] = {}
    for record in records:
        values = tuple(plain(record.get(column)) for column in columns)
        found.setdefault(values, {})[record["file"]] = None
    rows = [
        {**dict(zip(columns, values, strict=True)), "num_files": len(files), "files": ", ".join(map(str, files))}
        for values, files in found.items()
    ]
    return pd.DataFrame(rows)
