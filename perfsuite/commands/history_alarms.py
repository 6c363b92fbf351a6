"""`perfsuite history alarms`: changes as events, each reported once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.analysis.history.alarms import check_key, events_of, read_told, write_told
from perfsuite.analysis.history.index import open_index
from perfsuite.analysis.history.series import changes_of, choose_machine, read_history
from perfsuite.analysis.history.store import index_path, update_index
from perfsuite.analysis.tables.alarms import event_issue, events_json, events_table
from perfsuite.commands.history_reading import require_ruptures, tell_reading
from perfsuite.commands.judging_options import read_judging
from perfsuite.commands.output import check_output, rendered
from perfsuite.commands.streams import say, write
from perfsuite.errors import ResultFileError
from perfsuite.folder_lock import folder_held
from perfsuite.formatting import plural
from perfsuite.paths import expanded

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from perfsuite.analysis.history.alarms import Event

ALL = "all"
"""Instead of keys: every event that there is."""


def run(options: argparse.Namespace) -> int:
    """Show the events, write those that are new, or mark some as reported; the exit status."""
    require_ruptures()
    check_output(options, [])
    store = expanded("--store", options.store)
    for key in options.told:
        if key != ALL:
            check_key(key)
    if options.told:
        return _tell(store, options)
    events = _events(store, options)
    new = [event for event in events if not event.is_told]
    if options.into is not None:
        return _write_new(new, expanded("--into", options.into))
    if options.format == "json":
        write(events_json(events), options.output)
        return 0
    write(rendered(events_table(events), options), options.output, printable=True)
    return 0


def _events(store: Path, options: argparse.Namespace) -> list[Event]:
    judging = read_judging(options)
    told = read_told(store)
    with open_index(index_path(store)) as index:
        update_index(store, index, tell_reading)
        machines = list(index.machines())
        if options.machine is not None or not machines:
            machines = [choose_machine(index.machines(), options.machine, f"--store {store}")]
        histories = [read_history(index, machine) for machine in machines]
    return [event for history in histories for event in events_of(history, changes_of(history, judging), told)]


def _tell(store: Path, options: argparse.Namespace) -> int:
    """Mark events as reported. The store is locked, so that two processes at once lose nothing.

    Raises:
        FolderInUseError: Another process does the same.
        ResultFileError: The store cannot be written.
    """
    index_path(store)  # there is a store
    keys = [key for key in options.told if key != ALL]
    if len(keys) < len(options.told):
        keys += [event.key for event in _events(store, options)]
    with folder_held(store, ResultFileError):
        before = read_told(store)
        write_told(store, [*before, *keys])
    num_new = len(set(keys) - set(before))
    say(f"{store}: {plural(num_new, 'event')} marked as reported, {len(set(keys)) - num_new} were before")
    return 0


def _write_new(new: list[Event], folder: Path) -> int:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultFileError(f"{folder}: cannot be created: {reason}") from None
    for event in new:
        write(event_issue(event), folder / f"{event.key}.md")
    say(f"{folder}: {plural(len(new), 'new event')}")
    return 0
