"""What distinguishes one node from the others of its kind: clocks, throttling, power, errors, versions."""

from __future__ import annotations

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.rows import median_of
from perfsuite.analysis.verdicts.causes import CLOCK_CHANGE_RATIO, LOAD_CHANGE_RATIO, THROTTLE_CHANGE_RATIO

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.frames.fleet import Node

POWER_CHANGE_RATIO = 0.03
"""Power drawn that differs by less is the same: NVML's own accuracy is 5% of a reading on most boards, and means over
processes agree better than that."""

WARMER_CELSIUS = 8.0
"""From here on a node is called hotter: places in a rack differ by several degrees."""

MIN_MAJORITY_RATIO = 0.6
"""Share of the others that must have one value in common for another one to be unusual."""

RATED_READINGS = (
    ("SM clock", "MHz", CLOCK_CHANGE_RATIO),
    ("memory clock", "MHz", CLOCK_CHANGE_RATIO),
    ("power", "W", POWER_CHANGE_RATIO),
)
"""Readings that are compared as a ratio: name, unit, and the ratio from which on they differ."""

COUNTED_READINGS = {"ECC errors": "ECC errors beyond correction", "other processes": "other GPU processes"}
"""Counts that are 0 on a sound node: name, and how they are called where they are not."""

LOAD_READINGS = ("background CPU", "steal time")
"""Shares of the time, compared as a difference."""

NOT_UNUSUAL = {"commit", "system", "perfsuite"}
"""Properties that say nothing of the speed of a machine, where they differ in nothing else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """What the processes of one node say of it.

    Attributes:
        properties: The value of each that most of its processes have.
        readings: Medians over its processes.
        throttle_ratio: The same, by reason.
    """

    properties: dict[str, str]
    readings: dict[str, float]
    throttle_ratio: dict[str, float]


def node_state(node: Node) -> NodeState:
    """Return what the processes of a node say of it."""
    values: dict[str, list[str]] = {}
    readings: dict[str, list[float]] = {}
    throttled: dict[str, list[float]] = {}
    for run in node.runs:
        for name, value in run.properties.items():
            values.setdefault(name, []).append(value)
        for name, reading in run.readings.items():
            readings.setdefault(name, []).append(reading)
        for reason, share in run.throttle_ratio.items():
            throttled.setdefault(reason, []).append(share)
    num_runs = len(node.runs)
    return NodeState(
        properties={name: Counter(found).most_common(1)[0][0] for name, found in values.items()},
        readings={name: statistics.median(found) for name, found in readings.items()},
        throttle_ratio={reason: sum(found) / num_runs for reason, found in throttled.items()},
    )


def node_evidence(own: NodeState, others: Sequence[NodeState]) -> tuple[str, ...]:
    """Return in words what distinguishes a node from the others, what explains a speed best first.

    Args:
        own: Of the node.
        others: Of the other nodes of its kind.
    """
    return (*_throttled(own, others), *_readings(own, others), *_properties(own, others))


def _middle(others: Sequence[NodeState], name: str) -> float | None:
    return median_of(one.readings.get(name) for one in others)


def _throttled(own: NodeState, others: Sequence[NodeState]) -> list[str]:
    found = []
    reasons = dict.fromkeys(reason for one in (own, *others) for reason in one.throttle_ratio)
    for reason in reasons:
        share = own.throttle_ratio.get(reason, 0.0)
        usual = statistics.median(one.throttle_ratio.get(reason, 0.0) for one in others)
        if abs(share - usual) >= THROTTLE_CHANGE_RATIO:
            found.append((abs(share - usual), f"{reason} in {share:.0%} of the readings, others {usual:.0%}"))
    return [text for _, text in sorted(found, reverse=True)]


def _readings(own: NodeState, others: Sequence[NodeState]) -> list[str]:
    """Return the readings that are unlike those of the others; one that either lacks says nothing."""
    usual_of_all = {name: _middle(others, name) for name in own.readings}
    readings = {name: (own.readings[name], usual) for name, usual in usual_of_all.items() if usual is not None}
    found = []
    for name, unit, ratio in RATED_READINGS:
        value, usual = readings.get(name, (0.0, 0.0))
        if usual and abs(value / usual - 1) >= ratio:
            found.append(f"{name} {value:,.0f} {unit}, others {usual:,.0f}")
    value, usual = readings.get("temperature", (0.0, 0.0))
    if value - usual >= WARMER_CELSIUS:
        found.append(f"up to {value:.0f} C, others {usual:.0f}")
    for name, words in COUNTED_READINGS.items():
        num = own.readings.get(name, 0.0)
        if num and not usual_of_all[name]:
            found.append(f"{words}: {num:,.0f}, others none")
    for name in LOAD_READINGS:
        value, usual = readings.get(name, (0.0, 0.0))
        if abs(value - usual) >= LOAD_CHANGE_RATIO:
            found.append(f"{name} {value:.0%}, others {usual:.0%}")
    return found


def _properties(own: NodeState, others: Sequence[NodeState]) -> list[str]:
    found = []
    for name, value in own.properties.items():
        values = Counter(one.properties[name] for one in others if name in one.properties)
        if not values or name in NOT_UNUSUAL:
            continue
        usual, num = values.most_common(1)[0]
        if value != usual and num >= MIN_MAJORITY_RATIO * values.total():
            who = "others" if num == values.total() else "most others"
            found.append(f"{name} {value}, {who} {usual}")
    return found
