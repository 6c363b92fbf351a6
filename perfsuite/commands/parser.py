"""How options are read: what is wrong is said in one line."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeAlias

    Commands: TypeAlias = "argparse._SubParsersAction[Parser]"  # noqa: SLF001 - the only name the type has

EXIT_USAGE = 2
"""Exit status for unusable input."""

EXIT_INTERRUPTED = 130
"""As a shell reports a process that ended by Ctrl-C."""

EXIT_FAILED = 1
"""Exit status of a command that found what it looks for: a regression, an unfit machine."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> None:  # type: ignore[override]
        """End with that line and the status of unusable input."""
        self.exit(EXIT_USAGE, f"{self.prog}: error: {message} (see {self.prog} --help)\n")
