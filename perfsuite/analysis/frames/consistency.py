"""Results that contradict each other: two estimates of one speed-up, and parts of a step that exceed the whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.labels import place_in_words, short_devices
from perfsuite.analysis.frames.made_once import made_once
from perfsuite.analysis.frames.ratio_text import ratio_of_row, ratio_text
from perfsuite.analysis.frames.rows import is_known, rows_of
from perfsuite.analysis.frames.speedup import speedup_frame
from perfsuite.analysis.load.environment_columns import ENVIRONMENT_COLUMNS
from perfsuite.formatting import duration
from perfsuite.records.workload import PHASES, label_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.statistics.intervals import Ratio

MIN_DIFFERENCE_RATIO = 0.01
"""Two estimates closer than this are no finding: spreads within one run can be narrower than what a process adds."""

MAX_PARTS_RATIO = 1.05
"""Forward and backward, measured separately, may take as much of the whole step before it is a finding: each of them
synchronises the device once more than the step does, and the step has an optimizer on top."""


@made_once
def consistency_findings(results: Results) -> tuple[str, ...]:
    """Return what contradicts itself in these results, in words; nothing of files that are not perfsuite's."""
    if not results.has_records or results.benchmarks.empty:
        return ()
    has_pairs = any(pair.record.comparison == "speedup" for pair in results.pairs)
    disagreeing = disagreeing_speedups(speedup_frame(results)) if has_pairs else []
    return (*disagreeing, *excessive_parts(results.benchmarks))


def disagreeing_speedups(speedups: pd.DataFrame) -> list[str]:
    """Return a line for every speed-up whose interleaved estimate and quotient of separate cells are apart.

    They are apart where their intervals, or the spreads within one run, do not overlap, and they differ by 1% or more.

    Args:
        speedups: As `speedup_frame` returns them.
    """
    places = [name for name in (*ENVIRONMENT_COLUMNS, "series") if name in speedups]
    found = []
    rows = rows_of(speedups)
    devices = short_devices(rows)
    for row in rows:
        interleaved = ratio_of_row(row, "interleaved_speedup_ratio")
        separate = ratio_of_row(row, "separate_speedup_ratio")
        if interleaved is None or separate is None or not _are_apart(interleaved, separate):
            continue
        where = place_in_words(places, row, devices)
        found.append(
            f"{_label(row, WORKLOAD_COLUMNS, where)}: two estimates of the speed-up disagree: interleaved "
            f"{ratio_text(interleaved, brief=True)}, separate cells {ratio_text(separate, brief=True)}; the machine "
            "may have changed between the cells"
        )
    return found


def _are_apart(one: Ratio, other: Ratio) -> bool:
    if one.low is None or one.high is None or other.low is None or other.high is None:
        return False
    beyond = one.high < other.low or other.high < one.low
    return beyond and abs(math.log(one.ratio / other.ratio)) >= MIN_DIFFERENCE_RATIO


def excessive_parts(benchmarks: pd.DataFrame) -> list[str]:
    """Return a line for every training step that takes less time than its forward and backward pass together.

    Args:
        benchmarks: As `collect` returns them; parts and whole are of the same process.
    """
    columns = [column for column in WORKLOAD_COLUMNS if column != "phase"]
    several = benchmarks["file"].nunique() > 1
    found = []
    for _, cells in benchmarks.groupby(["run_id", *columns], dropna=False, sort=False):
        times = dict(zip(cells["phase"], cells["time_median_s"], strict=True))
        if not all(is_known(times.get(phase)) for phase in PHASES) or not times["train_step"]:
            continue
        forward, backward, step = times["forward"], times["backward"], times["train_step"]
        ratio = (forward + backward) / step
        if ratio > MAX_PARTS_RATIO:
            row = rows_of(cells)[0]
            where = row["file"] if several else ""
            found.append(
                f"{_label(row, columns, where)}: forward {duration(forward)} + backward {duration(backward)} are "
                f"{ratio - 1:.0%} more than train_step {duration(step)}; the machine may have changed between "
                "the cells"
            )
    return found


def _label(row: Mapping[Any, Any], columns: Sequence[str], where: str) -> str:
    """Return the workload in words, as far as these columns say it, and where it was measured."""
    label = label_of({column: row[column] for column in columns})
    return f"{label} ({where})" if where else label
