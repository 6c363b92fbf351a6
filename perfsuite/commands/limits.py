"""`perfsuite limits`: what a GPU could do by its data sheet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.tables.roofline import paper_table
from perfsuite.commands.cell_options import add_cell_options, cell_choice
from perfsuite.commands.output import add_output, show
from perfsuite.commands.streams import say_progress
from perfsuite.gpus import GPUS

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `limits`."""
    command.description = (
        "Compute the theoretical minimum time of a training step, and of the thesis's trainings, from the data sheet "
        "of a GPU, which need not be present: the operations of direct convolution at peak throughput. For a T4, the "
        "thesis's measured times are shown too. With Winograd's algorithm, which cuDNN may choose, FP32 can take less."
    )
    command.add_argument("--gpu", default="t4", metavar="NAME", help=f"default: t4; {', '.join(GPUS)}")
    add_cell_options(command)
    add_output(command)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    from perfsuite.offline.limits import limit_cells, plan_limits  # with torch: not for --help

    sheet, workloads = plan_limits(cell_choice(options), gpu=options.gpu)
    rows = []
    for row in limit_cells(sheet, workloads):
        rows.append(row)
        say_progress(f"{len(rows)} of {len(workloads)} cells: {row['model']} {row['precision']}")
    say_progress("")
    return show(paper_table(pd.DataFrame(rows), gpu=sheet), options)
