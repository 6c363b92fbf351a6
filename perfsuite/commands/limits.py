"""`perfsuite limits`: what a training step and a training would take on GPUs that one does not have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.frames.prices import read_prices
from perfsuite.analysis.tables.gpu_limits import gpu_limits_table
from perfsuite.commands.cell_options import add_cell_options, cell_choice
from perfsuite.commands.gpu_options import add_price
from perfsuite.commands.output import show
from perfsuite.commands.output_options import add_output
from perfsuite.commands.streams import say_progress
from perfsuite.gpus import GPUS

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `limits`."""
    command.description = (
        "Predict a training step and a full training on any GPU, without having it: a bound from the data sheet, the "
        "roofline of the operators that eager torch runs, a prediction with its interval that is calibrated with "
        "published measurements, memory, energy and price. For a T4, the thesis's measured times are shown too."
    )
    command.add_argument(
        "--gpu",
        default="t4",
        metavar="NAME[,NAME...]",
        help=f"default: t4; all, a name as in torch or nvidia-smi, or {', '.join(GPUS)}",
    )
    add_cell_options(command)
    command.add_argument(
        "--memory-format", default="contiguous", metavar="NAME", help="contiguous (the default) or channels_last"
    )
    command.add_argument("--images", metavar="N", help="images per epoch; default: 45,000, as in the thesis")
    command.add_argument("--epochs", metavar="N", help="epochs of a training; default: as in the thesis, or 50")
    add_price(command)
    add_output(command)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    from perfsuite.offline.limits import limit_cells, plan_limits  # with torch: not for --help

    plan = plan_limits(
        cell_choice(options),
        gpu=options.gpu,
        memory_format=options.memory_format,
        prices=read_prices(options.price),
        num_images=options.images,
        num_epochs=options.epochs,
    )
    rows = []
    num_cells = len(plan.workloads)
    for row in limit_cells(plan):
        rows.append(row)
        num_seen = len({(one["model"], one["precision"], one["batch_size"], one["image_size"]) for one in rows})
        say_progress(f"{num_seen} of {num_cells} cells: {row['model']} {row['precision']}")
    say_progress("")
    return show(gpu_limits_table(pd.DataFrame(rows), gpus=plan.gpus), options)
