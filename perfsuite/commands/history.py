"""`perfsuite history`: results of months: kept, shown with their changes, and a new run judged against them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.history.check import check_files
from perfsuite.analysis.history.index import NAME, open_index
from perfsuite.analysis.history.series import NUM_LAST, changes_of, choose_machine, read_history
from perfsuite.analysis.history.store import DEFAULT, add_file, index_path, update_index
from perfsuite.analysis.tables.history import check_json, check_table, history_json, history_table
from perfsuite.analysis.verdicts.compare import failing_verdicts
from perfsuite.commands.compare import DEFAULT_FAIL_ON, add_thresholds, read_fail_on, read_judging
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.output import add_output, check_output, rendered
from perfsuite.commands.parser import EXIT_FAILED
from perfsuite.commands.streams import say, say_progress, write
from perfsuite.errors import InstallationError, InvalidChoiceError, ResultFileError
from perfsuite.formatting import plural
from perfsuite.parsing import parse_whole_number
from perfsuite.paths import expanded

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from perfsuite.analysis.history.check import Check
    from perfsuite.analysis.history.series import History
    from perfsuite.analysis.history.store import Added
    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `history`."""
    command.description = (
        "Results of months. add keeps result files in a folder; show draws every benchmark over time and says where it "
        "changed; check judges a new run against all before it on the same machine. Any folder of pytest-benchmark "
        "JSON is a store, its own .benchmarks folder too."
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    add = actions.add_parser("add", help="keep result files; one that is there already is not added twice")
    _add_files(add)
    show = actions.add_parser("show", help="series over time, with their changes of level")
    show.add_argument("--all", action="store_true", help="series without a change as well")
    show.add_argument("--last", default=str(NUM_LAST), metavar="N", help=f"the newest runs; default: {NUM_LAST:,}")
    check = actions.add_parser("check", help="judge new runs against the history of their machine")
    _add_files(check)
    check.add_argument(
        "--add", action="store_true", help="keep the files in the store afterwards, whatever the verdict"
    )
    check.add_argument(
        "--fail-on",
        default=DEFAULT_FAIL_ON,
        metavar="LIST",
        help="as for compare: what ends with status 1; default: regressed,missing,unjudged",
    )
    for action in (add, show, check):
        action.add_argument("--store", type=Path, default=DEFAULT, metavar="DIR", help=f"default: {DEFAULT}")
    for action in (show, check):
        action.add_argument("--machine", metavar="NAME", help="of several machines: its name or a part of it")
        add_thresholds(action)
        add_output(action)
    for action in (add, show, check):
        action.set_defaults(action_run=_ACTIONS[action.prog.rsplit(" ", 1)[-1]])


def _add_files(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", action=ResultFiles, help="result files, or folders of them"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    return int(options.action_run(options))


def _run_add(options: argparse.Namespace) -> int:
    store = expanded("--store", options.store)
    added: list[Added] = []
    damaged: list[str] = []
    with open_index(_made(store)) as index:
        for path in options.files:
            try:
                found = add_file(path, store, index)
            except ResultFileError as error:
                damaged.append(str(error))
                say(f"left out: {error}")
                continue
            added.append(found)
            say(f"{path}: {_added_in_words(found)}")
    kept = [one for one in added if one.name is not None]
    say(f"{store}: {plural(sum(one.is_new for one in kept), 'new run')}")
    if damaged or not kept:
        reason = f"{plural(len(damaged), 'file')} of {len(options.files)} could not be used" if damaged else NOTHING
        raise ResultFileError(f"{reason}; the others are kept" if kept else reason)
    return 0


MAX_LAST = 100_000
"""Runs; a search for changes takes a time in proportion to the square of their number."""

NOTHING = "the files hold nothing that has a history: times, peak memory, energy, accuracy"


def _added_in_words(added: Added) -> str:
    if added.name is None:
        return "left out: nothing in it has a history (interleaved pairs, studies and first answers have none)"
    return f"{'added' if added.is_new else 'was there already'}, {plural(len(added.run.values), 'value')}: {added.name}"


def _made(store: Path) -> Path:
    """Make the folder of a store, and return the path of its index.

    Raises:
        InvalidChoiceError: It cannot be made.
    """
    try:
        store.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidChoiceError(f"--store {store}: cannot be made: {reason}") from None
    return store / NAME


def _run_show(options: argparse.Namespace) -> int:
    _require_ruptures()
    check_output(options, [])
    judging = read_judging(options)
    history = _read(options)
    changes = changes_of(history, judging)
    if options.format == "json":
        write(history_json(history, changes), options.output)
        return 0
    table = history_table(history, changes, with_unchanged=options.all or options.format == "csv")
    write(rendered(table, options), options.output, printable=True)
    return 0


def _read(options: argparse.Namespace) -> History:
    store = expanded("--store", options.store)
    with open_index(index_path(store)) as index:
        update_index(store, index, _tell_reading)
        machine = choose_machine(index.machines(), options.machine, f"--store {store}")
        num_last = parse_whole_number("--last", options.last, "a number of runs", least=1, most=MAX_LAST)
        return read_history(index, machine, num_last)


def _tell_reading(number: int, total: int) -> None:
    say_progress(f"reading file {number + 1:,} of {total:,}" if number + 1 < total else "")


def _run_check(options: argparse.Namespace) -> int:
    _require_ruptures()
    check_output(options, options.files)
    judging, fail_on = read_judging(options), read_fail_on(options)
    store = expanded("--store", options.store)
    with open_index(index_path(store)) as index:
        update_index(store, index, _tell_reading)
        checks = check_files(options.files, store, index, judging, machine=options.machine)
    if options.add:
        _run_add(options)
    for check in checks:
        text = check_json(check) if options.format == "json" else rendered(check_table(check), options)
        write(text, options.output, printable=True)
    failures = [line for check in checks for line in _failures(check, fail_on)]
    if failures:
        say(f"perfsuite: failed (--fail-on {options.fail_on}): {'; '.join(failures)}")
    return EXIT_FAILED if failures else 0


def _failures(check: Check, fail_on: tuple[str, ...]) -> list[str]:
    verdicts = [one.verdict for one in check.series]
    failing = failing_verdicts(fail_on)
    lines = [f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts) if verdict in failing]
    is_judged = any(verdict in {"regressed", "improved", "unchanged"} for verdict in verdicts)
    if not is_judged and {"unjudged", "inconclusive"} & set(fail_on):
        lines.append("not one benchmark could be judged")
    return lines


def _require_ruptures() -> None:
    """Check that what finds changes is installed.

    Raises:
        InstallationError: It is not.
    """
    if importlib.util.find_spec("ruptures") is None:
        raise InstallationError("changes of level are found with ruptures: pip install 'perfsuite[history]'")


_ACTIONS: dict[str, Callable[[argparse.Namespace], int]] = {"add": _run_add, "show": _run_show, "check": _run_check}
