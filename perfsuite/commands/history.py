"""`perfsuite history`: results of months: kept, shown with their changes, and a new run judged against them.

Each action has a module of its own, `history_ACTION`, which is imported when the action is called: adding a run needs
none of what a search for changes imports.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.history.defaults import BY_TIME, DEFAULT_STORE, NUM_DAYS, NUM_LAST, NUM_PAGE_RUNS
from perfsuite.commands.alarm_options import add_alarms
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.judging_options import DEFAULT_FAIL_ON, add_thresholds
from perfsuite.commands.output_options import add_output

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `history`."""
    command.description = (
        "Results of months. add keeps result files in a folder; show draws every benchmark over time and says where it "
        "changed; check judges a new run against all before it on the same machine; page is all of it as a page; "
        "alarms are its changes as events, for a nightly job. Any folder of pytest-benchmark JSON is a store, its own "
        ".benchmarks folder too."
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    add = actions.add_parser("add", help="keep result files; one that is there already is not added twice")
    _add_files(add)
    show = actions.add_parser("show", help="series over time, with their changes of level")
    show.add_argument("--all", action="store_true", help="series without a change as well")
    show.add_argument("--last", default=str(NUM_LAST), metavar="N", help=f"the newest runs; default: {NUM_LAST:,}")
    by = f"by torch, commit, driver, CUDA, ... instead of by time: the level under each version; default: {BY_TIME}"
    show.add_argument("--by", default=BY_TIME, metavar="NAME", help=by)
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
    page = actions.add_parser("page", help="every benchmark over time as one HTML page, what changed lately first")
    page.add_argument(
        "-o", "--output", type=Path, default=Path("history.html"), metavar="PATH", help="default: history.html"
    )
    page.add_argument(
        "--last", default=str(NUM_PAGE_RUNS), metavar="N", help=f"the newest runs; default: {NUM_PAGE_RUNS}"
    )
    page.add_argument(
        "--days", default=str(NUM_DAYS), metavar="N", help=f"changes of the last days come first; default: {NUM_DAYS}"
    )
    alarms = actions.add_parser("alarms", help="changes as events, each of which is told once: for a nightly job")
    add_alarms(alarms)
    for action in (add, show, check, page, alarms):
        action.add_argument(
            "--store", type=Path, default=DEFAULT_STORE, metavar="DIR", help=f"default: {DEFAULT_STORE}"
        )
    for action in (show, check, page, alarms):
        action.add_argument("--machine", metavar="NAME", help="of several machines: its name or a part of it")
        add_thresholds(action)
    for action in (show, check, alarms):
        add_output(action)


def _add_files(action: argparse.ArgumentParser) -> None:
    action.add_argument(
        "files", nargs="+", type=Path, metavar="FILE", action=ResultFiles, help="result files, or folders of them"
    )


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    return int(importlib.import_module(f"perfsuite.commands.history_{options.action}").run(options))
