"""`perfsuite export`: results in the formats of other tools."""

from __future__ import annotations

import argparse
import shutil
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.exporters.registry import EXPORTERS, choose_exporter, export_folder, export_text
from perfsuite.commands.inputs import ResultFiles
from perfsuite.commands.output import check_output, without_garbage_collection
from perfsuite.commands.streams import say, say_progress, write
from perfsuite.formatting import plural
from perfsuite.paths import expanded

if TYPE_CHECKING:
    from perfsuite.analysis.exporters.exported_run import ExportedRun
    from perfsuite.analysis.exporters.registry import Exporter
    from perfsuite.commands.parser import Parser


def add_options(command: Parser) -> None:
    """Add the options of the command `export`."""
    command.formatter_class = argparse.RawDescriptionHelpFormatter
    command.description = _filled(
        "Write results for another tool: median times, throughput, peak memory, energy and accuracy, in base units. "
        "Formats, and how several files are written:"
    )
    command.description += "".join(f"\n{_about(name, exporter)}" for name, exporter in EXPORTERS.items())
    command.add_argument("exporter", metavar="FORMAT", help=", ".join(EXPORTERS))
    command.add_argument(
        "files", nargs="+", metavar="FILE", type=Path, action=ResultFiles, help="pytest-benchmark JSON, or a folder"
    )
    folders = ", ".join(f"{exporter.default} for {name}" for name, exporter in EXPORTERS.items() if exporter.is_folder)
    command.add_argument(
        "-o",
        "--output",
        metavar="PATH",
        type=Path,
        help=f"output file, or folder for it; default: standard output, or the folder {folders}",
    )


def _about(name: str, exporter: Exporter) -> str:
    return _filled(f"  {name:<16}{exporter.about}; {exporter.several}", indent=" " * 18)


def _filled(text: str, indent: str = "") -> str:
    """Return text in lines as narrow as argparse makes them, which leaves a description of several lines alone."""
    width = shutil.get_terminal_size().columns - 2
    return textwrap.fill(text, max(width, 2 * len(indent) + 20), subsequent_indent=indent, break_on_hyphens=False)


@without_garbage_collection()
def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    exporter = choose_exporter(options.exporter)
    check_output(options, options.files)
    output = None if options.output is None else expanded("-o", options.output)
    runs = _read(options.files)
    if exporter.is_folder:
        for line in export_folder(options.exporter, runs, output or Path(exporter.default)):
            say(line)
        return 0
    write(export_text(options.exporter, runs), _file(output, exporter))
    return 0


def _file(output: Path | None, exporter: Exporter) -> Path | None:
    return output / exporter.default if output is not None and output.is_dir() else output


def _read(paths: list[Path]) -> list[ExportedRun]:
    """Read the files; one that is given twice counts once.

    Raises:
        ResultFileError: A file cannot be used: nothing is written.
    """
    from perfsuite.analysis.exporters.exported_run import read_run

    found: dict[str, ExportedRun] = {}
    num_empty = 0
    for number, path in enumerate(paths, start=1):
        say_progress(f"reading file {number:,} of {len(paths):,}" if number < len(paths) else "")
        one = read_run(path)
        num_empty += not one.values
        found.setdefault(one.digest, one)
    if num_empty and num_empty < len(paths):
        say(f"{plural(num_empty, 'file')} of {len(paths):,} contain nothing to export: pairs, studies, quick results")
    if len(found) < len(paths):
        say(f"{plural(len(paths) - len(found), 'file')} of {len(paths):,} are copies of another, and count once")
    return list(found.values())
