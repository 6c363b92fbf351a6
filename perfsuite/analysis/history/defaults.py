"""Defaults of a history that its commands name, apart from what a search for changes imports."""

from __future__ import annotations

from pathlib import Path

DEFAULT_STORE = Path("results") / "history"

NUM_LAST = 1000
"""Runs that are looked at where nothing else is asked for: nearly three years of nights."""
