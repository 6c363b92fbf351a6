"""What the actions of `perfsuite history` that search for changes need before they do."""

from __future__ import annotations

import importlib.util

from perfsuite.commands.streams import say_progress
from perfsuite.errors import InstallationError


def tell_reading(number: int, total: int) -> None:
    """Say which file of a store is read, where its index is not up to date."""
    say_progress(f"reading file {number + 1:,} of {total:,}" if number + 1 < total else "")


def require_ruptures() -> None:
    """Check that what finds changes is installed.

    Raises:
        InstallationError: It is not.
    """
    if importlib.util.find_spec("ruptures") is None:
        raise InstallationError("changes of level are found with ruptures: pip install 'perfsuite[history]'")
