"""What to switch on: each combination of switches against the eager step, with what it costs."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any

import pandas as pd

from perfsuite.analysis.frames.columns import WORKLOAD_COLUMNS
from perfsuite.analysis.frames.labels import workload_words
from perfsuite.analysis.frames.pair_groups import PairGroup, pair_groups
from perfsuite.analysis.frames.ratio_text import ratio_columns
from perfsuite.analysis.frames.row_warnings import pooled_warnings
from perfsuite.analysis.frames.rows import median_of, rows_of
from perfsuite.precisions import BASELINE
from perfsuite.records.workload import NOT_COMPILED, compile_in_words

if TYPE_CHECKING:
    from collections.abc import Mapping

    from perfsuite.analysis.frames.results import Results

SWITCHES = ("memory_format", "precision", "compile_mode", "cuda_graphs")
"""Columns of what is switched on; the rest of a workload is what it is switched on for."""

EAGER = "eager, FP32"
TEST_NAME = "test_switches["
"""Of the benchmark, in the names of those that gave no result."""


def switches_frame(results: Results) -> pd.DataFrame:
    """Return a row for each combination that was measured, and for each that was not, with the reason.

    Within a network and place, the eager step comes first, then what was measured in the order of the benchmarks.

    Returns:
        Columns: origin, the workload, `subject` (the network and what else it is measured with, in words),
        `switched_on` (in words), `speedup_ratio` over the eager step with what `ratio_columns` adds (absent of the
        eager step and of what was not measured), `time_s`, `images_per_second`, `peak_allocated_bytes`,
        `memory_ratio`, `start_s` (until the first iteration was done), `break_even_steps` (after how many steps the
        longer start is made up for; absent where a step is not faster), `num_blocks`, `warnings`, `reason`.
    """
    groups = pair_groups(results, ("switch",))
    rows: list[dict[str, Any]] = []
    eager: dict[tuple[Any, ...], list[PairGroup]] = {}
    for group in groups:
        eager.setdefault(_subject_key(group), []).append(group)
    for members in eager.values():
        reference = _eager_row(members)
        rows.append(reference)
        rows += [_switch_row(group, eager_s=reference["time_s"]) for group in members]
    missing = _missing_rows(results)
    frame = pd.DataFrame(rows + missing)
    if frame.empty:
        return frame
    subject = workload_words(frame, but=(*SWITCHES, "phase"))
    frame["subject"] = [subject(row) for row in rows_of(frame)]
    order = {name: number for number, name in enumerate(dict.fromkeys(frame["subject"]))}
    return frame.sort_values("subject", key=lambda names: names.map(order), kind="stable").reset_index(drop=True)


def switched_on_in_words(row: Mapping[Any, Any]) -> str:
    """Return what a workload has switched on: `channels_last + amp-bf16 + compiled`."""
    parts = []
    if row["memory_format"] != "contiguous":
        parts.append(str(row["memory_format"]))
    if row["precision"] != BASELINE:
        parts.append(str(row["precision"]))
    if row["compile_mode"] != NOT_COMPILED:
        parts.append(compile_in_words(str(row["compile_mode"])))
    if row["cuda_graphs"]:
        parts.append("CUDA graphs")
    return " + ".join(parts) or EAGER


def _subject_key(group: PairGroup) -> tuple[Any, ...]:
    origin = group.pairs[0].origin
    return (group.pairs[0].record.baseline, *(origin[column] for column in group.place))


def _eager_row(groups: list[PairGroup]) -> dict[str, Any]:
    """Return the eager step, as it ran with everything that it was compared with."""
    records = [pair.record for group in groups for pair in group.pairs]
    workload = records[0].baseline
    times_s: list[float] = []
    for record in records:
        for first_s, _, _, last_s in record.blocks:  # A B B A: the eager step is the first and the last of a block
            times_s += [first_s, last_s]
    time_s = statistics.median(times_s)
    costs = [record.costs[0] for record in records if record.costs]
    return {
        **groups[0].pairs[0].origin,
        **{column: getattr(workload, column) for column in WORKLOAD_COLUMNS},
        "switched_on": EAGER,
        **ratio_columns("speedup_ratio", None),
        "time_s": time_s,
        "images_per_second": workload.batch_size / time_s,
        "peak_allocated_bytes": median_of([cost.peak_allocated_bytes for cost in costs]),
        "memory_ratio": None,
        "start_s": median_of([cost.start_s for cost in costs]),
        "break_even_steps": None,
        "num_blocks": sum(len(record.blocks) for record in records),
        "warnings": None,
        "reason": "",
    }


def _switch_row(group: PairGroup, *, eager_s: float) -> dict[str, Any]:
    """Return a combination; its time is that of the eager step times the ratio, so that they never contradict."""
    records = [pair.record for pair in group.pairs]
    workload = records[0].candidate
    ratio = group.time_ratio()
    time_s = eager_s * ratio.ratio
    eager_costs = [record.costs[0] for record in records if record.costs]
    costs = [record.costs[1] for record in records if record.costs]
    eager_bytes = median_of([cost.peak_allocated_bytes for cost in eager_costs])
    peak_bytes = median_of([cost.peak_allocated_bytes for cost in costs])
    eager_start_s = median_of([cost.start_s for cost in eager_costs])
    start_s = median_of([cost.start_s for cost in costs])
    gain_s = eager_s * (1 - ratio.ratio)
    break_even = None
    if start_s is not None and eager_start_s is not None and gain_s > 0:
        break_even = max(start_s - eager_start_s, 0.0) / gain_s
    columns = {column: getattr(workload, column) for column in WORKLOAD_COLUMNS}
    return {
        **group.pairs[0].origin,
        **columns,
        "switched_on": switched_on_in_words(columns),
        **ratio_columns("speedup_ratio", ratio.inverse()),
        "time_s": time_s,
        "images_per_second": workload.batch_size / time_s,
        "peak_allocated_bytes": peak_bytes,
        "memory_ratio": None if peak_bytes is None or not eager_bytes else peak_bytes / eager_bytes,
        "start_s": start_s,
        "break_even_steps": break_even,
        "num_blocks": sum(len(record.blocks) for record in records),
        "warnings": pooled_warnings(records),
        "reason": "",
    }


def _missing_rows(results: Results) -> list[dict[str, Any]]:
    """Return a row for each combination without a result, where its workload is known."""
    places = {file.label: file for file in results.files}
    found: dict[tuple[Any, ...], dict[str, Any]] = {}
    for outcome in rows_of(results.outcomes):
        if TEST_NAME not in outcome["nodeid"] or outcome["model"] is None:
            continue
        columns = {column: outcome[column] for column in WORKLOAD_COLUMNS}
        origin = places[outcome["file"]]
        words = str(outcome["outcome"]).replace("_", " ")
        row = {
            **origin.environment,
            "file": origin.label,
            "series": origin.series,
            "name": outcome["nodeid"],
            **columns,
            "switched_on": switched_on_in_words(columns),
            **ratio_columns("speedup_ratio", None),
            "reason": f"{words}: {outcome['reason']}",
        }
        found.setdefault((origin.series, *columns.values(), row["reason"]), row)
    return list(found.values())
