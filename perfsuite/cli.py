"""The command `perfsuite`: a table of its commands, whose modules are imported when they are called."""

from __future__ import annotations

import gc
import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType
    from typing import NoReturn

    from perfsuite.commands.parser import Parser

COMMANDS = {
    "collect": "show result files as tables",
    "compare": "compare candidate with baseline results: did anything regress?",
    "memory": "predict the peak memory of a training step, without a GPU",
    "ab": "run two interpreters, checkouts or settings interleaved, and compare them",
    "bisect": "find the commit, or the version, that made a benchmark slower",
    "noise": "run the same code against itself: the smallest slowdown that this machine can detect",
    "history": "show results over time: what changed when, and did a new run regress?",
    "export": "write results in the formats of other tools: github-action-benchmark, Bencher, MLflow, ...",
    "doctor": "check whether this machine is ready for benchmarking",
    "limits": "predict time, memory and price of a training on any GPU, from its data sheet",
    "fleet": "measure on many machines: a Ray cluster or Slurm",
    "tune": "search the hyperparameters of a full training: does AMP need others?",
    "data": "manage the images of full trainings: download, import, verify, show",
    "report": "write one HTML page from result files",
    "chart": "draw one figure from result files",
}
"""Every command has a module of its name in `perfsuite.commands`, with `add_options(command)` and `run(options)`."""


def run() -> NoReturn:
    """Run the command as a program of its own; a second Ctrl-C ends it at once, whatever it is doing."""
    signal.signal(signal.SIGINT, _interrupted)
    try:
        status = main()
    except KeyboardInterrupt:  # before anything was begun
        status = 130
    gc.freeze()  # otherwise the interpreter looks for garbage in all that was imported before it ends
    raise SystemExit(status)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status.

    0; 1 where it found what it looks for (a regression); 2 with one line on standard error for unusable input; 70 with
    one line for a bug in perfsuite; 130 after Ctrl-C.
    """
    from perfsuite.commands.ending import ending_in_one_line
    from perfsuite.paths import require_current_folder

    words = sys.argv[1:] if arguments is None else arguments
    with ending_in_one_line() as ending:
        options, unknown = _parser(words).parse_known_args(words)
        if unknown:
            options.command.refuse(unknown)
        require_current_folder()
        if "format" in options:
            from perfsuite.commands.output_options import choose_format

            choose_format(options)
        ending.status = int(options.run(options))
    return ending.status


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, _interrupted_again)
    raise KeyboardInterrupt


def _interrupted_again(_signal: int, _frame: FrameType | None) -> None:
    from perfsuite.child_process import kill_running

    kill_running()
    os._exit(130)


def _parser(arguments: Sequence[str]) -> Parser:
    """Return the parser of these arguments: of the commands, only one that is named there is imported."""
    from perfsuite import __version__
    from perfsuite.commands.parser import Parser

    parser = Parser(
        prog="perfsuite",
        description="Tables and verdicts from the results of the performance suite. pytest writes the results: "
        "pytest benchmarks -m step",
    )
    parser.add_argument("--version", action="version", version=f"perfsuite {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for name, about in COMMANDS.items():
        command = commands.add_parser(name, help=about)
        if name in arguments:
            module = importlib.import_module(f"perfsuite.commands.{name}")
            module.add_options(command)
            command.set_defaults(run=module.run, command=command)
    return parser
