"""`perfsuite history page`: every benchmark over time, as one HTML page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite import __version__
from perfsuite.analysis.history.index import open_index
from perfsuite.analysis.history.series import choose_machine
from perfsuite.analysis.history.store import index_path, update_index
from perfsuite.analysis.history.trends import read_trends
from perfsuite.analysis.report.trends import render_trends
from perfsuite.commands.history_reading import require_ruptures, tell_reading
from perfsuite.commands.judging_options import read_judging
from perfsuite.commands.output import check_page
from perfsuite.commands.streams import write
from perfsuite.errors import ResultFileError
from perfsuite.parsing import parse_whole_number
from perfsuite.paths import expanded

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from perfsuite.analysis.history.trends import Trends
    from perfsuite.analysis.verdicts.thresholds import Judging

MAX_LAST = 4_000
"""Runs: a page draws each of them for every benchmark."""

MAX_DAYS = 36_500


def run(options: argparse.Namespace) -> int:
    """Write the page; the exit status."""
    check_page(options.output)
    judging = read_judging(options)
    trends = trends_in(
        expanded("--store", options.store),
        judging,
        option="--store",
        machine=options.machine,
        last=options.last,
        days=options.days,
    )
    write(render_trends(trends, version=__version__), options.output)
    return 0


def trends_in(
    store: Path, judging: Judging, *, option: str, machine: str | None, last: str, days: str
) -> tuple[Trends, ...]:
    """Return the trends of the machines of a store.

    Args:
        store: The folder.
        judging: See `read_trends`.
        option: How the store was given, for messages.
        machine: The machine, or a part of its name; None for all.
        last: How many runs, as the user wrote it.
        days: How many days are the last ones, as the user wrote it.

    Raises:
        InstallationError: What finds changes is not installed.
        InvalidChoiceError: A number or the machine is not usable.
        ResultFileError: There is no store, or no run in it.
    """
    require_ruptures()
    num_last = parse_whole_number("--last", last, "a number of runs", least=1, most=MAX_LAST)
    num_days = parse_whole_number("--days", days, "a number of days", least=1, most=MAX_DAYS)
    with open_index(index_path(store, option)) as index:
        update_index(store, index, tell_reading)
        machines = index.machines()
        if not machines:
            raise ResultFileError(f"{option} {store}: contains no runs; `perfsuite history add FILE` adds some")
        names = list(machines) if machine is None else [choose_machine(machines, machine, f"{option} {store}")]
        return read_trends(index, names, judging, num_last=num_last, num_days=num_days)
