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
    from perfsuite.analysis.frames.results import Pair
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
    names = set() if results.benchmarks.empty else set(results.benchmarks["fullname"])
    counts = [
        (len(names), "step" if results.has_records else "benchmark"),
        (len(results.pairs), "interleaved pair"),
        (len(results.trainings), "full training"),
    ]
    parts = [plural(num, name) for num, name in counts if num]
    failed = len(results.outcomes)
    lines = []
    for column, label in (("device", ""), ("torch", "torch "), ("cuda", "CUDA "), ("driver", "driver ")):
        values = _values(figure_data, column)
        lines += [f"{label}{enumerate_words(values)}"] if values else []
    if not lines:
        lines = _values(figure_data, "cpu")
    frame = results.benchmarks
    if not frame.empty and results.has_records:
        what = [
            enumerate_words([str(value) for value in dict.fromkeys(frame[column])]) for column in ("model", "precision")
        ]
        sizes = sorted({int(size) for size in frame["batch_size"]})
        lines = [f"{what[0]} in {what[1]}, batch {enumerate_words([str(size) for size in sizes])}", *lines]
    files = _values(figure_data, "file")
    if len(files) > 1:
        lines.append(f"{len(files)} files")
    if figure_data.comparison is not None:
        num = len(figure_data.comparison.sides.side(candidate=False))
        lines.append(f"compared with {num} process{'' if num == 1 else 'es'} of a baseline")
    if failed:
        lines.append(f"{plural(failed, 'cell')} did not produce a result")
    return Answer(
        question="What was measured", lead=enumerate_words(parts) or "nothing", lines=tuple(lines), target="environment"
    )


def _amp_steps(figure_data: FigureData) -> Answer | None:
    frame = figure_data.speedups
    if frame.empty:
        return None
    phase = next(name for name in (*PHASE_TITLES, *frame["phase"]) if (frame["phase"] == name).any())
    rows = rows_of(frame[frame["phase"] == phase])
    ratios = [float(row["speedup_ratio"]) for row in rows]
    place, label = place_words(figure_data.results.benchmarks), workload_words(figure_data.results.benchmarks)
    several = frame["precision"].nunique() > 1
    by_place: dict[str, list[str]] = {}
    shown: list[Ratio | None] = []
    for row in rows:
        name = f"{label(row)} {row['precision']}" if several else label(row)
        ratio = ratio_of_row(row, "speedup_ratio")
        shown.append(ratio)
        speed = "unknown" if ratio is None else ratio_text(ratio)
        memory = f", {row['memory_ratio']:.2f}x the memory" if is_known(row["memory_ratio"]) else ""
        by_place.setdefault(place(row), []).append(
            f"{name}: {speed} the speed{memory}" if not place(row) else f"{name} {speed}"
        )
    if len(by_place) == 1:
        lines = first_lines(next(iter(by_place.values())))
    else:
        lines = first_lines([f"{where}: {', '.join(first_lines(texts))}" for where, texts in by_place.items()])
    ends = [f"{ratio:.2f}" for ratio in (min(ratios), max(ratios))]
    spread = " to ".join(dict.fromkeys(ends))
    memories = [float(row["memory_ratio"]) for row in rows if is_known(row["memory_ratio"])]
    lead = f"{spread} times as fast"
    if memories:
        ends = [f"{ratio:.2f}" for ratio in (min(memories), max(memories))]
        lead += f", {' to '.join(dict.fromkeys(ends))} of the memory"
    what = PHASE_TITLES.get(phase, phase)
    names = "AMP" if frame["precision"].str.startswith("amp").all() else "another precision"
    return Answer(
        question=f"{names} vs FP32 ({what})",
        lead=lead,
        lines=(*lines, *bracket_notes(shown, spread_of="rounds or interleaved blocks", more="")),
        tone=_tone(shown),
        target="speedup",
    )


def _tone(speedups: Sequence[Ratio | None]) -> str:
    """Return `good` only where intervals show that all are faster; the spread within one run shows nothing."""
    if not all(is_interval(ratio) for ratio in speedups):
        return "plain"
    return "good" if all(ratio is not None and (ratio.low or 0) > 1 for ratio in speedups) else "unsure"


def warnings_of(figure_data: FigureData) -> list[str]:
    """Return all that a reader should know before trusting the numbers, in words."""
    results = figure_data.results
    found = []
    frame = figure_data.speedups
    if not frame.empty and (frame["speedup_ratio_basis"] == "one run").any():
        more = MORE_STEPS_AND_PAIRS if (frame["speedup_source"] == INTERLEAVED).any() else MORE_STEPS
        found.append(f"speed-ups are of one run: their spread says nothing of other runs; {more}")
    found += consistency_findings(results)
    commits = [commit for commit in _values(figure_data, "commit") if commit.endswith("+dirty")]
    if commits:
        found.append("measured from a working tree with uncommitted changes")
    trainings = results.trainings
    if any(not training.record.data.is_canonical for training in trainings):
        found.append(NOT_CANONICAL)
    if trainings and len({training.record.seed for training in trainings}) == 1:
        found.append("one seed a training: the difference between seeds is assumed, not measured")
    if any(training.record.recipe.name == "smoke" for training in trainings):
        found.append("the recipe smoke trains on a small part of the images; its accuracy shows only that it learns")
    few = _few_rounds(results.benchmarks[results.benchmarks["model"].notna()])  # others have findings of their own
    found += [few] if few else []
    if figure_data.comparison is not None:
        found += [*figure_data.comparison.notes, *figure_data.comparison.trainings.notes]
    if figure_data.across is not None:
        found += figure_data.across.notes
    return list(dict.fromkeys([*found, *notes_of(results)]))


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
