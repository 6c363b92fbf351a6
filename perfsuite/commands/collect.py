"""`perfsuite collect`: result files become a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.extra_info import with_extra_info
from perfsuite.analysis.frames.noise_floor import collect_with_noise_floor, noise_notes
from perfsuite.analysis.frames.pooled import by_file
from perfsuite.analysis.frames.prices import OPTION as PRICE
from perfsuite.analysis.frames.prices import read_prices
from perfsuite.analysis.frames.results import results_of_nodes
from perfsuite.analysis.frames.selection import parse_expression
from perfsuite.analysis.load.saved_table import is_saved_table, read_saved_table
from perfsuite.analysis.tables.pull_request import render_comment
from perfsuite.analysis.tables.registry import TABLES, build_table, held_tables
from perfsuite.analysis.tables.row_selection import SORTS, TableChoice, choose_rows, selection_notes
from perfsuite.analysis.tables.saved import saved_table
from perfsuite.analysis.tables.speedup import steps_summary
from perfsuite.analysis.tables.steps import other_tables
from perfsuite.analysis.tables.versions import version_tables
from perfsuite.analysis.verdicts.thresholds import parse_effect
from perfsuite.commands.gpu_options import AGAINST, add_price, baseline_label, device_prices
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.output import check_output, rendered, without_garbage_collection
from perfsuite.commands.output_options import add_output
from perfsuite.commands.streams import say, write
from perfsuite.errors import InvalidChoiceError, ResultFileError
from perfsuite.parsing import choose

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from perfsuite.analysis.frames.prices import Price
    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.tables.table import Table
    from perfsuite.commands.parser import Parser

GPUS_TABLE = "gpus"

NODES_TABLE = "nodes"

MIN_EFFECT_OPTION = "--min-effect"

SEVERAL_TABLES = ("terminal", "markdown")
"""Formats that hold more than one table."""

FOR_PEOPLE = (*SEVERAL_TABLES, "latex")
"""Formats that have a column per version; the others have a row per benchmark and file."""


def add_options(command: Parser) -> None:
    """Add the options of the command `collect`."""
    command.description = (
        "Show result files as tables. Reads any pytest-benchmark JSON. Several files are shown together, "
        "labelled by what differs between them; several versions of another project's suite get one column each "
        "(--table steps: one row per benchmark and file). A table saved as JSON can be shown again."
    )
    command.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=ResultFiles, help="pytest-benchmark JSON, or a folder"
    )
    listed = "; ".join(f"{name}: {kind.about}" for name, kind in TABLES.items())
    command.add_argument(
        "--table",
        metavar="NAME",
        help=f"{listed}; default: what the files contain".replace("%", "%%"),
    )
    command.add_argument(
        "--by-file",
        action="store_true",
        help="one row per file instead of one for all runs of a cell or a pair, or all seeds of a training",
    )
    command.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="KEY",
        help="for benchmarks of other projects: add a column of their extra_info; may be repeated",
    )
    command.add_argument(
        "--select",
        metavar="EXPR",
        help="show only rows that match (names, workloads, GPUs), as pytest's -k: 'resnet50 and not (forward or b8)'",
    )
    command.add_argument(
        "--sort", choices=SORTS, help="by name, or by time with the longest first; default: as in the files"
    )
    add_price(command)
    command.add_argument(
        AGAINST, metavar="NAME", help="compare speeds with this GPU (part of its name); default: the first file's"
    )
    command.add_argument(
        MIN_EFFECT_OPTION,
        metavar="X",
        help=f"with --table {NODES_TABLE}: smallest difference between machines that counts; default: 2%%",
    )
    add_output(command)


@without_garbage_collection()
def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    prices = _check_table(options)
    check_output(options, options.files)
    choice = TableChoice(select=None if options.select is None else parse_expression(options.select), sort=options.sort)
    saved = [path for path in options.files if is_saved_table(path)]
    if saved:
        return _show_saved(saved[0], options, choice)
    if options.table is not None and TABLES[options.table].of == "machines":
        return _show([_table_of_nodes(options)], options, choice)
    results = collect_with_noise_floor(options.files)
    if options.by_file:
        results = by_file(results)
    if options.extra:
        results = _with_extra_info(results, options.extra)
    if options.table == GPUS_TABLE:
        against, by_device = baseline_label(options.against, results), device_prices(prices, results)
        choices = {"against": against, "prices": by_device}
        return _show([build_table(GPUS_TABLE, results, **choices)], options, choice)
    if options.table is not None:
        return _show_one(options.table, results, options, choice)
    return _show_all(results, options, choice)


def _table_of_nodes(options: argparse.Namespace) -> Table:
    """Return a table of machines: thousands of files are read for it, and only what it needs of each."""
    if options.by_file or options.extra:
        raise InvalidChoiceError(f"--by-file, --extra: not with --table {options.table}, which is about machines")
    given = options.min_effect
    choices = {} if given is None else {"min_effect": parse_effect(MIN_EFFECT_OPTION, given)}
    return build_table(options.table, results_of_nodes(options.files), **choices)


def _check_table(options: argparse.Namespace) -> tuple[Price, ...]:
    """Check the table that was asked for and the options that belong to one table; return the prices.

    Raises:
        InvalidChoiceError: An unknown table, a price that is none, an option of another table.
    """
    if options.table is not None:
        choose(TABLES, options.table, kind="table")
    prices = read_prices(options.price)
    for option, value in ((PRICE, prices), (AGAINST, options.against)):
        if value and options.table != GPUS_TABLE:
            raise InvalidChoiceError(f"{option} applies to one table only: add --table {GPUS_TABLE}, or leave it out")
    if options.min_effect is not None and options.table != NODES_TABLE:
        raise InvalidChoiceError(
            f"{MIN_EFFECT_OPTION} applies to one table only: add --table {NODES_TABLE}, or leave it out"
        )
    return prices


def _show_all(results: Results, options: argparse.Namespace, choice: TableChoice) -> int:
    """Write what the files hold, of every kind of result a table; the exit status."""
    is_of_several = options.format in SEVERAL_TABLES
    versions = version_tables(results) if options.format in FOR_PEOPLE else []
    if versions and (len(versions) == 1 or is_of_several):
        return _show(versions, options, choice)
    names = held_tables(results)
    if len(names) > 1 and not is_of_several:
        say(f"these files contain more than {names[0]}: --table {', '.join(names[1:])}")
        names = names[:1]
    if len(names) == 1:
        return _show_one(names[0], results, options, choice)
    tables = [_built(name, results) for name in names]
    tables[-1] = dataclasses.replace(tables[-1], legend=(*tables[-1].legend, *other_tables(results, names)))
    return _show(_without_repeated_lines(tables), options, choice)


def _without_repeated_lines(tables: Sequence[Table]) -> list[Table]:
    """Return tables in which what is said of all files is said once."""
    seen: set[str] = set()
    found = []
    for table in tables:
        notes = tuple(line for line in table.notes if line not in seen)
        legend = tuple(line for line in table.legend if line not in seen)
        seen.update(notes, legend)
        found.append(dataclasses.replace(table, notes=notes, legend=legend))
    return found


def _show_saved(path: Path, options: argparse.Namespace, choice: TableChoice) -> int:
    """Show a table that was written as JSON before."""
    if len(options.files) > 1 or options.table is not None or options.extra or options.by_file:
        raise ResultFileError(
            f"{path}: a table in JSON, not a result file; read it alone and without --table, --extra, --by-file"
        )
    return _show([saved_table(read_saved_table(path), path.name)], options, choice)


def _show_one(name: str, results: Results, options: argparse.Namespace, choice: TableChoice) -> int:
    table = _built(name, results)
    if name in {"steps", "numerics"} and table.columns:  # a table without any says it itself
        table = dataclasses.replace(table, legend=(*table.legend, *other_tables(results, [name])))
    if choice == TableChoice() and options.format == "markdown" and name == "steps" and len(table.frame) > 1:
        head = steps_summary(results)
        if head is not None:
            write(render_comment(table, head=head, what="cells"), options.output)
            return 0
    return _show([table], options, choice)


def _with_extra_info(results: Results, keys: Sequence[str]) -> Results:
    """Return results with columns of `extra_info`.

    Raises:
        InvalidChoiceError: No file has a key, or all are perfsuite's.
    """
    if results.has_records and len(results.benchmarks):
        raise InvalidChoiceError("--extra: is for benchmarks of other projects; these are all perfsuite's")
    return with_extra_info(results, list(dict.fromkeys(keys)))


def _show(tables: Sequence[Table], options: argparse.Namespace, choice: TableChoice) -> int:
    """Write the rows of tables that were asked for; the exit status.

    Raises:
        InvalidChoiceError: There are none.
    """
    chosen = choose_rows(tables, choice)
    if options.format in {"csv", "json"}:
        for note in selection_notes(chosen):  # they have no notes
            say(note)
    write("\n".join(rendered(table, options) for table in chosen), options.output, printable=True)
    return 0


def _built(name: str, results: Results) -> Table:
    table = build_table(name, results)
    if name == "steps" and results.has_records and table.columns and "noise_measured" not in results.benchmarks:
        return dataclasses.replace(table, legend=(*table.legend, *noise_notes(results.benchmarks)))
    return table
