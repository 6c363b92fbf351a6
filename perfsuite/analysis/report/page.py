"""Sections, words and pictures -> one HTML text that needs nothing else."""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from perfsuite.analysis.figures.registry import draw
from perfsuite.analysis.figures.scaling import efficiency_only
from perfsuite.analysis.figures.verdicts import verdicts_chart
from perfsuite.analysis.report.embed import THEMED, panel_svg
from perfsuite.analysis.report.policy import content_policy, csv_address
from perfsuite.analysis.report.sections import page_sections
from perfsuite.analysis.report.summary import headline, summarize, warnings_of
from perfsuite.analysis.report.template import own_file, template
from perfsuite.analysis.report.trends import SECTION as HISTORY
from perfsuite.analysis.report.trends import machine_parts, trends_answers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.analysis.figures.panels import Drawing
    from perfsuite.analysis.frames.unmeasured import Unmeasured
    from perfsuite.analysis.history.trends import Trends
    from perfsuite.analysis.report.answers import Answer
    from perfsuite.analysis.report.sections import Section
    from perfsuite.analysis.tables.table import Table

HERO_ROWS = 8
HERO_PANELS = 3
HERO_KINDS = ("speedup", "interleaved", "switches", "accuracy", "plain", "rounds")
"""What the one picture of the first screen is: the first of these that the results have."""

HERO_KINDS_OF = {
    "verdicts": ("verdicts", "accuracy-changes", "across"),
    "nodes": ("nodes",),
    "across": ("gpus", "across"),
    "trainings": ("accuracy",),
    "numerics": ("numerics",),
    "scaling": ("scaling",),
    "plain": ("plain",),
}
"""The same by what the first answer is about, before all others: the picture shows what the first line says."""

MAX_CAPTION = 130
"""Characters of a caption, which is one line on a wide page; the rest is folded."""

NAME_SPAN = 3
"""Columns that the name of what gave no result takes: those of network, phase and precision, as a rule."""

STICKY_HEADINGS = ("benchmark", "training", "step")
"""Of the column that names a row, where it is not the first; it stays in view where a table is scrolled sideways."""


def render_page(figure_data: FigureData, *, version: str, trends: Sequence[Trends] = ()) -> str:
    """Return the page.

    Args:
        figure_data: What it is about.
        version: Of perfsuite, for the foot of the page.
        trends: Of the history of the machines, where one was given.
    """
    sheet, script = own_file("page.css"), own_file("page.js")
    if trends:
        sheet, script = sheet + own_file("trends.css"), script + own_file("trends.js")
    counter = iter(range(1_000_000))
    warnings = warnings_of(figure_data)
    sections = [_section(section, counter) for section in page_sections(figure_data, warnings)]
    names = {section["name"] for section in sections}
    answers = summarize(figure_data, warnings)
    hero = _hero(figure_data, answers[0])
    if trends:
        found = trends_answers(trends)
        names |= {HISTORY, *(answer.target for answer in found if answer.target is not None)}
        answers += found
    return template("page.html.jinja").render(
        title=headline(figure_data),
        policy=content_policy(script, sheet),
        sheet=Markup(sheet),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        answers=answers,
        names=names,
        hero=None if hero is None else _drawing(hero, counter),
        sections=sections,
        machines=machine_parts(trends),
        version=version,
    )


def _section(section: Section, counter: Iterator[int]) -> dict[str, Any]:
    """Return what the template needs of a section."""
    # In the order of the page: what they are called by is counted.
    drawings = [_drawing(drawing, counter) for drawing in section.drawings]
    tables = [_table(table, counter) for table in section.tables]
    folded = []
    for index, table in enumerate(section.folded):
        folded.append(_table(table, counter, section.unmeasured if index == 0 else ()))
    return {
        "name": section.name,
        "title": section.title,
        "words": section.words,
        "items": section.items,
        "drawings": drawings,
        "tables": tables,
        "folded": folded,
    }


def _hero(figure_data: FigureData, first: Answer) -> Drawing | None:
    """Return the one picture of the first screen, which shows what its first answer says."""
    for kind in (*HERO_KINDS_OF.get(first.target or "", ()), *HERO_KINDS):
        drawing = verdicts_chart(figure_data, most=HERO_ROWS) if kind == "verdicts" else draw(kind, figure_data)
        if drawing is None:
            continue
        panels = drawing.panels
        # The same for several places is still one picture.
        alike = [panel for panel in panels if panel.title.partition("\n")[0] == panels[0].title.partition("\n")[0]]
        if kind in {"gpus", "numerics"}:
            alike = list(panels)  # a panel per network, which is what is asked; a panel per thing that is shown
        if kind == "scaling":
            return efficiency_only(drawing, HERO_PANELS)
        return dataclasses.replace(drawing, panels=tuple(alike[:HERO_PANELS]), notes=())
    return None


def _caption(finding: str) -> tuple[str, str]:
    """Return what a figure shows as one line, and the rest of it.

    The line ends with a sentence, or else with a part of one or of a list; a single part that is longer stays whole.
    """
    if len(finding) <= MAX_CAPTION:
        return finding, ""
    for pattern in (_SENTENCE_END, _PART_END, _LIST_END):
        fitting = [found.end() for found in pattern.finditer(finding) if found.end() <= MAX_CAPTION]
        if fitting:
            end = max(fitting)
            line = finding[:end].rstrip(";,")
            return (f"{line} ..." if pattern is _LIST_END else line), finding[end:].strip()
    return finding, ""


_SENTENCE_END = re.compile(r"[.!?](?= [A-Z])")
_PART_END = re.compile(r";(?= )")
_LIST_END = re.compile(r",(?= )(?![^\[(]*[\])])")
"""A comma that is in no brackets: those hold the ends of an interval."""


def _drawing(drawing: Drawing, counter: Any) -> dict[str, Any]:
    caption, more = _caption(drawing.finding)
    return {
        "kind": drawing.kind,
        "title": drawing.title,
        "caption": caption,
        "more": more,
        "panels": [Markup(panel_svg(panel, f"p{next(counter)}-")) for panel in drawing.panels],  # noqa: S704 - rebuilt
        "count": len(drawing.panels),
        "legend": [
            {"label": swatch.label, "color": THEMED.get(swatch.color, "ink"), "look": swatch.look}
            for swatch in drawing.legend
        ],
        "notes": drawing.notes,
    }


def _table(table: Table, counter: Any, absent: Sequence[Unmeasured] = ()) -> dict[str, Any]:
    rows = table.rows()
    headings = [column.heading for column in table.columns]
    return {
        "key": next((headings.index(name) for name in STICKY_HEADINGS if name in headings), 0),
        "absent": absent,
        "name_span": max(1, min(NAME_SPAN, len(headings) - 1)),
        "id": f"table-{next(counter)}",
        "title": table.title,
        "columns": [{"heading": column.heading, "numeric": column.numeric} for column in table.columns],
        "rows": [[column.show(row) for column in table.columns] for row in rows],
        "num_rows": len(rows) + len(absent),
        "csv": csv_address(table),
        "file": _file_name(table.title),
        "notes": (*table.legend, *table.notes),
    }


def _file_name(title: str) -> str:
    words = "".join(character if character.isascii() and character.isalnum() else " " for character in title).split()
    return f"{'-'.join(words).lower()[:50].strip('-') or 'table'}.csv"
