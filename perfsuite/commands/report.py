"""`perfsuite report`: results become one HTML page."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite import __version__
from perfsuite.analysis.figures.figure_data import FigureData
from perfsuite.analysis.frames.prices import read_prices
from perfsuite.analysis.frames.results import results_of_nodes
from perfsuite.analysis.history.defaults import NUM_DAYS, NUM_PAGE_RUNS
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.analysis.report.data import figure_data_of
from perfsuite.analysis.report.page import render_page
from perfsuite.commands.compare import judge
from perfsuite.commands.gpu_options import add_price, device_prices
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.judging_options import add_thresholds, read_judging
from perfsuite.commands.output import check_output, check_page, without_garbage_collection
from perfsuite.commands.streams import write
from perfsuite.errors import InvalidChoiceError
from perfsuite.paths import expanded

if TYPE_CHECKING:
    import argparse

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.history.trends import Trends
    from perfsuite.commands.parser import Parser


MAX_WHOLE_FILES = 200
"""Of more files neither a page nor a reader holds every benchmark: 36 of 500 files were a page of 59 MB."""


def add_options(command: Parser) -> None:
    """Add the options of the command `report`."""
    command.description = (
        "Write one self-contained HTML page from any result files: what was measured, AMP vs FP32, "
        "whether anything regressed, warnings, and every figure and table that the results allow. It works "
        "without a network."
    )
    add_files(command)
    add_price(command)
    command.add_argument(
        "--history",
        metavar="DIR",
        type=Path,
        help="add a section with every benchmark over time, and what changed when, from a store of `perfsuite history "
        "add` or any folder of pytest-benchmark JSON",
    )
    command.add_argument(
        "--days",
        metavar="N",
        help=f"with --history: list changes of the last N days first; default: {NUM_DAYS}",
    )
    command.add_argument(
        "-o", "--output", metavar="PATH", type=Path, required=True, help="the page, for example report.html"
    )


def add_files(command: Parser) -> None:
    """Add the files, and what they are compared with."""
    command.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=ResultFiles, help="pytest-benchmark JSON, or a folder"
    )
    command.add_argument(
        "--baseline",
        nargs="+",
        default=[],
        metavar="FILE",
        type=Path,
        action=ResultFiles,
        help="compare with these baseline files, with verdicts",
    )
    command.add_argument(
        "--against",
        metavar="NAME",
        help="environment that the others are compared with: its name (a GPU, a torch version) or part of it; "
        "default: that of the first file",
    )
    add_thresholds(command)
    command.add_argument(
        "--ignore-host",
        action="store_true",
        help="compare although host names differ, as in containers on one machine; GPU and CPU must still be the same",
    )


def gather(options: argparse.Namespace) -> FigureData:
    """Read the files, and judge them where there are baseline files.

    Raises:
        PerfsuiteError: A file or an option cannot be used.
    """
    check_output(options, [*options.files, *options.baseline, options.thresholds])
    judging = read_judging(options)
    if len(options.files) > MAX_WHOLE_FILES and not options.baseline:
        machines = FigureData(results=_machines_alone(options))
        return dataclasses.replace(machines, min_effect=judging.thresholds.default, alpha=judging.alpha)
    files, baseline = read_result_files(options.files), read_result_files(options.baseline)
    comparison = judge(baseline, files, judging, ignore_host=options.ignore_host) if baseline else None
    figure_data = figure_data_of(files, baseline, comparison, against=options.against)
    return dataclasses.replace(figure_data, min_effect=judging.thresholds.default, alpha=judging.alpha)


def _machines_alone(options: argparse.Namespace) -> Results:
    """Return of thousands of files what comparing machines needs, and a note that it is no more.

    Raises:
        PerfsuiteError: A file cannot be used, or an environment was named that other parts of the page have.
    """
    if options.against is not None:
        raise InvalidChoiceError(f"--against: for more than {MAX_WHOLE_FILES:,} files only machines are compared")
    results = results_of_nodes(options.files)
    note = (
        f"{len(options.files):,} files: only machines and versions are shown; for up to {MAX_WHOLE_FILES:,} files the "
        "page has every benchmark"
    )
    return dataclasses.replace(results, notes=(note, *results.notes))


def _trends(options: argparse.Namespace) -> tuple[Trends, ...]:
    """Return the history of the machines where a store was given."""
    if options.history is None:
        if options.days is not None:
            raise InvalidChoiceError(f"--days {options.days[:20]}: is about the history; give its store with --history")
        return ()
    from perfsuite.commands.history_page import trends_in  # ruptures takes a third of a second

    return trends_in(
        expanded("--history", options.history),
        read_judging(options),
        option="--history",
        machine=None,
        last=str(NUM_PAGE_RUNS),
        days=options.days or str(NUM_DAYS),
    )


@without_garbage_collection()
def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    check_page(options.output)
    given = read_prices(options.price)
    figure_data = gather(options)
    figure_data = dataclasses.replace(figure_data, prices=device_prices(given, figure_data.results))
    write(render_page(figure_data, version=__version__, trends=_trends(options)), options.output)
    return 0
