"""The one style of all figures: colours, type and sizes, for papers, slides and the report alike."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from perfsuite.precisions import POLICIES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from perfsuite.analysis.verdicts.verdict import Verdict

INK = "#1b2430"
MUTED = "#5a6572"
GRID = "#dfe3e8"
PAPER = "#ffffff"
TRACK = "#eef0f3"
"""What a bar could have filled."""

FP32 = POLICIES["fp32"].color
AMP_FP16 = POLICIES["amp-fp16"].color

OTHER_PRECISION = "#6b6b00"

SEQUENCE = ("#0870b1", "#1b9be1", "#079566", "#b75103", "#ad9009", "#cd78a9", "#7c7d7f", "#1a1a1a")
"""For parts of a whole, in the order in which they are stacked. Source: Okabe and Ito, moved as the colours of the
precisions are (see `PrecisionPolicy.color`)."""

WORSE = "#8a1c17"
BETTER = "#016ba1"
UNSURE = "#896800"
SAME = "#66717e"
"""Of verdicts; a symbol and a word always say it too."""

VERDICT_COLORS: dict[Verdict, str] = {
    "failed": WORSE,
    "regressed": WORSE,
    "improved": BETTER,
    "unchanged": SAME,
    "inconclusive": UNSURE,
    "missing": UNSURE,
    "new": BETTER,
    "incomparable": UNSURE,
}

WIDTH_INCHES = 3.6
"""Of a panel: as wide as a phone shows it, so that small type stays readable."""

FONT_POINTS = 8.0
"""Of all text of a panel: a page scales every panel alike, to the size of its own text."""


def precision_color(name: str) -> str:
    """Return the colour of a precision."""
    return POLICIES[name].color if name in POLICIES else OTHER_PRECISION


def mixed(low: tuple[float, float, float], high: tuple[float, float, float], share: float) -> str:
    """Return the colour that lies `share` (0 to 1) of the way between two, each red, green and blue from 0 to 255."""
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in zip(low, high, strict=True))


TINT = 0.42
"""How opaque a box is that text stands in: the text has a contrast of 4.5:1 and more on it."""


def tinted(color: str, opacity: float = TINT) -> tuple[float, float, float, float]:
    """Return a colour that lets the paper through: by default for a box that text stands in."""
    from matplotlib.colors import to_rgba

    return to_rgba(color, opacity)


@contextlib.contextmanager
def in_style(*, text_as_text: bool = False) -> Iterator[None]:
    """Draw in the style of the suite.

    Args:
        text_as_text: Whether an SVG keeps letters as letters, for pages that set them in their own type; otherwise it
            holds their outlines, so that it looks the same wherever it is opened.
    """
    import matplotlib as mpl

    with mpl.rc_context(
        {
            "font.family": "DejaVu Sans",
            "font.size": FONT_POINTS,
            "text.color": INK,
            "text.parse_math": False,
            "axes.edgecolor": MUTED,
            "axes.labelcolor": MUTED,
            "axes.labelsize": FONT_POINTS,
            "axes.titlesize": FONT_POINTS,
            "axes.titleweight": "bold",
            "axes.titlelocation": "left",
            "axes.titlepad": 8.0,
            "axes.linewidth": 0.7,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.formatter.use_mathtext": False,
            "xtick.color": MUTED,
            "ytick.color": MUTED,
            "xtick.labelsize": FONT_POINTS,
            "ytick.labelsize": FONT_POINTS,
            "xtick.major.size": 3.0,
            "ytick.major.size": 3.0,
            "xtick.major.width": 0.7,
            "ytick.major.width": 0.7,
            "grid.color": GRID,
            "grid.linewidth": 0.7,
            "hatch.linewidth": 0.8,
            "legend.frameon": False,
            "figure.facecolor": PAPER,
            "savefig.facecolor": PAPER,
            "axes.facecolor": "none",
            "svg.fonttype": "none" if text_as_text else "path",
            "svg.hashsalt": "perfsuite",
            "path.simplify": True,
        }
    ):
        yield


def clear_frame(axes: Axes) -> None:
    """Leave only the lower axis of a panel of rows."""
    axes.spines["left"].set_visible(False)
    axes.yaxis.set_visible(False)
