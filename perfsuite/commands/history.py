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
        "Results over time. add stores result files in a folder; show lists every benchmark over time and where it "
        "changed; check compares a new run with all earlier runs on the same machine; page writes all of it as an HTML "
        "page; alarms reports changes as events, for a nightly job. Any folder of pytest-benchmark JSON can be used as "
        "a store, including its own .benchmarks folder."
    )
    actions = command.add_subparsers(title="actions", metavar="ACTION", required=True, dest="action")
    add = actions.add_parser("add", help="store result files; a file that is already stored is not added again")
    _add_files(add)
    show = actions.add_parser("show", help="show series over time, with their changes of level")
    show.add_argument("--all", action="store_true", help="show series without a change too")
    show.add_argument(
        "--last", default=str(NUM_LAST), metavar="N", help=f"use the newest N runs; default: {NUM_LAST:,}"
    )
    by = f"torch, commit, driver, CUDA, ...: show the level with each version instead; default: {BY_TIME}"
    show.add_argument("--by", default=BY_TIME, metavar="NAME", help=by)
    check = actions.add_parser("check", help="compare new runs with the history of their machine")
    _add_files(check)
    check.add_argument("--add", action="store_true", help="add the files to the store afterwards, whatever the verdict")
    check.add_argument(
        "--fail-on",
        default=DEFAULT_FAIL_ON,
        metavar="LIST",
        help="conditions for exit status 1, as for compare; default: regressed,missing,unjudged",
    )
    page = actions.add_parser("page", help="write every benchmark over time as one HTML page, recent changes first")
    page.add_argument(
        "-o", "--output", type=Path, default=Path("history.html"), metavar="PATH", help="default: history.html"
    )
    page.add_argument(
        "--last", default=str(NUM_PAGE_RUNS), metavar="N", help=f"use the newest N runs; default: {NUM_PAGE_RUNS}"
    )
    page.add_argument(
        "--days", default=str(NUM_DAYS), metavar="N", help=f"list changes of the last N days first; default: {NUM_DAYS}"
    )
    alarms = actions.add_parser("alarms", help="show changes as events, each reported once, for a nightly job")
    add_alarms(alarms)
    for action in (add, show, check, page, alarms):
        action.add_argument(
            "--store",
            type=Path,
            default=DEFAULT_STORE,
            metavar="DIR",
            help=f"folder of the history; default: {DEFAULT_STORE}",
        )
    for action in (show, check, page, alarms):
        action.add_argument("--machine", metavar="NAME", help="choose one of several machines: its name or part of it")
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
