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

EXIT_USAGE = 2
"""Exit status for unusable input."""

FORMATS = ("terminal", "markdown", "csv", "json")


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
        help="steps: a row per cell (default); speedup: AMP against FP32 per model and phase",
    )
    collect.add_argument("--format", default="terminal", choices=FORMATS, help="default: terminal")
    collect.add_argument("-o", "--output", metavar="PATH", type=Path, help="write there instead of to the terminal")
    collect.set_defaults(run=_collect)
    return parser


def _collect(options: argparse.Namespace) -> int:
    from perfsuite.analysis import tables
    from perfsuite.analysis.collect import collect
    from perfsuite.analysis.views import TABLES, build_table
    from perfsuite.errors import choose

    choose(TABLES, options.table, kind="table")
    if options.output is not None and options.output.resolve() in {path.resolve() for path in options.files}:
        raise ResultFileError(f"{options.output}: is one of the files to be read; write the table to another")
    table = build_table(options.table, collect(options.files))
    if options.format == "terminal":
        to_terminal = options.output is None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if to_terminal else None
        text = tables.render_terminal(table, width=width, color=to_terminal and "NO_COLOR" not in os.environ)
    else:
        render = {"markdown": tables.render_markdown, "csv": tables.render_csv, "json": tables.render_json}
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
