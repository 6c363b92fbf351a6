"""Computed results -> figures. Only draws: all has been computed before."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.analysis.figures.style import AMP_FP16, FP32, in_style
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.tables import printable
from perfsuite.errors import InvalidChoiceError, ResultFileError
from perfsuite.files import write_atomically

if TYPE_CHECKING:
    from pathlib import Path

    from perfsuite.analysis.compare import Comparison

COLORS = {"baseline": FP32, "candidate": AMP_FP16}

FORMATS = (".svg", ".png", ".pdf")

UNDATED: dict[str, dict[str, None]] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
"""The same files give the same figure, byte for byte: a picture in a repository changes only with what it shows."""


@in_style()
def process_chart(comparison: Comparison, row: int) -> Any:
    """Draw what every process of both sides measured of one benchmark, in the order in which they ran.

    Returns:
        A matplotlib Figure.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    sides, benchmark = comparison.sides, comparison.benchmarks[row]
    quantile = TYPICAL if comparison.typical is None else comparison.typical.quantile
    times_ms = 1e3 * np.exp(sides.logs[quantile][row])
    order = np.argsort(np.argsort(sides.order, kind="stable")) + 1
    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.add_subplot()
    time = benchmark.time
    for name, side, marker, mean_s in (
        ("baseline", ~sides.is_candidate, "o", time.baseline),
        ("candidate", sides.is_candidate, "s", time.candidate),
    ):
        chosen = side & np.isfinite(times_ms)
        if not chosen.any():
            continue
        level = 1e3 * mean_s if mean_s is not None else float(np.exp(np.log(times_ms[chosen]).mean()))
        axes.plot(
            order[chosen],
            times_ms[chosen],
            marker,
            color=COLORS[name],
            label=f"{name}, {int(chosen.sum())} process{'' if chosen.sum() == 1 else 'es'}, mean {level:.4g} ms",
        )
        axes.axhline(level, color=COLORS[name], linewidth=1, linestyle="-" if name == "baseline" else "--")
    axes.set_xlabel("process, in the order in which they ran")
    axes.set_ylabel(f"{'median' if quantile == TYPICAL else f'{quantile:.0%} quantile'} of the rounds, ms")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.15)
    label = benchmark.fullname if benchmark.workload is None else benchmark.workload.label
    title = f"{_shortened(label)}\n{benchmark.time.verdict}"
    if time.ratio is not None and time.ci_low is not None and time.ci_high is not None:
        title += f": {time.ratio:.3f} of the baseline's time [{time.ci_low:.3f}, {time.ci_high:.3f}]"
    axes.set_title(_plain(title), loc="left", fontsize=10)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    return figure


def _shortened(text: str, longest: int = 80) -> str:
    """Leave the end, which tells names of tests apart."""
    return text if len(text) <= longest else f"...{text[-longest:]}"


def _plain(text: str) -> str:
    """Leave nothing in a name that acts on a reader."""
    return "\n".join(printable(line) for line in text.split("\n"))


def check_chart_path(path: Path) -> None:
    """Check that a file's name ends in a format that figures are written in.

    Raises:
        InvalidChoiceError: It does not.
    """
    if path.suffix.lower() not in FORMATS:
        raise InvalidChoiceError(f"-o {path}: a figure is written as {', '.join(FORMATS)}; name such a file")


def save_chart(figure: Any, path: Path) -> None:
    """Write a figure in the format that the file's name ends in.

    Raises:
        InvalidChoiceError: Another ending.
        ResultFileError: It cannot be written.
    """
    check_chart_path(path)
    stream = io.BytesIO()
    suffix = path.suffix.lower()
    with in_style():
        figure.savefig(stream, format=suffix[1:], dpi=160, metadata=UNDATED.get(suffix))
    try:
        write_atomically(path, stream.getvalue())
    except OSError as error:
        raise ResultFileError(f"{path}: cannot be written: {error.strerror}") from None
