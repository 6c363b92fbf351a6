"""How a ratio is printed, with what its brackets mean: the only place that does; and how it stands in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.labels import span
from perfsuite.analysis.frames.rows import plain
from perfsuite.analysis.statistics.intervals import Ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_MORE = "for a 95% interval: collect the files of several runs together (5 times: pytest benchmarks {})"
MORE_STEPS = (
    _MORE.format("-m step --benchmark-json=runN.json") + ", or measure the noise of this machine once: perfsuite noise"
)
MORE_PAIRS = _MORE.format("-m interleaved --benchmark-json=runN.json")
MORE_SWITCHES = _MORE.format("-m switches --benchmark-json=runN.json")
MORE_STEPS_AND_PAIRS = _MORE.format('-m "step or interleaved" --benchmark-json=runN.json')
MORE_PIPELINES = _MORE.format("-m input_pipeline --benchmark-json=runN.json")
MORE_SCALING = _MORE.format("-m scaling --benchmark-json=runN.json")
MORE_FILES = "for a 95% interval: give two or more files a side, each of a run of its own"


def ratio_text(ratio: Ratio, *, decimals: int = 2, unit: str = "x", brief: bool = False) -> str:
    """Return a ratio, never without its interval, its spread, or that there is neither.

    `1.67x [1.61, 1.73]` is a 95% interval over processes, `1.67x [1.61, 1.73] A/A` one from one process and the noise
    floor of its machine, `1.67x (1.66 to 1.70 in this run)` no interval but the spread within one run.

    Args:
        ratio: What to print.
        decimals: Digits after the point.
        unit: What follows the number.
        brief: Whether notes below explain the brackets, as in tables: `1.67x (1.66 to 1.70)`.
    """
    text = f"{ratio.ratio:.{decimals}f}{unit}"
    if ratio.low is None or ratio.high is None:
        return f"{text} [no interval]"
    low, high = f"{ratio.low:.{decimals}f}", f"{ratio.high:.{decimals}f}"
    if ratio.basis == "one run":
        return f"{text} ({low} to {high})" if brief else f"{text} ({low} to {high} in this run)"
    return f"{text} [{low}, {high}]" + (" A/A" if ratio.basis == "noise floor" else "")


def percent_ratio_text(ratio: Ratio, *, brief: bool = False) -> str:
    """Return a ratio that is a share of a whole in percent, as `ratio_text` does: `94.1% [93.0, 95.2]`."""
    return ratio_text(ratio.times(100), decimals=1, unit="%", brief=brief)


def bracket_notes(
    ratios: Iterable[Ratio | None], *, spread_of: str = "rounds", samples: str = "processes", more: str = MORE_STEPS
) -> list[str]:
    """Return a line for every kind of bracket that these ratios are printed with, and how to get an interval.

    Args:
        ratios: All of a table or a figure.
        spread_of: What the spread within one run is taken over.
        samples: What an interval is taken over.
        more: Which command gives an interval; empty where that is said elsewhere.
    """
    known = [ratio for ratio in ratios if ratio is not None]
    over_processes = [ratio.num_processes for ratio in known if ratio.basis == "processes"]
    bases = {ratio.basis for ratio in known}
    notes = []
    if over_processes:
        notes.append(f"[low, high]: 95% interval over {span(over_processes)} {samples}")
    if "noise floor" in bases:
        notes.append(
            "[low, high] A/A: 95% interval from one process and the noise floor of this machine (perfsuite noise)"
        )
    if "one run" in bases:
        notes.append(
            f"(low to high): spread within one run, of its {spread_of}; other runs may give a ratio outside it"
        )
        if more:
            notes.append(more)
    return notes


def is_interval(ratio: Ratio | None) -> bool:
    """Whether a ratio has an interval with a stated coverage; only then can it show anything."""
    return ratio is not None and ratio.level is not None


_COLUMNS = ("", "_low", "_high", "_level", "_basis", "_num_processes")


def ratio_columns(name: str, ratio: Ratio | None) -> dict[str, Any]:
    """Return a ratio as columns of a row.

    Args:
        name: Of the column of its value; the others are `<name>_low`, `<name>_high`, `<name>_level`, `<name>_basis`,
            `<name>_num_processes`.
        ratio: The ratio; None leaves all columns None.
    """
    if ratio is None:
        return dict.fromkeys(f"{name}{column}" for column in _COLUMNS)
    values = (ratio.ratio, ratio.low, ratio.high, ratio.level, ratio.basis, ratio.num_processes)
    return {f"{name}{column}": value for column, value in zip(_COLUMNS, values, strict=True)}


def ratio_of_row(row: Mapping[Any, Any], name: str, *, suffix: str = "") -> Ratio | None:
    """Return the ratio that `ratio_columns` wrote into a row, or None where there is none.

    Args:
        row: The row.
        name: Of the column of its value.
        suffix: What a pivot has added to the names of all columns.
    """
    columns = [f"{name}{column}{suffix}" for column in _COLUMNS]
    value, low, high, level, basis, num_processes = (plain(row.get(column)) for column in columns)
    if value is None:
        return None
    return Ratio(ratio=value, low=low, high=high, level=level, num_processes=int(num_processes or 1), basis=basis)
