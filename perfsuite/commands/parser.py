"""How options are read: what is wrong is said in one line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, NoReturn

from perfsuite.commands.streams import say, write

if TYPE_CHECKING:
    from typing import IO, TypeAlias

    Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001 - the only name the type has

EXIT_USAGE = 2
"""Exit status for unusable input."""

EXIT_INTERRUPTED = 130
"""As a shell reports a process that ended by Ctrl-C."""

EXIT_FAILED = 1
"""Exit status of a command that found what it looks for: a regression, an unfit machine."""

EXIT_CRASHED = 70
"""Of a command that ended by a bug in perfsuite. Source: EX_SOFTWARE of sysexits.h."""

MAX_MESSAGE_CHARACTERS = 500


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """End with that line and the status of unusable input."""
        say(f"{self.prog}: error: {message[:MAX_MESSAGE_CHARACTERS]} (see {self.prog} --help)")
        raise SystemExit(EXIT_USAGE)

    def refuse(self, unknown: list[str]) -> NoReturn:
        """End with the arguments that it does not know."""
        hint = "; pytest's own arguments go after --" if "-- PYTEST ARGUMENTS" in self.format_usage() else ""
        self.error(f"unrecognized arguments: {' '.join(unknown)}{hint}")

    def _print_message(self, message: str, file: IO[str] | None = None) -> None:  # type: ignore[override]
        """Write help and version as every command writes; argparse leaves out what cannot be written."""
        del file  # only `error` would write to another than standard output
        write(message, None)
