"""What the hardware did on either side of a comparison, and which kernels changed: causes of verdicts."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.row_warnings import readings_of
from perfsuite.analysis.frames.rows import median_of
from perfsuite.analysis.verdicts.exchange_causes import exchange_causes
from perfsuite.formatting import duration
from perfsuite.records.cell import Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from perfsuite.analysis.verdicts.samples import Sides
    from perfsuite.records.profile import Profile
    from perfsuite.records.scaling import ScalingRecord
    from perfsuite.records.telemetry import Telemetry

CLOCK_CHANGE_RATIO = 0.01
"""A median clock that differs by less is the same: NVIDIA's clocks move in steps of 15 MHz."""

THROTTLE_CHANGE_RATIO = 0.1
"""Share of the readings by which a reason must have become more frequent to be named."""

LOAD_CHANGE_RATIO = 0.1
"""Share of the cores' time by which a load of others must have changed to be named."""

KERNEL_CHANGE_RATIO = 0.01
"""Share of an iteration by which a kernel must have changed to be named."""

MAX_KERNELS = 5


def likely_causes(sides: Sides, row: int, ratio: float) -> str | None:
    """Return in words what was different on the candidate's side and may have changed the time, or None.

    Args:
        sides: Both sides.
        row: Of the benchmark.
        ratio: Candidate over baseline in time.
    """
    old, new = sides.records(row, candidate=False), sides.records(row, candidate=True)
    old_readings = [one for record in old for one in readings_of(record)]
    new_readings = [one for record in new for one in readings_of(record)]
    found = (exchange_causes(old, new), telemetry_causes(old_readings, new_readings, ratio))
    return "; ".join(text for text in found if text is not None) or None


def telemetry_causes(old: Sequence[Telemetry], new: Sequence[Telemetry], ratio: float) -> str | None:
    """Return in words what the hardware did otherwise on the candidate's side, or None.

    Args:
        old: Telemetry of the baseline.
        new: Telemetry of the candidate.
        ratio: Candidate over baseline in time.
    """
    if not old or not new:
        return None
    causes = (_clock(old, new, ratio), _throttled(old, new), _others(old, new), *_cpu_loads(old, new))
    return "; ".join(text for text in causes if text is not None) or None


def _clock(old: Sequence[Telemetry], new: Sequence[Telemetry], ratio: float) -> str | None:
    before, after = median_of(map(_sm_clock_mhz, old)), median_of(map(_sm_clock_mhz, new))
    if before is None or after is None or not before:
        return None
    change = after / before - 1
    if abs(change) < CLOCK_CHANGE_RATIO:
        return None
    is_lower, is_slower = after < before, ratio > 1
    way = "lower" if is_lower else "higher"
    text = f"the candidate's SM clock was {abs(change):.0%} {way} ({before:,.0f} -> {after:,.0f} MHz)"
    if is_lower != is_slower:
        return text
    # What is bound by arithmetic takes as many cycles as before; all else depends less on the clock.
    explained = before / after
    if is_slower:
        explains_all = ratio <= explained * (1 + CLOCK_CHANGE_RATIO)
    else:
        explains_all = ratio >= explained * (1 - CLOCK_CHANGE_RATIO)
    return f"{text}: {'that is the clock, not the code' if explains_all else 'the clock explains a part of it'}"


def _sm_clock_mhz(telemetry: Telemetry) -> float | None:
    return None if telemetry.sm_clock_mhz is None else telemetry.sm_clock_mhz.median


def _throttled(old: Sequence[Telemetry], new: Sequence[Telemetry]) -> str | None:
    names = sorted({name for one in (*old, *new) for name in one.throttle_ratio or {}})
    shares = [(name, _share(old, name), _share(new, name)) for name in names]
    name, before, after = max(shares, key=lambda share: abs(share[2] - share[1]), default=("", 0.0, 0.0))
    if abs(after - before) < THROTTLE_CHANGE_RATIO:
        return None
    return f"throttled by {name} in {after:.0%} of the readings, {before:.0%} in the baseline"


def _share(side: Sequence[Telemetry], reason: str) -> float:
    return statistics.median((one.throttle_ratio or {}).get(reason, 0.0) for one in side)


def _others(old: Sequence[Telemetry], new: Sequence[Telemetry]) -> str | None:
    before = any(one.num_other_processes for one in old)
    after = any(one.num_other_processes for one in new)
    if before == after:
        return None
    return f"another process was on the GPU of the {'candidate' if after else 'baseline'}"


def _cpu_loads(old: Sequence[Telemetry], new: Sequence[Telemetry]) -> list[str]:
    found = []
    for who, ratio_of in (
        ("other processes", lambda one: one.background_cpu_ratio),
        ("other virtual machines", lambda one: one.steal_ratio),
    ):
        before, after = median_of(map(ratio_of, old)), median_of(map(ratio_of, new))
        if before is not None and after is not None and abs(after - before) >= LOAD_CHANGE_RATIO:
            meanwhile = "of the cores' time while the candidate was measured"
            found.append(f"{who} took {after:.0%} {meanwhile}, {before:.0%} in the baseline")
    return found


def changed_kernels(sides: Sides, row: int) -> list[str]:
    """Return in words which kernels of an iteration changed, the largest change first; empty without profiles."""
    old = _profiles(sides.records(row, candidate=False))
    new = _profiles(sides.records(row, candidate=True))
    if not old or not new or not all(profile.kernels_s > 0 for profile in (*old, *new)):
        return []
    old_pass_s = statistics.median(profile.kernels_s for profile in old)
    new_pass_s = statistics.median(profile.kernels_s for profile in new)
    lines = [f"  all kernels {duration(old_pass_s)} -> {duration(new_pass_s)}"]
    lines += _changed_in_words(_seconds(old), _seconds(new), old_pass_s)
    old_bounds, new_bounds = _bounds_in_words(old), _bounds_in_words(new)
    if old_bounds != new_bounds:
        lines.append(f"  {old_bounds} -> {new_bounds}")
    return lines


def _changed_in_words(before: dict[str, float], after: dict[str, float], old_pass_s: float) -> list[str]:
    """Return a line for each kernel that changed by enough to be named, the largest change first."""
    changes = _changes(before, after)
    named = [name for name, change in changes.items() if abs(change) >= KERNEL_CHANGE_RATIO * old_pass_s]
    if not named:
        return [f"  none of the ten most expensive changed by {KERNEL_CHANGE_RATIO:.0%} of an iteration"]
    named.sort(key=lambda name: abs(changes[name]), reverse=True)
    lines = []
    for name in named[:MAX_KERNELS]:
        percent = 100 * changes[name] / old_pass_s
        lines.append(f"  {percent:+.1f}% of an iteration: {name}: {_seconds_in_words(name, before, after)}")
    return lines


def _changes(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    """Return by how many seconds each kernel changed, at least."""
    # A kernel that is not among the ten most expensive takes at most as long as the last of them.
    most_before = min(before.values(), default=0.0)
    most_after = min(after.values(), default=0.0)
    changes = {}
    for name in {**before, **after}:
        change = after.get(name, most_after) - before.get(name, most_before)
        if name not in before:
            change = max(change, 0.0)
        elif name not in after:
            change = min(change, 0.0)
        changes[name] = change
    return changes


def _seconds_in_words(name: str, before: dict[str, float], after: dict[str, float]) -> str:
    if name not in before:
        return f"at least, new among the ten most expensive, {duration(after[name])}"
    if name not in after:
        return f"at least, no longer among the ten most expensive, {duration(before[name])} before"
    return f"{duration(before[name])} -> {duration(after[name])}"


def _bounds_in_words(profiles: Sequence[Profile]) -> str:
    found = {profile.bound for profile in profiles if profile.bound is not None}
    return " or ".join(sorted(found)) or "unknown"


def _profiles(records: Sequence[Record | ScalingRecord]) -> list[Profile]:
    return [record.profile for record in records if isinstance(record, Record) and record.profile is not None]


def _seconds(profiles: Sequence[Profile]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for profile in profiles:
        for kernel in profile.kernels:
            found.setdefault(kernel.name, []).append(kernel.seconds)
    return {name: statistics.median(seconds) for name, seconds in found.items()}
