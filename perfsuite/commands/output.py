"""What commands that show a table share: it is rendered as asked for, and never written over what is read."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import sys
from typing import TYPE_CHECKING

from perfsuite.analysis.load.noise_file import default_noise_path
from perfsuite.analysis.tables.data_formats import render_csv, render_json
from perfsuite.analysis.tables.latex import render_latex
from perfsuite.analysis.tables.pull_request import render_comment
from perfsuite.analysis.tables.terminal import render_terminal
from perfsuite.commands.streams import is_terminal, write
from perfsuite.errors import InvalidChoiceError, PerfsuiteError, ResultFileError
from perfsuite.paths import same_file

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from perfsuite.analysis.tables.table import Table


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
    noise = None
    with contextlib.suppress(PerfsuiteError):  # no home folder is known: there is no such file
        noise = default_noise_path()
    if any(path is not None and same_file(options.output, path) for path in [*files, noise]):
        raise ResultFileError(f"{options.output}: is one of the files to be read; write the output to another")


PAGE_ENDINGS = (".html", ".htm")


def check_page(output: Path) -> None:
    """Refuse a name that no browser opens as a page.

    Raises:
        InvalidChoiceError: It ends in something else.
    """
    if output.suffix.lower() not in PAGE_ENDINGS:
        raise InvalidChoiceError(f"-o {output}: the page is HTML; name it {output.stem or 'report'}.html for instance")


@contextlib.contextmanager
def without_garbage_collection() -> Iterator[None]:
    """Leave out the search for cycles: files have none, and with large ones it takes a fifth of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def show(table: Table, options: argparse.Namespace) -> int:
    """Write a table as it was asked for; the exit status."""
    write(rendered(table, options), options.output, printable=True)
    return 0


def rendered(table: Table, options: argparse.Namespace) -> str:
    """Return a table in the format that was asked for."""
    if options.format == "terminal":
        to_terminal = options.output is None and is_terminal(sys.stdout)
        width = shutil.get_terminal_size().columns if to_terminal else None
        return render_terminal(table, width=width, color=to_terminal and "NO_COLOR" not in os.environ)
    render = {"markdown": render_comment, "csv": render_csv, "json": render_json, "latex": render_latex}
    return render[options.format](table)
