"""What all commands share: formats, where output goes, progress. Everything that is printed leaves through here."""

from __future__ import annotations

import contextlib
import gc
import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import PerfsuiteError, ResultFileError
from perfsuite.formatting import one_line, printable_lines
from perfsuite.paths import same_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from typing import TextIO

    from perfsuite.analysis.tables.table import Table

FORMATS = ("terminal", "markdown", "csv", "json", "latex")
FORMAT_OF_ENDING = {".md": "markdown", ".csv": "csv", ".json": "json", ".tex": "latex"}


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the options `--format` and `-o`."""
    command.add_argument("--format", choices=FORMATS, help="default: by the ending of -o, else terminal")
    command.add_argument("-o", "--output", metavar="PATH", type=Path, help="write there instead of to the terminal")


def choose_format(options: argparse.Namespace) -> None:
    """Set the format that was not given: by the ending of the file that is written, else the terminal's."""
    if getattr(options, "format", "") is None:
        path = options.output
        options.format = "terminal" if path is None else FORMAT_OF_ENDING.get(path.suffix.lower(), "terminal")


def check_output(options: argparse.Namespace, files: Iterable[Path | None]) -> None:
    """Refuse to write over a file that is to be read.

    Args:
        options: Of the command.
        files: What it reads; None is an option that was not given.

    Raises:
        ResultFileError: It is one of them, or the file of noise floors.
    """
    if options.output is None:
        return
    from perfsuite.analysis.load.noise_file import default_noise_path

    noise = None
    with contextlib.suppress(PerfsuiteError):  # no home folder is known: there is no such file
        noise = default_noise_path()
    if any(path is not None and same_file(options.output, path) for path in [*files, noise]):
        raise ResultFileError(f"{options.output}: is one of the files to be read; write the output to another")


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles: files have none, and with large ones it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def say(text: str) -> None:
    """Write one line to standard error; where that is closed or full, nobody reads it."""
    _write_to_stderr(f"{one_line(text)}\n")


def say_progress(text: str) -> None:
    """Write over the line that stands there, where somebody is looking."""
    if _is_terminal(sys.stderr):
        _write_to_stderr(f"\r\x1b[K{one_line(text)}")


def _is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody is looking; a stream that was closed before the start is None."""
    return stream is not None and not stream.closed and stream.isatty()


def _write_to_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # closed before the start: None
        drop(sys.stderr)


def show(table: Table, options: argparse.Namespace) -> int:
    """Write a table as it was asked for; the exit status."""
    write(rendered(table, options), options.output, printable=True)
    return 0


def rendered(table: Table, options: argparse.Namespace) -> str:
    """Return a table in the format that was asked for."""
    from perfsuite.analysis.tables.data_formats import render_csv, render_json
    from perfsuite.analysis.tables.latex import render_latex
    from perfsuite.analysis.tables.pull_request import render_comment
    from perfsuite.analysis.tables.terminal import render_terminal

    if options.format == "terminal":
        to_terminal = options.output is None and _is_terminal(sys.stdout)
        width = shutil.get_terminal_size().columns if to_terminal else None
        return render_terminal(table, width=width, color=to_terminal and "NO_COLOR" not in os.environ)
    render = {"markdown": render_comment, "csv": render_csv, "json": render_json, "latex": render_latex}
    return render[options.format](table)


def write(text: str, path: Path | None, *, printable: bool = False) -> None:
    """Write text to a file, atomically, or to standard output.

    A reader that has seen enough (head, less) and a standard output that is closed are no errors: what the command
    found is still its exit status.

    Args:
        text: What.
        path: The file, or None.
        printable: Whether text for standard output is known to be safe for a terminal: it may have colours.

    Raises:
        ResultFileError: It cannot be written.
    """
    if path is None:
        _write_to_stdout(text if printable else printable_lines(text))
        return
    try:
        write_atomically(path, text)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ResultFileError(f"{path}: cannot be written: {reason}") from None


def _write_to_stdout(text: str) -> None:
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may know fewer characters than a name has
    if sys.stdout is None:  # closed before the start
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        drop(sys.stdout)
    except OSError as error:
        drop(sys.stdout)
        raise ResultFileError(f"standard output: cannot be written: {error.strerror}") from None


def drop(stream: TextIO | None) -> None:
    """Write nothing more to standard output or standard error, not even what is buffered: at exit it would fail."""
    if stream is None:
        return
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
