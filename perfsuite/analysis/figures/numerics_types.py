"""In which types the operators of a training step compute, as stacked bars."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.panels import Panel, fitted, second_line
from perfsuite.analysis.figures.style import FONT_POINTS, INK, MUTED, PAPER, SEQUENCE, precision_color, tinted
from perfsuite.analysis.frames.labels import enumerate_words
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes

    from perfsuite.analysis.figures.panels import Marks
    from perfsuite.records.numerics import NumericsRecord
    from perfsuite.records.operators import Operator

COLORS = {
    "float32": precision_color("fp32"),
    "float16": precision_color("amp-fp16"),
    "bfloat16": precision_color("amp-bf16"),
}

ROW_INCHES = 0.25
MAX_KINDS = 9

MIN_TEXT_SHARE = 0.2
"""Of a bar that holds the name of a type."""

Shares = dict[str, float]


def types_panel(title: str, record: NumericsRecord) -> Panel | None:
    """Return the shares of the types: of all operations, of all bytes, and of the bytes of each kind of operators."""
    rows = _rows(record.operators)
    if not rows:
        return None
    name = title.replace("\n", ", ")
    letters = max(len(fitted(printable(label), 18)) for label in rows)

    def draw(axes: Axes, marks: Marks) -> None:
        for number, (label, shares) in enumerate(rows.items()):
            _draw_row(axes, marks, number, f"{name}, {label}", shares)
        axes.set_xlim(0, 100)
        axes.set_ylim(len(rows) - 0.45, -0.55)
        axes.set_yticks(range(len(rows)), [fitted(printable(label), 18) for label in rows])
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("share of the types, %; of a kind: of its bytes")

    first = next(iter(rows.items()))
    words = [f"{dtype} {share:.1%}" for dtype, share in first[1].items() if share]
    return Panel(
        title=title,
        finding=f"{name}, {first[0]}: {enumerate_words(words[:4])}",
        draw=draw,
        height=ROW_INCHES * len(rows) + 0.84 + second_line(title),
        margins=(0.24 + 0.064 * letters, 0.18, 0.46, 0.36 + second_line(title)),
    )


def _rows(operators: Iterable[Operator]) -> dict[str, Shares]:
    """Return the shares of each row, by its label; none of what has nothing."""
    flops: dict[str, float] = defaultdict(float)
    num_bytes: dict[str, float] = defaultdict(float)
    kinds: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for one in operators:
        flops[one.dtype] += one.num_calls * one.flops
        num_bytes[one.dtype] += one.num_calls * one.num_bytes
        kinds[one.kind][one.dtype] += one.num_calls * one.num_bytes
    largest = sorted(kinds, key=lambda kind: -sum(kinds[kind].values()))[:MAX_KINDS]
    rows = {"all operations": flops, "all bytes": num_bytes, **{kind: kinds[kind] for kind in largest}}
    return {label: _shares(values) for label, values in rows.items() if sum(values.values()) > 0}


def _shares(values: dict[str, float]) -> Shares:
    total = sum(values.values())
    order = [*(name for name in COLORS if name in values), *sorted(set(values) - set(COLORS))]
    return {name: values[name] / total for name in order}


def _draw_row(axes: Axes, marks: Marks, number: int, name: str, shares: Shares) -> None:
    from matplotlib.patches import Rectangle

    start = 0.0
    for dtype, share in shares.items():
        if share == 0:
            continue
        color = COLORS.get(dtype, SEQUENCE[6])
        is_wide = dtype == "float32"
        bar = Rectangle(
            (start, number - 0.34),
            100 * share,
            0.68,
            facecolor=PAPER if is_wide else tinted(color),
            edgecolor=color,
            linewidth=0.7,
            hatch="////" if is_wide else None,
        )
        axes.add_patch(bar)
        marks.add(bar, f"{name}: {share:.1%} in {dtype}")
        if share >= MIN_TEXT_SHARE:
            axes.text(
                start + 50 * share,
                number,
                fitted(printable(dtype), 12),
                ha="center",
                va="center_baseline",
                fontsize=FONT_POINTS,
                color=INK,
                bbox={"facecolor": PAPER, "edgecolor": "none", "pad": 1.0} if is_wide else None,
            )
        start += 100 * share
    axes.plot([0, 0], [number - 0.4, number + 0.4], color=MUTED, linewidth=0.7)
