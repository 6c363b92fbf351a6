"""The options `--format` and `-o` of commands that show a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import InvalidChoiceError

if TYPE_CHECKING:
    import argparse

FORMATS = ("terminal", "markdown", "csv", "json", "latex")
FORMAT_OF_ENDING = {
    "": "terminal",
    ".txt": "terminal",
    ".md": "markdown",
    ".csv": "csv",
    ".json": "json",
    ".tex": "latex",
}


def add_output(command: argparse.ArgumentParser) -> None:
    """Add the options `--format` and `-o`."""
    command.add_argument("--format", choices=FORMATS, help="default: by the file extension of -o, else terminal")
    command.add_argument("-o", "--output", metavar="PATH", type=Path, help="write to this file instead of the terminal")


def choose_format(options: argparse.Namespace) -> None:
    """Set the format that was not given: by the ending of the file that is written, else the terminal's.

    Raises:
        InvalidChoiceError: An ending that no format has.
    """
    if options.format is not None:
        return
    is_figure = getattr(options, "explain", None) is not None
    ending = "" if options.output is None or is_figure else options.output.suffix.lower()
    if ending not in FORMAT_OF_ENDING:
        endings = ", ".join(name for name in FORMAT_OF_ENDING if name)
        raise InvalidChoiceError(
            f"-o {options.output}: unknown file extension {ending}; choose from {endings}, or --format"
        )
    options.format = FORMAT_OF_ENDING[ending]
