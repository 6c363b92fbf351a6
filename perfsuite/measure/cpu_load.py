"""Background load: what other processes and other virtual machines took of the cores while a CPU was measured."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STAT = Path("/proc/stat")

MIN_TICKS = 10
"""Of all cores together between two readings; fewer give shares that are off by 10% and more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuReading:
    """The cores' counters at a moment.

    Attributes:
        stat: Content of `/proc/stat`; empty where there is none.
        own_s: CPU time of this process so far, all its threads.
    """

    stat: str
    own_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuLoad:
    """Shares of the cores' time between two readings.

    Attributes:
        background_ratio: What other processes took.
        steal_ratio: What other virtual machines on the same host took.
    """

    background_ratio: float
    steal_ratio: float


def process_s() -> float:
    """Return the CPU time of this process so far in seconds, all its threads."""
    return time.process_time()


def read_cpu(own_s: Callable[[], float] = process_s) -> CpuReading:
    """Read the counters now; `own_s` reads the CPU time of what is measured."""
    try:
        stat = STAT.read_text(encoding="ascii")
    except (OSError, ValueError):
        stat = ""
    return CpuReading(stat=stat, own_s=own_s())


def own_cores() -> set[int]:
    """Return the cores that this process may use."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def load_between(before: CpuReading, after: CpuReading, cores: set[int], *, ticks_per_s: float) -> CpuLoad | None:
    """Return what others took of these cores' time; None where it is not shown, or the time is too short to tell.

    Source: proc(5), /proc/stat: user, nice, system, idle, iowait, irq, softirq, steal, in ticks.
    """
    try:
        old, new = (_spent(reading.stat, cores) for reading in (before, after))
        spent = [late - early for late, early in zip(new, old, strict=True)]
        total, idle, steal = sum(spent), spent[3] + spent[4], spent[7]
    except (IndexError, ValueError):
        return None
    if total < MIN_TICKS:
        return None
    own = (after.own_s - before.own_s) * ticks_per_s
    return CpuLoad(background_ratio=max(0.0, total - idle - steal - own) / total, steal_ratio=max(0.0, steal / total))


def load_since(before: CpuReading, own_s: Callable[[], float] = process_s) -> CpuLoad | None:
    """Return what others took of this process's cores since a reading, or None; see `read_cpu`."""
    after = read_cpu(own_s)
    if not hasattr(os, "sysconf"):
        return None
    return load_between(before, after, own_cores(), ticks_per_s=float(os.sysconf("SC_CLK_TCK")))


def _spent(text: str, cores: set[int]) -> list[int]:
    """Return the ticks that some cores have spent, all together, by what for; see proc(5), /proc/stat."""
    rows = []
    for line in text.splitlines():
        if not line.startswith("cpu"):
            continue
        name, *values = line.split()
        number = name.removeprefix("cpu")  # the first line is that of all cores, and has none
        if number.isdigit() and int(number) in cores:
            rows.append([int(value) for value in values[:8]])
    return [sum(column) for column in zip(*rows, strict=True)]
