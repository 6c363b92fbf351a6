"""Number formats: their bits, the smallest update that changes a weight, what a sum loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.figures.curves import Line, Scales, curves_panel
from perfsuite.analysis.figures.panels import Panel
from perfsuite.analysis.figures.style import (
    FONT_POINTS,
    INK,
    MUTED,
    PAPER,
    TRACK,
    clear_frame,
    precision_color,
    tinted,
)
from perfsuite.number_formats import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.curves import Dash
    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.number_formats import NumberFormat
    from perfsuite.records.numerics import Curve, NumericsRecord

MAX_BITS = 32
BITS_ROW_INCHES, BOX_INCHES = 0.52, 0.2

SHORT_BITS = 6
"""A part of fewer bits has no room for its whole name."""

PRECISIONS = {"fp32": "fp32", "tf32": "tf32", "fp16": "amp-fp16", "bf16": "amp-bf16"}
"""The precision whose colour a format has."""

METHODS: dict[str, Dash] = {"added one by one": "solid", "matrix product": "dashed", "convolution": "dotted"}


def format_color(name: str) -> str:
    """Return the colour of a number format by the first word of a name."""
    return precision_color(PRECISIONS.get(name.partition(" ")[0], name))


def bits_panel(title: str) -> Panel:
    """Return what the bits of each format are for, and the range that follows."""
    formats = tuple(FORMATS.values())
    ranges = [f"{one.name} {one.num_bits} bits, {_range(one)}" for one in formats]
    inches = BITS_ROW_INCHES * len(formats)

    def draw(axes: Axes, marks: Marks) -> None:
        clear_frame(axes)
        axes.spines["bottom"].set_visible(False)
        axes.xaxis.set_visible(False)
        axes.set_xlim(0, MAX_BITS)
        axes.set_ylim(inches, 0)
        for number, one in enumerate(formats):
            _draw_bits(axes, marks, BITS_ROW_INCHES * number, one)

    return Panel(
        title=title,
        finding=f"Bits of the formats: {'; '.join(ranges)}",
        draw=draw,
        height=inches + 0.44,
        margins=(0.12, 0.12, 0.06, 0.38),
    )


def _range(one: NumberFormat) -> str:
    return f"{one.smallest_normal:.2g} to {one.largest:.5g}, subnormal from {one.smallest_subnormal:.2g}"


def _draw_bits(axes: Axes, marks: Marks, top: float, one: NumberFormat) -> None:
    """Draw a box for sign, exponent and fraction, as wide as they have bits, with a stroke between two bits."""
    from matplotlib.patches import Rectangle

    words = f"{one.smallest_normal:.2g} to {one.largest:.5g}, spacing at 1: {one.spacing_at_one:.1g}"
    axes.text(0, top + 0.13, one.name, fontsize=FONT_POINTS, weight="bold", color=INK)
    axes.text(MAX_BITS, top + 0.13, words, fontsize=FONT_POINTS, color=MUTED, ha="right")
    color, upper = format_color(one.name), top + 0.19
    start = 0
    for part, num in (("sign", 1), ("exponent", one.num_exponent_bits), ("fraction", one.num_fraction_bits)):
        face = {"exponent": tinted(color), "sign": PAPER, "fraction": TRACK}[part]
        box = Rectangle((start, upper), num, BOX_INCHES, facecolor=face, edgecolor=color, linewidth=1.0)
        axes.add_patch(box)
        marks.add(box, f"{one.name}: {num} of {one.num_bits} bits are its {part}; {_range(one)}")
        for bit in range(start + 1, start + num):
            axes.plot([bit, bit], [upper, upper + 0.035], color=color, linewidth=0.7)
        name = part if num > SHORT_BITS else f"{part[:3]}."
        if part != "sign":
            axes.text(
                start + num / 2,
                upper + 0.02 + BOX_INCHES / 2,
                f"{num} {name}",
                ha="center",
                va="center",
                fontsize=FONT_POINTS,
                color=INK,
            )
        start += num


def smallest_update_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return how much smaller than a weight an update may be that still changes it."""
    lines = _lines([curve for curve in record.curves if curve.name in PRECISIONS])
    if not lines:
        return None
    scales = Scales(
        x_label="weight",
        y_label="weight / smallest update",
        y_base=2,
        show_y=lambda value: f"{value:,.0f}" if value >= 1 else f"{value:.3g}",
    )
    return curves_panel(title, lines, scales)


def accumulation_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return the errors of sums by their length: added one by one, and as matrix products and convolutions add."""
    lines = _lines(record.curves)
    if not lines:
        return None
    scales = Scales(
        x_label="length of the sum",
        y_label="median relative error",
        x_base=2,
        y_base=10,
        show_x=lambda value: f"{value:,.0f}",
        show_y=lambda value: f"{value:.1g}",
    )
    return curves_panel(title, lines, scales)


def _lines(curves: Sequence[Curve]) -> list[Line]:
    found = []
    for curve in curves:
        name, _, method = curve.name.partition(" ")
        short = {"added one by one": "one by one", "matrix product": "matmul"}.get(method, method)
        dash = METHODS.get(method, "solid" if not method else "dash-dotted")
        label = f"{name} {short}".strip()
        if curve.x:
            found.append(Line(curve=curve, name=label, color=format_color(name), dash=dash))
    return found
