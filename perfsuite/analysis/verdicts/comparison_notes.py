"""What a reader should know of how a comparison was judged, and of what its sides differ in, in words."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from perfsuite.analysis.frames.change_text import percent_text
from perfsuite.analysis.load.machine_info import VERSIONS
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.statistics.evidence import MIN_AGREEING_RATIO
from perfsuite.analysis.statistics.significance import MIN_PROCESSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from perfsuite.analysis.statistics.decision import Decision
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict
    from perfsuite.analysis.verdicts.process_results import ProcessResult
    from perfsuite.analysis.verdicts.samples import Sides
    from perfsuite.records.workload import Workload

COMMON_ALPHA = 0.005
"""A common-mode shift with a smaller p-value is mentioned below the table."""

MAX_NAMED = 3
"""Benchmarks that a note names."""


def comparison_notes(sides: Sides, typical: Decision) -> list[str]:
    """Return how the times were judged, in which versions the sides differ, and which benchmarks are in doubt."""
    notes = _notes_on_times(sides, typical) if typical.judged.any() else []
    return [*notes, *_version_notes(sides), *_finding_notes(sides)]


def _notes_on_times(sides: Sides, typical: Decision) -> list[str]:
    notes = []
    if typical.quantile != TYPICAL:
        notes.append(
            f"noisy host: times are the {typical.quantile:.0%} quantile of the rounds of each process, without the "
            "slowest process of either side"
        )
    if not typical.interleaved:
        notes.append(
            "not interleaved: the sides ran one after the other, which cannot separate code from drift; the intervals "
            "contain the shift that the benchmarks have in common, and a verdict assumes that no benchmark feels the "
            "machine more than twice as much as the others; run A B B A (perfsuite ab does that)"
        )
    if typical.effect.trend_removed:
        notes.append("the machine drifted during the runs: a linear trend in time is taken out of the scatter")
    common = typical.common
    if common is not None and common.p_value < COMMON_ALPHA and typical.agreeing_ratio >= MIN_AGREEING_RATIO:
        what = "the code's, for the runs were interleaved" if typical.interleaved else "code or drift"
        notes.append(
            f"common-mode shift: nearly all benchmarks changed by about {percent_text(math.exp(common.change))}, "
            f"statistically significant; {what}"
        )
    if min(len(sides.side(candidate=False)), len(sides.side(candidate=True))) == MIN_PROCESSES:
        notes.append(
            "3 processes a side: where every process chooses its own kernels, false verdicts are more frequent than "
            "alpha; run 5"
        )
    return notes


def _finding_notes(sides: Sides) -> list[str]:
    """Return a line on benchmarks whose own records doubt them."""
    names = []
    for row, workload in enumerate(sides.workloads):
        records = [*sides.records(row, candidate=False), *sides.records(row, candidate=True)]
        if workload is not None and any(record.findings for record in records):
            names.append(workload.label)
    if not names:
        return []
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    return [f"findings in the files of {', '.join(names[:MAX_NAMED])}{more}: perfsuite collect lists them"]


def nothing_in_common(benchmarks: Sequence[BenchmarkVerdict]) -> list[str]:
    """Return why no benchmark is on both sides, where the workloads tell."""
    if not benchmarks or any(one.num_baseline and one.num_candidate for one in benchmarks):
        return []
    before = _settings(one.workload for one in benchmarks if not one.num_candidate)
    after = _settings(one.workload for one in benchmarks if one.num_candidate)
    if not before or not after:
        return ["the two sides have no benchmark in common"]
    differing = []
    for name, old_values in before.items():
        new_values = after[name]
        if not old_values & new_values:
            listed = f"{', '.join(sorted(old_values))} and {', '.join(sorted(new_values))}"
            differing.append(f"{name.removeprefix('num_').replace('_', ' ')} ({listed})")
    return [f"the two sides have no benchmark in common; they differ in {', '.join(differing) or 'several settings'}"]


def _settings(workloads: Iterable[Workload | None]) -> dict[str, set[str]]:
    """Return the values that the workloads of a side have, by setting; empty where none is known."""
    found: dict[str, set[str]] = {}
    for workload in workloads:
        if workload is not None:
            settings = asdict(workload)
            # A step of one device has no world size: it is on one.
            for name, value in _OF_ONE_DEVICE.items():
                settings.setdefault(name, value)
            for name, value in settings.items():
                found.setdefault(name, set()).add(str(value))
    return found


_OF_ONE_DEVICE = {"world_size": 1, "strategy": "one device", "compression": "none", "scaling": "one device"}


def _version_notes(sides: Sides) -> list[str]:
    notes = []
    for name in VERSIONS:
        old = _versions(sides.side(candidate=False), name)
        new = _versions(sides.side(candidate=True), name)
        if old and new and old != new and "unknown" not in (old, new):
            notes.append(f"{name} differs: {old} in the baseline, {new} in the candidate")
    old, new = _nccl_versions(sides, candidate=False), _nccl_versions(sides, candidate=True)
    if old and new and old != new:
        notes.append(f"NCCL differs: {old} in the baseline, {new} in the candidate")
    return notes


def _versions(side: Sequence[ProcessResult], name: str) -> str:
    return ", ".join(sorted({process.versions.get(name, "unknown") for process in side}))


def _nccl_versions(sides: Sides, *, candidate: bool) -> str:
    """Return what the files of steps on several devices name; the others of a side have none."""
    versions = {process.versions.get("NCCL") for process in sides.side(candidate=candidate)}
    return ", ".join(sorted(version for version in versions if version is not None))
