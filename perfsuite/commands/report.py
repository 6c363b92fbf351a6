"""`perfsuite report` and `perfsuite chart`: results become a page, or one figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.registry import FIGURES
from perfsuite.commands.compare import add_thresholds, judge, read_judging
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.output import check_output, without_garbage_collection, write

if TYPE_CHECKING:
    import argparse

    from perfsuite.analysis.figures.figure_data import FigureData
    from perfsuite.commands.parser import Commands


def add_report(commands: Commands) -> None:
    """Add the commands `report` and `chart`."""
    report = commands.add_parser(
        "report",
        help="result files -> one HTML page",
        description="Make one self-contained HTML page of any result files: what was measured, AMP vs FP32, "
        "whether anything regressed, warnings, and every figure and table that the results allow. It opens "
        "without a network.",
    )
    _add_files(report)
    report.add_argument("-o", "--output", metavar="PATH", type=Path, required=True, help="the page: report.html")
    report.set_defaults(run=_report)
    chart = commands.add_parser(
        "chart",
        help="result files -> one figure",
        description=f"Draw one figure: {', '.join(FIGURES)}.",
    )
    chart.add_argument("kind", metavar="KIND", help="which figure")
    _add_files(chart)
    chart.add_argument(
        "-o", "--output", metavar="PATH", type=Path, required=True, help="figure.svg, figure.png or figure.pdf"
    )
    chart.set_defaults(run=_chart)


def _add_files(command: argparse.ArgumentParser) -> None:
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
    add_thresholds(command)
    command.add_argument(
        "--ignore-host", action="store_true", help="host names differ although the machine is the same"
    )


def _gather(options: argparse.Namespace) -> FigureData:
    from perfsuite.analysis.load.result_file import read_result_files
    from perfsuite.analysis.report.data import figure_data_of

    check_output(options, [*options.files, *options.baseline, options.thresholds])
    judging = read_judging(options)
    files, baseline = read_result_files(options.files), read_result_files(options.baseline)
    if not baseline:
        return figure_data_of(files)
    return figure_data_of(files, baseline, judge(baseline, files, judging, ignore_host=options.ignore_host))


@without_garbage_collection()
def _report(options: argparse.Namespace) -> int:
    from perfsuite import __version__
    from perfsuite.analysis.report.page import render_page

    write(render_page(_gather(options), version=__version__), options.output)
    return 0


@without_garbage_collection()
def _chart(options: argparse.Namespace) -> int:
    from perfsuite.analysis.figures.export import check_chart_path, save_chart
    from perfsuite.analysis.figures.panels import whole_figure
    from perfsuite.analysis.figures.registry import build_chart
    from perfsuite.parsing import choose

    choose(FIGURES, options.kind, kind="figure")
    check_chart_path(options.output)
    save_chart(whole_figure(build_chart(options.kind, _gather(options))), options.output)
    return 0
