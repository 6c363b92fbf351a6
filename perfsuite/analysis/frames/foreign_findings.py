"""Warnings about a benchmark from its own statistics, for results without a record of perfsuite.

Every limit was set on 1,968 benchmarks of 27 public repositories, so that ordinary results do not reach it.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ZERO = "a time of 0"
CONTRADICTORY = "contradictory statistics"
SHORT_ROUND = "shortest round below a third of the median"
ONE_ROUND = "one round"
TIMER = "rounds shorter than 1 us"
SPREAD = "IQR above half of the median"
FEW_ROUNDS = "fewer than 5 rounds"
LONG_ROUNDS = "mean above twice the median"

EXPLANATIONS = {
    ZERO: "the timer measured no time",
    CONTRADICTORY: "min, quartiles, mean and max cannot be those of one set of rounds",
    SHORT_ROUND: "typical of a GPU that the timer did not wait for",
    ONE_ROUND: "std dev and quartiles are unknown",
    TIMER: "the cost and the resolution of the timer are part of the result; use more iterations in a round",
    SPREAD: "the median is not typical of the rounds",
    FEW_ROUNDS: "std dev and quartiles are rough",
    LONG_ROUNDS: "a few rounds took far longer: first calls that compile or fill a cache, or a GPU queue that fills up",
}
"""Every finding, the most serious first, and what it means."""

MIN_ROUND_RATIO = 1 / 3
"""Of the shortest round to the median. Of the public benchmarks whose rounds last longer than `MIN_ROUND_S`, seven
are below, all on a GPU that the timer did not wait for (0.001 to 0.31); the next on a CPU is at 0.44."""

MIN_ROUND_S = 1e-6
"""Two calls of `perf_counter` take 0.05 to 0.1 us, and its steps are 0.1 us on Windows and 0.042 us on Apple's
processors: a round below 1 us may be off by a tenth. pytest-benchmark itself aims at 5 us or more."""

MAX_IQR_RATIO = 0.5
"""Of the interquartile range to the median: exceeded by one in a hundred public benchmarks; 75% are below 0.05."""

MIN_ROUNDS = 5
"""pytest-benchmark's default of `min_rounds`."""

MAX_MEAN_RATIO = 2.0
"""Of the mean to the median: exceeded by three in a hundred public benchmarks, all of four repositories."""

ROUNDING_RATIO = 1e-6
"""By how much statistics may be out of order because they were rounded."""

MAX_NAMED = 2

MAX_NAME = 48
"""Characters of a name in a line of findings."""


def foreign_findings(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the warnings that the statistics of a benchmark give, the most serious first.

    Args:
        row: `time_min_s`, `time_q1_s`, `time_median_s`, `time_q3_s`, `time_max_s`, `time_mean_s`, `num_rounds`,
            `num_iterations`; what is unknown is None or missing.

    Returns:
        Keys of `EXPLANATIONS`.
    """
    found = {*_on_shortest_round(row), *_on_num_rounds(row), *_on_spread(row)}
    if row.get("time_min_s") == 0 or row.get("time_median_s") == 0:
        found.add(ZERO)
    if _is_contradictory(row):
        found.add(CONTRADICTORY)
    # Nearly every row of thousands has none.
    return tuple(finding for finding in EXPLANATIONS if finding in found) if found else ()


def _on_shortest_round(row: Mapping[str, Any]) -> list[str]:
    shortest, median = row.get("time_min_s"), row.get("time_median_s")
    if not shortest:
        return []
    if shortest * (row.get("num_iterations") or 1) < MIN_ROUND_S:
        return [TIMER]  # it may be one step of the timer, whatever the median is
    return [SHORT_ROUND] if median and shortest < MIN_ROUND_RATIO * median else []


def _on_num_rounds(row: Mapping[str, Any]) -> list[str]:
    rounds = row.get("num_rounds")
    if rounds == 1:
        return [ONE_ROUND]
    return [FEW_ROUNDS] if rounds is not None and rounds < MIN_ROUNDS else []


def _on_spread(row: Mapping[str, Any]) -> list[str]:
    q1, median, q3, mean = (row.get(f"time_{name}_s") for name in ("q1", "median", "q3", "mean"))
    if not median:
        return []
    found = []
    if q1 is not None and q3 is not None and q3 - q1 > MAX_IQR_RATIO * median:
        found.append(SPREAD)
    if mean and mean > MAX_MEAN_RATIO * median:
        found.append(LONG_ROUNDS)
    return found


_IN_ORDER = (
    ("time_min_s", "time_q1_s", "time_median_s", "time_q3_s", "time_max_s"),
    ("time_min_s", "time_mean_s", "time_max_s"),
)


def _is_contradictory(row: Mapping[str, Any]) -> bool:
    for names in _IN_ORDER:
        known = [value for value in map(row.get, names) if value is not None]
        if known == sorted(known):  # nearly always
            continue
        if any(lower > upper * (1 + ROUNDING_RATIO) for lower, upper in itertools.pairwise(known)):
            return True
    return False


def findings_in_words(found: Iterable[tuple[str, str]]) -> list[str]:
    """Return a line for each finding: how many benchmarks have it, what it means, and the first of them by name.

    Args:
        found: The name of every benchmark, and its findings as one text, separated by `; `.
    """
    names: dict[str, list[str]] = {}
    num_benchmarks = 0
    for name, findings in found:
        num_benchmarks += 1
        for finding in findings.split("; ") if findings else ():
            names.setdefault(finding, []).append(name)
    return [
        f"{len(names[finding]):,} of {num_benchmarks:,} results: {finding}: {meaning} ({_first(names[finding])})"
        for finding, meaning in EXPLANATIONS.items()
        if finding in names
    ]


def _first(names: list[str]) -> str:
    different = list(dict.fromkeys(names))
    more = len(different) - MAX_NAMED
    named = ", ".join(_shortened(name) for name in different[:MAX_NAMED])
    return f"{named} and {more:,} more" if more > 0 else named


def _shortened(name: str) -> str:
    """Leave out the middle of a long name: the beginning names the test, the end its parameters."""
    half = (MAX_NAME - len("...")) // 2
    return name if len(name) <= MAX_NAME else f"{name[:half]}...{name[-half:]}"
