"""`perfsuite report`: results become one HTML page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite import __version__
from perfsuite.analysis.load.result_file import read_result_files
from perfsuite.analysis.report.data import figure_data_of
from perfsuite.analysis.report.page import render_page
from perfsuite.commands.compare import add_thresholds, judge, read_judging
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.output import check_output, without_garbage_collection
from perfsuite.commands.streams import write
from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    import argparse

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.commands.parser import Parser


PAGE_ENDINGS = (".html", ".htm")


def add_options(command: Parser) -> None:
    """Add the options of the command `report`."""
    command.description = (
        "Make one self-contained HTML page of any result files: what was measured, AMP vs FP32, "
        "whether anything regressed, warnings, and every figure and table that the results allow. It opens "
        "without a network."
    )
    add_files(command)
    command.add_argument("-o", "--output", metavar="PATH", type=Path, required=True, help="the page: report.html")


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
        help="of files from several environments, compare with this one: its name (a GPU, a torch version) or a part "
        "of it; default: that of the first file",
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
    files, baseline = read_result_files(options.files), read_result_files(options.baseline)
    if not baseline:
        return figure_data_of(files, against=options.against)
    comparison = judge(baseline, files, judging, ignore_host=options.ignore_host)
    return figure_data_of(files, baseline, comparison, against=options.against)


@without_garbage_collection()
def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    if options.output.suffix.lower() not in PAGE_ENDINGS:
        raise InvalidChoiceError(f"-o {options.output}: the page is HTML; name it report.html for instance")
    write(render_page(gather(options), version=__version__), options.output)
    return 0
