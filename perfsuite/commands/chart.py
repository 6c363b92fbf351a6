"""`perfsuite chart`: results become one figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.figures.export import check_chart_path, save_chart
from perfsuite.analysis.figures.panels import whole_figure
from perfsuite.analysis.figures.registry import FIGURES, build_chart
from perfsuite.commands.output import without_garbage_collection
from perfsuite.commands.report import add_files, gather
from perfsuite.commands.streams import say
from perfsuite.parsing import choose

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `chart`."""
    command.description = f"Draw one figure: {', '.join(FIGURES)}."
    command.add_argument("kind", metavar="KIND", help="which figure")
    add_files(command)
    command.add_argument(
        "-o", "--output", metavar="PATH", type=Path, required=True, help="figure.svg, figure.png or figure.pdf"
    )


@without_garbage_collection()
def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    choose(FIGURES, options.kind, kind="figure")
    check_chart_path(options.output)
    save_chart(whole_figure(build_chart(options.kind, gather(options))), options.output)
    say(f"wrote {options.output}")
    return 0
