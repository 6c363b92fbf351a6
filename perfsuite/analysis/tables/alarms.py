"""Events of a history: a table of them, JSON for programs, and the text of an issue."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfsuite.analysis.frames.change_text import percent_change_text, percent_text
from perfsuite.analysis.history.bisect_command import bisect_command, commits_between
from perfsuite.analysis.history.likely_cause import machine_or_code
from perfsuite.analysis.history.run_values import PLACES
from perfsuite.analysis.history.series import differences_of
from perfsuite.analysis.tables.history import METRIC_NAMES, value_text
from perfsuite.analysis.tables.pull_request import render_comment
from perfsuite.analysis.tables.table import Column, Table, text_column
from perfsuite.formatting import one_line, plural, printable_json, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfsuite.analysis.history.alarms import Event, SeriesChange
    from perfsuite.analysis.history.index import IndexedRun

SCHEMA = "perfsuite-history-alarms-2"

MAX_TITLE = 200
"""Characters; GitHub takes 256."""

MAX_NAME = 70
"""Characters of a benchmark or machine in a title."""

MAX_TABLE = 50_000
"""Characters of the table in an issue; GitHub takes 65,536 in all."""

OF_THE_INTERPRETER = ("torch", "torchvision", "CUDA", "cuDNN")
"""Of the places of a run, what an environment of Python brings."""

CODE_IS_LIKELY = "no recorded property of the machine changed: the code or its versions are the likely cause"


def event_title(event: Event) -> str:
    """Return an event in one line: its worst change, since when, and how many series changed with it."""
    worst = event.changes[0]
    metric = METRIC_NAMES.get(worst.series.metric, worst.series.metric)
    change = percent_text(worst.change.ratio)
    num_others = len(event.changes) - 1
    others = f", and {num_others} of {len(event.history.series) - 1} other series" if num_others else ""
    since = _moment(event.history.runs[event.first].started_s)[:10]
    name, machine = _short(worst.series.benchmark), _short(event.history.machine)
    return one_line(f"{name}: {metric} {change} since {since}{others}, on {machine}")[:MAX_TITLE]


def _short(name: str) -> str:
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 3]}..."


def event_issue(event: Event) -> str:
    """Return an event as the text of an issue, in Markdown; its first line is the title, as a heading."""
    num_worse = sum(one.change.is_worse for one in event.changes)
    num_better = len(event.changes) - num_worse
    table = Table(
        title=f"{num_worse} worse, {num_better} better, of {len(event.history.series):,} series",
        frame=[_change_row(event, one) for one in event.changes],
        columns=(
            text_column("benchmark"),
            text_column("metric"),
            Column(heading="change [95%]", show=lambda row: str(row["change"]), numeric=True),
            Column(heading="level", show=lambda row: str(row["level"]), numeric=True),
            text_column("since"),
        ),
        notes=(*_cause(event), f"`{event.key}` identifies this event: `perfsuite history alarms` finds it by that"),
    )
    parts = [f"# {event_title(event)}", "", render_comment(table, what="changes", most=MAX_TABLE)]
    parts += [render_comment(_places(event)), "To confirm it:", "", "```sh", *_commands(event), "```", ""]
    return "\n".join(parts)


def _change_row(event: Event, one: SeriesChange) -> dict[str, Any]:
    change, metric = one.change, one.series.metric
    return {
        "benchmark": one.series.benchmark,
        "metric": METRIC_NAMES.get(metric, metric),
        "change": percent_change_text(change.ratio, change.low, change.high),
        "level": f"{value_text(metric, one.level_before)} -> {value_text(metric, one.level)}",
        "since": _moment(event.history.runs[one.first].started_s)[:10],
    }


def _around(event: Event) -> tuple[IndexedRun, IndexedRun]:
    """Return the last run before an event and the first after it."""
    runs = event.history.runs
    return runs[event.first - 1], runs[event.first]


def _places(event: Event) -> Table:
    before, after = _around(event)
    rows = [
        {"": "measured", "before": _moment(before.started_s), "after": _moment(after.started_s)},
        {"": "file", "before": before.name, "after": after.name},
    ]
    for name in PLACES:
        old, new = before.place.get(name), after.place.get(name)
        if old or new:
            rows.append({"": name, "before": old or "unknown", "after": new or "unknown"})
    return Table(
        title="The runs on both sides of it",
        frame=rows,
        columns=(
            Column(heading="", show=lambda row: str(row[""])),
            Column(heading="last before", show=lambda row: str(row["before"])),
            Column(heading="first after", show=lambda row: str(row["after"])),
        ),
    )


def _cause(event: Event) -> Iterator[str]:
    before, after = _around(event)
    differences = list(differences_of(before.place, after.place))
    if differences:
        yield f"between the two runs: {', '.join(differences)}"
    num_series = len(event.history.series)
    causes = machine_or_code(differences, share=len(event.changes) / num_series, num_series=num_series)
    yield from causes or [CODE_IS_LIKELY if differences else "nothing that is recorded changed"]


def _commands(event: Event) -> list[str]:
    """Return what measures both sides again, interleaved; a commit is named only where it looks like one."""
    before, after = _around(event)
    commits = commits_between(before, after)
    has_other_versions = any(before.place.get(name) != after.place.get(name) for name in OF_THE_INTERPRETER)
    sides = "--baseline python --candidate python"
    if has_other_versions or commits is None:
        sides = "--baseline PYTHON-OF-BEFORE --candidate PYTHON-OF-AFTER"
    if commits is None:
        return [f"perfsuite ab {sides}"]
    largest = event.changes[0]
    in_between = bisect_command(commits, largest.series.benchmark, largest.series.metric)
    return [
        f"git worktree add --detach ../before {commits[0]} && git worktree add --detach ../after {commits[1]}",
        f"perfsuite ab {sides} --dir-baseline ../before --dir-candidate ../after",
        *([] if in_between is None else [f"{in_between}    # which commit in between"]),
    ]


def _moment(started_s: float) -> str:
    return utc_text(started_s, "%Y-%m-%d %H:%M UTC") or "unknown"


def events_table(events: Sequence[Event]) -> Table:
    """Return events as a table, the newest first."""
    num_new = sum(not event.is_told for event in events)
    rows = [
        {"told": "yes" if event.is_told else "no", "event": event_title(event), "key": event.key}
        for event in sorted(events, key=lambda event: event.history.runs[event.first].started_s, reverse=True)
    ]
    notes = [
        note for history in {id(event.history): event.history for event in events}.values() for note in history.notes
    ]
    return Table(
        title=f"{plural(len(events), 'event')}, {num_new} of them not reported yet" if events else "no event",
        frame=rows,
        columns=(
            text_column("told", "reported"),
            Column(heading="event", show=lambda row: str(row["event"]), foldable=True),
            text_column("key"),
        ),
        notes=tuple(notes),
    )


def events_json(events: Sequence[Event]) -> str:
    """Return events as JSON for programs, in the order of time."""
    content = {"schema": SCHEMA, "events": [_event_json(event) for event in events]}
    return printable_json(json.dumps(content, indent=1, ensure_ascii=False)) + "\n"


def _event_json(event: Event) -> dict[str, Any]:
    before, after = _around(event)
    return {
        "key": event.key,
        "is_told": event.is_told,
        "title": event_title(event),
        "machine": event.history.machine,
        "last_run_before": before.name,
        "first_run": after.name,
        "started_s": after.started_s,
        "differences": list(differences_of(before.place, after.place)),
        "changes": [
            {
                "benchmark": one.series.benchmark,
                "metric": one.series.metric,
                "run": event.history.runs[one.first].name,
                "ratio": one.change.ratio,
                "ratio_low": one.change.low,
                "ratio_high": one.change.high,
                "is_worse": one.change.is_worse,
                "level_before": one.level_before,
                "level": one.level,
            }
            for one in event.changes
        ],
    }
