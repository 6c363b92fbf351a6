"""`perfsuite memory`: the peak of a step, predicted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from perfsuite.commands.output import add_output, say_progress, show
from perfsuite.gpus import GPUS

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Commands


def add_memory(commands: Commands) -> None:
    """Add the command `memory`."""
    memory = commands.add_parser(
        "memory",
        help="predict the peak memory of a training step, without a GPU",
        description="Predict the peak memory of a training step by a dry run, without a GPU and without allocating. "
        "With no options: the thesis's six cells compared with its figures.",
    )
    memory.add_argument("--model", metavar="NAMES", help="comma-separated; default: resnet18,resnet34,resnet50")
    memory.add_argument("--precision", metavar="NAMES", help="comma-separated; default: fp32,amp-fp16")
    memory.add_argument("--batch-size", metavar="N[,N...]", help="default: 128")
    memory.add_argument(
        "--gradients",
        choices=("freed", "kept"),
        help="freed by zero_grad, today's default, or kept, as in the thesis; default: kept for the thesis's cells, "
        "freed for cells that you name",
    )
    capacity = memory.add_mutually_exclusive_group()
    capacity.add_argument(
        "--capacity", metavar="SIZE", help="the largest batch that fits, per cell: 15GiB for instance"
    )
    capacity.add_argument("--gpu", metavar="NAME", help=f"the same for a GPU by name: {', '.join(GPUS)}")
    add_output(memory)
    memory.set_defaults(run=_memory)


def _memory(options: argparse.Namespace) -> int:
    import pandas as pd

    from perfsuite.analysis.tables.memory import predicted_memory_table
    from perfsuite.offline.memory import plan_cells, predict_cells

    plan = plan_cells(
        models=options.model,
        precisions=options.precision,
        batch_size=options.batch_size,
        gradients=options.gradients,
        capacity=options.capacity,
        gpu=options.gpu,
    )
    rows = []
    for row in predict_cells(plan):
        rows.append(row)
        say_progress(f"{len(rows)} of {len(plan.workloads)} cells: {row['model']} {row['precision']}")
    say_progress("")
    notes = plan.notes
    if any(row.get("largest_batch_size") == 0 for row in rows):
        notes = ("a largest batch of 0: not even one image fits; what one takes is in the same row", *notes)
    return show(predicted_memory_table(pd.DataFrame(rows), title=plan.title, notes=notes), options)
