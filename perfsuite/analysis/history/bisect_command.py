"""The command that finds which commit between two runs of a history changed a benchmark."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

from perfsuite.analysis.history.run_values import TIME
from perfsuite.formatting import printable

if TYPE_CHECKING:
    from perfsuite.analysis.history.index import IndexedRun

_COMMIT = re.compile("[0-9a-f]{7,40}")
"""What can be checked out: a working tree with changes cannot, and a file of others may hold any text."""

METRICS = {TIME: (), "peak_allocated_bytes": ("--metric", "memory")}
"""Those that `perfsuite bisect` measures, with its options; a full training takes too long for it."""


def commits_between(before: IndexedRun, first: IndexedRun) -> tuple[str, str] | None:
    """Return the commits of the last run before a change and of the first after it; None where they cannot be bisected.

    Args:
        before: The last run before.
        first: The first run at the new level.
    """
    good, bad = (run.place.get("commit", "") for run in (before, first))
    are_two = good != bad and _COMMIT.fullmatch(good) and _COMMIT.fullmatch(bad)
    return (good, bad) if are_two else None


def bisect_command(commits: tuple[str, str], benchmark: str, metric: str) -> str | None:
    """Return the command, or None for what is not measured in minutes.

    Args:
        commits: The good and the bad one.
        benchmark: See `Value`: a node id of pytest, or a workload of the suite in words.
        metric: Its key.
    """
    if metric not in METRICS or " seed " in benchmark:
        return None
    good, bad = commits
    words = ["perfsuite", "bisect", "--good", good, "--bad", bad, "--benchmark"]
    words += [shlex.quote(printable(benchmark))]
    words += METRICS[metric]
    if "::" not in benchmark:
        words += ["--", "benchmarks", "-m", "step"]
    return " ".join(words)
