"""Standard output, standard error and files. Everything that a command prints leaves through here."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import TYPE_CHECKING

from perfsuite.atomic_write import write_atomically
from perfsuite.errors import ResultFileError
from perfsuite.formatting import one_line, printable_lines

if TYPE_CHECKING:
    from pathlib import Path
    from typing import TextIO


def say(text: str) -> None:
    """Write one line to standard error; where that is closed or full, nobody reads it."""
    _write_to_stderr(f"{one_line(text)}\n")


def say_progress(text: str) -> None:
    """Write over the line that stands there, where somebody is looking."""
    if is_terminal(sys.stderr):
        _write_to_stderr(f"\r\x1b[K{one_line(text)}")


def say_line_or_progress(text: str, final: bool) -> None:  # noqa: FBT001 - one of two kinds of line
    """Say what stays as a line of its own, and what does not over the line that stands there."""
    if final:
        say_progress("")
        say(text)
    else:
        say_progress(text)


def is_terminal(stream: TextIO | None) -> bool:
    """Whether somebody is looking; a stream that was closed before the start is None."""
    return stream is not None and not stream.closed and stream.isatty()


def _write_to_stderr(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except (AttributeError, OSError, ValueError):  # closed before the start: None
        drop(sys.stderr)


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
    say(f"wrote {path}")


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
