"""Defaults of a history that its commands name, apart from what a search for changes imports."""

from __future__ import annotations

from pathlib import Path

DEFAULT_STORE = Path("results") / "history"

NUM_LAST = 1000
"""Runs that are looked at where nothing else is asked for: nearly three years of nights."""

NUM_PAGE_RUNS = 400
"""Runs that a page draws where nothing else is asked for: a line of 400 pixels shows no more."""

NUM_DAYS = 14
"""Days before the newest run whose changes a page lists first."""

BY_TIME = "time"
"""What a history is shown by where nothing else is asked for."""
