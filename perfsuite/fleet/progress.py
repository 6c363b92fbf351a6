"""How far a fleet is and how long it takes yet, as plain values: the head writes them, `fleet status` shows them."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from perfsuite.formatting import duration_in_words, plural

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from perfsuite.fleet.schedule import Schedule, Slot
    from perfsuite.fleet.state import Result

STALE_S = 60.0
"""A head writes every ten seconds; one that has written nothing for a minute does not run. A choice."""


def mean_durations(results: Iterable[Result]) -> dict[tuple[str, str], float]:
    """Return how long the processes of an environment take on a kind, in seconds, as far as any has ended."""
    found: dict[tuple[str, str], list[float]] = {}
    for result in results:
        found.setdefault((result.slot.kind, result.slot.environment), []).append(result.duration_s)
    return {key: sum(values) / len(values) for key, values in found.items()}


def seconds_left(slots: Iterable[Slot], means: Mapping[tuple[str, str], float], elapsed_s: float) -> float | None:
    """Return how long slots take one after the other, or None where nothing tells.

    Args:
        slots: What is left, what runs now among it.
        means: See `mean_durations`; an environment without one is taken for the mean of its kind.
        elapsed_s: For how long the process that runs now has run.
    """
    by_kind: dict[str, list[float]] = {}
    for (kind, _), mean_s in means.items():
        by_kind.setdefault(kind, []).append(mean_s)
    means_of_kinds = {kind: sum(values) / len(values) for kind, values in by_kind.items()}
    total_s = 0.0
    for slot in slots:
        expected_s = means.get((slot.kind, slot.environment), means_of_kinds.get(slot.kind))
        if expected_s is None:
            return None
        total_s += expected_s
    return max(0.0, total_s - elapsed_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Since when a process runs.

    Attributes:
        text: ISO 8601, UTC.
        clock_s: By the clock that durations are measured with, in seconds.
        line: How far it is, in words.
    """

    text: str
    clock_s: float
    line: str


def progress_of(
    schedule: Schedule,
    results: Mapping[Slot, Result],
    since: Mapping[int, Since],
    *,
    clock_s: float,
    updated: str,
    is_ended: bool,
) -> dict[str, Any]:
    """Return what `fleet status` shows besides the result files.

    Args:
        schedule: As it is.
        results: What is finished.
        since: By attempts that run.
        clock_s: Now.
        updated: Now, ISO 8601.
        is_ended: Whether the head ends.
    """
    means = mean_durations(results.values())
    running, left_s = [], {}
    for node, assignment in sorted(schedule.running.items()):
        begun = since.get(assignment.attempt)
        elapsed_s = 0.0 if begun is None else clock_s - begun.clock_s
        left_s[node] = seconds_left(schedule.slots_left(node), means, elapsed_s)
        running.append(
            {
                "kind": assignment.slot.kind,
                "node": node,
                "environment": assignment.slot.environment,
                "slot": assignment.slot.name,
                "since": None if begun is None else begun.text,
                "line": "waiting for the node" if begun is None else begun.line,
                "left_s": left_s[node],
            }
        )
    failed = [
        {"kind": slot.kind, "environment": slot.environment, "slot": slot.name, "reason": reason[:300]}
        for slot, reason in schedule.given_up().items()
    ]
    return {
        "updated": updated,
        "ended": is_ended,
        "running": running,
        "failed": failed,
        "refused": {node: reason[:300] for node, reason in schedule.refused.items()},
    }


def left_in_words(left_s: float | None) -> str:
    """Return a time left, or nothing where it is not known."""
    return "" if left_s is None else f"about {duration_in_words(left_s)} left"


def status_rows(
    state: Mapping[str, Any], finished: Iterable[tuple[Slot, str]], now: dt.datetime
) -> list[dict[str, Any]]:
    """Return a row for each kind, node and environment that has done or does something.

    Args:
        state: Of `fleet.json`; what the head wrote in it is checked value by value.
        finished: Slots with the node that did them.
        now: With its time zone.
    """
    rows: dict[tuple[str, str, str], dict[str, Any]] = {}

    def row(kind: str, node: str, environment: str) -> dict[str, Any]:
        empty = {"kind": kind, "node": node, "environment": environment, "num_done": 0, "num_failed": 0}
        return rows.setdefault((kind, node, environment), {**empty, "running_s": None, "left_s": None, "line": ""})

    for slot, node in finished:
        row(slot.kind, node, slot.environment)["num_done"] += 1
    progress = state["progress"]
    for one in [] if progress.get("ended") else _objects(progress.get("running")):
        found = row(*(str(one.get(name)) for name in ("kind", "node", "environment")))
        found["running_s"] = _age_s(one.get("since"), now)
        found["line"] = str(one.get("line"))
        left_s = one.get("left_s")
        found["left_s"] = left_s if isinstance(left_s, int | float) else None
    for one in _objects(progress.get("failed")):
        row(str(one.get("kind")), "-", str(one.get("environment")))["num_failed"] += 1
    return [rows[key] for key in sorted(rows)]


def status_notes(state: Mapping[str, Any], num_finished: int, now: dt.datetime) -> list[str]:
    """Return what else a reader is to know: how far all of it is, whether a head runs, what failed and why."""
    progress, num_slots = state["progress"], state["num_slots"]
    notes = [f"{num_finished} of {num_slots} done"]
    if not progress.get("ended"):
        notes += _head_in_words(progress, now)
    elif num_finished >= num_slots:
        notes.append("finished")
    else:
        notes.append("not running; the same command resumes")
    failures = Counter(
        f"{one.get('kind')} {one.get('environment')}: {one.get('reason')}" for one in _objects(progress.get("failed"))
    )
    notes += [f"failed {plural(number, 'time')}: {text}" for text, number in failures.items()]
    refused = progress.get("refused")
    if isinstance(refused, dict):
        notes += [f"not used: {node}: {reason}" for node, reason in refused.items()]
    return notes


def _head_in_words(progress: Mapping[str, Any], now: dt.datetime) -> list[str]:
    """Say what a head does that has not written that it ended."""
    notes = []
    age_s = _age_s(progress.get("updated"), now)
    if age_s is None or age_s > STALE_S:
        when = "never" if age_s is None else f"{duration_in_words(age_s)} ago"
        notes.append(f"no head seems to run (last sign of one: {when}); the same command resumes")
    checking = progress.get("checking")
    if isinstance(checking, list) and checking:
        notes.append(f"asked for versions: {', '.join(str(node) for node in checking)}")
    return notes


def _objects(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _age_s(text: object, now: dt.datetime) -> float | None:
    try:
        moment = dt.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return None if moment.tzinfo is None else max(0.0, (now - moment).total_seconds())
