"""How far a comparison or results can be trusted; the rules are in `trust_rules`."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter
from typing import TYPE_CHECKING, Any, TypedDict

from perfsuite.analysis.frames.consistency import consistency_findings
from perfsuite.analysis.frames.foreign_findings import CONTRADICTORY, SHORT_ROUND, SPREAD, ZERO
from perfsuite.analysis.frames.row_warnings import readings_of
from perfsuite.analysis.frames.rows import rows_of
from perfsuite.analysis.frames.telemetry import is_throttled
from perfsuite.analysis.frames.unmeasured import unmeasured
from perfsuite.analysis.load.result_file import is_dirty
from perfsuite.analysis.statistics.effect import TYPICAL
from perfsuite.analysis.verdicts.ranking import ranked, ranked_trainings
from perfsuite.analysis.verdicts.sample_notes import mixed_versions
from perfsuite.analysis.verdicts.training_verdicts import TrainingVerdict
from perfsuite.analysis.verdicts.trust_evidence import Evidence
from perfsuite.analysis.verdicts.trust_rules import grade
from perfsuite.recipes import SMOKE
from perfsuite.records.telemetry import BACKGROUND_LIMIT_RATIO, STEAL_LIMIT_RATIO
from perfsuite.records.workload import CALL, INFERENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from perfsuite.analysis.frames.results import Results
    from perfsuite.analysis.frames.training_cells import TrainingCell
    from perfsuite.analysis.load.read_entry import ReadEntry
    from perfsuite.analysis.verdicts.compare import BenchmarkVerdict, Comparison
    from perfsuite.analysis.verdicts.trust_evidence import Trust
    from perfsuite.records.cell import Record
    from perfsuite.records.pair import PairedRecord
    from perfsuite.records.scaling import ScalingRecord
    from perfsuite.records.telemetry import Telemetry
    from perfsuite.records.training import TrainingRecord

CHANGED = ("failed", "regressed")

NOT_JUDGED = ("incomparable", "missing", "inconclusive")

SUSPICIOUS = (ZERO, CONTRADICTORY, SHORT_ROUND)
"""Findings of a foreign benchmark which mean that it did not measure what it says."""


def trust_line(comparison: Comparison) -> str:
    """Return the grade of a comparison in one line, with its reasons and what to do next."""
    trust = trust_of_comparison(comparison)
    return f"trust: {trust.in_words}; next: {trust.action}"


def trust_of_comparison(comparison: Comparison) -> Trust:
    """Return how far a comparison can be trusted."""
    return grade(_evidence_of_comparison(comparison))


def trust_of_results(results: Results) -> Trust:
    """Return how far results can be trusted that are compared with no others."""
    return grade(_evidence_of_results(results))


def _evidence_of_comparison(comparison: Comparison) -> Evidence:
    sides, typical = comparison.sides, comparison.typical
    old, new = sides.side(candidate=False), sides.side(candidate=True)
    judged: list[BenchmarkVerdict | TrainingVerdict] = [
        *ranked(comparison),
        *ranked_trainings(comparison.trainings),
    ]
    trainings: list[TrainingRecord] = []
    for one in comparison.trainings.verdicts:
        trainings += _records_of_cell(one.cell)
    records = [record for process in sides.processes for record in process.records.values()]
    is_judged = typical is not None and bool(typical.judged.any())
    return Evidence(
        is_comparison=True,
        num_results=len(judged),
        num_processes=min(len(old), len(new)) if comparison.benchmarks else None,
        is_judged=comparison.why_not_judged is None,
        other_machine=_other_machine(comparison),
        num_not_judged=sum(one.verdict in NOT_JUDGED for one in judged),
        num_processes_needed=_fewest_needed(judged),
        is_interleaved=typical.interleaved if typical is not None and is_judged else None,
        detectable_ratios=_detectable_ratios(comparison),
        is_host_noisy=typical is not None and is_judged and typical.quantile != TYPICAL,
        **_disturbances(_readings(comparison)),
        num_quick=sum(record.quick for record in records),
        num_smoke=sum(record.recipe == SMOKE for record in trainings),
        num_without_result=_failures(comparison),
        num_files=len(sides.processes),
        num_cut_short=sum(not process.complete for process in sides.processes),
        is_dirty=any(is_dirty(process.commit) for process in sides.processes),
        mixed=(*mixed_versions("baseline", old), *mixed_versions("candidate", new)),
        num_seeds=_fewest_seeds(comparison),
        changed=next((_name(one) for one in judged if one.verdict in CHANGED), None),
        is_own=bool(records or trainings),
    )


def _records_of_cell(cell: TrainingCell) -> list[TrainingRecord]:
    """Return the records of both sides."""
    return [*cell.records(candidate=False), *cell.records(candidate=True)]


def _fewest_needed(judged: Iterable[BenchmarkVerdict | TrainingVerdict]) -> int | None:
    """Return how many processes the least uncertain of what is not decided needs; None where all is decided."""
    needed = [one.time.num_processes_needed for one in judged]
    return min((num for num in needed if num is not None), default=None)


def _other_machine(comparison: Comparison) -> str | None:
    """Return in what the machines differ, by the first benchmark or full training that is not judged for it."""
    reasons = [one.time.reason for one in comparison.benchmarks if one.time.verdict == "incomparable"]
    reasons += [one.reason for one in comparison.trainings.verdicts if one.verdict == "incomparable"]
    return reasons[0].partition(";")[0] if reasons else None


def _name(one: BenchmarkVerdict | TrainingVerdict) -> str:
    """Return what `--explain` finds a benchmark or a full training by."""
    if isinstance(one, TrainingVerdict):
        return one.cell.label
    return one.short_label


def _detectable_ratios(comparison: Comparison) -> tuple[float, float, float] | None:
    """Return the smallest slowdown that is found, of the best, the median and the worst benchmark."""
    ratios = [one.time.mde95 for one in comparison.benchmarks]
    known = sorted(ratio for ratio in ratios if ratio is not None and math.isfinite(ratio))
    return (known[0], statistics.median(known), known[-1]) if known else None


def _readings(comparison: Comparison) -> list[list[Telemetry]]:
    """Return the readings of each benchmark and each cell of full trainings, of both sides together."""
    sides = comparison.sides
    found = []
    for row in range(len(sides.keys)):
        records = [*sides.records(row, candidate=False), *sides.records(row, candidate=True)]
        found.append(_readings_of_all(records))
    found += [_readings_of_all(_records_of_cell(one.cell)) for one in comparison.trainings.verdicts]
    return found


def _readings_of_all(records: Iterable[Record | ScalingRecord | TrainingRecord]) -> list[Telemetry]:
    return [telemetry for record in records for telemetry in readings_of(record)]


class _Disturbances(TypedDict):
    num_loaded: int
    num_steal: int
    num_shared: int
    num_throttled: int


def _disturbances(readings: Iterable[Iterable[Telemetry]]) -> _Disturbances:
    """Return how many results had each disturbance in any of their readings."""
    return {
        "num_loaded": _num_with(readings, lambda one: (one.background_cpu_ratio or 0.0) > BACKGROUND_LIMIT_RATIO),
        "num_steal": _num_with(readings, lambda one: (one.steal_ratio or 0.0) > STEAL_LIMIT_RATIO),
        "num_shared": _num_with(readings, lambda one: bool(one.num_other_processes)),
        "num_throttled": _num_with(readings, is_throttled),
    }


def _num_with(readings: Iterable[Iterable[Telemetry]], is_so: Callable[[Telemetry], bool]) -> int:
    return sum(any(is_so(one) for one in of_one) for of_one in readings)


def _failures(comparison: Comparison) -> dict[str, int]:
    """Return how many benchmarks and full trainings failed in any process of either side."""
    num = sum(any(one.num_failed) for one in comparison.benchmarks)
    num += sum(any(one.num_failed) for one in comparison.trainings.verdicts)
    return {"failed": num} if num else {}


def _fewest_seeds(comparison: Comparison) -> int | None:
    nums = []
    for one in comparison.trainings.verdicts:
        for candidate in (False, True):
            seeds = one.cell.seeds(candidate=candidate)
            if seeds:
                nums.append(len(seeds))
    return min(nums, default=None)


def _evidence_of_results(results: Results) -> Evidence:
    rows = rows_of(results.benchmarks[[name for name in _COLUMNS if name in results.benchmarks]])
    others: list[PairedRecord | TrainingRecord | ScalingRecord] = []
    others += [pair.record for pair in results.pairs]
    others += [training.record for training in results.trainings]
    others += [one.record for one in results.scaling]
    readings = [[one] for one in results.telemetry if one is not None]
    readings += [[*readings_of(record)] for record in others]
    warnings = [row.get("warnings") or "" for row in rows]
    findings = [row.get("findings") or "" for row in rows if row.get("run_id") is None]
    commits = {str(row.get("commit")) for row in rows} | {str(one.environment["commit"]) for one in results.entries}
    files = {str(row["file"]) for row in rows} | {one.file for one in results.entries} | set(results.cut_short)
    outcomes = Counter(one.outcome for one in unmeasured(results))
    return Evidence(
        is_comparison=False,
        num_results=len(rows) + len(others) + len(results.numerics) + outcomes.total(),
        num_processes=_typical_processes(rows, results),
        has_noise_floor=any(row.get("noise_measured") is not None for row in rows),
        **_disturbances(readings),
        num_noisy=_count(warnings, ["noisy"]) + _count(findings, [SPREAD]),
        num_contradictory=len(consistency_findings(results)) + _count(findings, SUSPICIOUS),
        num_quick=_num_quick(rows, results),
        num_smoke=sum(training.record.recipe == SMOKE for training in results.trainings),
        num_without_result=outcomes,
        num_files=max(len(files), 1),
        num_cut_short=len(results.cut_short),
        is_dirty=any(is_dirty(commit) for commit in commits),
        num_seeds=_fewest_seeds_of_results(results),
        num_claims=sum(len(one.record.claims) for one in results.numerics),
        num_failed_claims=sum(len(one.record.failed) for one in results.numerics),
        num_unequal=sum(bool(one.record.failed) for one in results.scaling),
        is_own=results.has_records,
        command=_command(results),
    )


def _num_quick(rows: Iterable[dict[str, Any]], results: Results) -> int:
    num_cells = sum(bool(row.get("quick")) for row in rows)
    num_pairs = sum(pair.record.quick for pair in results.pairs)
    return num_cells + num_pairs + sum(one.record.quick for one in results.scaling)


def _command(results: Results) -> str:
    """Return what would measure these benchmarks again; a user's own tests have no marker."""
    phases = set() if results.benchmarks.empty else set(results.benchmarks["phase"])
    if CALL in phases:
        return "pytest benchmarks"
    markers = []
    if phases - {INFERENCE}:
        markers.append("step")
    if INFERENCE in phases:
        markers.append(INFERENCE)
    comparisons = {pair.record.comparison for pair in results.pairs}
    markers += [marker for name, marker in MARKERS.items() if name in comparisons]
    if results.scaling:
        markers.append("scaling")
    if results.numerics:
        markers.append("numerics")
    if not markers:
        markers.append("step")
    selection = markers[0] if len(markers) == 1 else f'"{" or ".join(markers)}"'
    return f"pytest benchmarks -m {selection}"


MARKERS = {"speedup": "interleaved", "switch": "switches", "overhead": "overhead"}
"""Of interleaved pairs, by what they compare."""

_PLACES = ("device", "cpu", "host", "torch", "commit")

_COLUMNS = (
    *_PLACES,
    "fullname",
    "model",
    "series",
    "file",
    "run_id",
    "warnings",
    "findings",
    "quick",
    "noise_measured",
)
"""Of the frame, which may have thousands of rows, what a grade rests on."""


def _count(texts: Iterable[str], words: Sequence[str]) -> int:
    """Return how many texts have any of these words in them."""
    return sum(any(word in text for word in words) for text in texts)


def _typical_processes(rows: Iterable[dict[str, Any]], results: Results) -> int | None:
    """Return how many processes measured a benchmark, as a rule, in one place; None where there are trainings only."""
    keys = [
        (row["fullname"], row.get("model"), *(row.get(name) for name in _PLACES), row.get("series")) for row in rows
    ]
    measured: list[ReadEntry] = [*results.pairs, *results.scaling]
    keys += [(one.name, None, *(one.environment[name] for name in _PLACES), one.series) for one in measured]
    return statistics.median_low(Counter(keys).values()) if keys else None


def _fewest_seeds_of_results(results: Results) -> int | None:
    seeds = sorted((str((one.record.workload, one.record.recipe.name)), one.record.seed) for one in results.trainings)
    groups = [len({seed for _, seed in found}) for _, found in itertools.groupby(seeds, key=lambda one: one[0])]
    return min(groups) if groups else None
