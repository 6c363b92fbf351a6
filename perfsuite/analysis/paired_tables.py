"""What was measured interleaved: the speed-up with the quotient of separate cells, the fidelity, the pipeline."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from perfsuite.analysis.collect import ENVIRONMENT_COLUMNS, PAIRING_COLUMNS, WORKLOAD_COLUMNS
from perfsuite.analysis.consistency import consistency_findings
from perfsuite.analysis.pair_groups import PairGroup, pair_groups, pair_origin
from perfsuite.analysis.ratio_text import (
    MORE_PAIRS,
    MORE_PIPELINES,
    bracket_notes,
    ratio_columns,
    ratio_of_row,
    ratio_text,
)
from perfsuite.analysis.speedup import time_ratio
from perfsuite.analysis.statistics.intervals import paired_ratio
from perfsuite.analysis.table_parts import (
    SHORT_HEADINGS,
    notes_of,
    place_table_columns,
    shared_in_words,
    telling_apart,
    varying,
)
from perfsuite.analysis.tables import Column, Table, metric_column, ratio_column, text_column

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from perfsuite.analysis.collect import Results
    from perfsuite.analysis.statistics.intervals import Ratio
    from perfsuite.records import Comparison, PairedRecord

_ALWAYS_SHOWN = ("model", "precision")
_OVER_BLOCKS = (
    "[low, high]: 95% interval over blocks ({}) of one process: a steady drift cancels; what differs from process to "
    "process is not in it"
)
_ORDER = "blocks of {}; a drift that is linear within a block cancels"
_BLOCKS_OR_ROUNDS = "blocks, or of the rounds of separate cells"
_SEPARATE = "separate cells: the quotient of two cells of the same runs; a drift between the cells is in it"


def pairs_frame(results: Results, comparisons: Sequence[Comparison]) -> pd.DataFrame:
    """Return a row per pair of workloads and place, several runs of it together; of the fidelity, a row per run.

    Returns:
        Columns: environment, file, series, name, the candidate's workload, `baseline_precision`, `time_ratio`
        (candidate over baseline) with what `ratio_columns` adds, `baseline_time_median_s`, `time_median_s`,
        `num_processes`, `num_blocks` of all of them, `num_passes`, `limit_ratio`, and for what these processes have
        measured in separate cells as well `separate_time_ratio`.
    """
    groups = pair_groups(results, [name for name in comparisons if name != "fidelity"])
    groups += [
        PairGroup(pairs=(pair,), place=())
        for pair in results.pairs
        if pair.record.comparison == "fidelity" and "fidelity" in comparisons
    ]
    columns = ["file", "series", "name", *ENVIRONMENT_COLUMNS, *WORKLOAD_COLUMNS]
    rows = [_group_row(group, results) for group in groups]
    return pd.DataFrame(rows, columns=None if rows else columns)


def _group_row(group: PairGroup, results: Results) -> dict[str, Any]:
    first = group.pairs[0]
    record = first.record
    blocks = np.concatenate(group.blocks())
    ratio = group.time_ratio()
    return {
        **pair_origin(first),
        "file": ", ".join(pair.file for pair in group.pairs),
        "comparison": record.comparison,
        **{column: getattr(record.candidate, column) for column in WORKLOAD_COLUMNS},
        "baseline_precision": record.baseline.precision,
        **ratio_columns("time_ratio", ratio),
        "baseline_time_median_s": float(np.median(blocks[:, [0, 3]])),
        "time_median_s": float(np.median(blocks[:, [1, 2]])),
        "num_processes": ratio.num_processes,
        "num_blocks": len(blocks),
        "num_passes": record.num_passes,
        "limit_ratio": record.limit_ratio,
        **ratio_columns("separate_time_ratio", _separate_cells(group, results)),
    }


def paired_interval(record: PairedRecord) -> dict[str, Any]:
    """Return candidate over baseline: `time_ratio`, `time_ratio_low`, `time_ratio_high`."""
    return ratio_columns("time_ratio", paired_ratio(np.array(record.blocks)))


def _separate_cells(group: PairGroup, results: Results) -> Ratio | None:
    """Return candidate over baseline from cells of their own that the same processes measured, or None."""
    record = group.pairs[0].record
    if record.comparison != "speedup" or "run_id" not in results.benchmarks:
        return None
    cells = results.benchmarks.assign(row=range(len(results.benchmarks)))
    cells = cells[cells["run_id"].isin([pair.record.process.run_id for pair in group.pairs])]
    sides = []
    for workload in (record.candidate, record.baseline):
        same = np.all([cells[column] == getattr(workload, column) for column in WORKLOAD_COLUMNS], axis=0)
        sides.append(cells[same])
    if sides[0].empty or sides[1].empty:
        return None
    return time_ratio(sides[0], sides[1], results)[2]


COMPARISONS: dict[str, tuple[Comparison, ...]] = {
    "paired": ("speedup",),
    "fidelity": ("fidelity",),
    "pipeline": ("pipeline_step", "pipeline_study"),
}
"""Which comparisons a table is about, by the table's name."""


def has_pairs(results: Results, table: str) -> bool:
    """Whether there is anything to show in a table of this module."""
    return any(pair.record.comparison in COMPARISONS[table] for pair in results.pairs)


def paired_table(results: Results) -> Table:
    """Return the speed-up of AMP measured interleaved, and by two separate cells of the same processes."""
    frame = pairs_frame(results, COMPARISONS["paired"])
    title = f"AMP vs FP32, interleaved{shared_in_words(frame)}"
    if frame.empty:
        note = "nothing was measured interleaved: pytest benchmarks -m speedup does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    speedups = _add_inverse(frame, "time_ratio", "speedup_ratio")
    separate = [ratio for ratio in _add_inverse(frame, "separate_time_ratio", "separate_speedup_ratio") if ratio]
    several = bool((frame["num_processes"] > 1).any())
    return Table(
        title=title,
        frame=frame,
        columns=(
            *place_table_columns(frame),
            *_workload_columns(frame),
            *([text_column("baseline_precision", "against")] if frame["baseline_precision"].nunique() > 1 else []),
            ratio_column("speedup_ratio", "speed-up", decimals=3),
            *([ratio_column("separate_speedup_ratio", "separate cells", decimals=3)] if separate else []),
            *([text_column("num_processes", "processes")] if several else []),
            metric_column("num_blocks"),
        ),
        notes=(
            f"interleaved: {_ORDER.format('FP32, AMP, AMP, FP32')}",
            *bracket_notes(
                [*speedups, *separate], spread_of="blocks" if not separate else _BLOCKS_OR_ROUNDS, more=MORE_PAIRS
            ),
            *([_SEPARATE] if separate else []),
            *consistency_findings(results),
            *notes_of(results),
        ),
    )


def _add_inverse(frame: pd.DataFrame, name: str, inverse: str) -> list[Ratio | None]:
    """Add the inverse of a ratio of times to every row, and return it: speed rises as times fall."""
    ratios = [ratio_of_row(row, name) for row in frame.to_dict("records")]
    inverses = [None if ratio is None else ratio.inverse() for ratio in ratios]
    columns = pd.DataFrame([ratio_columns(inverse, ratio) for ratio in inverses], index=frame.index)
    frame[columns.columns] = columns
    return inverses


def fidelity_table(results: Results) -> Table:
    """Return how far a reported training step is from a bare loop of the same step."""
    frame = pairs_frame(results, COMPARISONS["fidelity"])
    title = f"A training step as reported, against a bare loop{shared_in_words(frame)}"
    if frame.empty:
        note = "no fidelity was measured: pytest benchmarks -m fidelity does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("separate_")])
    frame["faithful"] = [is_faithful(row) for row in frame.to_dict("records")]
    return Table(
        title=title,
        frame=frame,
        columns=(
            *telling_apart(frame),
            *_workload_columns(frame),
            metric_column("time_median_s", source="baseline_time_median_s", heading="bare ms"),
            metric_column("time_median_s", heading="reported ms"),
            Column(heading="difference %", show=_difference, numeric=True),
            metric_column("num_blocks"),
            Column(heading="faithful", show=lambda row: f"{row['faithful']} ({row['limit_ratio']:.0%})"),
        ),
        notes=(
            _OVER_BLOCKS.format("bare, reported, reported, bare"),
            "faithful: the whole interval lies within the limit",
            *notes_of(results),
        ),
    )


_AGAINST = {"pipeline_step": "a step on one batch", "pipeline_study": "the study's way"}


def pipeline_table(results: Results) -> Table:
    """Return how fast a full training is fed: against a step on one batch, and against the study's way of loading."""
    frame = pairs_frame(results, COMPARISONS["pipeline"])
    title = f"Feeding a full training{shared_in_words(frame)}"
    if frame.empty:
        note = "no input pipeline was measured: pytest benchmarks -m input_pipeline does that"
        return Table(title=title, frame=frame, columns=(), notes=(note, *notes_of(results)))
    frame = frame.drop(columns=[column for column in frame if str(column).startswith("separate_")])
    throughputs = _add_inverse(frame, "time_ratio", "throughput_ratio")
    frame["training_images_per_second"] = frame["batch_size"] / frame["time_median_s"]
    frame["against"] = [_AGAINST[name] for name in frame["comparison"]]
    return Table(
        title=title,
        frame=frame,
        columns=(
            *place_table_columns(frame),
            *_workload_columns(frame),
            metric_column("training_images_per_second"),
            text_column("against"),
            ratio_column("throughput_ratio", "throughput", decimals=3),
            metric_column("num_blocks"),
        ),
        notes=(
            f"interleaved: {_ORDER.format('the other, ours, ours, the other')}",
            *bracket_notes(throughputs, spread_of="blocks", more=MORE_PIPELINES),
            "ours: images lie on the device as bytes, and are shuffled, cast and normalised there",
            "the study's way: DataLoader with two workers, transforms image by image, the loss read at every step",
            *notes_of(results),
        ),
    )


def paired_in_words(record: PairedRecord) -> str:
    """Return the ratio in a few words: `speed-up 1.53x (1.52 to 1.54 in this run)`."""
    row: dict[str, Any] = {**paired_interval(record)}
    if record.comparison == "fidelity":
        return f"off by {_difference(row)} %"
    if record.comparison == "pipeline_step":
        return f"{_difference(row)} % of a step's time"
    return f"speed-up {ratio_text(paired_ratio(np.array(record.blocks)).inverse())}"


def is_faithful(row: Mapping[Any, Any]) -> str:
    """Return `yes` if the whole interval lies within the limit, `no` if it lies wholly outside, else `cannot tell`."""
    low, high, limit = row["time_ratio_low"], row["time_ratio_high"], row["limit_ratio"]
    if low is None or high is None or np.isnan(low) or np.isnan(high):
        return "cannot tell"
    if high - 1 <= limit and 1 - low <= limit:
        return "yes"
    return "no" if low - 1 > limit or 1 - high > limit else "cannot tell"


def _difference(row: dict[str, Any]) -> str:
    shown = [row[key] for key in ("time_ratio", "time_ratio_low", "time_ratio_high")]
    texts = ["none" if value is None else f"{100 * (value - 1):+.2f}" for value in shown]
    return f"{texts[0]} [{texts[1]}, {texts[2]}]"


def _workload_columns(frame: pd.DataFrame) -> list[Column]:
    shown = varying(frame, ("model", "precision", *(c for c in PAIRING_COLUMNS if c != "model")), _ALWAYS_SHOWN)
    return [text_column(column, SHORT_HEADINGS.get(column)) for column in shown]
