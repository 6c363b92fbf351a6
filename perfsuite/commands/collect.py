"""`perfsuite collect`: result files become a table."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.extra_info import with_extra_info
from perfsuite.analysis.frames.noise_floor import collect_with_noise_floor, noise_notes
from perfsuite.analysis.frames.selection import parse_expression
from perfsuite.analysis.load.saved_table import is_saved_table, read_saved_table
from perfsuite.analysis.tables.pull_request import render_comment
from perfsuite.analysis.tables.registry import TABLES, build_table, held_tables
from perfsuite.analysis.tables.row_selection import SORTS, TableChoice, choose_rows, selection_notes
from perfsuite.analysis.tables.saved import saved_table
from perfsuite.analysis.tables.speedup import steps_summary
from perfsuite.analysis.tables.versions import version_tables
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.output import add_output, check_output, rendered, without_garbage_collection
from perfsuite.commands.streams import say, write
from perfsuite.errors import InvalidChoiceError, ResultFileError
from perfsuite.parsing import choose

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.tables.table import Table
    from perfsuite.commands.parser import Parser

SEVERAL_TABLES = ("terminal", "markdown")
"""Formats that hold more than one table."""

FOR_PEOPLE = (*SEVERAL_TABLES, "latex")
"""Formats that have a column per version; the others have a row per benchmark and file."""


def add_options(command: Parser) -> None:
    """Add the options of the command `collect`."""
    command.description = (
        "Show result files as one table. Reads any pytest-benchmark JSON; several files are shown "
        "together, distinguished by what differs between them; several versions of another project's suite have a "
        "column each (--table steps: a row per benchmark and file). A table that was written as JSON is shown again."
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
    command.add_argument(
        "--extra",
        action="append",
        default=[],
        metavar="KEY",
        help="of benchmarks of other projects: a column of their extra_info; may be repeated",
    )
    command.add_argument(
        "--select",
        metavar="EXPR",
        help="show the rows that match, as pytest's -k over names and workloads: 'resnet50 and not (forward or b8)'",
    )
    command.add_argument(
        "--sort", choices=SORTS, help="by name, or by time, the longest first; default: as in the files"
    )
    add_output(command)


@without_garbage_collection()
def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    if options.table is not None:
        choose(TABLES, options.table, kind="table")
    check_output(options, options.files)
    choice = TableChoice(select=None if options.select is None else parse_expression(options.select), sort=options.sort)
    saved = [path for path in options.files if is_saved_table(path)]
    if saved:
        return _show_saved(saved[0], options, choice)
    results = collect_with_noise_floor(options.files)
    if options.extra:
        results = _with_extra_info(results, options.extra)
    if options.table is not None:
        return _show_one(options.table, results, options, choice)
    versions = version_tables(results) if options.format in FOR_PEOPLE else []
    if versions and (len(versions) == 1 or options.format in SEVERAL_TABLES):
        return _show(versions, options, choice)
    names = held_tables(results)
    if len(names) > 1 and options.format not in SEVERAL_TABLES:
        say(f"these files hold more than {names[0]}: --table {', '.join(names[1:])}")
        names = names[:1]
    if len(names) == 1:
        return _show_one(names[0], results, options, choice)
    tables = [_built(name, results) for name in names]
    seen: set[str] = set()
    for number, table in enumerate(tables):  # what is said of all files is said once
        notes, legend = (tuple(line for line in lines if line not in seen) for lines in (table.notes, table.legend))
        tables[number] = dataclasses.replace(table, notes=notes, legend=legend)
        seen.update(table.notes, table.legend)
    return _show(tables, options, choice)


def _show_saved(path: Path, options: argparse.Namespace, choice: TableChoice) -> int:
    """Show a table that was written as JSON before."""
    if len(options.files) > 1 or options.table is not None or options.extra:
        raise ResultFileError(
            f"{path}: a table in JSON, no result file; one is read back alone and without --table, --extra"
        )
    return _show([saved_table(read_saved_table(path), path.name)], options, choice)


def _show_one(name: str, results: Results, options: argparse.Namespace, choice: TableChoice) -> int:
    table = _built(name, results)
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
