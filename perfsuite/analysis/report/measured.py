"""What was measured, on what, and what gave no result, in words."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.analysis.frames.rows import is_known
from perfsuite.analysis.frames.unmeasured import unmeasured
from perfsuite.analysis.report.answers import MAX_NAMED, Answer, small_table
from perfsuite.formatting import plural
from perfsuite.records.workload import PHASES

if TYPE_CHECKING:
    import pandas as pd

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.frames.results import Results


def measured_answer(figure_data: FigureData) -> Answer:
    """Return the last answer of the first screen."""
    results = figure_data.results
    lines = []
    if not results.benchmarks.empty and results.has_records:
        lines.append(_workloads_line(results.benchmarks))
    lines.append(" · ".join(_environment_parts(figure_data)))
    lines.append(", ".join(_files_parts(figure_data)))
    lost = unmeasured(results)
    several_files = len({one.file for one in lost}) > 1
    reasons = []
    for one in lost:
        name = f"{one.name} in {one.file}" if several_files else one.name
        reasons.append((name, f"{one.outcome}: {one.reason}"))
    tables, more = small_table(("gave no result", "why"), reasons, most=MAX_NAMED)
    lead = enumerate_words(_counts(results)) or "nothing"
    counts = Counter(one.outcome for one in lost)
    if counts:
        kinds = [f"{num:,} {outcome}" for outcome, num in counts.items()]
        lead += f"; without a result: {', '.join(kinds)}"
    return Answer(
        question="What was measured",
        lead=lead,
        tables=tables,
        lines=(*more, *(line for line in lines if line)),
        tone="unsure" if set(counts) - {"skipped"} or results.cut_short else "plain",
        target="environment",
    )


def _counts(results: Results) -> list[str]:
    """Return how many results of each kind there are."""
    names = set() if results.benchmarks.empty else set(results.benchmarks["fullname"])
    is_of_steps = results.has_records and bool(names) and set(results.benchmarks["phase"]) <= set(PHASES)
    counts = {
        "step" if is_of_steps else "benchmark": len(names),
        "interleaved pair": len(results.pairs),
        "full training": len(results.trainings),
        "scaling cell": len({one.fullname for one in results.scaling}),
        "mixed-precision claim": sum(len(one.record.claims) for one in results.numerics),
    }
    return [plural(num, kind) for kind, num in counts.items() if num]


def _workloads_line(frame: pd.DataFrame) -> str:
    models = [str(model) for model in dict.fromkeys(frame["model"])]
    precisions = [str(precision) for precision in dict.fromkeys(frame["precision"])]
    batch_sizes = [str(size) for size in sorted({int(size) for size in frame["batch_size"]})]
    return f"{enumerate_words(models)} in {enumerate_words(precisions)}, batch {enumerate_words(batch_sizes)}"


def _files_parts(figure_data: FigureData) -> list[str]:
    files = values_of(figure_data, "file")
    parts = [f"{len(files)} files"] if len(files) > 1 else []
    if figure_data.comparison is not None:
        baseline = plural(len(figure_data.comparison.sides.side(candidate=False)), "process")
        parts.append(f"compared with {baseline} of a baseline")
    num_cut_short = len(figure_data.results.cut_short)
    if num_cut_short:
        parts.append(f"{plural(num_cut_short, 'run')} cut short")
    return parts


def _environment_parts(figure_data: FigureData) -> list[str]:
    parts = []
    for column, label in (("device", ""), ("torch", "torch "), ("cuda", "CUDA "), ("driver", "driver ")):
        values = values_of(figure_data, column)
        if values:
            parts.append(f"{label}{enumerate_words(values)}")
    return parts or values_of(figure_data, "cpu")


def values_of(figure_data: FigureData, column: str) -> list[str]:
    """Return the different values of a column of the environment, or the files, in the order of the results."""
    results = figure_data.results
    found = [] if results.benchmarks.empty or column not in results.benchmarks else list(results.benchmarks[column])
    found += [one.file if column == "file" else one.environment[column] for one in results.entries]
    return [str(value) for value in dict.fromkeys(found) if is_known(value)]
