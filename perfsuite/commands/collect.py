"""`perfsuite collect`: result files become a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.noise_floor import collect_with_noise_floor, noise_notes
from perfsuite.analysis.frames.prices import OPTION as PRICE
from perfsuite.analysis.frames.prices import read_prices
from perfsuite.analysis.load.saved_table import is_saved_table, read_saved_table
from perfsuite.analysis.tables.pull_request import render_comment
from perfsuite.analysis.tables.registry import TABLES, build_table, held_tables
from perfsuite.analysis.tables.saved import saved_table
from perfsuite.analysis.tables.speedup import steps_summary
from perfsuite.commands.gpu_options import AGAINST, add_price, baseline_label, device_prices
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.output import add_output, check_output, rendered, show, without_garbage_collection
from perfsuite.commands.streams import say, write
from perfsuite.errors import InvalidChoiceError, ResultFileError
from perfsuite.parsing import choose

if TYPE_CHECKING:
    import argparse

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.tables.table import Table
    from perfsuite.commands.parser import Parser

GPUS_TABLE = "gpus"

SEVERAL_TABLES = ("terminal", "markdown")
"""Formats that hold more than one table."""


def add_options(command: Parser) -> None:
    """Add the options of the command `collect`."""
    command.description = (
        "Show result files as one table. Reads any pytest-benchmark JSON; several files are shown "
        "together, distinguished by what differs between them. A table that was written as JSON is shown again."
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=ResultFiles, help="pytest-benchmark JSON, or a folder"
    )
    listed = "; ".join(f"{name}: {kind.about}" for name, kind in TABLES.items())
    command.add_argument(
        "--table",
        metavar="NAME",
        help=f"{listed}; default: what the files hold".replace("%", "%%"),
    )
    add_price(command)
    command.add_argument(
        AGAINST, metavar="NAME", help="compare speeds with this GPU, by a part of its name; default: the first file's"
    )
    add_output(command)


@without_garbage_collection()
def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    if options.table is not None:
        choose(TABLES, options.table, kind="table")
    prices = read_prices(options.price)
    for option, value in ((PRICE, prices), (AGAINST, options.against)):
        if value and options.table != GPUS_TABLE:
            raise InvalidChoiceError(f"{option} is of one table alone: add --table {GPUS_TABLE}, or leave it out")
    check_output(options, options.files)
    saved = [path for path in options.files if is_saved_table(path)]
    if saved:
        return _show_saved(saved[0], options)
    results = collect_with_noise_floor(options.files)
    if options.table == GPUS_TABLE:
        against, by_device = baseline_label(options.against, results), device_prices(prices, results)
        choices = {"against": against, "prices": by_device}
        return show(build_table(GPUS_TABLE, results, **choices), options)
    if options.table is not None:
        return _show_one(options.table, results, options)
    names = held_tables(results)
    if len(names) == 1:
        return _show_one(names[0], results, options)
    if options.format not in SEVERAL_TABLES:
        say(f"these files hold more than {names[0]}: --table {', '.join(names[1:])}")
        return _show_one(names[0], results, options)
    tables = [_built(name, results) for name in names]
    seen: set[str] = set()
    for number, table in enumerate(tables):  # what is said of all files is said once
        notes, legend = (tuple(line for line in lines if line not in seen) for lines in (table.notes, table.legend))
        tables[number] = dataclasses.replace(table, notes=notes, legend=legend)
        seen.update(table.notes, table.legend)
    write("\n".join(rendered(table, options) for table in tables), options.output, printable=True)
    return 0


def _show_saved(path: Path, options: argparse.Namespace) -> int:
    """Show a table that was written as JSON before."""
    if len(options.files) > 1 or options.table is not None:
        raise ResultFileError(f"{path}: a table in JSON, no result file; one is read back alone and without --table")
    return show(saved_table(read_saved_table(path), path.name), options)


def _show_one(name: str, results: Results, options: argparse.Namespace) -> int:
    table = _built(name, results)
    if options.format == "markdown" and name == "steps" and len(table.frame) > 1:
        head = steps_summary(results)
        if head is not None:
            write(render_comment(table, head=head, what="cells"), options.output)
            return 0
    return show(table, options)


def _built(name: str, results: Results) -> Table:
    table = build_table(name, results)
    if name == "steps" and results.has_records and table.columns and "noise_measured" not in results.benchmarks:
        return dataclasses.replace(table, legend=(*table.legend, *noise_notes(results.benchmarks)))
    return table
