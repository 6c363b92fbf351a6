"""The command `perfsuite`: one sub-command per user task, thin; imports lazily so that --help is instant."""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite import __version__
from perfsuite.errors import PerfsuiteError, ResultFileError
from perfsuite.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.tables import Table

EXIT_USAGE = 2
"""Exit status for unusable input."""

FORMATS = ("terminal", "markdown", "csv", "json", "latex")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 with one line on standard error for unusable input."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except PerfsuiteError as error:
        sys.stderr.write(f"perfsuite: error: {error}\n")
        return EXIT_USAGE
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="perfsuite",
        description="Tables and verdicts from the results of the performance suite. Results are made by pytest: "
        "pytest benchmarks -m step",
    )
    parser.add_argument("--version", action="version", version=f"perfsuite {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    collect = commands.add_parser(
        "collect",
        help="result files -> a table",
        description="Show result files as one table. Reads any pytest-benchmark JSON; several files stand side by "
        "side, told apart by what differs between them.",
    )
    collect.add_argument("files", nargs="+", metavar="FILE", type=Path, help="pytest-benchmark JSON")
    collect.add_argument(
        "--table",
        default="steps",
        metavar="NAME",
        help="steps: a row per cell (default); speedup: AMP against FP32 per model and phase; memory: what each peak "
        "is made of; thesis: beside the study's tables; paired, fidelity: what was measured in alternation",
    )
    _add_output(collect)
    collect.set_defaults(run=_collect)
    memory = commands.add_parser(
        "memory",
        help="predict the peak memory of a training step, without a GPU",
        description="Predict the peak memory of a training step by a dry run, without a GPU and without allocating. "
        "With no options: the study's six cells beside its own figures.",
    )
    memory.add_argument("--model", metavar="NAMES", help="comma-separated; default: resnet18,resnet34,resnet50")
    memory.add_argument("--precision", metavar="NAMES", help="comma-separated; default: fp32,amp-fp16")
    memory.add_argument("--batch-size", metavar="N", help="default: 128")
    memory.add_argument(
        "--gradients",
        choices=("freed", "kept"),
        help="freed by zero_grad, today's default, or kept, as in the study; default: kept for the study's cells, "
        "freed for cells that you name",
    )
    room = memory.add_mutually_exclusive_group()
    room.add_argument("--capacity", metavar="SIZE", help="the largest batch that fits, per cell: 15GiB for instance")
    room.add_argument("--gpu", metavar="NAME", help="the same for a GPU by name: t4, h100, h200")
    _add_output(memory)
    memory.set_defaults(run=_memory)
    return parser


def _add_output(command: argparse.ArgumentParser) -> None:
    command.add_argument("--format", default="terminal", choices=FORMATS, help="default: terminal")
    command.add_argument("-o", "--output", metavar="PATH", type=Path, help="write there instead of to the terminal")


def _collect(options: argparse.Namespace) -> int:
    from perfsuite.analysis.collect import collect
    from perfsuite.analysis.views import TABLES, build_table
    from perfsuite.errors import choose

    choose(TABLES, options.table, kind="table")
    if options.output is not None and options.output.resolve() in {path.resolve() for path in options.files}:
        raise ResultFileError(f"{options.output}: is one of the files to be read; write the table to another")
    return _show(build_table(options.table, collect(options.files)), options)


def _memory(options: argparse.Namespace) -> int:
    import pandas as pd

    from perfsuite.analysis.views import memory_table
    from perfsuite.predict import plan_cells, predict_cells

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
        _say_progress(f"{len(rows)} of {len(plan.workloads)} cells: {row['model']} {row['precision']}")
    _say_progress("")
    notes = plan.notes
    if any(row.get("largest_batch_size") == 0 for row in rows):
        notes = ("a largest batch of 0: not even one image fits; what one takes stands beside it", *notes)
    return _show(memory_table(pd.DataFrame(rows), title=plan.title, notes=notes), options)


def _say_progress(text: str) -> None:
    """Write over the line that stands there, where somebody is looking."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def _show(table: Table, options: argparse.Namespace) -> int:
    from perfsuite.analysis import tables

    if options.format == "terminal":
        to_terminal = options.output is None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if to_terminal else None
        text = tables.render_terminal(table, width=width, color=to_terminal and "NO_COLOR" not in os.environ)
    else:
        render = {
            "markdown": tables.render_markdown,
            "csv": tables.render_csv,
            "json": tables.render_json,
            "latex": tables.render_latex,
        }
        text = render[options.format](table)
    _write(text, options.output)
    return 0


def _write(text: str, path: Path | None) -> None:
    if path is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal may know fewer characters than a name has
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        write_atomically(path, text)
    except OSError as error:
        raise ResultFileError(f"{path}: cannot be written: {error.strerror}") from None
