"""`perfsuite collect`: result files become a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.commands.output import add_output, check_output, show, without_garbage_collection, write

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Commands


def add_collect(commands: Commands) -> None:
    """Add the command `collect`."""
    collect = commands.add_parser(
        "collect",
        help="result files -> a table",
        description="Show result files as one table. Reads any pytest-benchmark JSON; several files are shown "
        "together, distinguished by what differs between them.",
    )
    collect.add_argument("files", nargs="+", metavar="FILE", type=Path, help="pytest-benchmark JSON")
    collect.add_argument(
        "--table",
        default="steps",
        metavar="NAME",
        help="steps: a row per cell (default); speedup: AMP against FP32 per model and phase; memory: what each peak "
        "is made of; thesis: against the thesis's tables; interleaved, input_pipeline, overhead (of the harness): interleaved pairs; "
        "accuracy, confusion, epochs: full trainings; limits: percent of hardware peak; telemetry: clocks, "
        "power, energy; kernels: where the time goes",
    )
    add_output(collect)
    collect.set_defaults(run=_collect)


@without_garbage_collection()
def _collect(options: argparse.Namespace) -> int:
    from perfsuite.analysis.frames.noise_floor import collect_with_noise_floor, noise_notes
    from perfsuite.analysis.tables.pull_request import render_comment
    from perfsuite.analysis.tables.registry import TABLES, build_table
    from perfsuite.analysis.tables.speedup import steps_summary
    from perfsuite.parsing import choose

    choose(TABLES, options.table, kind="table")
    check_output(options, options.files)
    results = collect_with_noise_floor(options.files)
    table = build_table(options.table, results)
    if (
        options.table == "steps"
        and results.has_records
        and table.columns
        and "noise_measured" not in results.benchmarks
    ):
        table = dataclasses.replace(table, notes=(*table.notes, *noise_notes(results.benchmarks)))
    if options.format == "markdown" and options.table == "steps" and len(table.frame) > 1:
        head = steps_summary(results)
        if head is not None:
            write(render_comment(table, head=head, what="cells"), options.output)
            return 0
    return show(table, options)
