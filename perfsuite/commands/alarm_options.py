"""The options of `perfsuite history alarms`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse


def add_alarms(action: argparse.ArgumentParser) -> None:
    """Add the options."""
    action.description = (
        "Changes of level as events: all that happened at once on a machine is one, however many benchmarks it is. The "
        "store remembers which events somebody was told (--told); all others are new. More nights may move an event by "
        "some runs, and more benchmarks may join it: it stays the same."
    )
    action.add_argument(
        "--into", type=Path, metavar="DIR", help="write a file KEY.md for each new event: the text of an issue"
    )
    action.add_argument(
        "--told", nargs="+", default=[], metavar="KEY", help="note that these events were told; all: every one of today"
    )
