"""Which sections the page has: those that the results allow, each with its figures and tables."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.figures.registry import draw
from perfsuite.analysis.frames.gpu_environments import EnvironmentIndex, same_environment
from perfsuite.analysis.frames.gpu_words import decision_lines
from perfsuite.analysis.frames.gpus import decide_gpus
from perfsuite.analysis.frames.pairs import has_pairs
from perfsuite.analysis.frames.unmeasured import Unmeasured, unmeasured
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.analysis.report.machines import SECTION as MACHINES
from perfsuite.analysis.report.machines import machines_tables, machines_words
from perfsuite.analysis.report.numerics import numerics_items, numerics_tables, numerics_words
from perfsuite.analysis.report.scaling import scaling_items, scaling_words
from perfsuite.analysis.report.summary import environment_rows, warnings_of
from perfsuite.analysis.report.trainings import trainings_drawings, trainings_tables, trainings_words
from perfsuite.analysis.tables.environments import across_tables
from perfsuite.analysis.tables.gpus import decision_table
from perfsuite.analysis.tables.registry import build_table
from perfsuite.analysis.tables.table import Table, text_column
from perfsuite.analysis.tables.verdicts import comparison_tables

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Drawing
    from perfsuite.analysis.frames.results import Results


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of the page.

    Attributes:
        name: Its address in the page.
        title: Its heading.
        words: Paragraphs.
        items: A list, where it has one.
        drawings: Figures.
        tables: Tables that are always open.
        folded: Tables that open on demand.
        unmeasured: What gave no result: empty rows below those of the first folded table.
    """

    name: str
    title: str
    words: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    drawings: tuple[Drawing, ...] = ()
    tables: tuple[Table, ...] = ()
    folded: tuple[Table, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()


METHOD = (
    (
        "Times are those of one iteration. The timer waits for the device before it is read, once per round and never "
        "per iteration; warm-up lasts until times have stopped falling. A precision is verified to be active in every "
        "cell before it is timed: fp32 is IEEE single precision with TF32 switched off."
    ),
    (
        "[low, high] is a 95% interval over processes, or, marked A/A, from one process and the noise floor of its "
        "machine. (low to high) is not a confidence interval but the spread within one run, over its rounds or its "
        "interleaved blocks. A ratio without either says so."
    ),
    (
        "Verdicts treat a process as one sample; the probability of any false alarm among all benchmarks is limited. "
        "Peak memory is deterministic: growth beyond the allocator's rounding is a regression."
    ),
    "Values that could not be measured are a dash in tables and have no bar in figures; they are never shown as zero.",
)


def page_sections(figure_data: FigureData, warnings: Sequence[str] | None = None) -> tuple[Section, ...]:
    """Return the sections that the results allow, in the order in which a reader needs them.

    Args:
        figure_data: What they are about.
        warnings: As `warnings_of` returns them, where they are known.
    """
    results = figure_data.results
    warnings = tuple(warnings_of(figure_data) if warnings is None else warnings)
    repeated = set(warnings)
    found = [
        _verdicts(figure_data),
        _machines(figure_data),
        _which_gpu(figure_data),
        _figures(
            figure_data,
            "speedup",
            "AMP vs FP32",
            ("speedup", "interleaved"),
            _step_tables(figure_data, ("speedup", "interleaved")),
        ),
        _figures(
            figure_data,
            "switches",
            "What to switch on here",
            ("switches",),
            _pair_tables(results, ("switches",)),
        ),
        _scaling(figure_data),
        _figures(figure_data, "phases", "Phases of a step", ("phases",)),
        _memory(figure_data),
        _figures(
            figure_data,
            "roofline",
            "Percent of hardware peak",
            ("roofline",),
            folded=_step_tables(figure_data, ("roofline", "operators", "kernels")),
        ),
        _figures(
            figure_data,
            "telemetry",
            "Energy and clocks",
            ("telemetry",),
            folded=_step_tables(figure_data, ("telemetry",)),
        ),
        _figures(figure_data, "thesis", "Compared with the thesis", ("thesis",), _thesis_tables(results)),
        Section(
            name="trainings",
            title="Full trainings",
            words=trainings_words(figure_data),
            drawings=trainings_drawings(figure_data),
            tables=trainings_tables(figure_data),
        ),
        _figures(figure_data, "confusion", "Which classes are confused", ("confusion", "differences")),
        _numerics(figure_data),
        _figures(
            figure_data,
            "across",
            "Machines and versions side by side",
            ("across",),
            folded=() if figure_data.across is None else across_tables(figure_data.across),
        ),
        _figures(figure_data, "rounds", "Noise of the rounds", ("rounds",)),
        _figures(figure_data, "plain", "Benchmarks", ("plain",)),
        Section(name="warnings", title="Warnings", items=warnings),
        _environment(figure_data),
        Section(
            name="tables",
            title="Tables",
            words=(_TABLES_WORDS,),
            folded=_raw_tables(results),
            unmeasured=() if results.benchmarks.empty else unmeasured(results),
        ),
    ]
    return tuple(
        _without_repeated_notes(section, repeated) for section in found if section is not None and _has_any(section)
    )


_TABLES_WORDS = (
    "All numbers behind this page. A click on a heading sorts, the field above a table filters; a CSV file holds every "
    "column in base units."
)


def _has_any(section: Section) -> bool:
    return bool(section.items or section.drawings or section.tables or section.folded)


def _figures(
    figure_data: FigureData,
    name: str,
    title: str,
    kinds: tuple[str, ...],
    tables: Iterable[Table] = (),
    folded: Iterable[Table] = (),
) -> Section:
    built = [draw(kind, figure_data) for kind in kinds]
    drawings = tuple(drawing for drawing in built if drawing is not None)
    return Section(
        name=name,
        title=title,
        drawings=drawings,
        tables=tuple(table for table in tables if _is_shown(table)),
        folded=tuple(table for table in folded if _is_shown(table)),
    )


def _is_shown(table: Table) -> bool:
    return bool(table.columns) and not table.is_empty


def _verdicts(figure_data: FigureData) -> Section | None:
    if figure_data.comparison is None:
        return None
    comparison = figure_data.comparison
    title = "Did anything get slower, less accurate, or use more memory?"
    section = _figures(figure_data, "verdicts", title, ("verdicts", "accuracy-changes"))
    tables = tuple(comparison_tables(comparison))
    if set(comparison.count()) <= {"incomparable", "missing", "new"} and "incomparable" in comparison.count():
        # Nothing was judged, and every row has the same reason.
        words = ("No verdicts: the machines of the two sides are not the same.",)
        return dataclasses.replace(section, words=words, folded=tables)
    return dataclasses.replace(section, tables=tables)


def _machines(figure_data: FigureData) -> Section | None:
    """Return machines of a kind side by side, where the files are of several or of a fleet."""
    tables, folded = machines_tables(figure_data)
    if not tables:
        return None
    drawing = draw("nodes", figure_data)
    return Section(
        name=MACHINES,
        title="Machines and versions",
        words=machines_words(figure_data),
        drawings=() if drawing is None else (drawing,),
        tables=tables,
        folded=folded,
    )


def _which_gpu(figure_data: FigureData) -> Section | None:
    """Return the decision between several GPUs or CPUs, or what one takes where its price was given."""
    if not figure_data.results.has_records:
        return None
    environments = EnvironmentIndex(figure_data.results).environments
    if len({one.device for one in environments}) < 2 and not figure_data.prices:  # noqa: PLR2004 - to choose from
        return None
    against = None
    if figure_data.across is not None:  # the environments side by side have the same baseline
        baseline = same_environment(environments, figure_data.across.baseline)
        against = None if baseline is None else baseline.label
    decision = decide_gpus(figure_data.results, against=against, prices=figure_data.prices)
    words, table = decision_lines(decision), decision_table(decision)
    notes = tuple(note for note in table.notes if note not in words)
    drawing = draw("gpus", figure_data)
    return Section(
        name="gpus",
        title="Which GPU",
        words=words,
        drawings=() if drawing is None else (drawing,),
        tables=(dataclasses.replace(table, notes=notes),),
    )


def _memory(figure_data: FigureData) -> Section:
    section = _figures(figure_data, "memory", "Peak memory", ("memory",))
    if not section.drawings:
        return section
    return dataclasses.replace(section, folded=(build_table("memory", figure_data.results),))


def _numerics(figure_data: FigureData) -> Section:
    section = _figures(figure_data, "numerics", "Why mixed precision works here", ("numerics",))
    return dataclasses.replace(
        section,
        words=numerics_words(figure_data),
        items=numerics_items(figure_data),
        folded=numerics_tables(figure_data),
    )


def _scaling(figure_data: FigureData) -> Section:
    tables = [build_table("scaling", figure_data.results)] if figure_data.results.scaling else []
    section = _figures(figure_data, "scaling", "How well several devices scale", ("scaling",), tables)
    return dataclasses.replace(section, words=scaling_words(figure_data), items=scaling_items(figure_data))


def _step_tables(figure_data: FigureData, names: tuple[str, ...]) -> list[Table]:
    """Return tables of step results; only those that speak of what they are named for."""
    results, found = figure_data.results, []
    for name in names:
        if name == "interleaved" and not has_pairs(results, name):
            continue
        if name != "interleaved" and (not results.has_records or results.benchmarks.empty):
            continue
        found.append(build_table(name, results))
    return found


def _pair_tables(results: Results, names: tuple[str, ...]) -> list[Table]:
    return [build_table(name, results) for name in names if results.has_records and has_pairs(results, name)]


def _thesis_tables(results: Results) -> list[Table]:
    return [build_table("thesis", results)] if results.has_records else []


def _training_tables(results: Results, names: tuple[str, ...]) -> list[Table]:
    return [build_table(name, results) for name in names] if results.has_records and results.trainings else []


def _raw_tables(results: Results) -> tuple[Table, ...]:
    found = [build_table("steps", results)] if not results.benchmarks.empty else [_unmeasured_table(results)]
    found += _pair_tables(results, ("overhead", "input_pipeline"))
    found += _training_tables(results, ("epochs", "confusion"))
    return tuple(table for table in found if _is_shown(table))


def _unmeasured_table(results: Results) -> Table:
    """Return what gave no result as a table of its own, where nothing else is there."""
    columns = ("nodeid", "outcome", "reason", "file")
    headings = {"nodeid": "benchmark"}
    return Table(
        title=f"Without a result: {len(results.outcomes)}",
        frame=results.outcomes,
        columns=tuple(text_column(name, headings.get(name)) for name in columns),
    )


def _environment(figure_data: FigureData) -> Section:
    columns = (*ENVIRONMENT_COLUMNS,)
    frame = environment_rows(figure_data, columns)
    shown = [column for column in columns if not frame.empty and frame[column].notna().any()]
    table = Table(
        title=f"Environments: {len(frame)}",
        frame=frame,
        columns=(
            *(text_column(column, _HEADINGS.get(column)) for column in shown),
            *([text_column("num_files", "files")] if not frame.empty else []),
        ),
    )
    return Section(
        name="environment",
        title="Environment and method",
        words=METHOD if figure_data.results.has_records else METHOD[1:],
        tables=(_turned(table),) if _is_shown(table) else (),
        folded=(table,) if _is_shown(table) and len(frame) > 1 else (),
    )


_HEADINGS = {"power_limit_watts": "power limit W", "num_threads": "threads", "cuda": "CUDA", "cudnn": "cuDNN"}
MAX_TURNED = 6


def _turned(table: Table) -> Table:
    """Return a table with an environment per column, which phones can show: properties are many, environments few."""
    rows = table.rows()
    if len(rows) > MAX_TURNED:
        return Table(title=table.title, frame=table.frame, columns=table.columns)
    names = [f"environment {index}" if len(rows) > 1 else "value" for index in range(1, len(rows) + 1)]
    turned = [
        {"property": column.heading, **{name: column.show(row) for name, row in zip(names, rows, strict=True)}}
        for column in table.columns
    ]
    return Table(
        title=table.title,
        frame=pd.DataFrame(turned),
        columns=(text_column("property"), *(text_column(name) for name in names)),
    )


def _without_repeated_notes(section: Section, repeated: set[str]) -> Section:
    """Leave out below tables what is listed once under the warnings."""

    def shortened(table: Table) -> Table:
        return dataclasses.replace(table, notes=tuple(note for note in table.notes if note not in repeated))

    return dataclasses.replace(
        section,
        tables=tuple(shortened(table) for table in section.tables),
        folded=tuple(shortened(table) for table in section.folded),
    )
