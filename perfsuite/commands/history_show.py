"""`perfsuite history show`: series over time, with their changes of level."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.history.by_version import levels_by
from perfsuite.analysis.history.defaults import BY_TIME
from perfsuite.analysis.history.index import open_index
from perfsuite.analysis.history.run_values import PLACES
from perfsuite.analysis.history.series import changes_of, choose_machine, read_history
from perfsuite.analysis.history.store import index_path, update_index
from perfsuite.analysis.tables.history import history_json, history_table
from perfsuite.analysis.tables.history_versions import version_table
from perfsuite.commands.history_reading import require_ruptures, tell_reading
from perfsuite.commands.judging_options import read_judging
from perfsuite.commands.output import check_output, show
from perfsuite.commands.streams import write
from perfsuite.parsing import choose, parse_whole_number
from perfsuite.paths import expanded

if TYPE_CHECKING:
    import argparse

    from perfsuite.analysis.history.series import History

MAX_LAST = 100_000
"""Runs; a search for changes takes a time in proportion to the square of their number."""


def run(options: argparse.Namespace) -> int:
    """Show the changes; the exit status."""
    require_ruptures()
    check_output(options, [])
    judging = read_judging(options)
    place = None if options.by == BY_TIME else choose(_PLACES, options.by.casefold(), kind="--by")
    history = _read(options)
    is_whole = options.all or options.format == "csv"
    if place is not None:
        levels = levels_by(history, _PLACES[place], judging)
        return show(version_table(history, _PLACES[place], levels, with_unchanged=is_whole), options)
    changes = changes_of(history, judging)
    if options.format == "json":
        write(history_json(history, changes), options.output)
        return 0
    return show(history_table(history, changes, with_unchanged=is_whole), options)


_PLACES = {name.casefold(): name for name in PLACES}


def _read(options: argparse.Namespace) -> History:
    store = expanded("--store", options.store)
    with open_index(index_path(store)) as index:
        update_index(store, index, tell_reading)
        machine = choose_machine(index.machines(), options.machine, f"--store {store}")
        num_last = parse_whole_number("--last", options.last, "a number of runs", least=1, most=MAX_LAST)
        return read_history(index, machine, num_last)
