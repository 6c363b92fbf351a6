"""A figure as panels of one width that a page can let flow and a file can set side by side."""

from __future__ import annotations

import math
import textwrap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from perfsuite.analysis.figures.style import FONT_POINTS, INK, MUTED, WIDTH_INCHES, in_style
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEGEND_INCHES = 0.24
HEADING_INCHES = 0.62
GAP_INCHES = 0.3
NOTE_INCHES = 0.15
"""Of a line below the legend."""

MAX_COLUMNS = 3


Look = Literal["box", "hatch", "outline", "line", "dashed", "thin", "interval", "point", "diamond", "tick", "process"]


class Marks:
    """What each mark of a panel says when a reader points at it."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}

    def add(self, artist: Artist, text: str) -> None:
        """Give a mark its words."""
        name = f"mark-{len(self.texts)}"
        artist.set_gid(name)
        self.texts[name] = printable(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Swatch:
    """One entry of a legend.

    Attributes:
        label: What it stands for.
        color: Its colour.
        look: A filled box, a hatched one, an outlined one, a line, a dashed line, a thin line, a line with caps, a
            point, a hollow diamond, a vertical line, or a small hollow point.
    """

    label: str
    color: str
    look: Look = "box"


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes.

    Attributes:
        title: What it is about, in a few words; a second line tells where.
        finding: What it shows, in a sentence, for those who cannot see it.
        draw: Draws into axes.
        height: Of the whole panel in inches.
        margins: Left, right, bottom and top between the panel's edge and its axes, in inches.
        num_rows: How many rows of data it draws; 1 for what is no panel of rows.
        width: In inches.
    """

    title: str
    finding: str
    draw: Callable[[Axes, Marks], None]
    height: float
    margins: tuple[float, float, float, float] = (0.12, 0.12, 0.52, 0.34)
    num_rows: int = 1
    width: float = WIDTH_INCHES


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """One figure: what it shows, in words, and its panels.

    Attributes:
        kind: Its name on the command line.
        title: What is shown.
        finding: What it shows, in words, the most important first.
        panels: Its panels.
        legend: What its colours mean.
        notes: What a reader must know to read it.
        source: What it was measured on and with, for a figure that is shown by itself.
        forest: The rows of its panels in wide panels with columns, which such a figure has instead, where it has them.
    """

    kind: str
    title: str
    finding: str
    panels: tuple[Panel, ...]
    legend: tuple[Swatch, ...] = ()
    notes: tuple[str, ...] = field(default=())
    source: str = ""
    forest: tuple[Panel, ...] = ()


def panel_figure(panel: Panel) -> tuple[Figure, Marks]:
    """Draw one panel as a figure of its own."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(panel.width, panel.height))
    marks = Marks()
    _draw(figure, panel, marks, left=0.0, top=0.0)
    return figure, marks


def whole_figure(drawing: Drawing) -> Figure:
    """Draw all panels side by side, with the title above and the legend, the notes and the source below."""
    from matplotlib.figure import Figure

    with in_style():
        panels = drawing.forest or drawing.panels
        num_columns = 1 if drawing.forest else min(len(panels), MAX_COLUMNS)
        rows = [panels[start : start + num_columns] for start in range(0, len(panels), num_columns)]
        width = num_columns * panels[0].width + (num_columns - 1) * GAP_INCHES
        legend_rows = _legend_rows(drawing.legend, width)
        heights = [max(panel.height for panel in row) for row in rows]
        title = _wrapped(drawing.title, width)
        top = HEADING_INCHES - 0.2 + 0.17 * (len(title) - 1)
        words = _words_below(drawing, width)
        below = NOTE_INCHES * len(words) + (0.1 if words else 0)
        height = top + sum(heights) + LEGEND_INCHES * len(legend_rows) + (0.1 if legend_rows else 0) + below
        figure = Figure(figsize=(width, height))
        figure.text(
            0.12 / width,
            1 - 0.1 / height,
            "\n".join(title),
            va="top",
            fontsize=FONT_POINTS + 2,
            weight="bold",
            linespacing=1.3,
        )
        for row, row_height in zip(rows, heights, strict=True):
            for column, panel in enumerate(row):
                left = column * (panel.width + GAP_INCHES)
                _draw(figure, panel, Marks(), left=left, top=top)
            top += row_height
        for index, swatches in enumerate(legend_rows):
            bottom = below + LEGEND_INCHES * (len(legend_rows) - 1 - index) + 0.12
            _draw_legend(figure, swatches, bottom=bottom)
        for index, line in enumerate(words):
            place = (0.12 / width, (below - NOTE_INCHES * index) / height)
            figure.text(*place, line, va="top", fontsize=FONT_POINTS, color=MUTED)
        return figure


def _words_below(drawing: Drawing, width: float) -> list[str]:
    """Return the lines of the notes and of the source."""
    lines: list[str] = []
    for text in (*drawing.notes, drawing.source):
        if text:
            lines += textwrap.wrap(printable(text), max(30, int(width / 0.077)))
    return lines


def _draw(figure: Figure, panel: Panel, marks: Marks, *, left: float, top: float) -> None:
    """Place a panel with its upper left corner at those inches from the figure's."""
    width, height = figure.get_size_inches()
    margins = panel.margins
    axes = figure.add_axes(
        (
            (left + margins[0]) / width,
            (height - top - panel.height + margins[2]) / height,
            (panel.width - margins[0] - margins[1]) / width,
            (panel.height - margins[2] - margins[3]) / height,
        )
    )
    panel.draw(axes, marks)
    first, _, second = panel.title.partition("\n")
    for text, down, weight, color in (
        (first, 0.06, "bold", INK),
        (second, 0.22, "normal", MUTED),
    ):
        words = fitted(printable(text), 48 if weight == "bold" else 56)
        place = ((left + 0.12) / width, (height - top - down) / height)
        figure.text(*place, words, va="top", fontsize=FONT_POINTS, weight=weight, color=color)


def _legend_rows(legend: Sequence[Swatch], width: float) -> list[list[Swatch]]:
    rows: list[list[Swatch]] = []
    room = 0.0
    for swatch in legend:
        needed = _legend_width(swatch)
        if not rows or needed > room:
            rows.append([])
            room = width - 0.2
        rows[-1].append(swatch)
        room -= needed
    return rows


def _legend_width(swatch: Swatch) -> float:
    return 0.5 + 0.08 * len(swatch.label)


_MARKERS = {"point": "o", "diamond": "D", "interval": "|", "tick": "|", "process": "o"}
_MARKER_SIZES = {"tick": 9.0, "process": 3.0}


def _draw_legend(figure: Figure, swatches: Sequence[Swatch], *, bottom: float) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    width, height = figure.get_size_inches()
    left = 0.12
    for swatch in swatches:
        middle = (bottom + 0.05) / height
        artist: Any
        if swatch.look in {"box", "hatch", "outline"}:
            artist = Rectangle(
                (left / width, bottom / height),
                0.2 / width,
                0.1 / height,
                transform=figure.transFigure,
                facecolor=swatch.color if swatch.look == "box" else "none",
                edgecolor=swatch.color,
                hatch="////" if swatch.look == "hatch" else None,
                linewidth=0.8,
            )
        else:
            points = swatch.look in {"point", "diamond", "tick", "process"}
            artist = Line2D(
                [(left + 0.1) / width] if points else [left / width, (left + 0.22) / width],
                [middle] if points else [middle, middle],
                transform=figure.transFigure,
                color=swatch.color,
                marker=_MARKERS.get(swatch.look, ""),
                markersize=_MARKER_SIZES.get(swatch.look, 5.0),
                markeredgewidth=1.8 if swatch.look == "tick" else 1.0,
                markerfacecolor=swatch.color if swatch.look == "point" else "none",
                linestyle=(0, (3, 1.6)) if swatch.look == "dashed" else "-",
                linewidth=0.7 if swatch.look == "thin" else 1.6,
            )
        figure.add_artist(artist)
        figure.text(
            (left + 0.28) / width, middle, printable(swatch.label), va="center", fontsize=FONT_POINTS, color=MUTED
        )
        left += _legend_width(swatch)


def second_line(title: str) -> float:
    """Return how many inches the second line of a heading takes."""
    return 0.15 if "\n" in title else 0.0


def fitted(text: str, most: int) -> str:
    """Shorten a text to so many characters; its beginning and end stay, which tell names of tests apart."""
    if len(text) <= most:
        return text
    head = max(4, math.floor((most - 1) * 0.3))
    return f"{text[:head]}\N{HORIZONTAL ELLIPSIS}{text[len(text) - (most - 1 - head) :]}"


def _wrapped(text: str, width: float) -> list[str]:
    return textwrap.wrap(printable(text), max(20, int(width / 0.092))) or [""]
