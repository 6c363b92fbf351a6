"""The command `perfsuite`: one sub-command per user task, thin; imports lazily so that --help is instant."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from perfsuite import __version__
from perfsuite.commands.ab import add_ab, add_noise
from perfsuite.commands.collect import add_collect
from perfsuite.commands.compare import add_compare
from perfsuite.commands.data import add_data
from perfsuite.commands.doctor import add_doctor
from perfsuite.commands.limits import add_limits
from perfsuite.commands.memory import add_memory
from perfsuite.commands.parser import EXIT_INTERRUPTED, EXIT_USAGE, Parser
from perfsuite.commands.report import add_report
from perfsuite.errors import PerfsuiteError

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status: 0, or 2 with one line on standard error for unusable input."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except PerfsuiteError as error:
        sys.stderr.write(f"perfsuite: error: {error}\n")
        return EXIT_USAGE
    except KeyboardInterrupt:
        sys.stderr.write("perfsuite: interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; nothing more may be written, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


def _parser() -> Parser:
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
