"""Months of results as a page: every benchmark a line over time, what changed in the last days first."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from perfsuite.analysis.frames.change_text import percent_change_text
from perfsuite.analysis.history.bisect_command import bisect_command, commits_between
from perfsuite.analysis.history.run_values import PLACES, TIME
from perfsuite.analysis.report.answers import Answer
from perfsuite.analysis.report.policy import content_policy
from perfsuite.analysis.report.short_names import short_names
from perfsuite.analysis.report.sparkline import sparkline_svg
from perfsuite.analysis.report.template import own_file, template
from perfsuite.analysis.statistics.change_points import MIN_RUNS_OF_CHANGE
from perfsuite.analysis.tables.history import METRIC_NAMES, value_text
from perfsuite.formatting import MIB_BYTES, plural, printable, utc_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from perfsuite.analysis.history.index import IndexedRun
    from perfsuite.analysis.history.series import Change, SeriesChanges
    from perfsuite.analysis.history.trends import Trends

SECTION = "history"

DIGITS = 5
"""Significant digits of a value that a reader points at."""

UNITS = {
    "peak_allocated_bytes": ("MiB", 1 / MIB_BYTES),
    "energy_per_image_joules": ("mJ/image", 1e3),
    "test_accuracy": ("%", 100.0),
    "training_time_s": ("s", 1.0),
}
"""Of values that a reader points at, and base units times what they are; times have the unit of their level."""

TIME_UNITS = (("s", 1.0), ("ms", 1e3), ("us", 1e6), ("ns", 1e9))

MAX_ANSWERS = 6
"""Machines that the first screen names; those with a regression are the first."""

NUM_NAMED = 2
"""Differences between two runs that a row names; the row's run has all."""


def render_trends(trends: Sequence[Trends], *, version: str) -> str:
    """Return the trends of machines as a page of their own.

    Args:
        trends: At least one.
        version: Of perfsuite, for the foot of the page.
    """
    sheet = own_file("page.css") + own_file("trends.css")
    script = own_file("page.js") + own_file("trends.js")
    return template("trend_page.html.jinja").render(
        title=trends_title(trends),
        policy=content_policy(script, sheet),
        sheet=Markup(sheet),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        answers=trends_answers(trends),
        machines=machine_parts(trends),
        version=version,
    )


def trends_title(trends: Sequence[Trends]) -> str:
    """Return the title of the page: what regressed lately, or that nothing did where that can be said."""
    num_regressed = sum(len(one.regressed) for one in trends)
    num_series = sum(one.num_series for one in trends)
    days = f"in the last {plural(trends[0].num_days, 'day')}"
    if num_regressed:
        return f"History: {num_regressed:,} of {num_series:,} series regressed {days}"
    if any(_has_too_few(one) for one in trends):
        return "History: too few runs to find a change"
    return f"History: nothing regressed {days}"


def _has_too_few(trends: Trends) -> bool:
    """Return whether a machine has too few runs for any change to be found: that none was found says nothing."""
    return len(trends.history.runs) < MIN_RUNS_OF_CHANGE


def trends_answers(trends: Sequence[Trends]) -> tuple[Answer, ...]:
    """Return the answers of the first screen: one a machine, and of many machines how many more there are."""
    shown, others = trends[:MAX_ANSWERS], trends[MAX_ANSWERS:]
    answers = [_answer(one, number, with_machine=len(trends) > 1) for number, one in enumerate(shown)]
    if others:
        num_regressed = sum(bool(one.regressed) for one in others)
        lead = f"{num_regressed:,} of them with a regression" if num_regressed else "None of them with a regression"
        lead += f" in the last {plural(trends[0].num_days, 'day')}"
        num_silent = sum(not one.has_recent_runs for one in others)
        answers.append(
            Answer(
                question=f"{plural(len(others), 'more machine')}",
                lead=lead,
                context=f"{num_silent:,} had no run in these days" if num_silent else "",
                tone="bad" if num_regressed else "plain",
                target=_machine_id(MAX_ANSWERS),
            )
        )
    return tuple(answers)


def _machine_id(number: int) -> str:
    return f"{SECTION}-{number}"


def _answer(trends: Trends, number: int, *, with_machine: bool) -> Answer:
    """Return what changed on a machine in the last days, and what to do next."""
    days = f"in the last {plural(trends.num_days, 'day')}"
    num = trends.num_series
    history = trends.history
    first, last = history.runs[0], history.runs[-1]
    lead = f"{len(trends.regressed):,} of {num:,} series regressed {days}"
    tone = "bad"
    if not trends.regressed:
        lead, tone = f"Nothing regressed {days}", "good"
    if not trends.has_recent_runs:
        lead, tone = f"No run {days}: the last one was on {_day(last)}", "unsure"
    if _has_too_few(trends):
        have = plural(len(trends.history.runs), "run")
        lead, tone = f"Too few runs to find a change: {have} of {MIN_RUNS_OF_CHANGE}", "unsure"
    others = [
        f"{len(found):,} {words}"
        for found, words in (
            (trends.improved, "improved"),
            (trends.earlier, "changed before"),
            (trends.unchanged, "never changed"),
            (trends.too_short, "of too few runs"),
        )
        if found
    ]
    newest = "the newest run of all machines" if with_machine else "the newest run"
    context = (
        f"{plural(len(history.runs), 'run')} of {history.machine}, {_day(first)} to {_day(last)}; "
        f"the last {plural(trends.num_days, 'day')} end with {newest}"
    )
    if others and num:
        context = f"{', '.join(others)}; {context}"
    action, command = _next_step(trends)
    return Answer(
        question=history.machine if with_machine else "Did anything regress lately?",
        lead=lead,
        context=context,
        tone=tone,
        action=action,
        command=command,
        target=_machine_id(number),
    )


def _next_step(trends: Trends) -> tuple[str, str]:
    """Return what finds the cause of the largest regression, in words and as a command."""
    if not trends.regressed:
        return "", ""
    one = trends.regressed[0]
    before, first = _runs_around(trends, one, one.changes[trends.told(one)])
    commits = commits_between(before, first)
    command = None if commits is None else bisect_command(commits, one.series.benchmark, one.series.metric)
    if command is not None:
        return "find the commit of the largest", command
    command = "perfsuite ab --baseline PYTHON --candidate PYTHON"
    return "confirm it, interleaved, with the environments of before and after", command


def _runs_around(trends: Trends, one: SeriesChanges, change: Change) -> tuple[IndexedRun, IndexedRun]:
    """Return the last run before a change of a series, and the first at the new level."""
    index = change.index
    before, first = (trends.history.runs[one.series.runs[place]] for place in (index - 1, index))
    return before, first


def machine_parts(trends: Sequence[Trends]) -> list[dict[str, Any]]:
    """Return what the template needs of each machine: groups of rows, and the values that a reader points at."""
    return [_machine_part(one, number) for number, one in enumerate(trends)]


def _machine_part(trends: Trends, number: int) -> dict[str, Any]:
    days = f"in the last {plural(trends.num_days, 'day')}"
    groups = (
        ("regressed", f"Regressed {days}", trends.regressed),
        ("improved", f"Improved {days}", trends.improved),
        ("earlier", "Changed before", trends.earlier),
        ("unchanged", "Without a change", trends.unchanged),
        ("short", f"Fewer than {MIN_RUNS_OF_CHANGE} runs: too few to find a change", trends.too_short),
    )
    shown = [one for _, _, found in groups for one in found]
    places = {id(one): place for place, one in enumerate(shown)}
    names = short_names([one.series.benchmark for one in shown])
    parts = []
    for name, title, found in groups:
        if found:
            rows = [_row(trends, one, names[one.series.benchmark], places[id(one)]) for one in found]
            has_changes = any(one.changes for one in found)
            parts.append({"name": name, "title": title, "has_changes": has_changes, "rows": rows})
    return {
        "id": _machine_id(number),
        "machine": trends.history.machine,
        "num_series": trends.num_series,
        "notes": trends.history.notes,
        "groups": parts,
        "data": _data(trends, shown),
    }


def _row(trends: Trends, one: SeriesChanges, name: str, place: int) -> dict[str, Any]:
    series = one.series
    levels = [value_text(series.metric, level) for _, _, level in one.levels]
    level = levels[-1]
    newest_run = trends.history.runs[series.runs[-1]]
    row: dict[str, Any] = {
        "place": place,
        "benchmark": name,
        "fullname": series.benchmark,
        "metric": METRIC_NAMES.get(series.metric, series.metric),
        "level": level,
        "num_runs": len(series.runs),
        "change": "",
        "word": "",
        "tone": "",
        "since": "",
        "between": "",
        "more": "",
        "stale": f"last measured {_day(newest_run)}" if newest_run.started_s < trends.start_s else "",
    }
    label = f"{plural(len(series.runs), 'run')}, now {level}"
    if one.changes:
        told = trends.told(one)
        change = one.changes[told]
        before, first = _runs_around(trends, one, change)
        row["level"] = f"{levels[told]} → {levels[told + 1]}"
        row["change"] = percent_change_text(change.ratio, change.low, change.high)
        row["word"], row["tone"] = ("worse", "bad") if change.is_worse else ("better", "good")
        row["since"] = _day(first)
        row["between"] = _between(before, change.differences)
        row["more"] = "; ".join(_other_changes(trends, one, told))
        label = f"{plural(len(series.runs), 'run')}, {row['change']} since {row['since']}, now {level}"
    row["svg"] = sparkline_svg(one, len(trends.history.runs), printable(label))
    return row


def _other_changes(trends: Trends, one: SeriesChanges, told: int) -> Iterator[str]:
    """Yield what changed after the change that a row tells, with its numbers, and how often before it."""
    for place, change in enumerate(one.changes[told + 1 :], start=told + 1):
        _, first = _runs_around(trends, one, change)
        level = value_text(one.series.metric, one.levels[place + 1][2])
        text = percent_change_text(change.ratio, change.low, change.high)
        yield f"then {text} on {_day(first)}, to {level}"
    if told:
        yield f"{plural(told, 'change')} before"


def _between(before: IndexedRun, differences: tuple[str, ...]) -> str:
    """Return between which commits or versions a change lies, or which the last run before it is."""
    if not differences:
        return f"nothing else recorded changed; last run before: {_day(before)}"
    named = list(differences[:NUM_NAMED])
    if len(differences) > len(named):
        named.append(f"{len(differences) - len(named)} more")
    return ", ".join(named)


def _data(trends: Trends, shown: Sequence[SeriesChanges]) -> Markup:
    """Return what a reader can point at, as JSON that stands in a page: runs once, values by series."""
    places: dict[str, int] = {}
    runs = []
    for run in trends.history.runs:
        words = ", ".join(f"{name} {run.place[name]}" for name in PLACES if name in run.place)
        runs.append([printable(run.name), _moment(run), places.setdefault(printable(words), len(places))])
    content = {
        "runs": runs,
        "places": list(places),
        "series": list(_series_data(shown, len(runs))),
    }
    text = json.dumps(content, separators=(",", ":"))
    # Nothing in it can end the element that it stands in. Source: HTML, "Restrictions for contents of script elements".
    return Markup(text.replace("<", "\\u003c"))  # noqa: S704


def _series_data(shown: Sequence[SeriesChanges], num_runs: int) -> Iterator[dict[str, Any]]:
    for one in shown:
        series = one.series
        unit, factor = _unit(series.metric, one.levels[-1][2])
        found: dict[str, Any] = {
            "unit": unit,
            "values": [_rounded(value * factor) for value in series.values.tolist()],
            "levels": [[first, _rounded(level * factor)] for first, _, level in one.levels],
        }
        if len(series.runs) < num_runs:
            found["at"] = list(series.runs)
        yield found


def _unit(metric: str, level: float) -> tuple[str, float]:
    if metric == TIME:
        return next((entry for entry in TIME_UNITS if level * entry[1] >= 1), TIME_UNITS[-1])
    return UNITS.get(metric, ("", 1.0))


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")


def _day(run: IndexedRun) -> str:
    return utc_text(run.started_s, "%Y-%m-%d") or "an unknown day"


def _moment(run: IndexedRun) -> str:
    return utc_text(run.started_s, "%Y-%m-%d %H:%M") or "an unknown day"
