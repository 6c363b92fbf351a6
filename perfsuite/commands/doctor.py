"""`perfsuite doctor`: is this machine fit to measure?"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.analysis.tables.table import Column, Priority, Table, text_column
from perfsuite.commands.output import show
from perfsuite.commands.output_options import add_output
from perfsuite.commands.parser import EXIT_FAILED
from perfsuite.formatting import plural
from perfsuite.parsing import require_device_name

if TYPE_CHECKING:
    import argparse

    from perfsuite.commands.parser import Parser
    from perfsuite.measure.doctor import MachineCheck

SYMBOLS = {"fine": "✓", "notable": "!", "unfit": "✗"}
STYLES = {"fine": "green", "notable": "yellow", "unfit": "bold red"}


def add_options(command: Parser) -> None:
    """Add the options of the command `doctor`."""
    command.description = (
        "Check whether this machine is ready for benchmarking: GPU, driver, torch, other processes on the GPU, "
        "clocks, power limit, precisions, CPU load, memory, disk, timer. Changes nothing. Exit status: 0 if it is, 1 "
        "if not."
    )
    command.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="auto (CUDA where available, else the CPU), cpu, cuda or cuda:N (N as torch numbers GPUs); default: auto",
    )
    command.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        metavar="DIR",
        help="folder that results will be written to, checked for free disk space; default: results",
    )
    add_output(command)


def run(options: argparse.Namespace) -> int:
    """Run the command; its exit status."""
    require_device_name("--device", options.device)  # before torch is imported
    from perfsuite.measure.doctor import diagnose
    from perfsuite.measure.machine_state import read_condition

    checks = diagnose(read_condition(options.device, results=options.results.absolute()))
    show(doctor_table(checks), options)
    return EXIT_FAILED if any(check.status == "unfit" for check in checks) else 0


def doctor_table(checks: list[MachineCheck]) -> Table:
    """Return the report as a table, in the order of the checks."""
    counts = {status: sum(check.status == status for check in checks) for status in ("unfit", "notable")}
    title = "Ready to measure"
    if counts["unfit"]:
        title = f"Not ready to measure: {counts['unfit']} of {len(checks)} checks failed"
    elif counts["notable"]:
        title = f"Ready to measure, with {plural(counts['notable'], 'warning')}"
    return Table(
        title=title,
        frame=[dataclasses.asdict(check) for check in checks],
        columns=(
            Column(
                heading="status",
                show=lambda row: f"{SYMBOLS[row['status']]} {row['status']}",
                style=lambda row: STYLES[row["status"]],
            ),
            text_column("name", "what"),
            text_column("found", foldable=True, priority=Priority.NORMAL),
            text_column("fix", "what to do", foldable=True, priority=Priority.NORMAL),
        ),
    )
