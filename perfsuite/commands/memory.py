"""`perfsuite memory`: the peak of a step, predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from perfsuite.analysis.frames.labels import images_in_words
from perfsuite.analysis.tables.memory import predicted_memory_table
from perfsuite.commands.cell_options import add_cell_options, cell_choice
from perfsuite.commands.output import show
from perfsuite.commands.output_options import add_output
from perfsuite.commands.streams import say_progress
from perfsuite.errors import NotSupportedError
from perfsuite.gpus import GPUS

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `memory`."""
    command.description = (
        "Predict the peak memory of a training step by a dry run, without a GPU and without allocating. "
        "With no options: the thesis's six cells compared with its figures."
    )
    add_cell_options(command)
    command.add_argument(
        "--gradients",
        choices=("freed", "kept"),
        help="freed by zero_grad (PyTorch's default), or kept, as in the thesis; default: kept for the thesis's cells, "
        "freed for cells that you name",
    )
    capacity = command.add_mutually_exclusive_group()
    capacity.add_argument("--capacity", metavar="SIZE", help="show the largest batch that fits, for example into 15GiB")
    capacity.add_argument(
        "--gpu",
        metavar="NAME[,NAME...]",
        help=f"the same for GPUs: all, a name as in torch or nvidia-smi, or {', '.join(GPUS)}",
    )
    add_output(command)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    from perfsuite.offline.memory import plan_cells, predict_cells  # with torch: not for --help

    plan = plan_cells(cell_choice(options), gradients=options.gradients, capacity=options.capacity, gpu=options.gpu)
    rows = []
    num_rows = len(plan.workloads) * max(len(plan.capacities), 1)
    try:
        for row in predict_cells(plan):
            rows.append(row)
            say_progress(f"{len(rows)} of {num_rows} cells: {row['model']} {row['precision']}")
    except NotSupportedError as error:
        raise NotSupportedError(f"{error}; `pytest benchmarks -m step` measures its memory") from None
    finally:
        say_progress("")
    notes = plan.notes
    if any(row.get("largest_batch_size") == 0 for row in rows):
        notes = ("a largest batch of 0: not even one image fits; the row shows the memory of one image", *notes)
    frame = pd.DataFrame(rows)
    title = f"{plan.title}{images_in_words(frame)}"
    return show(predicted_memory_table(frame, title=title, notes=notes), options)
