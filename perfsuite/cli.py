"""The command `perfsuite`: one sub-command per user task, thin; imports lazily so that --help is instant."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

    from perfsuite.commands.parser import Parser


def run() -> NoReturn:
    """Run the command as a program of its own; a second Ctrl-C ends it at once, whatever it is doing."""
    signal.signal(signal.SIGINT, _interrupted)
    try:
        status = main()
    except KeyboardInterrupt:  # before anything was begun
        status = 130
    raise SystemExit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0; 1 where it found what it looks for (a regression); 2 with one line on standard error for unusable input; 70 with
    one line for a bug in perfsuite; 130 after Ctrl-C.
    """
    from perfsuite.commands.ending import ending_in_one_line
    from perfsuite.commands.output import choose_format
    from perfsuite.paths import require_current_folder

    with ending_in_one_line() as ending:
        options = _parser().parse_args(arguments)
        choose_format(options)
        require_current_folder()
        ending.status = int(options.run(options))
    return ending.status


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _interrupted_again)
    raise KeyboardInterrupt


def _interrupted_again(_signal: int, _frame: FrameType | None) -> None:
    from perfsuite.child_process import kill_running

    kill_running()
    os._exit(130)


def _parser() -> Parser:
    from perfsuite import __version__
    from perfsuite.commands.ab import add_ab, add_noise
    from perfsuite.commands.collect import add_collect
    from perfsuite.commands.compare import add_compare
    from perfsuite.commands.data import add_data
    from perfsuite.commands.doctor import add_doctor
    from perfsuite.commands.limits import add_limits
    from perfsuite.commands.memory import add_memory
    from perfsuite.commands.parser import Parser
    from perfsuite.commands.report import add_report

    parser = Parser(
        prog="perfsuite",
        description="Tables and verdicts from the results of the performance suite. Results are made by pytest: "
        "pytest benchmarks -m step",
    )
    parser.add_argument("--version", action="version", version=f"perfsuite {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_collect(commands)
    add_compare(commands)
    add_memory(commands)
    add_ab(commands)
    add_noise(commands)
    add_doctor(commands)
    add_limits(commands)
    add_data(commands)
    add_report(commands)
    return parser
