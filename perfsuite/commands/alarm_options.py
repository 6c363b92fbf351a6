"""The options of `perfsuite history alarms`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_alarms(action: argparse.ArgumentParser) -> None:
    """Add the options."""
    action.description = (
        "Show changes of level as events: all changes at the same time on one machine are one event, however many "
        "benchmarks they affect. The store remembers which events were reported (--told); all others are new. Later "
        "nights may move an event by some runs or add benchmarks to it; it stays the same event."
    )
    action.add_argument(
        "--into", type=Path, metavar="DIR", help="write a file KEY.md with the text of an issue for each new event"
    )
    action.add_argument(
        "--told", nargs="+", default=[], metavar="KEY", help="mark these events as reported; all: every current event"
    )
