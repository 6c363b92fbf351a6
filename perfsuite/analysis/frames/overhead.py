"""Harness overhead: how far a step as reported is from a bare loop of it. Pass, fail, or cannot tell, and what is left.

A check may look at its interval several times and stop as soon as that decides. Each of k looks has an interval of
confidence 1 - alpha/k, so all of them hold together with 1 - alpha (Bonferroni), and so does the one it stopped at.
Source: Jennison and Turnbull, Group Sequential Methods, 2000, chapter 9 (repeated confidence intervals).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING, Literal

import numpy as np

from perfsuite.analysis.statistics.intervals import CONFIDENCE, paired_ratio
from perfsuite.formatting import duration_in_words

if TYPE_CHECKING:
    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.records.pair import PairedRecord

Decision = Literal["pass", "fail", "cannot tell"]

FOUND = 0.8
"""How often the time that is named as needed is enough, if the estimate is right."""

MAX_MORE_S = 3600.0
"""Where more time than this would be needed, only a quieter machine helps."""


def paired_estimate(record: PairedRecord) -> Ratio:
    """Return candidate over baseline, its interval as wide as the number of planned looks asks for."""
    return paired_ratio(np.array(record.blocks), confidence=_confidence(record))


def _confidence(record: PairedRecord) -> float:
    return 1 - (1 - CONFIDENCE) / record.num_looks


def decide(low: float | None, high: float | None, limit: float | None) -> Decision:
    """Return `pass` if the whole interval lies within the limit, `fail` if it lies wholly beyond, else `cannot tell`.

    Args:
        low: Lower end of the interval of the time ratio; None or NaN where there is none.
        high: Upper end.
        limit: How far the ratio may be from 1, as a ratio.
    """
    if low is None or high is None or limit is None or math.isnan(low + high + limit):
        return "cannot tell"
    if high - 1 <= limit and 1 - low <= limit:
        return "pass"
    return "fail" if low - 1 > limit or 1 - high > limit else "cannot tell"


def decide_record(record: PairedRecord) -> Decision:
    """Return whether the harness overhead of a record is within its limit."""
    estimate = paired_estimate(record)
    return decide(estimate.low, estimate.high, record.limit_ratio)


def seconds_to_decide(record: PairedRecord) -> float | None:
    """Return about how much longer a check that cannot tell would have to go on, or None where nobody can say.

    The interval's width falls with the square root of the number of blocks. There are enough of them when it fits
    between the estimate and the limit in `FOUND` of all cases, the estimate's own scatter included.
    """
    estimate, limit = paired_estimate(record), record.limit_ratio
    ratio, low, high = estimate.ratio, estimate.low, estimate.high
    if low is None or high is None or limit is None:
        return None
    below, above = ratio - (1 - limit), (1 + limit) - ratio  # distances to the two ends of what is allowed
    if below > 0 and above > 0:
        widths = [(ratio - low) / below, (high - ratio) / above]
    elif above < 0:
        widths = [(ratio - low) / -above]
    else:
        widths = [(high - ratio) / -below] if below < 0 else [math.inf]
    normal = NormalDist()
    scatter = 1 + normal.inv_cdf(FOUND) / normal.inv_cdf(0.5 + _confidence(record) / 2)
    # At most one iteration per turn is not timed.
    seconds = sum(map(sum, record.blocks)) * (record.num_iterations + 1)
    return max((max(widths) * scatter) ** 2 - 1, 0.0) * seconds


def overhead_in_words(record: PairedRecord) -> str:
    """Return what a check found in one line: the overhead, its limit, and how much more time it needs if any."""
    estimate = paired_estimate(record)
    what = f"harness overhead of {record.candidate.label}: {in_percent(estimate.ratio, estimate.low, estimate.high)}%"
    limit = "no limit" if record.limit_ratio is None else f"limit {record.limit_ratio:.0%}"
    outcome = decide(estimate.low, estimate.high, record.limit_ratio)
    if outcome != "cannot tell":
        return f"{what} ({limit})"
    return f"{what} ({limit}) after {len(record.blocks)} blocks; {more_time_in_words(seconds_to_decide(record))}"


def more_time_in_words(seconds: float | None) -> str:
    """Return how much more time a check needs, and what else helps."""
    if seconds is None:
        return "too few blocks for an interval"
    if seconds > MAX_MORE_S:
        return f"more than {duration_in_words(MAX_MORE_S)} would be needed: reduce background load"
    return f"about {duration_in_words(max(seconds, 1.0))} more would decide"


def in_percent(ratio: float, low: float | None, high: float | None) -> str:
    """Return how far a ratio is from 1, with its interval: `+0.30 [-0.21, +0.81]`."""
    texts = ["n/a" if value is None else f"{100 * (value - 1):+.2f}" for value in (ratio, low, high)]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"
