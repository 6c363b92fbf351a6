"""What all commands share: formats, where output goes, progress."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import ResultFileError
from perfsuite.files import write_atomically

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from perfsuite.analysis.tables import Table

FORMATS = ("terminal", "markdown", "csv", "json", "latex")


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the options `--format` and `-o`."""
    command.add_argument("--format", default="terminal", choices=FORMATS, help="default: terminal")
    command.add_argument("-o", "--output", metavar="PATH", type=Path, help="write there instead of to the terminal")


def check_output(options: argparse.Namespace, files: Sequence[Path]) -> None:
    """Refuse to write over a file that is to be read.

    Raises:
        ResultFileError: It is one of them.
    """
    if options.output is not None and options.output.resolve() in {path.resolve() for path in files}:
        raise ResultFileError(f"{options.output}: is one of the files to be read; write the output to another")


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles: files have none, and with large ones it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def say_progress(text: str) -> None:
    """Write over the line that stands there, where somebody is looking."""
    if sys.stderr.isatty():
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


def show(table: Table, options: argparse.Namespace) -> int:
    """Write a table as it was asked for; the exit status."""
    write(rendered(table, options), options.output)
    return 0


def rendered(table: Table, options: argparse.Namespace) -> str:
    """Return a table in the format that was asked for."""
    from perfsuite.analysis import comments, tables

    if options.format == "terminal":
        to_terminal = options.output is None and sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if to_terminal else None
        return tables.render_terminal(table, width=width, color=to_terminal and "NO_COLOR" not in os.environ)
    render = {
        "markdown": comments.render_comment,
        "csv": tables.render_csv,
        "json": tables.render_json,
        "latex": tables.render_latex,
    }
    return render[options.format](table)


def write(text: str, path: Path | None) -> None:
    """Write text to a file, atomically, or to the terminal.

    Raises:
        ResultFileError: The file cannot be written.
    """
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
